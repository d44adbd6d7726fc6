// The stages whose work is a kernel of our own: batch norm, ReLU, add, pooling.
#include "gpu/cuda/reduce.h"
#include "gpu/ranks/ranks.h"

// --- batch norm ---
struct norm {
    struct stage base; // in2: the residual, or NULL
    struct cuda_norm args;
    struct trained *weight, *bias;
};

// Where ranks normalise together, what was summed over the rows is added over them.
static int meet(struct plan *p, const struct cuda_norm *a, struct error *e)
{
    size_t n = (size_t)a->views * NORM_SUMS * (size_t)a->c;
    return a->sums ? reduce_add(p, a->sums, n, NCCL_F64, e) : 0;
}

static int run_norm(struct plan *p, const struct op *op, struct error *e)
{
    struct cuda_norm a = ((const struct norm *)op->stage)->args;
    a.views = plan_views(op);
    a.share = plan_bn_share(p);
    return cuda_ok(cuda_norm_sums(&a, card(p)->main), "batch norm", e) < 0 || meet(p, &a, e) < 0
               ? -1
               : cuda_ok(cuda_norm_apply(&a, card(p)->main), "batch norm", e);
}

static int run_norm_evaluate(struct plan *p, const struct op *op, struct error *e)
{
    if (p->bn_batch)
        return run_norm(p, op, e);
    struct cuda_norm a = ((const struct norm *)op->stage)->args;
    a.views = plan_views(op);
    return cuda_ok(cuda_norm_evaluate(&a, card(p)->main), "batch norm", e);
}

static int run_norm_backward(struct plan *p, const struct op *op, struct error *e)
{
    struct cuda_norm a = ((const struct norm *)op->stage)->args;
    a.dy = op->a;
    a.dy2 = op->b;
    a.dx = op->out;
    return cuda_ok(cuda_norm_back_sums(&a, card(p)->main), "gradient of a batch norm", e) < 0 ||
                   meet(p, &a, e) < 0
               ? -1
               : cuda_ok(cuda_norm_back_apply(&a, card(p)->main), "gradient of a batch norm", e);
}

// In training x is read twice: for its statistics, and to be scaled. Back there are two passes over
// x and dy, one writes dx; a sum or a mask is read and written once more.
static void norm_cost(const struct plan *p, struct op *op)
{
    const struct stage *s = op->stage;
    double view = (double)plan_bytes(s->in) / VIEWS;
    op->bytes = op->out ? view * VIEWS * (5 + !!op->b + 2 * !!s->in2)
                        : view * plan_views(op) * ((op->view == BOTH) + 2 + !!s->in2);
}

static int norm_init(struct plan *p, struct stage *stage, struct error *e)
{
    struct norm *s = (struct norm *)stage;
    const struct node *d = stage->node;
    const struct tensor *in = stage->in, *add = stage->in2;
    s->args = (struct cuda_norm){.type = in->type,
                                 .views = VIEWS,
                                 .rows = p->batch * in->h * in->w,
                                 .c = in->c,
                                 .relu = stage->relu,
                                 .x = in->data[0],
                                 .add = add ? add->data[0] : NULL,
                                 .y = stage->out->data[0]};
    struct cuda_norm *a = &s->args;
    if (d->affine) {
        s->weight = cuda_trained(p, d, PARAM_WEIGHT, 0, e);
        s->bias = s->weight ? cuda_trained(p, d, PARAM_BIAS, 0, e) : NULL;
        if (!s->bias)
            return -1;
        a->weight = s->weight->w;
        a->bias = s->bias->w;
        a->dweight = s->weight->g;
        a->dbias = s->bias->g;
    }
    float **arrays[] = {&a->mean, &a->inv, &a->scale, &a->shift, &a->k1, &a->k0};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i] = cuda_take(p, VIEWS * (size_t)in->c * sizeof(float), e)))
            return -1;
    size_t sums = VIEWS * NORM_SUMS * (size_t)in->c * sizeof(double);
    if (p->whole > p->batch) {
        a->ranks = p->ranks->size;
        if (!(a->sums = cuda_take(p, sums, e)))
            return -1;
    }
    a->running_mean = cuda_running(p, d, PARAM_RUNNING_MEAN, e);
    a->running_var = cuda_running(p, d, PARAM_RUNNING_VAR, e);
    a->partial = cuda_take(p, cuda_norm_work(a) * sizeof(float), e);
    return a->running_mean && a->running_var && a->partial ? 0 : -1;
}

const struct stage_kind cuda_norm_kind = {.name = "batch norm",
                                          .size = sizeof(struct norm),
                                          .init = norm_init,
                                          .forward = run_norm,
                                          .evaluate = run_norm_evaluate,
                                          .backward = run_norm_backward,
                                          .cost = norm_cost};

// --- stages that need no more than their operations ---
static void simple_cost(const struct plan *p, struct op *op)
{
    const struct stage *s = op->stage;
    op->bytes = (double)(plan_bytes(s->in) + plan_bytes(s->out)) / VIEWS * plan_views(op);
}

static size_t elements(const struct plan *p, const struct op *op, const struct tensor *t)
{
    return (size_t)plan_views(op) * (size_t)p->batch * image_of(t);
}

static int run_relu(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_relu(s->out->type, s->out->data[0], s->in->data[0], elements(p, op, s->out),
                             card(p)->main),
                   "ReLU", e);
}

static int run_relu_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_relu_backward(s->out->type, op->out, op->a, s->out->data[0],
                                      s->out->elements, card(p)->main),
                   "gradient of a ReLU", e);
}

static int run_add(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_add(s->out->type, s->out->data[0], s->in->data[0], s->in2->data[0],
                            elements(p, op, s->out), card(p)->main),
                   "add", e);
}

static int run_copy(struct plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(cudaMemcpyAsync(op->out, op->a, plan_bytes(op->stage->out),
                                   cudaMemcpyDeviceToDevice, card(p)->main),
                   "copy of a gradient", e);
}

static int run_gap(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_gap(s->in->type, s->out->data[0], s->in->data[0], plan_views(op) * p->batch,
                            s->in->h * s->in->w, s->in->c, card(p)->main),
                   "average pool", e);
}

static int run_gap_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    return cuda_ok(cuda_gap_backward(s->in->type, op->out, op->a, VIEWS * p->batch,
                                     s->in->h * s->in->w, s->in->c, card(p)->main),
                   "gradient of an average pool", e);
}

const struct stage_kind cuda_relu_kind = {
    .name = "ReLU", .forward = run_relu, .backward = run_relu_backward, .cost = simple_cost};
const struct stage_kind cuda_add_kind = {
    .name = "add", .forward = run_add, .backward = run_copy, .cost = simple_cost};
const struct stage_kind cuda_gap_kind = {
    .name = "average pool", .forward = run_gap, .backward = run_gap_backward, .cost = simple_cost};

// --- max pool ---
struct maxpool {
    struct stage base;
    struct cuda_pool pool;
    uint8_t *place;
};

static struct cuda_pool pool_of(const struct plan *p, const struct op *op)
{
    struct cuda_pool pool = ((const struct maxpool *)op->stage)->pool;
    pool.n = plan_views(op) * p->batch;
    return pool;
}

static int run_maxpool(struct plan *p, const struct op *op, struct error *e)
{
    const struct maxpool *s = (const struct maxpool *)op->stage;
    struct cuda_pool pool = pool_of(p, op);
    return cuda_ok(
        cuda_maxpool(&pool, s->base.out->data[0], s->place, s->base.in->data[0], card(p)->main),
        "max pool", e);
}

static int run_maxpool_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct maxpool *s = (const struct maxpool *)op->stage;
    struct cuda_pool pool = pool_of(p, op);
    return cuda_ok(cuda_maxpool_backward(&pool, op->out, op->a, s->place, card(p)->main),
                   "gradient of a max pool", e);
}

static int maxpool_init(struct plan *p, struct stage *stage, struct error *e)
{
    struct maxpool *s = (struct maxpool *)stage;
    const struct node *d = stage->node;
    const struct tensor *in = stage->in;
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
    return (s->place = cuda_take(p, stage->out->elements, e)) ? 0 : -1;
}

const struct stage_kind cuda_maxpool_kind = {.name = "max pool",
                                             .size = sizeof(struct maxpool),
                                             .init = maxpool_init,
                                             .forward = run_maxpool,
                                             .backward = run_maxpool_backward,
                                             .cost = simple_cost};
