// Parameters of a plan: f32 master copies in the layout of their gradients, so that an update is
// one pass; reordered on the way in and out.
#include "gpu/cpu/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/ops.h"

static const struct param *find(const struct cpu_plan *p, const struct node *node,
                                enum param_kind kind)
{
    for (int i = 0; i < p->net.n_param; i++)
        if (&p->net.node[p->net.param[i].node] == node && p->net.param[i].kind == kind)
            return &p->net.param[i];
    return NULL;
}

static struct trained *trained_new(struct cpu_plan *p, const struct param *param,
                                   const dnnl_memory_desc_t *md, struct error *e)
{
    struct trained *t = &p->trained[param - p->net.param];
    size_t size = dnnl_memory_desc_get_size(md);
    t->param = param;
    t->md = t->outer_md = *md;
    for (int i = 0; i < param->ndim && i < 2; i++)
        t->outer_md.dims[i] = param->dim[i]; // the rest of the blocks is padding
    t->elements = size / sizeof(float);
    float **arrays[] = {&t->w, &t->v, &t->g[0], &t->g[1]};
    for (int i = 0; i < (param->frozen ? 1 : 4); i++)
        if (!(*arrays[i] = cpu_take(p, size, e)))
            return NULL;
    return t;
}

struct trained *params_vector(struct cpu_plan *p, const struct node *node, enum param_kind kind,
                              size_t padded, struct error *e)
{
    const struct param *param = find(p, node, kind);
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {(dnnl_dim_t)padded};
    if (cpu_check(dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_f32, dnnl_a), "vector", e) < 0)
        return NULL;
    return trained_new(p, param, &md, e);
}

float *params_running(struct cpu_plan *p, const struct node *node, enum param_kind kind,
                      size_t padded, struct error *e)
{
    const struct param *param = find(p, node, kind);
    float *v = cpu_take(p, padded * sizeof *v, e);
    p->running[param - p->net.param] = v;
    return v;
}

// A copy of the master in the layout of `md`, refreshed after each update; the master itself when
// they are the same.
static int copy_of(struct cpu_plan *p, struct trained *t, dnnl_memory_t master,
                   const dnnl_memory_desc_t *md, dnnl_memory_t *out, struct error *e)
{
    if (dnnl_memory_desc_equal(md, &t->md)) {
        *out = master;
        return 0;
    }
    void *data = cpu_take(p, dnnl_memory_desc_get_size(md), e);
    if (!data || cpu_memory(p, md, data, out, e) < 0)
        return -1;
    struct op_list *list = &p->refresh[t->param->frozen ? REFRESH_FROZEN : REFRESH_TRAINED];
    return cpu_reorder(p, list, master, &t->md, *out, md, e);
}

int params_weights(struct cpu_plan *p, struct weights *w, const struct node *node,
                   const dnnl_memory_desc_t *grad_md, const dnnl_memory_desc_t *forward_md,
                   const dnnl_memory_desc_t *backward_md, struct error *e)
{
    struct trained *t = trained_new(p, find(p, node, PARAM_WEIGHT), grad_md, e);
    dnnl_memory_t master;
    if (!t || cpu_memory(p, grad_md, t->w, &master, e) < 0)
        return -1;
    w->trained = t;
    for (int v = 0; v < VIEWS && !t->param->frozen; v++)
        if (cpu_memory(p, grad_md, t->g[v], &w->grad[v], e) < 0)
            return -1;
    if (copy_of(p, t, master, forward_md, &w->forward, e) < 0)
        return -1;
    if (!backward_md)
        return 0;
    if (dnnl_memory_desc_equal(backward_md, forward_md)) {
        w->backward = w->forward;
        return 0;
    }
    return copy_of(p, t, master, backward_md, &w->backward, e);
}

// Between the canonical row-major tensor `v` and memory of t's layout at `data`.
static int convert(struct cpu_plan *p, const struct trained *t, void *data, float *v, int in,
                   struct error *e)
{
    const struct param *param = t->param;
    if (param->ndim == 1) {
        memcpy(in ? data : v, in ? (void *)v : data, param->count * sizeof *v);
        return 0;
    }
    dnnl_memory_desc_t plain;
    dnnl_dims_t dims;
    for (int i = 0; i < param->ndim; i++)
        dims[i] = param->dim[i];
    dnnl_format_tag_t tag = param->ndim == 4 ? dnnl_abcd : dnnl_ab;
    if (cpu_check(dnnl_memory_desc_init_by_tag(&plain, param->ndim, dims, dnnl_f32, tag),
                  param->name, e) < 0)
        return -1;
    return in ? cpu_convert(p, &plain, v, &t->outer_md, data, e)
              : cpu_convert(p, &t->outer_md, data, &plain, v, e);
}

// The parameter behind a name and which of its arrays the prefix asks for.
enum array { ARRAY_VALUE, ARRAY_MOMENTUM, ARRAY_GRADIENT };
static int lookup(const struct cpu_plan *p, const char *name, size_t n, enum array *which,
                  struct error *e)
{
    const char *base = name;
    *which = ARRAY_VALUE;
    if (!strncmp(name, "optim.", 6)) {
        *which = ARRAY_MOMENTUM;
        base += 6;
    } else if (!strncmp(name, "grad.", 5)) {
        *which = ARRAY_GRADIENT;
        base += 5;
    }
    const struct param *param = net_param(&p->net, base);
    if (!param)
        return error_set(e, "the network has no tensor '%.96s'", base);
    if (param->count != n)
        return error_set(e, "%s has %zu elements, not %zu", param->name, param->count, n);
    int i = (int)(param - p->net.param);
    if (!param_trained(param) && *which != ARRAY_VALUE)
        return error_set(e, "%s is not trained", param->name);
    return i;
}

int params_put(struct plan *plan, const char *name, const float *v, size_t n, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    enum array which;
    int i = lookup(p, name, n, &which, e);
    if (i < 0)
        return -1;
    if (which == ARRAY_GRADIENT)
        return error_set(e, "a gradient cannot be set");
    if (p->running[i]) {
        memcpy(p->running[i], v, n * sizeof *v);
        return 0;
    }
    p->stale = 1;
    struct trained *t = &p->trained[i];
    return convert(p, t, which == ARRAY_MOMENTUM ? t->v : t->w, (float *)v, 1, e);
}

int params_get(struct plan *plan, const char *name, float *v, size_t n, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    enum array which;
    int i = lookup(p, name, n, &which, e);
    if (i < 0)
        return -1;
    if (p->running[i]) {
        memcpy(v, p->running[i], n * sizeof *v);
        return 0;
    }
    struct trained *t = &p->trained[i];
    if (which != ARRAY_GRADIENT)
        return convert(p, t, which == ARRAY_MOMENTUM ? t->v : t->w, v, 0, e);
    float *sum = malloc(t->elements * sizeof *sum);
    if (!sum)
        return error_set(e, "out of memory reading %s", name);
    for (size_t k = 0; k < t->elements; k++)
        sum[k] = t->g[0][k] + t->g[1][k];
    int rc = convert(p, t, sum, v, 0, e);
    free(sum);
    return rc;
}

static void update_sgd(struct cpu_plan *p, struct trained *t, const struct update *u, double decay)
{
    p->k->sgd(t->w, t->v, t->g[0], t->g[1], t->elements, (float)u->lr[t->param->group],
              (float)u->momentum, (float)decay, p->threads);
}

// Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017) as MoCo v3 and the collapse paper's
// BYOL use it. Padding adds nothing to a norm.
static void update_lars(struct cpu_plan *p, struct trained *t, const struct update *u)
{
    double sum[2], q = 1;
    if (t->param->ndim < 2) {
        update_sgd(p, t, u, 0);
        return;
    }
    p->k->squares(t->w, t->g[0], t->g[1], t->elements, (float)u->weight_decay, p->partial, sum,
                  p->threads);
    if (sum[0] > 0 && sum[1] > 0)
        q = u->trust * sqrt(sum[0]) / sqrt(sum[1]);
    p->k->lars(t->w, t->v, t->g[0], t->g[1], t->elements, (float)u->lr[t->param->group],
               (float)u->momentum, (float)u->weight_decay, (float)q, p->threads);
}

int params_update(struct cpu_plan *p, const struct update *u, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        struct trained *t = &p->trained[i];
        if (!t->param || t->param->frozen)
            continue;
        if (u->kind == UPDATE_LARS)
            update_lars(p, t, u);
        else
            update_sgd(p, t, u, u->weight_decay);
    }
    return cpu_run(p, &p->refresh[REFRESH_TRAINED], e);
}

int params_check(const struct cpu_plan *p, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        int followed = p->net.param[i].followed;
        if (followed >= 0 && (!p->trained[i].param || !p->trained[followed].param ||
                              !dnnl_memory_desc_equal(&p->trained[i].md, &p->trained[followed].md)))
            return error_set(e, "%s does not lie in memory as %s does", p->net.param[i].name,
                             p->net.param[followed].name);
    }
    return 0;
}

int params_ema(struct cpu_plan *p, double tau, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        int followed = p->net.param[i].followed;
        if (followed >= 0)
            p->k->ema(p->trained[i].w, p->trained[followed].w, p->trained[i].elements, tau,
                      p->threads);
    }
    return cpu_run(p, &p->refresh[REFRESH_FROZEN], e);
}
