// Convolutions: cuDNN plans for forward (both views, and one for evaluations), backward-data and
// backward-filter. The filter's gradient has the type of the activations, for cuDNN knows no other.

#include "gpu/cuda/cuda.h"

enum { REPEATS = 3 };

struct conv {
    struct stage base;
    struct dnn_shape shape;
    struct trained *weight;
    struct dnn_plan *forward[VIEWS], *data, *filter; // forward[1]: of both views
};

static void *weights(const struct plan *p, const struct trained *t)
{
    return p->type == CUDA_BF16 ? t->w16 : (void *)t->w;
}

static int run(struct plan *p, const struct op *op, struct error *e)
{
    return dnn_run(&card(p)->dnn, op->call->dnn, op->call->pack, e);
}

static int append(struct plan *p, struct op_list *list, struct conv *c, int view, const char *name,
                  const struct call *call, struct error *e)
{
    struct op *op = plan_op(list, &c->base, view, run, e);
    if (!op || !(op->call = plan_heap(p, sizeof *call, e)))
        return -1;
    const struct tensor *in = c->base.in, *out = c->base.out;
    double share = (double)plan_views(op) / VIEWS;
    op->name = name;
    op->flops = 2 * share * (double)out->elements * in->c * c->shape.k * c->shape.k;
    op->bytes = share * (double)(plan_bytes(in) + plan_bytes(out)) +
                (double)(c->weight->param->count * plan_element(in->type));
    *op->call = *call;
    return 0;
}

static int conv_forward(struct plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct conv *c = (struct conv *)s;
    const struct call call = {c->forward[view == BOTH], s->in->data[0], weights(p, c->weight),
                              s->out->data[0], NULL};
    return append(p, list, c, view, "convolution", &call, e);
}

static int conv_backward(struct plan *p, struct stage *s, int view, struct grad *g, struct grad *dx,
                         struct op_list *list, struct error *e)
{
    struct conv *c = (struct conv *)s;
    const struct call filter = {c->filter, s->in->data[0], c->weight->g, g->data, NULL},
                      data = {c->data, dx ? dx->data : NULL, weights(p, c->weight), g->data, NULL};
    if (append(p, list, c, view, "convolution, filter gradient", &filter, e) < 0)
        return -1;
    return dx ? append(p, list, c, view, "convolution, data gradient", &data, e) : 0;
}

// --- the card's clock ---
struct trial {
    struct plan *p;
    void *x, *w, *y;
};

static double clocked(struct plan *p, struct dnn_plan *candidate, dnnPack pack)
{
    cudaEvent_t *mark = p->own->mark[0];
    float ms = -1;
    for (int i = -1; i < REPEATS; i++) { // the first run loads code
        if (i == 0 && cudaEventRecord(mark[0], card(p)->main) != cudaSuccess)
            return -1;
        if (dnn_run(&card(p)->dnn, candidate, pack, NULL) < 0)
            return -1;
    }
    if (cudaEventRecord(mark[1], card(p)->main) != cudaSuccess ||
        cudaEventSynchronize(mark[1]) != cudaSuccess ||
        cudaEventElapsedTime(&ms, mark[0], mark[1]) != cudaSuccess)
        return -1;
    return (double)ms;
}

static double time_candidate(void *context, struct dnn_plan *candidate)
{
    struct trial *t = context;
    void *workspace = NULL;
    dnnPack pack = NULL;
    double ms = -1;
    size_t size = dnn_plan_workspace(candidate);
    if ((!size || cudaMalloc(&workspace, size) == cudaSuccess) &&
        dnn_pack_new(candidate, t->x, t->w, t->y, workspace, &pack, NULL) == 0)
        ms = clocked(t->p, candidate, pack);
    cudaStreamSynchronize(card(t->p)->main);
    dnn_pack_free(pack);
    cudaFree(workspace);
    if (ms < 0)
        (void)cudaGetLastError();
    return ms;
}

static int trial_memory(void **out, size_t size, cudaStream_t s)
{
    return cudaMalloc(out, size) == cudaSuccess && cudaMemsetAsync(*out, 0, size, s) == cudaSuccess
               ? 0
               : -1;
}

// Candidates are clocked on memory of their own: what the plan holds stays unwritten until it is
// used. Where there is no room for that nothing is clocked.
static int trial_open(struct trial *t, struct plan *p, const struct conv *c, int views)
{
    size_t size = plan_element(c->base.in->type), n = (size_t)views * (size_t)p->batch;
    cudaStream_t s = card(p)->main;
    *t = (struct trial){.p = p};
    if (trial_memory(&t->x, n * image_of(c->base.in) * size, s) == 0 &&
        trial_memory(&t->y, n * image_of(c->base.out) * size, s) == 0 &&
        trial_memory(&t->w, c->weight->param->count * size, s) == 0)
        return 0;
    (void)cudaGetLastError();
    return -1;
}

static void trial_close(struct trial *t)
{
    cudaFree(t->x);
    cudaFree(t->w);
    cudaFree(t->y);
    (void)cudaGetLastError();
}

static void release_plan(void *plan)
{
    dnn_plan_free(plan);
}

// Make the plan: by the letter that is wanted, else the card's clock chooses.
static int make_plan(struct plan *p, const struct conv *c, const struct dnn_shape *shape,
                     enum dnn_pass pass, char *letter, int *clocked, struct dnn_plan **out,
                     struct error *e)
{
    struct trial t = {.p = p};
    int views = shape->n / p->batch;
    *clocked = !p->device->planned && !*letter && trial_open(&t, p, c, views) == 0;
    int rc = dnn_plan_new(&card(p)->dnn, shape, pass, *letter, *clocked ? time_candidate : NULL, &t,
                          out, letter, e);
    if (!p->device->planned)
        trial_close(&t);
    return rc;
}

// A plan of this pass over `views` views. A device that only plans needs one of each shape; the
// others are as large.
static int plan_pass(struct plan *p, struct conv *c, enum dnn_pass pass, int views,
                     struct dnn_plan **out, struct error *e)
{
    struct cache *cache = card(p)->cache;
    struct dnn_shape shape = c->shape;
    size_t workspace;
    int want = plan_recorded(p, e), clocked = 0, rc = -1;
    if (want < 0)
        return -1;
    shape.n = views * p->batch;
    char known = want ? 0 : cache_find(cache, &shape, pass, &workspace), letter = (char)want;
    if (p->device->planned && known) {
        if (workspace > p->own->workspace_size)
            p->own->workspace_size = workspace;
        return plan_choose(p, known, e);
    }
    if (known) { // what is remembered may be of another world: then the clock is asked
        letter = known;
        rc = make_plan(p, c, &shape, pass, &letter, &clocked, out, NULL);
        letter = rc < 0 ? 0 : letter;
    }
    if (rc < 0 && make_plan(p, c, &shape, pass, &letter, &clocked, out, e) < 0)
        return -1;
    if (plan_own(p, release_plan, *out, e) < 0)
        return -1;
    workspace = dnn_plan_workspace(*out);
    if (workspace > p->own->workspace_size)
        p->own->workspace_size = workspace;
    if (!want && cache_add(cache, &shape, pass, letter, workspace, clocked, e) < 0)
        return -1;
    return plan_choose(p, letter, e);
}

// Whether an evaluation passes here: up to the features.
static int evaluated(const struct plan *p, const struct node *d)
{
    return p->net.features >= 0 && d - p->net.node < p->net.features;
}

static int conv_init(struct plan *p, struct stage *s, struct error *e)
{
    struct conv *c = (struct conv *)s;
    const struct node *d = s->node;
    const struct tensor *in = s->in, *out = s->out;
    if (in->type != out->type)
        return error_set(e, "%s takes rows of numbers: that is not possible on the GPU", d->name);
    c->shape = (struct dnn_shape){.c = in->c,
                                  .h = in->h,
                                  .w = in->w,
                                  .out = out->c,
                                  .oh = out->h,
                                  .ow = out->w,
                                  .k = d->k,
                                  .stride = d->stride,
                                  .pad = d->pad,
                                  .bf16 = p->type == CUDA_BF16};
    if (!(c->weight = cuda_trained(p, d, PARAM_WEIGHT, 1, e)) ||
        plan_pass(p, c, DNN_FORWARD, VIEWS, &c->forward[1], e) < 0 ||
        (evaluated(p, d) && plan_pass(p, c, DNN_FORWARD, 1, &c->forward[0], e) < 0))
        return -1;
    if (d->frozen)
        return 0;
    if (plan_pass(p, c, DNN_FILTER, VIEWS, &c->filter, e) < 0)
        return -1;
    return in->wants_grad ? plan_pass(p, c, DNN_DATA, VIEWS, &c->data, e) : 0;
}

const struct stage_kind cuda_conv_kind = {.name = "convolution",
                                          .size = sizeof(struct conv),
                                          .init = conv_init,
                                          .add_forward = conv_forward,
                                          .add_backward = conv_backward};

static int place(struct plan *p, const struct op_list *list, struct error *e)
{
    for (int i = 0; i < list->n; i++) {
        struct call *c = list->op[i].call;
        if (c && (dnn_pack_new(c->dnn, c->x, c->w, c->y, p->own->workspace, &c->pack, e) < 0 ||
                  plan_own(p, dnn_pack_free, c->pack, e) < 0))
            return -1;
    }
    return 0;
}

int cuda_conv_place(struct plan *p, struct error *e)
{
    struct own *o = p->own;
    if (o->workspace_size && !(o->workspace = cuda_take(p, o->workspace_size, e)))
        return -1;
    if (p->device->planned)
        return 0;
    return place(p, &p->forward[0], e) < 0 || place(p, &p->backward[0], e) < 0
               ? -1
               : place(p, &p->evaluate, e);
}
