// Batch norm, fused with the residual add and ReLU behind it: our kernels on the network's layouts.
// Statistics are per view; running statistics are updated in the order of the views, as PyTorch's
// two forward passes do. Where ranks normalise together the kernels run in two halves, between
// which the sums of all are added.
#include <math.h>

#include "gpu/cpu/params.h"
#include "gpu/ranks/ranks.h"

static const float EPS = 1e-5f; // PyTorch's default

struct norm {
    struct stage base;             // in2: the residual, or NULL
    struct trained *weight, *bias; // NULL without affine
    float *ones, *zeros;           // instead of them
    float *running_mean, *running_var;
    float *mean[VIEWS], *var[VIEWS], *scale[VIEWS], *shift[VIEWS], *k1, *k0;
    float *unused[2]; // gradients of ones and zeros
};

static struct norm_args args(struct plan *p, struct norm *s, int view)
{
    const struct tensor *x = s->base.in;
    int rows = x->layout->order == ORDER_ROWS;
    return (struct norm_args){
        .n = p->batch,
        .c = rows ? x->c : padded(p, x->c),
        .hw = x->h * x->w,
        .last = x->layout->order == ORDER_LAST,
        .threads = p->own->threads,
        .relu = s->base.relu,
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
        .partial = p->own->partial,
        .sums = p->own->sums,
        .x = x->data[view],
        .add = s->base.in2 ? s->base.in2->data[view] : NULL,
        .y = s->base.out->data[view],
    };
}

static int is_rows(const struct norm *s)
{
    return s->base.in->layout->order == ORDER_ROWS;
}

static int is_together(const struct plan *p)
{
    return p->whole > p->batch;
}

// Mean and variance over all ranks, of as many numbers on each, from those of each.
static int meet(struct plan *p, const struct norm_args *a, struct error *e)
{
    size_t c = (size_t)a->c, n = (size_t)p->ranks->size;
    const double *all = p->own->all_sums;
    double each = (double)a->n * a->hw, share = 1 / (double)n;
    if (ranks_gather(p->ranks, a->sums, p->own->all_sums, 2 * c * sizeof *all, e) < 0)
        return -1;
    for (size_t i = 0; i < c; i++) {
        double mean = 0, q = 0;
        for (size_t k = 0; k < n; k++)
            mean += share * all[2 * c * k + i];
        for (size_t k = 0; k < n; k++) {
            double apart = all[2 * c * k + i] - mean;
            q += all[2 * c * k + c + i] + each * apart * apart;
        }
        double var = q / (each * (double)n), inv = 1 / sqrt(var + (double)EPS);
        a->mean[i] = (float)mean;
        a->var[i] = (float)var;
        a->scale[i] = (float)(a->weight[i] * inv);
        a->shift[i] = (float)(a->bias[i] - mean * a->weight[i] * inv);
    }
    return 0;
}

static int forward_together(struct plan *p, const struct norm *s, const struct norm_args *a,
                            struct error *e)
{
    int type = s->base.in->type;
    const struct kernels *k = p->own->k;
    (is_rows(s) ? k->row_norm_moments : k->norm_moments)[type](a);
    if (meet(p, a, e) < 0)
        return -1;
    (is_rows(s) ? k->row_norm_apply : k->norm_apply)[type](a);
    return 0;
}

// All the way to a first batch, whatever was there before.
static void follow(float *running, float batch, float share)
{
    *running = share == 1 ? batch : *running + share * (batch - *running);
}

static int run_forward(struct plan *p, const struct op *op, struct error *e)
{
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    const struct kernels *k = p->own->k;
    if (!is_together(p))
        (is_rows(s) ? k->row_norm_forward : k->norm_forward)[s->base.in->type](&a);
    else if (forward_together(p, s, &a, e) < 0)
        return -1;
    double m = (double)p->whole * a.hw, unbias = m > 1 ? m / (m - 1) : 1;
    float share = (float)plan_bn_share(p);
    for (int c = 0; c < s->base.in->c; c++) {
        follow(&s->running_mean[c], a.mean[c], share);
        follow(&s->running_var[c], (float)(a.var[c] * unbias), share);
    }
    return 0;
}

static int run_evaluate(struct plan *p, const struct op *op, struct error *e)
{
    if (p->bn_batch)
        return run_forward(p, op, e);
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    for (int c = 0; c < s->base.in->c; c++) {
        double scale = a.weight[c] / sqrt((double)s->running_var[c] + (double)EPS);
        a.scale[c] = (float)scale;
        a.shift[c] = (float)(a.bias[c] - s->running_mean[c] * scale);
    }
    (is_rows(s) ? p->own->k->row_norm_apply : p->own->k->norm_apply)[s->base.in->type](&a);
    return 0;
}

// Weight and bias have this rank's part of their gradient, as every parameter does; what comes back
// through mean and variance is everybody's.
static int backward_together(struct plan *p, const struct norm *s, const struct norm_args *a,
                             struct error *e)
{
    int type = s->base.in->type;
    const struct kernels *k = p->own->k;
    double m = (double)p->whole * a->hw;
    (is_rows(s) ? k->row_norm_slopes : k->norm_slopes)[type](a);
    for (int c = 0; c < a->c; c++) {
        a->dbias[c] = (float)a->sums[c];
        a->dweight[c] = (float)(a->sums[a->c + c] / sqrt((double)a->var[c] + (double)EPS));
    }
    if (ranks_add(p->ranks, a->sums, 2 * (size_t)a->c, e) < 0)
        return -1;
    for (int c = 0; c < a->c; c++) {
        double inv = 1 / sqrt((double)a->var[c] + (double)EPS), scale = a->weight[c] * inv;
        double slope = -a->sums[a->c + c] * inv * inv / m * scale;
        a->k1[c] = (float)slope;
        a->k0[c] = (float)(-a->sums[c] / m * scale - slope * a->mean[c]);
    }
    (is_rows(s) ? k->row_norm_return : k->norm_return)[type](a);
    return 0;
}

static int run_backward(struct plan *p, const struct op *op, struct error *e)
{
    struct norm *s = (struct norm *)op->stage;
    struct norm_args a = args(p, s, op->view);
    const struct kernels *k = p->own->k;
    a.dy = op->a;
    a.dy2 = op->b;
    a.dx = op->out;
    if (is_together(p))
        return backward_together(p, s, &a, e);
    (is_rows(s) ? k->row_norm_backward : k->norm_backward)[s->base.in->type](&a);
    return 0;
}

static int norm_init(struct plan *p, struct stage *stage, struct error *e)
{
    struct norm *s = (struct norm *)stage;
    const struct node *d = stage->node;
    const struct tensor *in = stage->in;
    size_t channels = (size_t)padded(p, in->c);
    size_t size = channels * sizeof(float);
    if (d->affine) {
        s->weight = params_vector(p, d, PARAM_WEIGHT, channels, e);
        s->bias = params_vector(p, d, PARAM_BIAS, channels, e);
        if (!s->weight || !s->bias)
            return -1;
    }
    float **arrays[] = {&s->ones,   &s->zeros,    &s->mean[0],   &s->mean[1],  &s->var[0],
                        &s->var[1], &s->scale[0], &s->scale[1],  &s->shift[0], &s->shift[1],
                        &s->k1,     &s->k0,       &s->unused[0], &s->unused[1]};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i] = cpu_take(p, size, e)))
            return -1;
    for (int c = 0; c < in->c; c++)
        s->ones[c] = 1;
    s->running_mean = params_running(p, d, PARAM_RUNNING_MEAN, channels, e);
    s->running_var = params_running(p, d, PARAM_RUNNING_VAR, channels, e);
    return s->running_mean && s->running_var ? 0 : -1;
}

const struct stage_kind cpu_norm = {.name = "batch norm",
                                    .size = sizeof(struct norm),
                                    .init = norm_init,
                                    .forward = run_forward,
                                    .evaluate = run_evaluate,
                                    .backward = run_backward};
