// Linear layers by oneDNN's inner product, on rows.
#include "gpu/cpu/onednn.h"
#include "gpu/cpu/params.h"

struct linear {
    struct stage base;
    dnnl_primitive_desc_t pd[PASS_COUNT];
    dnnl_primitive_t primitive[PASS_COUNT];
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
    return onednn_op(p, list, l->pd[PASS_FORWARD], l->primitive[PASS_FORWARD], arg, l->bias ? 4 : 3,
                     e);
}

static int linear_backward(struct plan *p, struct stage *s, int view, struct grad *g,
                           struct grad *dx, struct op_list *list, struct error *e)
{
    struct linear *l = (struct linear *)s;
    dnnl_memory_t dy, m;
    if (onednn_memory(p, s->out->layout->md, g->data, &dy, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, s->in->layout->memory[view]},
                             {DNNL_ARG_DIFF_DST, dy},
                             {DNNL_ARG_DIFF_WEIGHTS, l->weights.grad[view]},
                             {DNNL_ARG_DIFF_BIAS, l->bias_grad[view]}};
    if (onednn_op(p, list, l->pd[PASS_WEIGHTS], l->primitive[PASS_WEIGHTS], arg, l->bias ? 4 : 3,
                  e) < 0)
        return -1;
    if (!dx)
        return 0;
    if (onednn_memory(p, s->in->layout->md, dx->data, &m, e) < 0)
        return -1;
    dnnl_exec_arg_t back[] = {
        {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, l->weights.backward}, {DNNL_ARG_DIFF_SRC, m}};
    return onednn_op(p, list, l->pd[PASS_DATA], l->primitive[PASS_DATA], back, 3, e);
}

static int add_bias(struct plan *p, struct linear *l, struct error *e)
{
    l->bias = params_vector(p, l->base.node, PARAM_BIAS, (size_t)l->base.node->c, e);
    if (!l->bias || onednn_memory(p, l->bias->md, l->bias->w, &l->bias_memory, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS && !l->base.node->frozen; v++)
        if (onednn_memory(p, l->bias->md, l->bias->g[v], &l->bias_grad[v], e) < 0)
            return -1;
    return 0;
}

static int linear_init(struct plan *p, struct stage *s, struct error *e)
{
    struct linear *l = (struct linear *)s;
    const struct node *d = s->node;
    onednn_layout in = s->in->layout->md, out = s->out->layout->md, bias = NULL, backward_md = NULL;
    dnnl_dims_t dims = {d->c, s->in->c}, bias_dim = {d->c};
    dnnl_data_type_t type = type_dnnl(s->in->type);
    if (d->bias && !(bias = onednn_layout_new(p, 1, bias_dim, dnnl_f32, dnnl_a, e)))
        return -1;
    for (int pass = PASS_FORWARD; pass < PASS_COUNT; pass++) {
        if (pass == PASS_DATA && !s->in->wants_grad)
            continue;
        l->pd[pass] = onednn_linear(p, pass, dims, type, in, out, bias, l->pd[PASS_FORWARD], e);
        if (!l->pd[pass] || onednn_primitive(p, l->pd[pass], &l->primitive[pass], e) < 0)
            return -1;
    }
    if (s->in->wants_grad)
        backward_md = onednn_wants(l->pd[PASS_DATA], dnnl_query_weights_md);
    if (params_weights(
            p, &l->weights, d, onednn_wants(l->pd[PASS_WEIGHTS], dnnl_query_diff_weights_md),
            onednn_wants(l->pd[PASS_FORWARD], dnnl_query_weights_md), backward_md, e) < 0)
        return -1;
    return d->bias ? add_bias(p, l, e) : 0;
}

const struct stage_kind cpu_linear = {.name = "linear",
                                      .size = sizeof(struct linear),
                                      .init = linear_init,
                                      .add_forward = linear_forward,
                                      .add_backward = linear_backward};
