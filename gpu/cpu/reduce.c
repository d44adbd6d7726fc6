// Gradients of all ranks in buckets, and moments; see reduce.h.
#include "gpu/cpu/reduce.h"

#include <string.h>

#include "gpu/buckets.h"

struct reduce {
    struct buckets buckets;
    struct ranks_sum sum[BUCKETS];

    struct moments batch;    // of this rank's features
    double *means, *apart;   // of all ranks; how far this one's is from theirs
    struct ranks_sum packed; // the scatter's lower triangle
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

static void release_moments(void *moments)
{
    moments_free(moments);
}

static int place_moments(struct plan *p, struct reduce *r, struct error *e)
{
    size_t d = (size_t)p->feature_d, size = (size_t)p->ranks->size;
    size_t length = ranks_sum_length(p->ranks, d * (d + 1) / 2);
    if (!d)
        return 0;
    double *packed = cpu_take(p, 2 * length * sizeof *packed, e);
    if (!packed || !(r->means = cpu_take(p, size * d * sizeof *r->means, e)) ||
        !(r->apart = cpu_take(p, d * sizeof *r->apart, e)))
        return -1;
    memset(packed, 0, length * sizeof *packed); // its end is added as well
    r->packed = (struct ranks_sum){.number = RANKS_DOUBLE,
                                   .channel = RANKS_BESIDE,
                                   .data = packed,
                                   .work = packed + length,
                                   .part = length / size,
                                   .factor = 1};
    return moments_init(&r->batch, p->feature_d, e) < 0
               ? -1
               : plan_own(p, release_moments, &r->batch, e);
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
    return p->own->zeros ? place_moments(p, r, e) : -1;
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

// --- moments ---
// The mean over ranks, of as many samples each, and the scatter about it.
static void move_to_mean(struct reduce *r, int ranks)
{
    struct moments *m = &r->batch;
    size_t d = (size_t)m->d;
    double share = 1.0 / ranks;
    for (size_t i = 0; i < d; i++) {
        double mean = 0;
        for (size_t k = 0; k < (size_t)ranks; k++)
            mean += share * r->means[k * d + i];
        r->apart[i] = m->mean[i] - mean;
        m->mean[i] = mean;
    }
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            m->scatter[i * d + j] += m->weight * r->apart[i] * r->apart[j];
}

// Between the lower triangle and numbers one after the other.
static void pack(struct moments *m, double *packed, int out)
{
    size_t d = (size_t)m->d;
    for (size_t i = 0; i < d; i++, packed += i)
        memcpy(out ? m->scatter + i * d : packed, out ? packed : m->scatter + i * d,
               (i + 1) * sizeof *packed);
}

int reduce_moments(struct plan *p, const float *const h[VIEWS], struct moments *m, struct error *e)
{
    struct reduce *r = p->own->reduce;
    struct moments *all = &r->batch;
    size_t d = (size_t)p->feature_d;
    moments_reset(all);
    for (int v = 0; v < VIEWS; v++)
        if (moments_add(all, h[v], p->batch, d, e) < 0)
            return -1;
    if (ranks_gather(p->ranks, all->mean, r->means, d * sizeof *all->mean, e) < 0)
        return -1;
    move_to_mean(r, p->ranks->size);
    pack(all, r->packed.data, 0);
    if (ranks_sum_start(p->ranks, &r->packed, e) < 0 ||
        ranks_sum_finish(p->ranks, &r->packed, e) < 0)
        return -1;
    if (!m)
        return 0;
    pack(all, r->packed.data, 1);
    all->weight *= p->ranks->size;
    all->weight2 *= p->ranks->size;
    moments_merge(m, all);
    return 0;
}
