// Convolutions by our kernels in a plan; see ours.h.
#include "gpu/cpu/ours.h"

int ours_can(const struct plan *p, const struct stage *s, enum pass pass, enum our_kernel by)
{
    const struct kernels *k = p->own->k;
    const struct node *d = s->node;
    enum order order = s->in->layout->order;
    switch (by) {
    case OURS_PAIRS:
        return pass == PASS_WEIGHTS && p->type == TYPE_BF16 && k->filter_gradient &&
               order == ORDER_BLOCKED;
    case OURS_TILES:
        return k->channels_last && order == ORDER_LAST &&
               (pass == PASS_WEIGHTS || d->k * d->k <= CONV_TAPS);
    case OURS_WINOGRAD:
        return k->winograd && p->type == TYPE_F32 && order == ORDER_BLOCKED && d->k == 3 &&
               d->stride == 1 && d->pad < 3;
    default:
        return 0;
    }
}

onednn_layout ours_weights(struct plan *p, enum our_kernel by, enum pass pass,
                           const dnnl_dims_t weights, struct error *e)
{
    int wide = p->own->k->block == 16, turn = by == OURS_TILES;
    dnnl_format_tag_t out_last = wide ? dnnl_ABcd16b16a : dnnl_ABcd8b8a,
                      in_last = wide ? dnnl_ABcd16a16b : dnnl_ABcd8a8b;
    if (pass == PASS_WEIGHTS)
        return onednn_layout_new(p, 4, weights, dnnl_f32, turn ? in_last : out_last, e);
    if (by == OURS_TILES)
        return onednn_layout_new(p, 4, weights, dnnl_bf16,
                                 pass == PASS_DATA ? dnnl_ABcd16a16b2a : dnnl_ABcd16b16a2b, e);
    return onednn_layout_new(p, 4, weights, dnnl_f32, pass == PASS_DATA ? in_last : out_last, e);
}

// A convolution from x to y, as the kernels of both kinds are told of it.
#define SHAPE(p, s, x, y)                                                                          \
    .n = (p)->batch, .ic = padded(p, (x)->c), .oc = padded(p, (y)->c), .ih = (x)->h, .iw = (x)->w, \
    .oh = (y)->h, .ow = (y)->w, .k = (s)->node->k, .stride = (s)->node->stride,                    \
    .pad = (s)->node->pad, .threads = (p)->own->threads

static int filter_new(struct plan *p, const struct stage *s, struct ours *o, struct error *e)
{
    const struct kernels *k = p->own->k;
    struct filter_args *a = &o->filter;
    *a = (struct filter_args){SHAPE(p, s, s->in, s->out)};
    if (o->by == OURS_TILES) {
        int32_t *place = cpu_take(p, k->filter_tiles_places(a) * sizeof *place, e);
        if (!place)
            return -1;
        k->filter_tiles_find(a, place);
        a->place = place;
    }
    onednn_scratch_want(p, o->by == OURS_TILES   ? k->filter_tiles_work(a)
                           : o->by == OURS_PAIRS ? k->filter_work(a)
                                                 : k->winograd_filter_work(a));
    return 0;
}

static int conv_new(struct plan *p, const struct stage *s, enum pass pass, struct ours *o,
                    struct error *e)
{
    const struct tensor *x = pass == PASS_DATA ? s->out : s->in;
    const struct tensor *y = pass == PASS_DATA ? s->in : s->out;
    const struct kernels *k = p->own->k;
    struct conv_args *a = &o->conv;
    *a = (struct conv_args){SHAPE(p, s, x, y), .back = pass == PASS_DATA, .depth = x->c};
    size_t side = (size_t)k->block, deep = o->by == OURS_TILES ? 2 * side : side;
    size_t block = side * deep * (size_t)(a->k * a->k), depth = ((size_t)a->ic + deep - 1) / deep;
    a->w_depth = a->back ? block * ((size_t)a->oc / side) : block;
    a->w_block = a->back ? block : block * depth;
    if (o->by == OURS_TILES) {
        int32_t *place = cpu_take(p, k->conv_tiles_places(a) * sizeof *place, e);
        if (!place)
            return -1;
        k->conv_tiles_find(a, place);
        a->place = place;
    }
    onednn_scratch_want(p, o->by == OURS_TILES ? k->conv_tiles_work(a) : k->winograd_work(a));
    return 0;
}

struct ours *ours_new(struct plan *p, const struct stage *s, enum pass pass, enum our_kernel by,
                      struct error *e)
{
    struct ours *o = plan_heap(p, sizeof *o, e);
    if (!o)
        return NULL;
    o->by = by;
    return (pass == PASS_WEIGHTS ? filter_new(p, s, o, e) : conv_new(p, s, pass, o, e)) < 0 ? NULL
                                                                                            : o;
}

static int run_conv(struct plan *p, const struct op *op, struct error *e)
{
    const struct ours *o = op->b;
    struct conv_args a = o->conv;
    a.x = op->a;
    a.y = op->out;
    a.work = p->own->scratch_data;
    if (!(a.w = onednn_data(o->weights, e)))
        return -1;
    (o->by == OURS_TILES ? p->own->k->conv_tiles : p->own->k->winograd)(&a);
    return 0;
}

int ours_conv(struct stage *s, struct ours *o, const void *x, void *y, struct op_list *list,
              struct error *e)
{
    struct op *op = plan_op(list, s, 0, run_conv, e);
    if (!op)
        return -1;
    op->a = (void *)x;
    op->b = o;
    op->out = y;
    return 0;
}

struct filter_op {
    const struct ours *ours;
    const void *dy;
};

static int run_filter(struct plan *p, const struct op *op, struct error *e)
{
    const struct filter_op *f = op->b;
    const struct kernels *k = p->own->k;
    struct filter_args a = f->ours->filter;
    a.x = op->a;
    a.dy = f->dy;
    a.dw = op->out;
    a.work = p->own->scratch_data;
    (f->ours->by == OURS_TILES   ? k->filter_tiles_gradient
     : f->ours->by == OURS_PAIRS ? k->filter_gradient
                                 : k->winograd_filter)(&a);
    return 0;
}

int ours_filter(struct plan *p, struct stage *s, const struct ours *o, const void *x,
                const void *dy, float *dw, struct op_list *list, struct error *e)
{
    struct op *op = plan_op(list, s, 0, run_filter, e);
    struct filter_op *f = op ? plan_heap(p, sizeof *f, e) : NULL;
    if (!f)
        return -1;
    *f = (struct filter_op){o, dy};
    op->a = (void *)x;
    op->b = f;
    op->out = dw;
    return 0;
}
