// Convolution by oneDNN. The network's tensors keep one blocked layout throughout; a convolution is
// asked for an implementation that takes it, and only where there is no fast one do reorders stand
// around it. Kernels of ours (ours.h) stand where they are faster: in f32 Winograd's algorithm
// (kernels_winograd.h); in bf16 the gradient of the filter where the processor has the instructions
// (kernels_filter.h, kernels_filter_tiles.h), and where it has tiles the other passes of layers
// that oneDNN is slow at (kernels_conv_tiles.h).
#include <string.h>

#include "gpu/cpu/ours.h"
#include "gpu/cpu/params.h"

struct conv {
    struct stage base;
    dnnl_primitive_desc_t pd[PASS_COUNT];
    dnnl_primitive_t primitive[PASS_COUNT];
    struct ours *ours[PASS_COUNT]; // instead of a primitive, or NULL
    struct weights weights;
    // Where forward wants another layout than the network's: copies, kept for the backward pass.
    // Else the tensors' own.
    onednn_layout in_md, out_md;
    dnnl_memory_t in[VIEWS], out[VIEWS];
};

// Generated code, as against a reference loop or a copy into a matrix product.
static int is_fast(dnnl_primitive_desc_t pd)
{
    const char *name = pd ? onednn_name(pd) : "";
    return !strncmp(name, "jit", 3) || !strncmp(name, "brg", 3);
}

// The implementation of a pass: with the network's layouts if that is fast, else with the layouts
// that it likes best.
static int choose(struct plan *p, const struct onednn_conv *s, enum pass pass, onednn_layout in,
                  onednn_layout out, dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd,
                  struct error *e)
{
    *pd = onednn_convolution(p, s, pass, in, out, hint);
    if (!is_fast(*pd)) {
        dnnl_primitive_desc_t other = onednn_convolution(p, s, pass, NULL, NULL, hint);
        int better = other && (is_fast(other) || !*pd);
        onednn_drop(better ? *pd : other);
        if (better)
            *pd = other;
    }
    if (!*pd)
        return error_set(e, "oneDNN has no convolution %s for %d x %d filters, %d to %d channels",
                         pass == PASS_FORWARD ? "forward" : "backward", (int)s->weights[2],
                         (int)s->weights[3], (int)s->weights[1], (int)s->weights[0]);
    return onednn_keep(p, *pd, e);
}

// How a pass may be computed; the letters make the plan's algorithm word. Which one is a rule and
// not a race of timings: the same run must be the same on every start.
static const struct algorithm {
    char letter;
    dnnl_alg_kind_t kind;
    int f32; // in f32 although the plan is bf16: copies of what goes in
    enum our_kernel ours;
    const char *name;
} algorithms[] = {
    {'d', dnnl_convolution_direct, 0, OURS_NONE, "direct"},
    {'w', dnnl_convolution_winograd, 0, OURS_NONE, "Winograd by oneDNN"},
    {'f', dnnl_convolution_direct, 1, OURS_NONE, "direct in f32"},
    {'p', dnnl_convolution_direct, 0, OURS_PAIRS, "pairs of bf16"},
    {'t', dnnl_convolution_direct, 0, OURS_TILES, "tiles of bf16"},
    {'v', dnnl_convolution_direct, 0, OURS_WINOGRAD, "Winograd"},
};

// oneDNN 2.6 is fast on tiles where images are large (1,300 to 1,750 GFLOP/s of a core, 128 images
// of a ResNet at width 64), slow where they are small or gradients are spread over strides (220 to
// 750, where ours makes 620 to 1,500). oneDNN 3.7 is as slow or slower than ours in most of these;
// where it is not, another rule would win 1 % of a step.
static int is_for_tiles(enum pass pass, const struct node *d)
{
    int pixels = d->h * d->w;
    if (pass == PASS_DATA && d->stride > 1)
        return d->k == 1 || d->c >= 64;
    return pixels <= 16 || (pass == PASS_DATA && pixels <= 49 && d->c >= 128);
}

// Winograd's F(4x4, 3x3) does 2.25 to 4 times fewer multiplications, and its transforms cost more
// the fewer channels they are for. One thread of a Xeon, times as fast as the best of oneDNN 2.6,
// which has such code for AVX-512 alone, and none any more in its version 3: AVX2 1.3 to 2.1 from
// 16 channels up, with 8 of them 1.8 forward, 1.1 back, 0.8 for the filter; AVX-512 1.0 to 1.6 from
// 32 up, with 16 and less 1.1 to 1.4 in 28 x 28 pixels but for the filter, 0.8 in 14 x 14.
static int is_for_winograd(const struct plan *p, enum pass pass, const struct node *d,
                           const struct tensor *in)
{
    int c = in->c < d->c ? in->c : d->c, pixels = d->h * d->w, block = p->own->k->block;
    if (c >= 2 * block)
        return pixels >= 16;
    return c >= 8 && pass != PASS_WEIGHTS && pixels >= (block == 8 ? 16 : 400);
}

// Without our kernel, oneDNN's bf16 code for weight gradients crawls through strides (60 to 95
// GFLOP/s where f32 makes 200).
static int rule(const struct plan *p, enum pass pass, const struct stage *s)
{
    const struct node *d = s->node;
    if (ours_can(p, s, pass, OURS_WINOGRAD) && is_for_winograd(p, pass, d, s->in))
        return 'v';
    if (ours_can(p, s, pass, OURS_PAIRS))
        return 'p';
    if (ours_can(p, s, pass, OURS_TILES) && (pass == PASS_WEIGHTS || is_for_tiles(pass, d)))
        return 't';
    return p->type == TYPE_BF16 && pass == PASS_WEIGHTS && d->stride > 1 &&
                   !p->own->k->channels_last
               ? 'f'
               : 'd';
}

// The algorithm of the next pass: what was recorded, else the rule. NULL: there is none.
static const struct algorithm *next_algorithm(const struct plan *p, enum pass pass,
                                              const struct stage *s, struct error *e)
{
    int letter = plan_recorded(p, e);
    if (letter < 0)
        return NULL;
    if (!letter)
        letter = rule(p, pass, s);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (algorithms[i].letter == letter)
            return &algorithms[i];
    error_set(e, "%s: the recorded algorithms are for another network", s->node->name);
    return NULL;
}

// A pass that a kernel of ours computes. The others want to know what oneDNN would do forward.
static int select_ours(struct plan *p, struct conv *c, const struct onednn_conv *s, enum pass pass,
                       const struct algorithm *a, struct error *e)
{
    const struct stage *stage = &c->base;
    if (!ours_can(p, stage, pass, a->ours))
        return error_set(e, "%s: the recorded algorithm (%s) does not exist on this processor",
                         stage->node->name, a->name);
    if (plan_choose(p, a->letter, e) < 0 || !(c->ours[pass] = ours_new(p, stage, pass, a->ours, e)))
        return -1;
    return pass != PASS_FORWARD ? 0
                                : choose(p, s, pass, stage->in->layout->md, stage->out->layout->md,
                                         NULL, &c->pd[pass], e);
}

static int select_pass(struct plan *p, struct conv *c, const struct onednn_conv *s, enum pass pass,
                       struct error *e)
{
    const struct tensor *in = c->base.in, *out = c->base.out;
    const struct node *d = c->base.node;
    dnnl_primitive_desc_t hint = c->pd[PASS_FORWARD], *pd = &c->pd[pass];
    const struct algorithm *a = next_algorithm(p, pass, &c->base, e);
    if (!a)
        return -1;
    if (a->ours)
        return select_ours(p, c, s, pass, a, e);
    if (a != algorithms) {
        struct onednn_conv other = *s;
        onednn_layout x = in->layout->md, y = out->layout->md;
        other.algorithm = a->kind;
        if (a->f32) {
            other.type = dnnl_f32;
            x = onednn_layout_new(p, 4, s->in, dnnl_f32, in->layout->tag, e);
            y = x ? onednn_layout_new(p, 4, s->out, dnnl_f32, out->layout->tag, e) : NULL;
            if (!y)
                return -1;
        }
        *pd = onednn_convolution(p, &other, pass, x, y, hint);
        if (is_fast(*pd))
            return plan_choose(p, a->letter, e) < 0 || onednn_keep(p, *pd, e) < 0 ? -1 : 0;
        onednn_drop(*pd);
        if (p->recorded)
            return error_set(e, "%s: the recorded algorithm (%s) does not exist on this processor",
                             d->name, a->name);
    }
    if (plan_choose(p, algorithms->letter, e) < 0)
        return -1;
    return choose(p, s, pass, in->layout->md, out->layout->md, hint, pd, e);
}

// Memory for a copy of tensor `t` in layout `md`, for both views; the tensor's own where the
// layouts agree.
static int copies(struct plan *p, const struct tensor *t, onednn_layout md,
                  dnnl_memory_t out[VIEWS], struct error *e)
{
    for (int v = 0; v < VIEWS; v++) {
        if (onednn_same(md, t->layout->md)) {
            out[v] = t->layout->memory[v];
            continue;
        }
        void *data = cpu_take(p, onednn_bytes(md), e);
        if (!data || onednn_memory(p, md, data, &out[v], e) < 0)
            return -1;
    }
    return 0;
}

static int conv_forward(struct plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct conv *c = (struct conv *)s;
    if (c->ours[PASS_FORWARD])
        return ours_conv(s, c->ours[PASS_FORWARD], s->in->data[view], s->out->data[view], list, e);
    if (c->in[view] != s->in->layout->memory[view] &&
        onednn_reorder(p, list, s->in->layout->memory[view], s->in->layout->md, c->in[view],
                       c->in_md, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_SRC, c->in[view]},
                             {DNNL_ARG_WEIGHTS, c->weights.forward},
                             {DNNL_ARG_DST, c->out[view]}};
    if (onednn_op(p, list, c->pd[PASS_FORWARD], c->primitive[PASS_FORWARD], arg, 3, e) < 0)
        return -1;
    if (c->out[view] != s->out->layout->memory[view])
        return onednn_reorder(p, list, c->out[view], c->out_md, s->out->layout->memory[view],
                              s->out->layout->md, e);
    return 0;
}

// Append a reorder into a pool buffer when the layouts differ; *m is what to use, *g the buffer to
// release (or NULL).
static int as(struct plan *p, struct op_list *list, dnnl_memory_t have, onednn_layout have_md,
              onednn_layout want_md, dnnl_memory_t *m, struct grad **g, struct error *e)
{
    *g = NULL;
    *m = have;
    if (onednn_same(have_md, want_md))
        return 0;
    if (!(*g = plan_grad_take(p, onednn_bytes(want_md), e)) ||
        onednn_memory(p, want_md, (*g)->data, m, e) < 0)
        return -1;
    return onednn_reorder(p, list, have, have_md, *m, want_md, e);
}

static int backward_weights(struct plan *p, struct conv *c, int view, dnnl_memory_t dy,
                            struct op_list *list, struct error *e)
{
    const struct stage *s = &c->base;
    dnnl_primitive_desc_t pd = c->pd[PASS_WEIGHTS];
    struct grad *copy_x, *copy_dy;
    dnnl_memory_t x, d;
    // The forward pass may have left a copy in the layout wanted here.
    int from_copy = onednn_same(c->in_md, onednn_wants(pd, dnnl_query_src_md));
    if (as(p, list, from_copy ? c->in[view] : s->in->layout->memory[view],
           from_copy ? c->in_md : s->in->layout->md, onednn_wants(pd, dnnl_query_src_md), &x,
           &copy_x, e) < 0 ||
        as(p, list, dy, s->out->layout->md, onednn_wants(pd, dnnl_query_diff_dst_md), &d, &copy_dy,
           e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_DIFF_WEIGHTS, c->weights.grad[view]}};
    if (onednn_op(p, list, pd, c->primitive[PASS_WEIGHTS], arg, 3, e) < 0)
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
    onednn_layout want = onednn_wants(pd, dnnl_query_diff_src_md);
    struct grad *copy_dy, *copy_dx = NULL;
    dnnl_memory_t d, m, into;
    if (onednn_memory(p, in->md, dx->data, &m, e) < 0 ||
        as(p, list, dy, out->md, onednn_wants(pd, dnnl_query_diff_dst_md), &d, &copy_dy, e) < 0)
        return -1;
    into = m;
    if (!onednn_same(want, in->md) && (!(copy_dx = plan_grad_take(p, onednn_bytes(want), e)) ||
                                       onednn_memory(p, want, copy_dx->data, &into, e) < 0))
        return -1;
    dnnl_exec_arg_t arg[] = {
        {DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_WEIGHTS, c->weights.backward}, {DNNL_ARG_DIFF_SRC, into}};
    if (onednn_op(p, list, pd, c->primitive[PASS_DATA], arg, 3, e) < 0)
        return -1;
    if (copy_dy)
        plan_grad_release(copy_dy);
    if (!copy_dx)
        return 0;
    plan_grad_release(copy_dx);
    return onednn_reorder(p, list, into, want, m, in->md, e);
}

static int conv_backward(struct plan *p, struct stage *s, int view, struct grad *g, struct grad *dx,
                         struct op_list *list, struct error *e)
{
    struct conv *c = (struct conv *)s;
    dnnl_memory_t dy;
    if (onednn_memory(p, s->out->layout->md, g->data, &dy, e) < 0 ||
        (c->ours[PASS_WEIGHTS] ? ours_filter(p, s, c->ours[PASS_WEIGHTS], s->in->data[view],
                                             g->data, c->weights.trained->g[view], list, e)
                               : backward_weights(p, c, view, dy, list, e)) < 0)
        return -1;
    if (dx && c->ours[PASS_DATA])
        return ours_conv(s, c->ours[PASS_DATA], g->data, dx->data, list, e);
    return dx ? backward_data(p, c, dy, dx, list, e) : 0;
}

// Where tensors and weights lie, once it is known how.
static int place(struct plan *p, struct conv *c, const struct onednn_conv *s, struct error *e)
{
    const struct tensor *in = c->base.in, *out = c->base.out;
    onednn_layout md[PASS_COUNT] = {NULL};
    for (int pass = PASS_FORWARD; pass < PASS_COUNT; pass++) {
        if (c->ours[pass])
            md[pass] = ours_weights(p, c->ours[pass]->by, pass, s->weights, e);
        else if (c->pd[pass])
            md[pass] = onednn_wants(c->pd[pass], pass == PASS_WEIGHTS ? dnnl_query_diff_weights_md
                                                                      : dnnl_query_weights_md);
        if (c->ours[pass] && !md[pass])
            return -1;
    }
    c->in_md = c->ours[PASS_FORWARD] ? in->layout->md
                                     : onednn_wants(c->pd[PASS_FORWARD], dnnl_query_src_md);
    c->out_md = c->ours[PASS_FORWARD] ? out->layout->md
                                      : onednn_wants(c->pd[PASS_FORWARD], dnnl_query_dst_md);
    if (copies(p, in, c->in_md, c->in, e) < 0 || copies(p, out, c->out_md, c->out, e) < 0 ||
        params_weights(p, &c->weights, c->base.node, md[PASS_WEIGHTS], md[PASS_FORWARD],
                       md[PASS_DATA], e) < 0)
        return -1;
    if (c->ours[PASS_FORWARD])
        c->ours[PASS_FORWARD]->weights = c->weights.forward;
    if (c->ours[PASS_DATA])
        c->ours[PASS_DATA]->weights = c->weights.backward;
    return 0;
}

static int conv_init(struct plan *p, struct stage *stage, struct error *e)
{
    struct conv *c = (struct conv *)stage;
    const struct node *d = stage->node;
    const struct tensor *in = stage->in;
    int ic = in->layout->order == ORDER_PLAIN ? in->c : padded(p, in->c), oc = padded(p, d->c);
    struct onednn_conv s = {.in = {p->batch, ic, in->h, in->w},
                            .out = {p->batch, oc, d->h, d->w},
                            .weights = {oc, ic, d->k, d->k},
                            .stride = {d->stride, d->stride},
                            .pad = {d->pad, d->pad},
                            .type = type_dnnl(p->type),
                            .algorithm = algorithms->kind};
    for (int pass = PASS_FORWARD; pass < PASS_COUNT; pass++) {
        if (pass == PASS_DATA && !in->wants_grad)
            continue;
        // A frozen one needs to know how its gradient would lie, because its weights lie so.
        if (select_pass(p, c, &s, pass, e) < 0)
            return -1;
        if (c->pd[pass] && !c->ours[pass] && (pass == PASS_FORWARD || !d->frozen) &&
            onednn_primitive(p, c->pd[pass], &c->primitive[pass], e) < 0)
            return -1;
    }
    return place(p, c, &s, e);
}

const struct stage_kind cpu_conv = {.name = "convolution",
                                    .size = sizeof(struct conv),
                                    .init = conv_init,
                                    .add_forward = conv_forward,
                                    .add_backward = conv_backward};
