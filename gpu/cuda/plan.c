// What the card brings to the compiler (gpu/compile.h): its own part of a plan, tensors of both
// views one behind the other, and what is left to be done when all operations are there.
#include <stdio.h>

#include "gpu/cuda/reduce.h"
#include "gpu/ranks/ranks.h"

enum { BOUNCE = 16 << 20 };

// "sm90-cudnn91900": the card and the library whose letters they are; with ranks also the one that
// adds: "-nccl22809".
int cuda_begin(struct plan *p, char *prefix, size_t size, struct error *e)
{
    size_t n = (size_t)p->net.n_param + 1;
    struct own *own = p->own = plan_heap(p, sizeof *own, e);
    if (!own)
        return -1;
    own->trained = plan_heap(p, n * sizeof *own->trained, e);
    own->running = plan_heap(p, n * sizeof *own->running, e);
    own->bounce_size = BOUNCE;
    own->bounce = cuda_pinned(p, own->bounce_size, e);
    own->scores = cuda_pinned(p, 2 * sizeof(double), e);
    if (!own->trained || !own->running || !own->bounce || !own->scores ||
        cuda_moments_init(p, e) < 0)
        return -1;
    cudaEvent_t *plain[] = {&own->scored, &own->forwarded, &own->handed};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (cuda_event(p, cudaEventDisableTiming, plain[i], e) < 0)
            return -1;
    for (int i = 0; i < 2 * TIMES; i++)
        if (cuda_event(p, cudaEventDefault, &own->mark[i / TIMES][i % TIMES], e) < 0)
            return -1;
    int at = snprintf(prefix, size, "sm%d-cudnn%zu", card(p)->sm, cudnnGetVersion());
    return p->ranks ? reduce_prefix(p, prefix + at, size - (size_t)at, e) : 0;
}

int cuda_tensor(struct plan *p, struct tensor *t, const struct node *d, int lend, struct error *e)
{
    t->elements = VIEWS * (size_t)p->batch * image_of(t);
    if ((size_t)p->batch * (size_t)d->h * (size_t)d->w > INT32_MAX / 4)
        return error_set(e, "%d images of %d x %d are too many at once", p->batch, d->h, d->w);
    if (plan_place(p, t, lend, e) < 0)
        return -1;
    // An evaluation of fewer images than a batch runs over whatever else the input holds.
    return d->op == NODE_INPUT ? cuda_clear(p, t->data[0], plan_bytes(t), e) : 0;
}

int cuda_sum(struct plan *p, const struct op *op, struct error *e)
{
    const struct tensor *t = op->stage->out;
    return cuda_ok(cuda_add(t->type, op->out, op->a, op->b, t->elements, card(p)->main),
                   "sum of gradients", e);
}

int cuda_end(struct plan *p, struct error *e)
{
    struct cuda_device *d = card(p);
    if (cuda_conv_place(p, e) < 0 || reduce_init(p, e) < 0 || cuda_params_place(p, e) < 0 ||
        cuda_feed_init(p, e) < 0 ||
        (!d->base.planned && cuda_ok(cudaStreamSynchronize(d->main), "compiling", e) < 0))
        return -1;
    cache_save(d->cache);
    cache_notice(d->cache, p->notice, sizeof p->notice);
    return 0;
}

void cuda_free(struct plan *p)
{
    struct cuda_device *d = card(p);
    const cudaStream_t streams[] = {d->main, d->feed, d->side};
    const size_t n = d->base.planned ? 0 : sizeof streams / sizeof *streams;
    for (size_t i = 0; i < n && (!p->ranks || !p->ranks->over); i++)
        reduce_wait_stream(p, streams[i], "end", NULL);
    cuda_forget_graphs(p);
    reduce_part(p);
    for (size_t i = 0; i < n; i++)
        cudaStreamSynchronize(streams[i]);
}
