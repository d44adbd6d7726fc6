// ReLU, add, and pooling as stages of their own. In the networks here ReLU and add are nearly
// always fused into a batch norm (norm.c); these serve where they stand alone.
#include <string.h>

#include "gpu/cpu/cpu.h"

// --- ReLU ---
static int run_relu(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    p->own->k->relu[s->out->type](s->out->data[op->view], s->in->data[op->view], s->out->elements,
                                  p->own->threads);
    return 0;
}

static int run_relu_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    p->own->k->relu_backward[s->out->type](op->out, op->a, s->out->data[op->view], s->out->elements,
                                           p->own->threads);
    return 0;
}

const struct stage_kind cpu_relu = {
    .name = "relu", .forward = run_relu, .backward = run_relu_backward};

// --- add ---
static int run_add(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    p->own->k->add[s->out->type](s->out->data[op->view], s->in->data[op->view],
                                 s->in2->data[op->view], s->out->elements, p->own->threads);
    return 0;
}

static int run_copy(struct plan *p, const struct op *op, struct error *e)
{
    memcpy(op->out, op->a, plan_bytes(op->stage->out));
    return 0;
}

const struct stage_kind cpu_add = {.name = "add", .forward = run_add, .backward = run_copy};

// --- global average pool ---
static int run_gap(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    p->own->k->gap[s->in->type](s->out->data[op->view], s->in->data[op->view], p->batch, s->in->c,
                                s->in->h * s->in->w, s->in->layout->order == ORDER_LAST,
                                p->own->threads);
    return 0;
}

static int run_gap_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    p->own->k->gap_backward[s->in->type](op->out, op->a, p->batch, s->in->c, s->in->h * s->in->w,
                                         s->in->layout->order == ORDER_LAST, p->own->threads);
    return 0;
}

const struct stage_kind cpu_gap = {
    .name = "global average pool", .forward = run_gap, .backward = run_gap_backward};

// --- max pool (oneDNN's takes the other operand for a NaN) ---
struct maxpool {
    struct stage base;
    uint8_t *place[VIEWS];
};

static struct pool_args pool_args(const struct plan *p, const struct op *op)
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
        .last = s->in->layout->order == ORDER_LAST,
        .threads = p->own->threads,
        .place = ((const struct maxpool *)s)->place[op->view],
    };
}

static int run_maxpool(struct plan *p, const struct op *op, struct error *e)
{
    const struct stage *s = op->stage;
    struct pool_args a = pool_args(p, op);
    a.x = s->in->data[op->view];
    a.y = s->out->data[op->view];
    p->own->k->maxpool[s->in->type](&a);
    return 0;
}

static int run_maxpool_backward(struct plan *p, const struct op *op, struct error *e)
{
    struct pool_args a = pool_args(p, op);
    a.dy = op->a;
    a.dx = op->out;
    p->own->k->maxpool_backward[op->stage->in->type](&a);
    return 0;
}

static int maxpool_init(struct plan *p, struct stage *s, struct error *e)
{
    struct maxpool *m = (struct maxpool *)s;
    for (int v = 0; v < VIEWS; v++)
        if (!(m->place[v] = cpu_take(p, s->out->elements, e)))
            return -1;
    return 0;
}

const struct stage_kind cpu_maxpool = {.name = "max pool",
                                       .size = sizeof(struct maxpool),
                                       .init = maxpool_init,
                                       .forward = run_maxpool,
                                       .backward = run_maxpool_backward};
