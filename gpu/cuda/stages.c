// The stages whose work is a kernel of our own: batch norm, ReLU, add, pooling, input.
#include "gpu/cuda/cuda.h"

// --- batch norm ---
struct norm {
    struct stage base; // in2: the residual, or NULL
    struct cuda_norm args;
    struct trained *weight, *bias;
};

static int run_norm(struct cuda_plan *p, const struct op *op, struct error *e)
{
    struct cuda_norm a = ((const struct norm *)op->stage)->args;
    a.views = op->views;
    cudaStream_t s = p->device->main;
    return cuda_ok(op->views == VIEWS ? cuda_norm_forward(&a, s) : cuda_norm_evaluate(&a, s),
                   "batch norm", e);
}

static int run_norm_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    struct cuda_norm a = ((const struct norm *)op->stage)->args;
    a.views = VIEWS;
    a.dy = op->a;
    a.dy2 = op->b;
    a.dx = op->out;
    return cuda_ok(cuda_norm_backward(&a, p->device->main), "gradient of a batch norm", e);
}

static int norm_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                        struct error *e)
{
    struct op *op = cuda_op(list, s, views, run_norm, e);
    (void)p;
    if (!op)
        return -1;
    // In training x is read twice: for its statistics, and to be scaled.
    op->bytes = (double)tensor_size(s->in) / VIEWS * views * ((views == VIEWS) + 2 + !!s->in2);
    return 0;
}

// A second gradient is summed in the kernel. With a residual the first buffer comes back masked and
// becomes the residual's gradient; without, the gradient of x replaces it.
static int norm_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                         struct error *e)
{
    struct grad *dy2 = s->out->n_grad == 2 ? s->out->grad[--s->out->n_grad] : NULL;
    struct grad *dy = cuda_grad_of(p, s, list, e);
    struct grad *dx = dy && s->in2 ? cuda_grad_take(p, dy->size, e) : dy;
    struct op *op = dx ? cuda_op(list, s, VIEWS, run_norm_backward, e) : NULL;
    if (!op)
        return -1;
    op->a = dy->data;
    op->b = dy2 ? dy2->data : NULL;
    op->out = dx->data;
    // Two passes over x and dy, one writes dx; a sum or a mask is read and written once more.
    op->bytes = (double)tensor_size(s->in) * (5 + !!dy2 + 2 * !!s->in2);
    if (dy2)
        cuda_grad_release(dy2);
    if (s->in2 && cuda_grad_give(s->in2, dy, e) < 0)
        return -1;
    return cuda_grad_give(s->in, dx, e);
}

static const struct stage_kind norm_kind = {"batch norm", norm_forward, norm_backward, 1};

struct stage *cuda_norm_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                              struct tensor *add, int relu, struct tensor *out, struct error *e)
{
    struct norm *s = cuda_heap(p, sizeof *s, e);
    if (!s)
        return NULL;
    s->base = (struct stage){&norm_kind, d, in, add, out};
    s->args = (struct cuda_norm){.type = in->type,
                                 .views = VIEWS,
                                 .rows = p->batch * in->h * in->w,
                                 .c = in->c,
                                 .relu = relu,
                                 .x = in->data,
                                 .add = add ? add->data : NULL,
                                 .y = out->data};
    struct cuda_norm *a = &s->args;
    if (d->affine) {
        s->weight = cuda_trained(p, d, PARAM_WEIGHT, 0, e);
        s->bias = s->weight ? cuda_trained(p, d, PARAM_BIAS, 0, e) : NULL;
        if (!s->bias)
            return NULL;
        a->weight = s->weight->w;
        a->bias = s->bias->w;
        a->dweight = s->weight->g;
        a->dbias = s->bias->g;
    }
    float **arrays[] = {&a->mean, &a->inv, &a->scale, &a->shift, &a->k1, &a->k0};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i] = cuda_take(p, VIEWS * (size_t)in->c * sizeof(float), e)))
            return NULL;
    a->running_mean = cuda_running(p, d, PARAM_RUNNING_MEAN, e);
    a->running_var = cuda_running(p, d, PARAM_RUNNING_VAR, e);
    a->partial = cuda_take(p, cuda_norm_work(a) * sizeof(float), e);
    return a->running_mean && a->running_var && a->partial ? &s->base : NULL;
}

// --- stages of one input (or two), whose work needs no more than its op ---
struct simple {
    struct stage base;
    struct cuda_pool pool;
    uint8_t *place;
};

static size_t elements(const struct cuda_plan *p, const struct op *op, const struct tensor *t)
{
    return (size_t)op->views * (size_t)p->batch * t->image;
}

static int run_relu(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_relu(s->out->type, s->out->data, s->in->data, elements(p, op, s->out),
                             p->device->main),
                   "ReLU", e);
}

static int run_relu_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_relu_backward(s->out->type, op->out, op->a, s->out->data, s->out->elements,
                                      p->device->main),
                   "gradient of a ReLU", e);
}

static int run_add(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_add(s->out->type, s->out->data, s->in->data, s->in2->data,
                            elements(p, op, s->out), p->device->main),
                   "add", e);
}

static int run_copy(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(cudaMemcpyAsync(op->out, op->a, tensor_size(op->stage->out),
                                   cudaMemcpyDeviceToDevice, p->device->main),
                   "copy of a gradient", e);
}

static struct cuda_pool pool_of(const struct cuda_plan *p, const struct op *op)
{
    struct cuda_pool pool = ((const struct simple *)op->stage)->pool;
    pool.n = op->views * p->batch;
    return pool;
}

static int run_maxpool(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct simple *s = (const struct simple *)op->stage;
    struct cuda_pool pool = pool_of(p, op);
    return cuda_ok(
        cuda_maxpool(&pool, s->base.out->data, s->place, s->base.in->data, p->device->main),
        "max pool", e);
}

static int run_maxpool_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct simple *s = (const struct simple *)op->stage;
    struct cuda_pool pool = pool_of(p, op);
    return cuda_ok(cuda_maxpool_backward(&pool, op->out, op->a, s->place, p->device->main),
                   "gradient of a max pool", e);
}

static int run_gap(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_gap(s->in->type, s->out->data, s->in->data, op->views * p->batch,
                            s->in->h * s->in->w, s->in->c, p->device->main),
                   "average pool", e);
}

static int run_gap_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_gap_backward(s->in->type, op->out, op->a, VIEWS * p->batch,
                                     s->in->h * s->in->w, s->in->c, p->device->main),
                   "gradient of an average pool", e);
}

static const struct simple_kind {
    struct stage_kind kind;
    int (*forward)(struct cuda_plan *p, const struct op *op, struct error *e);
    int (*backward)(struct cuda_plan *p, const struct op *op, struct error *e);
} kinds[];

static const struct simple_kind *kind_of(const struct stage *s)
{
    return (const struct simple_kind *)s->kind;
}

static int simple_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                          struct error *e)
{
    struct op *op = cuda_op(list, s, views, kind_of(s)->forward, e);
    (void)p;
    if (!op)
        return -1;
    op->bytes = (double)(tensor_size(s->in) + tensor_size(s->out)) / VIEWS * views;
    return 0;
}

// The gradient is worked in place: shapes in and out are the same.
static int same_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                         struct error *e)
{
    struct grad *g = cuda_grad_of(p, s, list, e);
    struct op *op = g ? cuda_op(list, s, VIEWS, kind_of(s)->backward, e) : NULL;
    if (!op)
        return -1;
    op->a = op->out = g->data;
    return cuda_grad_give(s->in, g, e);
}

// Each input of an add gets a gradient of its own, since what stands before may write into it.
static int add_backward(struct cuda_plan *p, struct stage *s, struct op_list *list, struct error *e)
{
    struct grad *g = cuda_grad_of(p, s, list, e);
    struct grad *twin = g ? cuda_grad_take(p, tensor_size(s->out), e) : NULL;
    struct op *op = twin ? cuda_op(list, s, VIEWS, run_copy, e) : NULL;
    if (!op)
        return -1;
    op->a = g->data;
    op->out = twin->data;
    return cuda_grad_give(s->in, g, e) < 0 ? -1 : cuda_grad_give(s->in2, twin, e);
}

static int other_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                          struct error *e)
{
    struct grad *g = cuda_grad_of(p, s, list, e);
    struct grad *dx = g ? cuda_grad_take(p, tensor_size(s->in), e) : NULL;
    struct op *op = dx ? cuda_op(list, s, VIEWS, kind_of(s)->backward, e) : NULL;
    if (!op)
        return -1;
    op->a = g->data;
    op->out = dx->data;
    op->bytes = (double)(tensor_size(s->in) + tensor_size(s->out));
    cuda_grad_release(g);
    return cuda_grad_give(s->in, dx, e);
}

static const struct simple_kind kinds[] = {
    [NODE_RELU] = {{"ReLU", simple_forward, same_backward, 1}, run_relu, run_relu_backward},
    [NODE_ADD] = {{"add", simple_forward, add_backward, 1}, run_add, NULL},
    [NODE_MAXPOOL] = {{"max pool", simple_forward, other_backward, 1},
                      run_maxpool,
                      run_maxpool_backward},
    [NODE_GAP] = {{"average pool", simple_forward, other_backward, 1}, run_gap, run_gap_backward},
};

static int prepare_maxpool(struct cuda_plan *p, struct simple *s, struct error *e)
{
    const struct node *d = s->base.node;
    const struct tensor *in = s->base.in;
    if (d->k > 15)
        return error_set(e, "a max pool of %d x %d is not possible on the GPU", d->k, d->k);
    s->pool = (struct cuda_pool){.type = in->type,
                                 .c = in->c,
                                 .h = in->h,
                                 .w = in->w,
                                 .oh = d->h,
                                 .ow = d->w,
                                 .k = d->k,
                                 .stride = d->stride,
                                 .pad = d->pad};
    return (s->place = cuda_take(p, s->base.out->elements, e)) ? 0 : -1;
}

struct stage *cuda_simple_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                                struct tensor *in2, struct tensor *out, struct error *e)
{
    if ((size_t)d->op >= sizeof kinds / sizeof *kinds || !kinds[d->op].forward) {
        error_set(e, "a node of kind %d is not known to the CUDA device", (int)d->op);
        return NULL;
    }
    struct simple *s = cuda_heap(p, sizeof *s, e);
    if (!s)
        return NULL;
    s->base = (struct stage){&kinds[d->op].kind, d, in, in2, out};
    if (d->op == NODE_MAXPOOL && prepare_maxpool(p, s, e) < 0)
        return NULL;
    return &s->base;
}

// --- the input: nothing to do but to keep its gradient where a test wants it ---
static int run_keep(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(cudaMemcpyAsync(p->input_gradient, op->a, tensor_size(op->stage->out),
                                   cudaMemcpyDeviceToDevice, p->device->main),
                   "gradient of the input", e);
}

static int input_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                          struct error *e)
{
    if (!s->out->wants_grad)
        return 0;
    struct grad *g = cuda_grad_of(p, s, list, e);
    if (!g || !(p->input_gradient = cuda_take(p, tensor_size(s->out), e)))
        return -1;
    struct op *op = cuda_op(list, s, VIEWS, run_keep, e);
    if (!op)
        return -1;
    op->a = g->data;
    cuda_grad_release(g);
    return 0;
}

static const struct stage_kind input_kind = {"input", NULL, input_backward, 0};

struct stage *cuda_input_stage(struct cuda_plan *p, const struct node *d, struct tensor *out,
                               struct error *e)
{
    struct stage *s = cuda_heap(p, sizeof *s, e);
    if (s)
        *s = (struct stage){&input_kind, d, NULL, NULL, out};
    return s;
}
