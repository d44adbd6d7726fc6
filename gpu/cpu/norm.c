// Batch norm, fused with the residual add and ReLU behind it: our kernels on the network's layouts.
// Statistics are per view; running statistics are updated in the order of the views, as PyTorch's
// two forward passes do.
#include <math.h>

#include "gpu/cpu/cpu.h"
#include "gpu/cpu/ops.h"
#include "gpu/cpu/params.h"

static const float EPS = 1e-5f, MOMENTUM = 0.1f; // PyTorch's defaults

struct norm {
    struct stage base; // in2: the residual, or NULL
    int relu;
    struct trained *weight, *bias; // NULL without affine
    float *ones, *zeros;           // instead of them
    float *running_mean, *running_var;
    float *mean[VIEWS], *var[VIEWS], *scale[VIEWS], *shift[VIEWS], *k1, *k0;
    float *unused[2]; // gradients of ones and zeros
};

static struct norm_args args(struct cpu_plan *p, struct norm *s, int view)
{
    const struct tensor *x = s->base.in;
    int rows = x->layout == LAYOUT_ROWS;
    return (struct norm_args){
        .n = p->batch,
        .c = rows ? x->c : padded(p, x->c),
        .hw = x->h * x->w,
        .threads = p->threads,
        .relu = s->relu,
        .weight = s->weight ? s->weight->w : s->ones,
        .bias = s->bias ? s->bias->w : s->zeros,
        .mean = s->mean[view],
        .var = s->var[view],
        .scale = s->scale[view],
        .shift = s->shift[view],
        .dweight = s->weight ? s->weight->g[view] : s->unused[0], // NULL where frozen
        .dbias = s->bias ? s->bias->g[view] : s->unused[1],
        .k1 = s->k1,
        .k0 = s->k0,
        .partial = p->partial,
        .x = x->data[view],
        .add = s->base.in2 ? s->base.in2->data[view] : NULL,
        .y = s->base.out->data[view],
    };
}

static int is_rows(const struct norm *s)
{
    return s->base.in->layout == LAYOUT_ROWS;
}

static int run_forward(struct cpu_plan *p, const struct op *op)
{
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    (is_rows(s) ? p->k->row_norm_forward : p->k->norm_forward)[s->base.in->type](&a);
    double m = (double)a.n * a.hw, unbias = m > 1 ? m / (m - 1) : 1;
    for (int c = 0; c < s->base.in->c; c++) {
        s->running_mean[c] += MOMENTUM * (a.mean[c] - s->running_mean[c]);
        s->running_var[c] += MOMENTUM * ((float)(a.var[c] * unbias) - s->running_var[c]);
    }
    return 0;
}

static int run_evaluate(struct cpu_plan *p, const struct op *op)
{
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    for (int c = 0; c < s->base.in->c; c++) {
        double scale = a.weight[c] / sqrt((double)s->running_var[c] + (double)EPS);
        a.scale[c] = (float)scale;
        a.shift[c] = (float)(a.bias[c] - s->running_mean[c] * scale);
    }
    (is_rows(s) ? p->k->row_norm_apply : p->k->norm_apply)[s->base.in->type](&a);
    return 0;
}

static int run_backward(struct cpu_plan *p, const struct op *op)
{
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    a.dy = op->a;
    a.dy2 = op->b;
    a.dx = op->out;
    (is_rows(s) ? p->k->row_norm_backward : p->k->norm_backward)[s->base.in->type](&a);
    return 0;
}

static struct op *append(struct op_list *list, int (*run)(struct cpu_plan *, const struct op *),
                         struct stage *s, int view, struct error *e)
{
    struct op *op = cpu_op(list, e);
    if (op) {
        op->run = run;
        op->stage = s;
        op->view = view;
    }
    return op;
}

static int norm_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    return append(list, run_forward, s, view, e) ? 0 : -1;
}

static int norm_evaluate(struct cpu_plan *p, struct stage *s, struct op_list *list, struct error *e)
{
    return append(list, run_evaluate, s, 0, e) ? 0 : -1;
}

// A second gradient is summed in the kernel. With a residual the first buffer comes back masked and
// becomes the residual's gradient; without, the gradient of x replaces it.
static int norm_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                         struct error *e)
{
    struct grad *dy2 = s->out->n_grad == 2 ? s->out->grad[--s->out->n_grad] : NULL;
    struct grad *dy = cpu_grad_of(p, s, list, e);
    if (!dy)
        return -1;
    struct grad *dx = s->in2 ? cpu_grad_take(p, dy->size, e) : dy;
    struct op *op = dx ? append(list, run_backward, s, view, e) : NULL;
    if (!op)
        return -1;
    op->a = dy->data;
    op->b = dy2 ? dy2->data : NULL;
    op->out = dx->data;
    if (dy2)
        cpu_grad_release(dy2);
    if (s->in2 && cpu_grad_give(s->in2, dy, e) < 0)
        return -1;
    return cpu_grad_give(s->in, dx, e);
}

static const struct stage_kind norm_kind = {"batch norm", norm_forward, norm_evaluate,
                                            norm_backward};

struct stage *norm_stage(struct cpu_plan *p, const struct node *d, struct tensor *in,
                         struct tensor *add, int relu, struct tensor *out, struct error *e)
{
    struct norm *s = cpu_heap(p, sizeof *s, e);
    if (!s)
        return NULL;
    s->base = (struct stage){&norm_kind, d, in, add, out};
    s->relu = relu;
    size_t channels = (size_t)padded(p, in->c);
    size_t size = channels * sizeof(float);
    if (d->affine) {
        s->weight = params_vector(p, d, PARAM_WEIGHT, channels, e);
        s->bias = params_vector(p, d, PARAM_BIAS, channels, e);
        if (!s->weight || !s->bias)
            return NULL;
    }
    float **arrays[] = {&s->ones,   &s->zeros,    &s->mean[0],   &s->mean[1],  &s->var[0],
                        &s->var[1], &s->scale[0], &s->scale[1],  &s->shift[0], &s->shift[1],
                        &s->k1,     &s->k0,       &s->unused[0], &s->unused[1]};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i] = cpu_take(p, size, e)))
            return NULL;
    for (int c = 0; c < in->c; c++)
        s->ones[c] = 1;
    s->running_mean = params_running(p, d, PARAM_RUNNING_MEAN, channels, e);
    s->running_var = params_running(p, d, PARAM_RUNNING_VAR, channels, e);
    return s->running_mean && s->running_var ? &s->base : NULL;
}
