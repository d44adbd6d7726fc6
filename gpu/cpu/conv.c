// Convolution by oneDNN. The network's tensors keep one blocked layout throughout; a convolution is
// asked for an implementation that takes it, and only where there is no fast one do reorders stand
// around it. The gradient of the filter in bf16 is a kernel of ours where the processor has the
// instructions (kernels_filter.h).
#include <stdio.h>
#include <string.h>

#include "gpu/cpu/ops.h"
#include "gpu/cpu/params.h"

enum pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHTS, PASS_COUNT };

struct conv {
    struct stage base;
    dnnl_primitive_desc_t pd[PASS_COUNT];
    dnnl_primitive_t primitive[PASS_COUNT];
    int paired; // the gradient of the filter is our kernel's; no primitive for it
    struct weights weights;
    // Where forward wants another layout than the network's: copies, kept for the backward pass.
    // Else the tensors' own.
    dnnl_memory_desc_t in_md, out_md;
    dnnl_memory_t in[VIEWS], out[VIEWS];
};

static const dnnl_memory_desc_t *query(dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

// Geometry of a convolution as oneDNN wants it, layouts open or given.
struct shape {
    dnnl_dims_t in, out, weights, stride, dilate, pad;
    int type;
};

static int describe(const struct shape *s, enum pass pass, dnnl_alg_kind_t alg,
                    const dnnl_memory_desc_t *in, const dnnl_memory_desc_t *out,
                    dnnl_convolution_desc_t *cd, struct error *e)
{
    dnnl_memory_desc_t w;
    dnnl_data_type_t wt = pass == PASS_WEIGHTS ? dnnl_f32 : type_dnnl(s->type);
    if (cpu_check(dnnl_memory_desc_init_by_tag(&w, 4, s->weights, wt, dnnl_format_tag_any),
                  "filter", e) < 0)
        return -1;
    dnnl_status_t rc;
    if (pass == PASS_FORWARD)
        rc =
            dnnl_dilated_convolution_forward_desc_init(cd, dnnl_forward_training, alg, in, &w, NULL,
                                                       out, s->stride, s->dilate, s->pad, s->pad);
    else if (pass == PASS_DATA)
        rc = dnnl_dilated_convolution_backward_data_desc_init(cd, alg, in, &w, out, s->stride,
                                                              s->dilate, s->pad, s->pad);
    else
        rc = dnnl_dilated_convolution_backward_weights_desc_init(
            cd, alg, in, &w, NULL, out, s->stride, s->dilate, s->pad, s->pad);
    return cpu_check(rc, "convolution", e);
}

// A descriptor, or NULL when there is no such implementation (not an error).
static dnnl_primitive_desc_t try_desc(struct plan *p, const struct shape *s, enum pass pass,
                                      dnnl_alg_kind_t alg, const dnnl_memory_desc_t *in,
                                      const dnnl_memory_desc_t *out, dnnl_primitive_desc_t hint)
{
    dnnl_convolution_desc_t cd;
    dnnl_primitive_attr_t attr = cpu_attr(NULL);
    dnnl_primitive_desc_t pd = NULL;
    if (attr && describe(s, pass, alg, in, out, &cd, NULL) == 0 &&
        dnnl_primitive_desc_create(&pd, &cd, attr, p->own->engine, hint) != dnnl_success)
        pd = NULL;
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return pd;
}

// Generated code, as against a reference loop or a copy into a matrix product.
static int is_fast(dnnl_primitive_desc_t pd)
{
    const char *impl = "";
    if (!pd ||
        dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&impl) != dnnl_success)
        return 0;
    return !strncmp(impl, "jit", 3) || !strncmp(impl, "brg", 3);
}

// The implementation of a pass: with the network's layouts if that is fast, else with the layouts
// that it likes best.
static int choose(struct plan *p, const struct shape *s, enum pass pass, dnnl_alg_kind_t alg,
                  const dnnl_memory_desc_t *in, const dnnl_memory_desc_t *out,
                  dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd, struct error *e)
{
    dnnl_memory_desc_t any_in, any_out;
    *pd = try_desc(p, s, pass, alg, in, out, hint);
    if (!is_fast(*pd)) {
        dnnl_data_type_t type = type_dnnl(s->type);
        if (cpu_check(dnnl_memory_desc_init_by_tag(&any_in, 4, s->in, type, dnnl_format_tag_any),
                      "image", e) < 0 ||
            cpu_check(dnnl_memory_desc_init_by_tag(&any_out, 4, s->out, type, dnnl_format_tag_any),
                      "image", e) < 0)
            return -1;
        dnnl_primitive_desc_t other = try_desc(p, s, pass, alg, &any_in, &any_out, hint);
        if (other && (is_fast(other) || !*pd)) {
            if (*pd)
                dnnl_primitive_desc_destroy(*pd);
            *pd = other;
        } else if (other) {
            dnnl_primitive_desc_destroy(other);
        }
    }
    if (!*pd)
        return error_set(e, "oneDNN has no convolution %s for %d x %d filters, %d to %d channels",
                         pass == PASS_FORWARD ? "forward" : "backward", (int)s->weights[2],
                         (int)s->weights[3], (int)s->weights[1], (int)s->weights[0]);
    return cpu_keep_desc(p, *pd, e);
}

// How a pass may be computed; the letters make the plan's algorithm word. Which one is a rule and
// not a race of timings: the same run must be the same on every start.
static const struct algorithm {
    char letter;
    dnnl_alg_kind_t kind;
    int f32;  // in f32 although the plan is bf16: copies of what goes in
    int ours; // our kernel
    const char *name;
} algorithms[] = {
    {'d', dnnl_convolution_direct, 0, 0, "direct"},
    {'w', dnnl_convolution_winograd, 0, 0, "Winograd"},
    {'f', dnnl_convolution_direct, 1, 0, "direct in f32"},
    {'p', dnnl_convolution_direct, 0, 1, "pairs of bf16"},
};

static int has_paired(const struct plan *p, const struct tensor *in)
{
    return p->type == TYPE_BF16 && p->own->k->filter_gradient && in->layout->order == ORDER_BLOCKED;
}

// Winograd's F(4x4, 3x3) does 2.25 to 4 times fewer multiplications: it wins from 32 channels up
// where the image is not tiny; below, its transforms cost more than they save. Without our kernel,
// the bf16 code for weight gradients crawls through strides (60 to 95 GFLOP/s where f32 makes 200).
static char rule(const struct plan *p, enum pass pass, const struct node *d,
                 const struct tensor *in)
{
    if (pass == PASS_WEIGHTS && has_paired(p, in))
        return 'p';
    if (p->type == TYPE_BF16)
        return pass == PASS_WEIGHTS && d->stride > 1 ? 'f' : 'd';
    return d->k == 3 && d->stride == 1 && in->c >= 32 && d->c >= 32 && d->h * d->w >= 16 ? 'w'
                                                                                         : 'd';
}

// The algorithm of the next pass: what was recorded, else the rule. NULL: there is none.
static const struct algorithm *next_algorithm(const struct plan *p, enum pass pass,
                                              const struct node *d, const struct tensor *in,
                                              struct error *e)
{
    int letter = plan_recorded(p, e);
    if (letter < 0)
        return NULL;
    if (!letter)
        letter = rule(p, pass, d, in);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (algorithms[i].letter == letter)
            return &algorithms[i];
    error_set(e, "%s: the recorded algorithms are for another network", d->name);
    return NULL;
}

static int select_pass(struct plan *p, const struct shape *s, enum pass pass, const struct node *d,
                       const struct tensor *in, const struct tensor *out,
                       dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd, struct error *e)
{
    const struct algorithm *a = next_algorithm(p, pass, d, in, e);
    if (!a)
        return -1;
    if (a->ours) {
        if (pass != PASS_WEIGHTS || !has_paired(p, in))
            return error_set(e, "%s: the recorded algorithm (%s) does not exist on this processor",
                             d->name, a->name);
        return plan_choose(p, a->letter, e);
    }
    if (a != algorithms) {
        struct shape as = *s;
        dnnl_memory_desc_t x = in->layout->md, y = out->layout->md;
        if (a->f32) {
            as.type = TYPE_F32;
            x.data_type = y.data_type = dnnl_f32;
        }
        *pd = try_desc(p, &as, pass, a->kind, &x, &y, hint);
        if (is_fast(*pd))
            return plan_choose(p, a->letter, e) < 0 || cpu_keep_desc(p, *pd, e) < 0 ? -1 : 0;
        if (*pd)
            dnnl_primitive_desc_destroy(*pd);
        if (p->recorded)
            return error_set(e, "%s: the recorded algorithm (%s) does not exist on this processor",
                             d->name, a->name);
    }
    if (plan_choose(p, algorithms->letter, e) < 0)
        return -1;
    return choose(p, s, pass, algorithms->kind, &in->layout->md, &out->layout->md, hint, pd, e);
}

// Memory for a copy of tensor `t` in layout `md`, for both views; the tensor's own where the
// layouts agree.
static int copies(struct plan *p, const struct tensor *t, const dnnl_memory_desc_t *md,
                  dnnl_memory_t out[VIEWS], struct error *e)
{
    for (int v = 0; v < VIEWS; v++) {
        if (dnnl_memory_desc_equal(md, &t->layout->md)) {
            out[v] = t->layout->memory[v];
            continue;
        }
        void *data = cpu_take(p, dnnl_memory_desc_get_size(md), e);
        if (!data || cpu_memory(p, md, data, &out[v], e) < 0)
            return -1;
    }
    return 0;
}

static int conv_forward(struct plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct conv *c = (struct conv *)s;
    if (c->in[view] != s->in->layout->memory[view] &&
        cpu_reorder(p, list, s->in->layout->memory[view], &s->in->layout->md, c->in[view],
                    &c->in_md, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, c->in[view]},
                             {DNNL_ARG_WEIGHTS, c->weights.forward},
                             {DNNL_ARG_DST, c->out[view]}};
    if (cpu_op_primitive(p, list, c->pd[PASS_FORWARD], c->primitive[PASS_FORWARD], arg, 3, e) < 0)
        return -1;
    if (c->out[view] != s->out->layout->memory[view])
        return cpu_reorder(p, list, c->out[view], &c->out_md, s->out->layout->memory[view],
                           &s->out->layout->md, e);
    return 0;
}

// Append a reorder into a pool buffer when the layouts differ; *m is what to use, *g the buffer to
// release (or NULL).
static int as(struct plan *p, struct op_list *list, dnnl_memory_t have,
              const dnnl_memory_desc_t *have_md, const dnnl_memory_desc_t *want_md,
              dnnl_memory_t *m, struct grad **g, struct error *e)
{
    *g = NULL;
    *m = have;
    if (dnnl_memory_desc_equal(have_md, want_md))
        return 0;
    if (!(*g = plan_grad_take(p, dnnl_memory_desc_get_size(want_md), e)) ||
        cpu_memory(p, want_md, (*g)->data, m, e) < 0)
        return -1;
    return cpu_reorder(p, list, have, have_md, *m, want_md, e);
}

static struct filter_args filter_args(const struct plan *p, const struct stage *s)
{
    return (struct filter_args){.n = p->batch,
                                .ic = padded(p, s->in->c),
                                .oc = padded(p, s->node->c),
                                .ih = s->in->h,
                                .iw = s->in->w,
                                .oh = s->node->h,
                                .ow = s->node->w,
                                .k = s->node->k,
                                .stride = s->node->stride,
                                .pad = s->node->pad,
                                .threads = p->own->threads};
}

static int run_paired(struct plan *p, const struct op *op, struct error *e)
{
    struct filter_args a = filter_args(p, op->stage);
    a.x = op->a;
    a.dy = op->b;
    a.dw = op->out;
    a.work = p->own->scratch_data;
    p->own->k->filter_gradient(&a);
    return 0;
}

static int paired_weights(struct plan *p, struct conv *c, int view, void *dy, struct op_list *list,
                          struct error *e)
{
    struct op *op = plan_op(list, &c->base, view, run_paired, e);
    if (!op)
        return -1;
    struct filter_args a = filter_args(p, &c->base);
    cpu_scratch_want(p, p->own->k->filter_work(&a));
    op->a = c->base.in->data[view];
    op->b = dy;
    op->out = c->weights.trained->g[view];
    return 0;
}

static int backward_weights(struct plan *p, struct conv *c, int view, dnnl_memory_t dy,
                            struct op_list *list, struct error *e)
{
    const struct stage *s = &c->base;
    dnnl_primitive_desc_t pd = c->pd[PASS_WEIGHTS];
    struct grad *copy_x, *copy_dy;
    dnnl_memory_t x, d;
    // The forward pass may have left a copy in the layout wanted here.
    int from_copy = dnnl_memory_desc_equal(&c->in_md, query(pd, dnnl_query_src_md));
    if (as(p, list, from_copy ? c->in[view] : s->in->layout->memory[view],
           from_copy ? &c->in_md : &s->in->layout->md, query(pd, dnnl_query_src_md), &x, &copy_x,
           e) < 0 ||
        as(p, list, dy, &s->out->layout->md, query(pd, dnnl_query_diff_dst_md), &d, &copy_dy, e) <
            0)
        return -1;
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_DIFF_WEIGHTS, c->weights.grad[view]}};
    if (cpu_op_primitive(p, list, pd, c->primitive[PASS_WEIGHTS], arg, 3, e) < 0)
        return -1;
    if (copy_x)
        plan_grad_release(copy_x);
    if (copy_dy)
        plan_grad_release(copy_dy);
    return 0;
}

static int backward_data(struct plan *p, struct conv *c, dnnl_memory_t dy, struct grad *dx,
                         struct op_list *list, struct error *e)
{
    const struct layout *in = c->base.in->layout, *out = c->base.out->layout;
    dnnl_primitive_desc_t pd = c->pd[PASS_DATA];
    const dnnl_memory_desc_t *want = query(pd, dnnl_query_diff_src_md);
    struct grad *copy_dy, *copy_dx = NULL;
    dnnl_memory_t d, m, into;
    if (cpu_memory(p, &in->md, dx->data, &m, e) < 0 ||
        as(p, list, dy, &out->md, query(pd, dnnl_query_diff_dst_md), &d, &copy_dy, e) < 0)
        return -1;
    into = m;
    if (!dnnl_memory_desc_equal(want, &in->md) &&
        (!(copy_dx = plan_grad_take(p, dnnl_memory_desc_get_size(want), e)) ||
         cpu_memory(p, want, copy_dx->data, &into, e) < 0))
        return -1;
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_WEIGHTS, c->weights.backward}, {DNNL_ARG_DIFF_SRC, into}};
    if (cpu_op_primitive(p, list, pd, c->primitive[PASS_DATA], arg, 3, e) < 0)
        return -1;
    if (copy_dy)
        plan_grad_release(copy_dy);
    if (!copy_dx)
        return 0;
    plan_grad_release(copy_dx);
    return cpu_reorder(p, list, into, want, m, &in->md, e);
}

static int conv_backward(struct plan *p, struct stage *s, int view, struct grad *g, struct grad *dx,
                         struct op_list *list, struct error *e)
{
    struct conv *c = (struct conv *)s;
    dnnl_memory_t dy;
    if (cpu_memory(p, &s->out->layout->md, g->data, &dy, e) < 0 ||
        (c->paired ? paired_weights(p, c, view, g->data, list, e)
                   : backward_weights(p, c, view, dy, list, e)) < 0)
        return -1;
    return dx ? backward_data(p, c, dy, dx, list, e) : 0;
}

static int conv_init(struct plan *p, struct stage *stage, struct error *e)
{
    struct conv *c = (struct conv *)stage;
    const struct node *d = stage->node;
    const struct tensor *in = stage->in, *out = stage->out;
    int ic = in->layout->order == ORDER_PLAIN ? in->c : padded(p, in->c), oc = padded(p, d->c);
    struct shape s = {.in = {p->batch, ic, in->h, in->w},
                      .out = {p->batch, oc, d->h, d->w},
                      .weights = {oc, ic, d->k, d->k},
                      .stride = {d->stride, d->stride},
                      .pad = {d->pad, d->pad},
                      .type = p->type};
    const dnnl_memory_desc_t *backward_md = NULL;
    dnnl_memory_desc_t paired_md;
    for (int pass = PASS_FORWARD; pass < PASS_COUNT; pass++) {
        if (pass == PASS_DATA && !in->wants_grad)
            continue;
        // A frozen one needs to know how its gradient would lie, because its weights lie so.
        if (select_pass(p, &s, pass, d, in, out, c->pd[PASS_FORWARD], &c->pd[pass], e) < 0)
            return -1;
        if (c->pd[pass] && (pass == PASS_FORWARD || !d->frozen) &&
            cpu_primitive(p, c->pd[pass], &c->primitive[pass], e) < 0)
            return -1;
    }
    c->in_md = *query(c->pd[PASS_FORWARD], dnnl_query_src_md);
    c->out_md = *query(c->pd[PASS_FORWARD], dnnl_query_dst_md);
    c->paired = !c->pd[PASS_WEIGHTS];
    if (c->paired &&
        cpu_check(dnnl_memory_desc_init_by_tag(&paired_md, 4, s.weights, dnnl_f32, dnnl_ABcd16b16a),
                  "filter", e) < 0)
        return -1;
    const dnnl_memory_desc_t *grad_md =
        c->paired ? &paired_md : query(c->pd[PASS_WEIGHTS], dnnl_query_diff_weights_md);
    if (in->wants_grad)
        backward_md = query(c->pd[PASS_DATA], dnnl_query_weights_md);
    if (copies(p, in, &c->in_md, c->in, e) < 0 || copies(p, out, &c->out_md, c->out, e) < 0 ||
        params_weights(p, &c->weights, d, grad_md,
                       query(c->pd[PASS_FORWARD], dnnl_query_weights_md), backward_md, e) < 0)
        return -1;
    return 0;
}

const struct stage_kind cpu_conv = {.name = "convolution",
                                    .size = sizeof(struct conv),
                                    .init = conv_init,
                                    .add_forward = conv_forward,
                                    .add_backward = conv_backward};
