// Linear layers by oneDNN's inner product, on rows.
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

static int linear_forward(struct plan *p, struct stage *s, int view, struct op_list *list,
                          struct error *e)
{
    struct linear *l = (struct linear *)s;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s->in->layout->memory[view]},
                             {DNNL_ARG_WEIGHTS, l->weights.forward},
                             {DNNL_ARG_DST, s->out->layout->memory[view]},
                             {DNNL_ARG_BIAS, l->bias_memory}};
    return cpu_op_primitive(p, list, l->forward_pd, l->forward, arg, l->bias ? 4 : 3, e);
}

static int linear_backward(struct plan *p, struct stage *s, int view, struct grad *g,
                           struct grad *dx, struct op_list *list, struct error *e)
{
    struct linear *l = (struct linear *)s;
    dnnl_memory_t dy, m;
    if (cpu_memory(p, &s->out->layout->md, g->data, &dy, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s->in->layout->memory[view]},
                             {DNNL_ARG_DIFF_DST, dy},
                             {DNNL_ARG_DIFF_WEIGHTS, l->weights.grad[view]},
                             {DNNL_ARG_DIFF_BIAS, l->bias_grad[view]}};
    if (cpu_op_primitive(p, list, l->weights_pd, l->weights_primitive, arg, l->bias ? 4 : 3, e) < 0)
        return -1;
    if (!dx)
        return 0;
    if (cpu_memory(p, &s->in->layout->md, dx->data, &m, e) < 0)
        return -1;
    dnnl_exec_arg_t back[] = {
        {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, l->weights.backward}, {DNNL_ARG_DIFF_SRC, m}};
    return cpu_op_primitive(p, list, l->data_pd, l->data, back, 3, e);
}

static int add_bias(struct plan *p, struct linear *l, struct error *e)
{
    l->bias = params_vector(p, l->base.node, PARAM_BIAS, (size_t)l->base.node->c, e);
    if (!l->bias || cpu_memory(p, &l->bias->md, l->bias->w, &l->bias_memory, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS && !l->base.node->frozen; v++)
        if (cpu_memory(p, &l->bias->md, l->bias->g[v], &l->bias_grad[v], e) < 0)
            return -1;
    return 0;
}

static int linear_init(struct plan *p, struct stage *s, struct error *e)
{
    struct linear *l = (struct linear *)s;
    const struct node *d = s->node;
    const dnnl_memory_desc_t *in = &s->in->layout->md, *out = &s->out->layout->md;
    dnnl_dims_t dims = {d->c, s->in->c}, bias_dim = {d->c};
    dnnl_memory_desc_t w, gw, b;
    if (cpu_check(
            dnnl_memory_desc_init_by_tag(&w, 2, dims, type_dnnl(s->in->type), dnnl_format_tag_any),
            "weights", e) < 0 ||
        cpu_check(dnnl_memory_desc_init_by_tag(&gw, 2, dims, dnnl_f32, dnnl_format_tag_any),
                  "weights", e) < 0 ||
        cpu_check(dnnl_memory_desc_init_by_tag(&b, 1, bias_dim, dnnl_f32, dnnl_a), "bias", e) < 0)
        return -1;
    dnnl_memory_desc_t *bias = d->bias ? &b : NULL;
    dnnl_inner_product_desc_t desc;
    if (cpu_check(
            dnnl_inner_product_forward_desc_init(&desc, dnnl_forward_training, in, &w, bias, out),
            "linear layer", e) < 0 ||
        cpu_create(p, &desc, NULL, &l->forward_pd, &l->forward, "linear layer", e) < 0 ||
        cpu_check(dnnl_inner_product_backward_weights_desc_init(&desc, in, &gw, bias, out),
                  "linear layer", e) < 0 ||
        cpu_create(p, &desc, l->forward_pd, &l->weights_pd, &l->weights_primitive, "linear layer",
                   e) < 0)
        return -1;
    const dnnl_memory_desc_t *backward_md = NULL;
    if (s->in->wants_grad) {
        if (cpu_check(dnnl_inner_product_backward_data_desc_init(&desc, in, &w, out),
                      "linear layer", e) < 0 ||
            cpu_create(p, &desc, l->forward_pd, &l->data_pd, &l->data, "linear layer", e) < 0)
            return -1;
        backward_md = dnnl_primitive_desc_query_md(l->data_pd, dnnl_query_weights_md, 0);
    }
    if (params_weights(p, &l->weights, d,
                       dnnl_primitive_desc_query_md(l->weights_pd, dnnl_query_diff_weights_md, 0),
                       dnnl_primitive_desc_query_md(l->forward_pd, dnnl_query_weights_md, 0),
                       backward_md, e) < 0)
        return -1;
    return d->bias ? add_bias(p, l, e) : 0;
}

const struct stage_kind cpu_linear = {.name = "linear",
                                      .size = sizeof(struct linear),
                                      .init = linear_init,
                                      .add_forward = linear_forward,
                                      .add_backward = linear_backward};
