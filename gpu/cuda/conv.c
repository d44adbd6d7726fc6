// Convolutions: cuDNN plans for forward (both views, and one for evaluations), backward-data and
// backward-filter. The filter's gradient has the type of the activations, for cuDNN knows no other.
#include <string.h>

#include "gpu/cuda/cuda.h"

enum { REPEATS = 3 };

struct conv {
    struct stage base;
    struct dnn_shape shape;
    struct trained *weight;
    struct dnn_plan *forward[VIEWS], *data, *filter; // forward[v - 1]: of v views
};

static void *weights(const struct cuda_plan *p, const struct trained *t)
{
    return p->type == CUDA_BF16 ? t->w16 : (void *)t->w;
}

static int run(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return dnn_run(&p->device->dnn, op->dnn, op->pack, e);
}

static int append(struct op_list *list, struct conv *c, int views, const char *name,
                  struct dnn_plan *plan, void *x, void *w, void *y, struct error *e)
{
    struct op *op = cuda_op(list, &c->base, views, run, e);
    if (!op)
        return -1;
    const struct tensor *in = c->base.in, *out = c->base.out;
    double macs = (double)out->elements / VIEWS * views * in->c * c->shape.k * c->shape.k;
    op->name = name;
    op->flops = 2 * macs;
    op->bytes = (double)(tensor_size(in) + tensor_size(out)) / VIEWS * views +
                (double)(c->weight->param->count * type_size(in->type));
    op->dnn = plan;
    op->x = x;
    op->w = w;
    op->y = y;
    return 0;
}

static int conv_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                        struct error *e)
{
    struct conv *c = (struct conv *)s;
    return append(list, c, views, "convolution", c->forward[views - 1], s->in->data,
                  weights(p, c->weight), s->out->data, e);
}

static int conv_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                         struct error *e)
{
    struct conv *c = (struct conv *)s;
    struct grad *g = cuda_grad_of(p, s, list, e);
    if (!g || append(list, c, VIEWS, "convolution, filter gradient", c->filter, s->in->data,
                     c->weight->g, g->data, e) < 0)
        return -1;
    if (s->in->wants_grad) {
        struct grad *dx = cuda_grad_take(p, tensor_size(s->in), e);
        if (!dx ||
            append(list, c, VIEWS, "convolution, data gradient", c->data, dx->data,
                   weights(p, c->weight), g->data, e) < 0 ||
            cuda_grad_give(s->in, dx, e) < 0)
            return -1;
    }
    cuda_grad_release(g);
    return 0;
}

static const struct stage_kind conv_kind = {"convolution", conv_forward, conv_backward, 1};

// --- the card's clock ---
struct trial {
    struct cuda_plan *p;
    void *x, *w, *y;
};

static double clocked(struct cuda_plan *p, struct dnn_plan *candidate, dnnPack pack)
{
    cudaEvent_t *mark = p->mark[0];
    float ms = -1;
    for (int i = -1; i < REPEATS; i++) { // the first run loads code
        if (i == 0 && cudaEventRecord(mark[0], p->device->main) != cudaSuccess)
            return -1;
        if (dnn_run(&p->device->dnn, candidate, pack, NULL) < 0)
            return -1;
    }
    if (cudaEventRecord(mark[1], p->device->main) != cudaSuccess ||
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
    cudaStreamSynchronize(t->p->device->main);
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
static int trial_open(struct trial *t, struct cuda_plan *p, const struct conv *c, int views)
{
    size_t size = type_size(c->base.in->type), n = (size_t)views * (size_t)p->batch;
    cudaStream_t s = p->device->main;
    *t = (struct trial){.p = p};
    if (trial_memory(&t->x, n * c->base.in->image * size, s) == 0 &&
        trial_memory(&t->y, n * c->base.out->image * size, s) == 0 &&
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

// The letter recorded for the next pass, 0 for none; -1 when the record is too short.
static int recorded(const struct cuda_plan *p, struct error *e)
{
    if (!p->wanted)
        return 0;
    if (memchr(p->wanted, '\0', (size_t)p->n_choice + 1))
        return error_set(e, "the recorded algorithms are for another network");
    return p->wanted[p->n_choice];
}

// Make the plan: by the letter that is wanted, else the card's clock chooses.
static int make_plan(struct cuda_plan *p, const struct conv *c, const struct dnn_shape *shape,
                     enum dnn_pass pass, char *letter, int *clocked, struct dnn_plan **out,
                     struct error *e)
{
    struct trial t = {.p = p};
    int views = shape->n / p->batch;
    *clocked = !p->device->planning && !*letter && trial_open(&t, p, c, views) == 0;
    int rc = dnn_plan_new(&p->device->dnn, shape, pass, *letter, *clocked ? time_candidate : NULL,
                          &t, out, letter, e);
    if (!p->device->planning)
        trial_close(&t);
    return rc;
}

// A plan of this pass over `views` views. A device that only plans needs one of each shape; the
// others are as large.
static int plan_pass(struct cuda_plan *p, struct conv *c, enum dnn_pass pass, int views,
                     struct dnn_plan **out, struct error *e)
{
    struct cache *cache = p->device->cache;
    struct dnn_shape shape = c->shape;
    size_t workspace;
    int want = recorded(p, e), clocked = 0, rc = -1;
    if (want < 0 ||
        cuda_room((void **)&p->dnn, &p->cap_dnn, p->n_dnn, sizeof(struct dnn_plan *), e) < 0)
        return -1;
    shape.n = views * p->batch;
    char known = want ? 0 : cache_find(cache, &shape, pass, &workspace), letter = (char)want;
    if (p->device->planning && known) {
        if (workspace > p->workspace_size)
            p->workspace_size = workspace;
        return cuda_choice(p, known, e);
    }
    if (known) { // what is remembered may be of another world: then the clock is asked
        letter = known;
        rc = make_plan(p, c, &shape, pass, &letter, &clocked, out, NULL);
        letter = rc < 0 ? 0 : letter;
    }
    if (rc < 0 && make_plan(p, c, &shape, pass, &letter, &clocked, out, e) < 0)
        return -1;
    p->dnn[p->n_dnn++] = *out;
    workspace = dnn_plan_workspace(*out);
    if (workspace > p->workspace_size)
        p->workspace_size = workspace;
    if (!want && cache_add(cache, &shape, pass, letter, workspace, clocked, e) < 0)
        return -1;
    return cuda_choice(p, letter, e);
}

// Whether an evaluation passes here: up to the features.
static int evaluated(const struct cuda_plan *p, const struct node *d)
{
    return p->net.features >= 0 && d - p->net.node < p->net.features;
}

struct stage *cuda_conv_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                              struct tensor *out, struct error *e)
{
    struct conv *c = cuda_heap(p, sizeof *c, e);
    if (!c)
        return NULL;
    if (in->type != out->type) {
        error_set(e, "%s takes rows of numbers: that is not possible on the GPU", d->name);
        return NULL;
    }
    c->base = (struct stage){&conv_kind, d, in, NULL, out};
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
        return NULL;
    if (d->frozen)
        return &c->base;
    if (plan_pass(p, c, DNN_FILTER, VIEWS, &c->filter, e) < 0 ||
        (in->wants_grad && plan_pass(p, c, DNN_DATA, VIEWS, &c->data, e) < 0))
        return NULL;
    return &c->base;
}

int cuda_conv_place(struct cuda_plan *p, struct error *e)
{
    if (p->workspace_size && !(p->workspace = cuda_take(p, p->workspace_size, e)))
        return -1;
    struct op_list *lists[] = {&p->forward, &p->backward, &p->evaluate};
    for (size_t i = 0; !p->device->planning && i < sizeof lists / sizeof *lists; i++)
        for (int k = 0; k < lists[i]->n; k++) {
            struct op *op = &lists[i]->op[k];
            if (op->dnn &&
                dnn_pack_new(op->dnn, op->x, op->w, op->y, p->workspace, &op->pack, e) < 0)
                return -1;
        }
    return 0;
}
