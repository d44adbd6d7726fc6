// A sum over ranks as two exchanges of bytes with an addition between them: everybody gets one part
// of the numbers from all, adds it in the order of the ranks, and gives the sum to all.
#include "gpu/ranks/ranks.h"

static size_t width(const struct ranks_sum *s)
{
    return s->number == RANKS_DOUBLE ? sizeof(double) : sizeof(float);
}

size_t ranks_sum_length(const struct ranks *r, size_t n)
{
    size_t size = (size_t)r->size;
    return (n + size - 1) / size * size;
}

// work: one part from each rank; the first becomes the sum.
static void add_floats(const struct ranks_sum *s, int ranks)
{
    float *sum = s->work, factor = (float)s->factor;
    for (int k = 1; k < ranks; k++)
        for (size_t i = 0; i < s->part; i++)
            sum[i] += sum[(size_t)k * s->part + i];
    for (size_t i = 0; i < s->part && s->factor != 1; i++)
        sum[i] *= factor;
}

static void add_doubles(const struct ranks_sum *s, int ranks)
{
    double *sum = s->work;
    for (int k = 1; k < ranks; k++)
        for (size_t i = 0; i < s->part; i++)
            sum[i] += sum[(size_t)k * s->part + i];
    for (size_t i = 0; i < s->part && s->factor != 1; i++)
        sum[i] *= s->factor;
}

int ranks_sum_start(struct ranks *r, struct ranks_sum *s, struct error *e)
{
    if (r->engine->exchange(r, s->channel, s->data, s->work, s->part * width(s), e) < 0)
        return -1;
    s->state = SUM_SENT;
    return 0;
}

// What comes behind an exchange that is over.
static int go_on(struct ranks *r, struct ranks_sum *s, struct error *e)
{
    if (s->state == SUM_ADDED) {
        s->state = SUM_NONE;
        return 0;
    }
    (s->number == RANKS_DOUBLE ? add_doubles : add_floats)(s, r->size);
    s->state = SUM_ADDED;
    return r->engine->gather(r, s->channel, s->work, s->data, s->part * width(s), e);
}

int ranks_sum_poll(struct ranks *r, struct ranks_sum *s, struct error *e)
{
    if (s->state == SUM_NONE)
        return 0;
    int rc = r->engine->test(r, s->channel, e);
    return rc > 0 ? go_on(r, s, e) : rc;
}

int ranks_sum_finish(struct ranks *r, struct ranks_sum *s, struct error *e)
{
    while (s->state != SUM_NONE)
        if (ranks_wait(r, s->channel, e) < 0 || go_on(r, s, e) < 0)
            return -1;
    return 0;
}
