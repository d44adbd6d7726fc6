// ReLU, add, and pooling as stages of their own. In the networks here ReLU and add are nearly
// always fused into a batch norm (norm.c); these serve where they stand alone.
#include <string.h>

#include "gpu/cpu/cpu.h"
#include "gpu/cpu/ops.h"

static int append(struct op_list *list, int (*run)(struct cpu_plan *, const struct op *),
                  struct stage *s, int view, void *a, void *out, struct error *e)
{
    struct op *op = cpu_op(list, e);
    if (!op)
        return -1;
    op->run = run;
    op->stage = s;
    op->view = view;
    op->a = a;
    op->out = out;
    return 0;
}

static struct stage *stage_new(struct cpu_plan *p, const struct stage_kind *kind,
                               const struct node *d, struct tensor *in, struct tensor *in2,
                               struct tensor *out, struct error *e)
{
    struct stage *s = cpu_heap(p, sizeof *s, e);
    if (s)
        *s = (struct stage){kind, d, in, in2, out};
    return s;
}

// --- ReLU ---
static int run_relu(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    p->k->relu[s->out->type](s->out->data[op->view], s->in->data[op->view], s->out->elements,
                             p->threads);
    return 0;
}

static int run_relu_backward(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    p->k->relu_backward[s->out->type](op->out, op->a, s->out->data[op->view], s->out->elements,
                                      p->threads);
    return 0;
}

static int relu_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    return append(list, run_relu, s, view, NULL, NULL, e);
}

static int relu_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                         struct error *e)
{
    struct grad *g = cpu_grad_of(p, s, list, e);
    if (!g || append(list, run_relu_backward, s, view, g->data, g->data, e) < 0)
        return -1;
    return cpu_grad_give(s->in, g, e);
}

static const struct stage_kind relu_kind = {"relu", relu_forward, NULL, relu_backward};

struct stage *relu_stage(struct cpu_plan *p, const struct node *d, struct tensor *in,
                         struct tensor *out, struct error *e)
{
    return stage_new(p, &relu_kind, d, in, NULL, out, e);
}

// --- add ---
static int run_add(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    p->k->add[s->out->type](s->out->data[op->view], s->in->data[op->view], s->in2->data[op->view],
                            s->out->elements, p->threads);
    return 0;
}

static int run_copy(struct cpu_plan *p, const struct op *op)
{
    memcpy(op->out, op->a, op->stage->out->elements * type_size(op->stage->out->type));
    return 0;
}

static int add_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                       struct error *e)
{
    return append(list, run_add, s, view, NULL, NULL, e);
}

// Each input gets a gradient of its own, since what stands before may write into it.
static int add_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct grad *g = cpu_grad_of(p, s, list, e);
    struct grad *copy = g ? cpu_grad_take(p, s->out->elements * type_size(s->out->type), e) : NULL;
    if (!copy || append(list, run_copy, s, view, g->data, copy->data, e) < 0 ||
        cpu_grad_give(s->in, g, e) < 0)
        return -1;
    return cpu_grad_give(s->in2, copy, e);
}

static const struct stage_kind add_kind = {"add", add_forward, NULL, add_backward};

struct stage *add_stage(struct cpu_plan *p, const struct node *d, struct tensor *a,
                        struct tensor *b, struct tensor *out, struct error *e)
{
    return stage_new(p, &add_kind, d, a, b, out, e);
}

// --- global average pool ---
static int run_gap(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    p->k->gap[s->in->type](s->out->data[op->view], s->in->data[op->view], p->batch, s->in->c,
                           s->in->h * s->in->w, p->threads);
    return 0;
}

static int run_gap_backward(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    p->k->gap_backward[s->in->type](op->out, op->a, p->batch, s->in->c, s->in->h * s->in->w,
                                    p->threads);
    return 0;
}

static int gap_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                       struct error *e)
{
    return append(list, run_gap, s, view, NULL, NULL, e);
}

static int gap_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct grad *g = cpu_grad_of(p, s, list, e);
    struct grad *dx = g ? cpu_grad_take(p, s->in->elements * type_size(s->in->type), e) : NULL;
    if (!dx || append(list, run_gap_backward, s, view, g->data, dx->data, e) < 0)
        return -1;
    cpu_grad_release(g);
    return cpu_grad_give(s->in, dx, e);
}

static const struct stage_kind gap_kind = {"global average pool", gap_forward, NULL, gap_backward};

struct stage *gap_stage(struct cpu_plan *p, const struct node *d, struct tensor *in,
                        struct tensor *out, struct error *e)
{
    return stage_new(p, &gap_kind, d, in, NULL, out, e);
}

// --- max pool (oneDNN's takes the other operand for a NaN) ---
struct maxpool {
    struct stage base;
    uint8_t *place[VIEWS];
};

static struct pool_args pool_args(const struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    const struct node *d = s->node;
    return (struct pool_args){
        .n = p->batch,
        .c = s->in->c,
        .h = s->in->h,
        .w = s->in->w,
        .oh = d->h,
        .ow = d->w,
        .k = d->k,
        .stride = d->stride,
        .pad = d->pad,
        .threads = p->threads,
        .place = ((const struct maxpool *)s)->place[op->view],
    };
}

static int run_maxpool(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    struct pool_args a = pool_args(p, op);
    a.x = s->in->data[op->view];
    a.y = s->out->data[op->view];
    p->k->maxpool[s->in->type](&a);
    return 0;
}

static int run_maxpool_backward(struct cpu_plan *p, const struct op *op)
{
    struct pool_args a = pool_args(p, op);
    a.dy = op->a;
    a.dx = op->out;
    p->k->maxpool_backward[op->stage->in->type](&a);
    return 0;
}

static int maxpool_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                           struct error *e)
{
    return append(list, run_maxpool, s, view, NULL, NULL, e);
}

static int maxpool_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                            struct error *e)
{
    struct grad *g = cpu_grad_of(p, s, list, e);
    struct grad *dx = g ? cpu_grad_take(p, s->in->elements * type_size(s->in->type), e) : NULL;
    if (!dx || append(list, run_maxpool_backward, s, view, g->data, dx->data, e) < 0)
        return -1;
    cpu_grad_release(g);
    return cpu_grad_give(s->in, dx, e);
}

static const struct stage_kind maxpool_kind = {"max pool", maxpool_forward, NULL, maxpool_backward};

struct stage *maxpool_stage(struct cpu_plan *p, const struct node *d, struct tensor *in,
                            struct tensor *out, struct error *e)
{
    struct maxpool *m = cpu_heap(p, sizeof *m, e);
    if (!m)
        return NULL;
    m->base = (struct stage){&maxpool_kind, d, in, NULL, out};
    for (int v = 0; v < VIEWS; v++)
        if (!(m->place[v] = cpu_take(p, out->elements, e)))
            return NULL;
    return &m->base;
}

// --- the input: nothing to do but to keep its gradient where a test wants it ---
static int run_keep(struct cpu_plan *p, const struct op *op)
{
    memcpy(p->input_gradient[op->view], op->a,
           op->stage->out->elements * type_size(op->stage->out->type));
    return 0;
}

static int input_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                          struct error *e)
{
    if (!s->out->wants_grad)
        return 0;
    struct grad *g = cpu_grad_of(p, s, list, e);
    p->input_gradient[view] = g ? cpu_take(p, s->out->elements * type_size(s->out->type), e) : NULL;
    if (!p->input_gradient[view] || append(list, run_keep, s, view, g->data, NULL, e) < 0)
        return -1;
    cpu_grad_release(g);
    return 0;
}

static const struct stage_kind input_kind = {"input", NULL, NULL, input_backward};

struct stage *input_stage(struct cpu_plan *p, struct tensor *out, struct error *e)
{
    return stage_new(p, &input_kind, &p->net.node[0], NULL, NULL, out, e);
}
