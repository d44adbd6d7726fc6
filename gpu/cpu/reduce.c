// Gradients of all ranks in buckets; see reduce.h.
#include "gpu/cpu/reduce.h"

#include "gpu/buckets.h"

struct reduce {
    struct buckets buckets;
    struct ranks_sum sum[BUCKETS];
};

static size_t numbers(const struct plan *p, int param)
{
    return p->own->trained[param].elements;
}

static int place(struct plan *p, struct reduce *r, int i, struct error *e)
{
    const struct bucket *b = &r->buckets.bucket[i];
    size_t length = ranks_sum_length(p->ranks, b->length);
    float *data = cpu_take(p, length * sizeof *data, e);
    r->sum[i] = (struct ranks_sum){.number = RANKS_FLOAT,
                                   .channel = RANKS_GRADIENT + i,
                                   .data = data,
                                   .work = data ? cpu_take(p, length * sizeof *data, e) : NULL,
                                   .part = length / (size_t)p->ranks->size,
                                   .factor = p->whole > p->batch ? 1 : 1.0 / p->ranks->size};
    if (!r->sum[i].work)
        return -1;
    for (int k = b->first; k < b->first + b->n; k++) {
        struct trained *t = &p->own->trained[r->buckets.param[k]];
        t->sum = data;
        data += t->elements;
    }
    return 0;
}

int reduce_init(struct plan *p, struct error *e)
{
    if (!p->ranks)
        return 0;
    struct reduce *r = p->own->reduce = plan_heap(p, sizeof *r, e);
    if (!r || buckets_init(p, &r->buckets, numbers, e) < 0)
        return -1;
    for (int i = 0; i < r->buckets.n_bucket; i++)
        if (place(p, r, i, e) < 0)
            return -1;
    p->own->zeros = cpu_take(p, r->buckets.largest * sizeof(float), e);
    return p->own->zeros ? 0 : -1;
}

static int send(struct plan *p, int i, struct error *e)
{
    struct reduce *r = p->own->reduce;
    const struct bucket *b = &r->buckets.bucket[i];
    for (int k = b->first; k < b->first + b->n; k++) {
        const struct trained *t = &p->own->trained[r->buckets.param[k]];
        p->own->k->add[TYPE_F32](t->sum, t->g[0], t->g[1], t->elements, p->own->threads);
    }
    return ranks_sum_start(p->ranks, &r->sum[i], e);
}

static int poll(struct plan *p, int sent, struct error *e)
{
    for (int i = 0; i < sent; i++)
        if (ranks_sum_poll(p->ranks, &p->own->reduce->sum[i], e) < 0)
            return -1;
    return 0;
}

static int finish(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    for (int i = 0; i < r->buckets.n_bucket; i++)
        if (ranks_sum_finish(p->ranks, &r->sum[i], e) < 0)
            return -1;
    return 0;
}

int reduce_backward(struct plan *p, struct error *e)
{
    static const struct buckets_way way = {send, poll, finish};
    return buckets_run(p, &p->backward[VIEWS - 1], &p->own->reduce->buckets, &way, e);
}
