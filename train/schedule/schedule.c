// Which images step t sees (Li, Efros, Pathak, ECCV 2022, sec. 5). Everything here is a function of
// (seed, schedule, t): what is kept between calls are permutations that would come out the same
// again.
#include "train/schedule/schedule.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/base/rng.h"

typedef __int128 wide; // products of steps and images

// --- lengths and bounds ---

int64_t schedule_steps(int64_t n, int batch, int64_t epochs)
{
    int64_t steps;
    if (n < 1 || batch < 1 || epochs < 1)
        return 0;
    return __builtin_mul_overflow(n / batch, epochs, &steps) ? INT64_MAX : steps;
}

int schedule_max_chunks(int64_t n, int batch, int64_t steps)
{
    if (n < 1 || batch < 1 || steps < 1)
        return 0;
    int64_t most = n / batch < steps ? n / batch : steps;
    return most < INT_MAX ? (int)most : INT_MAX;
}

int schedule_default_chunks(int64_t n, int batch, int64_t steps)
{
    int most = schedule_max_chunks(n, batch, steps);
    if (most < 1)
        return 1;
    int64_t epoch = n / batch;
    wide epochs = (2 * (wide)steps + epoch) / (2 * (wide)epoch); // rounded
    if (epochs < 1)
        return 1;
    return epochs < most ? (int)epochs : most;
}

// --- what is planned ---

int schedule_check_chunks(const struct schedule_facts *f, int64_t chunks, struct error *e)
{
    int most = schedule_max_chunks(f->n, f->batch, f->steps);
    if (chunks >= 1 && chunks <= most)
        return 0;
    return error_set(e,
                     "%" PRId64 " chunks of %" PRId64 " images in %" PRId64
                     " steps can't each fill a batch of %d and have a step: at most %d",
                     chunks, f->n, f->steps, f->batch, most);
}

static int check_facts(const struct schedule_facts *f, struct error *e)
{
    if (f->n < 1 || f->batch < 1 || f->steps < 1)
        return error_set(e, "a schedule needs at least one image, a batch of one, and one step");
    if (f->batch > f->n)
        return error_set(
            e, "batch %d is larger than the data set (%" PRId64 " images): at most %" PRId64,
            f->batch, f->n, f->n);
    return f->chunks ? schedule_check_chunks(f, f->chunks, e) : 0;
}

int schedule_init(struct schedule *s, const struct schedule_facts *f, struct error *e)
{
    memset(s, 0, sizeof *s);
    if (check_facts(f, e) < 0)
        return -1;
    s->facts = *f;
    if (!f->chunks)
        s->facts.chunks = schedule_default_chunks(f->n, f->batch, f->steps);
    const struct schedule_switch first = {.mode = MODE_MULTI_EPOCH, .clears = -1};
    return schedule_switch(s, &first, e);
}

int schedule_switch(struct schedule *s, const struct schedule_switch *w, struct error *e)
{
    struct schedule_entry new = {w->from, w->mode, w->chunks ? w->chunks : s->facts.chunks};
    if (new.from < 0 || new.from >= s->facts.steps)
        return error_set(e, "the run has no step %" PRId64 ": it ends after %" PRId64 " steps",
                         new.from, s->facts.steps);
    if (schedule_check_chunks(&s->facts, new.chunks, e) < 0)
        return -1;
    if (memory_grow(s->entry, s->cap, s->n + 1) < 0)
        return error_memory(e, "a schedule");
    while (w->clears >= 0 && s->n > 1 && s->entry[s->n - 1].from > w->clears)
        s->n--;   // the first is from step 0
    int i = s->n; // where it goes: before the first later entry
    while (i > 0 && s->entry[i - 1].from > new.from)
        i--;
    if (i > 0 && s->entry[i - 1].from == new.from) {
        s->entry[i - 1] = new;
        return 0;
    }
    memmove(&s->entry[i + 1], &s->entry[i], (size_t)(s->n - i) * sizeof *s->entry);
    s->entry[i] = new;
    s->n++;
    return 0;
}

// --- where a step stands ---

static struct mode_pool pool_at(const struct schedule_facts *f, const struct schedule_entry *entry,
                                int64_t t)
{
    return mode_pool(entry->mode, f->n, entry->chunks, f->steps, t);
}

void schedule_at(const struct schedule *s, int64_t t, struct schedule_place *out)
{
    const struct schedule_facts *f = &s->facts;
    t = t < 0 ? 0 : t >= f->steps ? f->steps - 1 : t;
    int i = 0;
    while (i + 1 < s->n && s->entry[i + 1].from <= t)
        i++;
    struct mode_pool here = pool_at(f, &s->entry[i], t);

    // A segment goes on over an entry that changes neither mode nor pool.
    int64_t segment = here.from > s->entry[i].from ? here.from : s->entry[i].from;
    for (int j = i; j > 0 && segment == s->entry[j].from; j--) {
        struct mode_pool before = pool_at(f, &s->entry[j - 1], segment - 1);
        if (!mode_pool_same(&before, &here))
            break;
        segment = before.from > s->entry[j - 1].from ? before.from : s->entry[j - 1].from;
    }
    int64_t ends = here.to;
    for (int j = i + 1; j < s->n && s->entry[j].from <= ends; j++) {
        int64_t from = s->entry[j].from;
        struct mode_pool after = from < f->steps ? pool_at(f, &s->entry[j], from) : here;
        if (!mode_pool_same(&after, &here)) {
            ends = from;
            break;
        }
        ends = after.to;
    }
    int64_t size = here.hi - here.lo;
    *out = (struct schedule_place){.mode = here.mode,
                                   .chunk = here.chunk,
                                   .chunks = s->entry[i].chunks,
                                   .pool_lo = here.lo,
                                   .pool_hi = here.hi,
                                   .segment = segment,
                                   .ends = ends < f->steps ? ends : f->steps};
    out->passes = (double)(t - segment) * f->batch / (double)mode_pass(here.mode, size, f->batch);
}

// --- permutations ---

struct permutation {
    int64_t segment, pass, n; // n 0: none yet
    int64_t cap;
    int64_t *index;
};

// Two, so that the batches around the border of two passes make neither again.
struct schedule_cache {
    struct permutation slot[2];
    int latest;
};

static void shuffle(struct rng *r, int64_t *index, int64_t n, int64_t first)
{
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    for (int64_t i = 0; i < first; i++) {
        int64_t j = i + (int64_t)rng_below(r, (uint64_t)(n - i));
        int64_t swap = index[i];
        index[i] = index[j];
        index[j] = swap;
    }
}

static int64_t *new_index(int64_t n, struct error *e)
{
    int64_t *index = calloc((size_t)n, sizeof *index);
    if (!index)
        error_memory(e, "the order of %" PRId64 " images", n);
    return index;
}

// Permutation number `pass` of 0..n-1 of the segment that began at step `segment`; kept until the
// next but one.
static const int64_t *permutation(struct schedule *s, int64_t segment, int64_t pass, int64_t n,
                                  struct error *e)
{
    if (!s->cache)
        s->cache = calloc(1, sizeof *s->cache);
    if (!s->cache) {
        error_set(e, "out of memory");
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        const struct permutation *p = &s->cache->slot[i];
        if (p->n == n && p->segment == segment && p->pass == pass) {
            s->cache->latest = i;
            return p->index;
        }
    }
    struct permutation *p = &s->cache->slot[!s->cache->latest];
    p->n = 0;
    if (p->cap < n) {
        free(p->index);
        p->cap = 0;
        p->index = new_index(n, e);
        if (!p->index)
            return NULL;
        p->cap = n;
    }
    struct rng r;
    rng_init(&r, s->facts.seed, RNG_SEGMENT, (uint64_t)segment, (uint32_t)pass);
    shuffle(&r, p->index, n, n - 1);
    p->segment = segment;
    p->pass = pass;
    p->n = n;
    s->cache->latest = !s->cache->latest;
    return p->index;
}

void schedule_free(struct schedule *s)
{
    if (s->cache) {
        free(s->cache->slot[0].index);
        free(s->cache->slot[1].index);
    }
    free(s->cache);
    free(s->entry);
    memset(s, 0, sizeof *s);
}

int schedule_order(uint64_t seed, int64_t total, int64_t n, int64_t *order, struct error *e)
{
    if (n < 0 || n > total)
        return error_set(e, "%" PRId64 " of %" PRId64 " images", n, total);
    int64_t *all = n == total ? order : new_index(total, e);
    if (!all)
        return -1;
    struct rng r;
    rng_init(&r, seed, RNG_ORDER, 0, 0);
    shuffle(&r, all, total, n); // the first n do not depend on n
    if (all != order) {
        memcpy(order, all, (size_t)n * sizeof *order);
        free(all);
    }
    return 0;
}

int schedule_batch(struct schedule *s, int64_t t, int64_t *position, struct error *e)
{
    if (t < 0 || t >= s->facts.steps)
        return error_set(e, "the run has no step %" PRId64, t);
    struct schedule_place at;
    schedule_at(s, t, &at);
    int64_t size = at.pool_hi - at.pool_lo, batch = s->facts.batch;
    int64_t length = mode_pass(at.mode, size, s->facts.batch);
    wide begin = (wide)(t - at.segment) * batch;
    int64_t pass = (int64_t)(begin / length), offset = (int64_t)(begin % length);
    for (int64_t i = 0; i < batch; pass++, offset = 0) {
        const int64_t *index = permutation(s, at.segment, pass, size, e);
        if (!index)
            return -1;
        for (; i < batch && offset < length; i++, offset++)
            position[i] = at.pool_lo + index[offset];
    }
    return 0;
}
