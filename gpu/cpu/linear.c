// Linear layers by oneDNN's inner product, on rows.
#include "gpu/cpu/cpu.h"
#include "gpu/cpu/ops.h"
#include "gpu/cpu/params.h"

struct linear {
    struct stage base;
    dnnl_primitive_desc_t forward_pd, data_pd, weights_pd;
    dnnl_primitive_t forward, data, weights_primitive;
    struct weights weights;
    struct trained *bias;
    dnnl_memory_t bias_memory, bias_grad[VIEWS];
};

static int linear_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                          struct error *e)
{
    struct linear *l = (struct linear *)s;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s->in->memory[view]},
                             {DNNL_ARG_WEIGHTS, l->weights.forward},
                             {DNNL_ARG_DST, s->out->memory[view]},
                             {DNNL_ARG_BIAS, l->bias_memory}};
    return cpu_op_primitive(p, list, l->forward_pd, l->forward, arg, l->bias ? 4 : 3, e);
}

static int linear_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                           struct error *e)
{
    struct linear *l = (struct linear *)s;
    struct grad *g = cpu_grad_of(p, s, list, e);
    dnnl_memory_t dy, m;
    if (!g || cpu_memory(p, &s->out->md, g->data, &dy, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s->in->memory[view]},
                             {DNNL_ARG_DIFF_DST, dy},
                             {DNNL_ARG_DIFF_WEIGHTS, l->weights.grad[view]},
                             {DNNL_ARG_DIFF_BIAS, l->bias_grad[view]}};
    if (cpu_op_primitive(p, list, l->weights_pd, l->weights_primitive, arg, l->bias ? 4 : 3, e) < 0)
        return -1;
    if (s->in->wants_grad) {
        struct grad *dx = cpu_grad_take(p, dnnl_memory_desc_get_size(&s->in->md), e);
        if (!dx || cpu_memory(p, &s->in->md, dx->data, &m, e) < 0)
            return -1;
        dnnl_exec_arg_t back[] = {{DNNL_ARG_DIFF_DST, dy},
                                  {DNNL_ARG_WEIGHTS, l->weights.backward},
                                  {DNNL_ARG_DIFF_SRC, m}};
        if (cpu_op_primitive(p, list, l->data_pd, l->data, back, 3, e) < 0 ||
            cpu_grad_give(s->in, dx, e) < 0)
            return -1;
    }
    cpu_grad_release(g);
    return 0;
}

static const struct stage_kind linear_kind = {"linear", linear_forward, NULL, linear_backward};

static int create(struct cpu_plan *p, void *desc, dnnl_primitive_desc_t hint,
                  dnnl_primitive_desc_t *pd, dnnl_primitive_t *primitive, struct error *e)
{
    dnnl_primitive_attr_t attr = cpu_attr(e);
    if (!attr)
        return -1;
    int rc = cpu_check(dnnl_primitive_desc_create(pd, desc, attr, p->device->engine, hint),
                       "linear layer", e);
    dnnl_primitive_attr_destroy(attr);
    if (rc < 0 || cpu_keep_desc(p, *pd, e) < 0)
        return -1;
    return cpu_primitive(p, *pd, primitive, e);
}

static int add_bias(struct cpu_plan *p, struct linear *l, struct error *e)
{
    l->bias = params_vector(p, l->base.node, PARAM_BIAS, (size_t)l->base.node->c, e);
    if (!l->bias || cpu_memory(p, &l->bias->md, l->bias->w, &l->bias_memory, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS && !l->base.node->frozen; v++)
        if (cpu_memory(p, &l->bias->md, l->bias->g[v], &l->bias_grad[v], e) < 0)
            return -1;
    return 0;
}

struct stage *linear_stage(struct cpu_plan *p, const struct node *d, struct tensor *in,
                           struct tensor *out, struct error *e)
{
    struct linear *l = cpu_heap(p, sizeof *l, e);
    if (!l)
        return NULL;
    l->base = (struct stage){&linear_kind, d, in, NULL, out};
    dnnl_dims_t dims = {d->c, in->c}, bias_dim = {d->c};
    dnnl_memory_desc_t w, gw, b;
    if (cpu_check(
            dnnl_memory_desc_init_by_tag(&w, 2, dims, type_dnnl(in->type), dnnl_format_tag_any),
            "weights", e) < 0 ||
        cpu_check(dnnl_memory_desc_init_by_tag(&gw, 2, dims, dnnl_f32, dnnl_format_tag_any),
                  "weights", e) < 0 ||
        cpu_check(dnnl_memory_desc_init_by_tag(&b, 1, bias_dim, dnnl_f32, dnnl_a), "bias", e) < 0)
        return NULL;
    dnnl_memory_desc_t *bias = d->bias ? &b : NULL;
    dnnl_inner_product_desc_t desc;
    if (cpu_check(dnnl_inner_product_forward_desc_init(&desc, dnnl_forward_training, &in->md, &w,
                                                       bias, &out->md),
                  "linear layer", e) < 0 ||
        create(p, &desc, NULL, &l->forward_pd, &l->forward, e) < 0 ||
        cpu_check(
            dnnl_inner_product_backward_weights_desc_init(&desc, &in->md, &gw, bias, &out->md),
            "linear layer", e) < 0 ||
        create(p, &desc, l->forward_pd, &l->weights_pd, &l->weights_primitive, e) < 0)
        return NULL;
    const dnnl_memory_desc_t *backward_md = NULL;
    if (in->wants_grad) {
        if (cpu_check(dnnl_inner_product_backward_data_desc_init(&desc, &in->md, &w, &out->md),
                      "linear layer", e) < 0 ||
            create(p, &desc, l->forward_pd, &l->data_pd, &l->data, e) < 0)
            return NULL;
        backward_md = dnnl_primitive_desc_query_md(l->data_pd, dnnl_query_weights_md, 0);
    }
    if (params_weights(p, &l->weights, d,
                       dnnl_primitive_desc_query_md(l->weights_pd, dnnl_query_diff_weights_md, 0),
                       dnnl_primitive_desc_query_md(l->forward_pd, dnnl_query_weights_md, 0),
                       backward_md, e) < 0)
        return NULL;
    return d->bias && add_bias(p, l, e) < 0 ? NULL : &l->base;
}
