// Parameters of a plan: f32 master copies in the layout of their gradients, so that an update is
// one pass; reordered on the way in and out.
#include "gpu/cpu/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/onednn.h"

static struct trained *trained_new(struct plan *p, const struct node *node, enum param_kind kind,
                                   onednn_layout md, struct error *e)
{
    int at = plan_param(p, node, kind);
    const struct param *param = &p->net.param[at];
    struct trained *t = &p->own->trained[at];
    size_t size = onednn_bytes(md);
    t->param = param;
    t->md = md;
    if (param->ndim > 1 &&
        !(t->plain_md = onednn_layout_new(p, param->ndim, onednn_dims(md), dnnl_f32,
                                          param->ndim == 4 ? dnnl_abcd : dnnl_ab, e)))
        return NULL;
    t->elements = size / sizeof(float);
    float **arrays[] = {&t->w, &t->v, &t->g[0], &t->g[1]};
    for (int i = 0; i < (param->frozen ? 1 : 4); i++)
        if (!(*arrays[i] = cpu_take(p, size, e)))
            return NULL;
    return t;
}

struct trained *params_vector(struct plan *p, const struct node *node, enum param_kind kind,
                              size_t padded, struct error *e)
{
    dnnl_dims_t dims = {(dnnl_dim_t)padded};
    onednn_layout md = onednn_layout_new(p, 1, dims, dnnl_f32, dnnl_a, e);
    return md ? trained_new(p, node, kind, md, e) : NULL;
}

float *params_running(struct plan *p, const struct node *node, enum param_kind kind, size_t padded,
                      struct error *e)
{
    float *v = cpu_take(p, padded * sizeof *v, e);
    p->own->running[plan_param(p, node, kind)] = v;
    return v;
}

// A copy of the master in the layout of `md`, refreshed after each update; the master itself when
// they are the same.
static int copy_of(struct plan *p, struct trained *t, dnnl_memory_t master, onednn_layout md,
                   dnnl_memory_t *out, struct error *e)
{
    if (onednn_same(md, t->md)) {
        *out = master;
        return 0;
    }
    void *data = cpu_take(p, onednn_bytes(md), e);
    if (!data || onednn_memory(p, md, data, out, e) < 0)
        return -1;
    struct op_list *list = &p->own->refresh[t->param->frozen ? REFRESH_FROZEN : REFRESH_TRAINED];
    return onednn_reorder(p, list, master, t->md, *out, md, e);
}

int params_weights(struct plan *p, struct weights *w, const struct node *node,
                   onednn_layout grad_md, onednn_layout forward_md, onednn_layout backward_md,
                   struct error *e)
{
    struct trained *t = trained_new(p, node, PARAM_WEIGHT, grad_md, e);
    dnnl_memory_t master;
    if (!t || onednn_memory(p, grad_md, t->w, &master, e) < 0)
        return -1;
    w->trained = t;
    for (int v = 0; v < VIEWS && !t->param->frozen; v++)
        if (onednn_memory(p, grad_md, t->g[v], &w->grad[v], e) < 0)
            return -1;
    if (copy_of(p, t, master, forward_md, &w->forward, e) < 0)
        return -1;
    if (!backward_md)
        return 0;
    if (onednn_same(backward_md, forward_md)) {
        w->backward = w->forward;
        return 0;
    }
    return copy_of(p, t, master, backward_md, &w->backward, e);
}

// Between the canonical row-major tensor `v` and memory of t's layout at `data`.
static int convert(struct plan *p, const struct trained *t, void *data, float *v, int in,
                   struct error *e)
{
    const struct param *param = t->param;
    if (param->ndim == 1) {
        memcpy(in ? data : v, in ? (void *)v : data, param->count * sizeof *v);
        return 0;
    }
    const dnnl_dim_t *padded = onednn_dims(t->md);
    size_t rows = (size_t)param->dim[0], area = param->count / (rows * (size_t)param->dim[1]),
           row = (size_t)param->dim[1] * area, padded_row = (size_t)padded[1] * area;
    float *all = calloc((size_t)padded[0] * padded_row, sizeof *all); // padding is zeros
    if (!all)
        return error_set(e, "out of memory converting %s", param->name);
    for (size_t r = 0; in && r < rows; r++)
        memcpy(all + r * padded_row, v + r * row, row * sizeof *v);
    int rc = in ? onednn_convert(p, t->plain_md, all, t->md, data, e)
                : onednn_convert(p, t->md, data, t->plain_md, all, e);
    for (size_t r = 0; !in && r < rows; r++)
        memcpy(v + r * row, all + r * padded_row, row * sizeof *v);
    free(all);
    return rc;
}

int params_put(struct plan *p, int i, enum array which, const float *v, struct error *e)
{
    if (p->own->running[i]) {
        memcpy(p->own->running[i], v, p->net.param[i].count * sizeof *v);
        return 0;
    }
    p->own->stale = 1;
    struct trained *t = &p->own->trained[i];
    return convert(p, t, which == ARRAY_MOMENTUM ? t->v : t->w, (float *)v, 1, e);
}

int params_get(struct plan *p, int i, enum array which, float *v, struct error *e)
{
    if (p->own->running[i]) {
        memcpy(v, p->own->running[i], p->net.param[i].count * sizeof *v);
        return 0;
    }
    struct trained *t = &p->own->trained[i];
    if (which != ARRAY_GRADIENT)
        return convert(p, t, which == ARRAY_MOMENTUM ? t->v : t->w, v, 0, e);
    float *sum = malloc(t->elements * sizeof *sum);
    if (!sum)
        return error_set(e, "out of memory reading %s", t->param->name);
    for (size_t k = 0; k < t->elements; k++)
        sum[k] = t->sum ? t->sum[k] : t->g[0][k] + t->g[1][k];
    int rc = convert(p, t, sum, v, 0, e);
    free(sum);
    return rc;
}

// The two arrays that add up to the gradient.
static const float *gradient(const struct plan *p, const struct trained *t, int view)
{
    return !t->sum ? t->g[view] : view ? p->own->zeros : t->sum;
}

static void update_sgd(struct plan *p, struct trained *t, const struct update *u, double decay)
{
    p->own->k->sgd(t->w, t->v, gradient(p, t, 0), gradient(p, t, 1), t->elements,
                   (float)u->lr[t->param->group], (float)u->momentum, (float)decay,
                   p->own->threads);
}

// Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017) as MoCo v3 and the collapse paper's
// BYOL use it. Padding adds nothing to a norm.
static void update_lars(struct plan *p, struct trained *t, const struct update *u)
{
    double sum[2], q = 1;
    if (t->param->ndim < 2) {
        update_sgd(p, t, u, 0);
        return;
    }
    p->own->k->squares(t->w, gradient(p, t, 0), gradient(p, t, 1), t->elements,
                       (float)u->weight_decay, p->own->partial, sum, p->own->threads);
    if (sum[0] > 0 && sum[1] > 0)
        q = u->trust * sqrt(sum[0]) / sqrt(sum[1]);
    p->own->k->lars(t->w, t->v, gradient(p, t, 0), gradient(p, t, 1), t->elements,
                    (float)u->lr[t->param->group], (float)u->momentum, (float)u->weight_decay,
                    (float)q, p->own->threads);
}

int params_update(struct plan *p, const struct update *u, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        struct trained *t = &p->own->trained[i];
        if (!t->param || t->param->frozen)
            continue;
        if (u->kind == UPDATE_LARS)
            update_lars(p, t, u);
        else
            update_sgd(p, t, u, u->weight_decay);
    }
    return plan_run(p, &p->own->refresh[REFRESH_TRAINED], e);
}

int params_check(const struct plan *p, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        int followed = p->net.param[i].followed;
        if (followed >= 0 && (!p->own->trained[i].param || !p->own->trained[followed].param ||
                              !onednn_same(p->own->trained[i].md, p->own->trained[followed].md)))
            return error_set(e, "%s does not lie in memory as %s does", p->net.param[i].name,
                             p->net.param[followed].name);
    }
    return 0;
}

int params_ema(struct plan *p, double tau, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        int followed = p->net.param[i].followed;
        if (followed >= 0)
            p->own->k->ema(p->own->trained[i].w, p->own->trained[followed].w,
                           p->own->trained[i].elements, tau, p->own->threads);
    }
    return plan_run(p, &p->own->refresh[REFRESH_FROZEN], e);
}
