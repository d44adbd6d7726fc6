// Convolutions by tiles in a plan; see tiles.h.
#include "gpu/cpu/tiles.h"

onednn_layout tiles_weights(struct plan *p, enum pass pass, const dnnl_dims_t weights,
                            struct error *e)
{
    return onednn_layout_new(p, 4, weights, dnnl_bf16,
                             pass == PASS_DATA ? dnnl_ABcd16a16b2a : dnnl_ABcd16b16a2b, e);
}

struct tiles *tiles_new(struct plan *p, const struct stage *s, enum pass pass, struct error *e)
{
    enum { BLOCK = 16, DEPTH = 32, WEIGHTS = BLOCK * DEPTH };
    const struct tensor *x = pass == PASS_DATA ? s->out : s->in;
    const struct tensor *y = pass == PASS_DATA ? s->in : s->out;
    const struct kernels *k = p->own->k;
    struct tiles *t = plan_heap(p, sizeof *t, e);
    if (!t)
        return NULL;
    struct conv_args *a = &t->args;
    *a = (struct conv_args){.back = pass == PASS_DATA,
                            .n = p->batch,
                            .ic = padded(p, x->c),
                            .oc = padded(p, y->c),
                            .ih = x->h,
                            .iw = x->w,
                            .oh = y->h,
                            .ow = y->w,
                            .k = s->node->k,
                            .stride = s->node->stride,
                            .pad = s->node->pad,
                            .threads = p->own->threads};
    size_t block = WEIGHTS * (size_t)(a->k * a->k), depth = (size_t)(a->ic + DEPTH - 1) / DEPTH;
    a->w_depth = a->back ? block * (size_t)(a->oc / BLOCK) : block;
    a->w_block = a->back ? block : block * depth;
    int32_t *place = cpu_take(p, k->conv_tiles_places(a) * sizeof *place, e);
    if (!place)
        return NULL;
    k->conv_tiles_find(a, place);
    a->place = place;
    onednn_scratch_want(p, k->conv_tiles_work(a));
    return t;
}

static int run_tiles(struct plan *p, const struct op *op, struct error *e)
{
    const struct tiles *t = op->b;
    struct conv_args a = t->args;
    a.x = op->a;
    a.y = op->out;
    a.work = p->own->scratch_data;
    if (!(a.w = onednn_data(t->weights, e)))
        return -1;
    p->own->k->conv_tiles(&a);
    return 0;
}

int tiles_op(struct stage *s, struct tiles *t, const void *x, void *y, struct op_list *list,
             struct error *e)
{
    struct op *op = plan_op(list, s, 0, run_tiles, e);
    if (!op)
        return -1;
    op->a = (void *)x;
    op->b = t;
    op->out = y;
    return 0;
}
