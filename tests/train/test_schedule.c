// The sampler: properties over many random runs, and a second, naive implementation that walks from
// step 0.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "train/schedule/schedule_text.h"

enum { MANY = 400, N_MAX = 160, B_MAX = 16, ENTRIES = 6 };

// A random run: facts that can work, and a plan given entry by entry.
struct run {
    struct schedule_facts facts;
    struct schedule_entry entry[ENTRIES];
    int n;
    char words[256]; // for a failure message
};

static int64_t between(struct rng *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)rng_below(r, (uint64_t)(hi - lo + 1));
}

static struct run random_run(struct rng *r, int entries)
{
    struct run run = {0};
    struct schedule_facts *f = &run.facts;
    f->seed = rng_u64(r);
    f->batch = (int)between(r, 1, B_MAX);
    f->n = between(r, f->batch, N_MAX);
    f->steps =
        rng_below(r, 2) ? schedule_steps(f->n, f->batch, between(r, 1, 6)) : between(r, 1, 150);
    int most = schedule_max_chunks(f->n, f->batch, f->steps);
    f->chunks = (int)between(r, 1, most);
    int at =
        snprintf(run.words, sizeof run.words, "N %" PRId64 " B %d T %" PRId64 " K %d seed %" PRIu64,
                 f->n, f->batch, f->steps, f->chunks, f->seed);
    for (int64_t from = 0; run.n < entries && from < f->steps; run.n++) {
        struct schedule_entry *entry = &run.entry[run.n];
        entry->from = from;
        entry->mode = (enum mode)rng_below(r, MODE_COUNT);
        entry->chunks = rng_below(r, 2) ? f->chunks : (int)between(r, 1, most);
        at += snprintf(run.words + at, sizeof run.words - (size_t)at, ", %s@%d from %" PRId64,
                       mode_name(entry->mode), entry->chunks, from);
        from += between(r, 1, 1 + f->steps / 2);
    }
    return run;
}

// A run of one mode from start to end.
static struct run random_single(struct rng *r, enum mode mode)
{
    struct run run = random_run(r, 1);
    run.entry[0].mode = mode;
    run.entry[0].chunks = run.facts.chunks;
    return run;
}

static int append(struct schedule *s, int64_t from, enum mode mode, int chunks, struct error *e)
{
    return schedule_switch(s, &(struct schedule_switch){from, mode, chunks, -1}, e);
}

static struct schedule open_run(const struct run *run)
{
    struct schedule s;
    struct error e = {""};
    int rc = schedule_init(&s, &run->facts, &e);
    for (int i = 0; !rc && i < run->n; i++)
        rc = append(&s, run->entry[i].from, run->entry[i].mode, run->entry[i].chunks, &e);
    cr_assert(rc == 0, "%s: %s", run->words, e.text);
    return s;
}

// All batches, T x B, asked in order.
static int64_t *all_batches(struct schedule *s)
{
    const struct schedule_facts *f = &s->facts;
    int64_t *batch = calloc((size_t)(f->steps * f->batch), sizeof *batch);
    struct error e = {""};
    cr_assert_not_null(batch);
    for (int64_t t = 0; t < f->steps; t++)
        cr_assert(schedule_batch(s, t, batch + t * f->batch, &e) == 0, "%s", e.text);
    return batch;
}

// --- the oracle: the rules of the design, walked step by step with everything in the open ---

static void oracle_permutation(uint64_t seed, int64_t segment, int64_t pass, int64_t n,
                               int64_t *out)
{
    struct rng r;
    rng_init(&r, seed, RNG_SEGMENT, (uint64_t)segment, (uint32_t)pass);
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t left = n; left > 1; left--) { // draw one of those left, put it next
        int64_t *next = out + (n - left), *drawn = next + rng_below(&r, (uint64_t)left);
        int64_t keep = *next;
        *next = *drawn;
        *drawn = keep;
    }
}

static void oracle(const struct run *run, int64_t *batch, int64_t *segments)
{
    const struct schedule_facts *f = &run->facts;
    int64_t order[N_MAX], segment = 0, pass = 0, taken = 0;
    int mode = -1;
    int64_t lo = -1, hi = -1;
    for (int64_t t = 0; t < f->steps; t++) {
        const struct schedule_entry *entry = NULL;
        for (int i = 0; i < run->n; i++)
            if (run->entry[i].from <= t)
                entry = &run->entry[i];
        int64_t new_lo = 0, new_hi = f->n;
        if (entry->mode != MODE_MULTI_EPOCH) {
            int64_t k = 0; // the chunk whose time it is: chunk k ends when t K / T reaches k + 1
            while ((k + 1) * f->steps <= t * entry->chunks)
                k++;
            new_hi = (k + 1) * f->n / entry->chunks;
            if (entry->mode == MODE_CONTINUAL)
                new_lo = k * f->n / entry->chunks;
        }
        int fresh = (int)entry->mode != mode || new_lo != lo || new_hi != hi;
        mode = (int)entry->mode;
        lo = new_lo;
        hi = new_hi;
        int64_t n = hi - lo;
        if (fresh) {
            segment = t;
            pass = taken = 0;
            oracle_permutation(f->seed, segment, 0, n, order);
        }
        segments[t] = segment;
        if (mode == MODE_MULTI_EPOCH && n - taken < f->batch)
            taken = n; // what is left of this pass is no whole batch
        for (int i = 0; i < f->batch; i++) {
            if (taken == n) {
                oracle_permutation(f->seed, segment, ++pass, n, order);
                taken = 0;
            }
            batch[t * f->batch + i] = lo + order[taken++];
        }
    }
}

Test(schedule, equals_the_naive_walk)
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        struct run run = random_run(&r, (int)between(&r, 1, ENTRIES));
        struct schedule s = open_run(&run);
        size_t total = (size_t)(run.facts.steps * run.facts.batch);
        int64_t *got = all_batches(&s);
        int64_t *want = calloc(total, sizeof *want);
        int64_t *segments = calloc((size_t)run.facts.steps, sizeof *segments);
        cr_assert(want && segments);
        oracle(&run, want, segments);
        cr_assert(memcmp(got, want, total * sizeof *got) == 0, "%s", run.words);
        int64_t next = run.facts.steps; // where the segment after t begins
        for (int64_t t = run.facts.steps - 1; t >= 0; t--) {
            struct schedule_place at;
            schedule_at(&s, t, &at);
            cr_assert(at.segment == segments[t], "%s, step %" PRId64, run.words, t);
            cr_assert(at.ends == next, "%s, step %" PRId64, run.words, t);
            next = at.segment == t ? t : next;
        }
        free(got);
        free(want);
        free(segments);
        schedule_free(&s);
    }
}

Test(schedule, is_pure_whatever_the_order_of_the_questions)
{
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY / 4; round++) {
        struct run run = random_run(&r, (int)between(&r, 1, ENTRIES));
        struct schedule s = open_run(&run), other = open_run(&run);
        int64_t *in_order = all_batches(&s), batch[B_MAX];
        size_t bytes = (size_t)run.facts.batch * sizeof *batch;
        for (int k = 0; k < 200; k++) {
            int64_t t = between(&r, 0, run.facts.steps - 1);
            cr_assert(schedule_batch(k % 2 ? &s : &other, t, batch, NULL) == 0);
            cr_assert(memcmp(batch, in_order + t * run.facts.batch, bytes) == 0,
                      "%s, step %" PRId64, run.words, t);
        }
        free(in_order);
        schedule_free(&s);
        schedule_free(&other);
    }
}

// --- what each mode promises ---

Test(schedule, multi_epoch_sees_every_image_once_an_epoch)
{
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        struct run run = random_single(&r, MODE_MULTI_EPOCH);
        struct schedule s = open_run(&run);
        int64_t *batch = all_batches(&s), epoch = run.facts.n / run.facts.batch;
        for (int64_t first = 0; first + epoch <= run.facts.steps; first += epoch) {
            int seen[N_MAX] = {0};
            int64_t images = 0;
            for (int64_t i = first * run.facts.batch; i < (first + epoch) * run.facts.batch; i++)
                images += !seen[batch[i]]++;
            cr_assert(images == epoch * run.facts.batch, "%s", run.words);
        }
        free(batch);
        schedule_free(&s);
    }
}

Test(schedule, chunks_partition_the_arrival_order)
{
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        struct run run = random_single(&r, MODE_CONTINUAL);
        struct schedule s = open_run(&run);
        int64_t reached = 0, least = N_MAX, most = 0, last = -1;
        for (int64_t t = 0; t < run.facts.steps; t++) {
            struct schedule_place at;
            schedule_at(&s, t, &at);
            cr_assert(at.chunk == t * run.facts.chunks / run.facts.steps, "%s", run.words);
            if (at.chunk == last)
                continue;
            cr_assert(at.chunk == last + 1 && at.pool_lo == reached, "%s", run.words);
            last = at.chunk;
            reached = at.pool_hi;
            int64_t size = at.pool_hi - at.pool_lo;
            least = size < least ? size : least;
            most = size > most ? size : most;
        }
        cr_assert(last == run.facts.chunks - 1 && reached == run.facts.n, "%s", run.words);
        cr_assert(most - least <= 1 && least >= run.facts.batch, "%s", run.words);
        schedule_free(&s);
    }
}

// Since a segment began, images of the pool alone are drawn, and each equally often within one.
static void check_even(struct run *run)
{
    struct schedule s = open_run(run);
    int64_t *batch = all_batches(&s);
    int64_t drawn[N_MAX] = {0};
    for (int64_t t = 0; t < run->facts.steps; t++) {
        struct schedule_place at;
        schedule_at(&s, t, &at);
        if (at.segment == t)
            memset(drawn, 0, sizeof drawn);
        for (int i = 0; i < run->facts.batch; i++) {
            int64_t image = batch[t * run->facts.batch + i];
            cr_assert(image >= at.pool_lo && image < at.pool_hi, "%s, step %" PRId64, run->words,
                      t);
            drawn[image]++;
        }
        int64_t least = INT64_MAX, most = 0;
        for (int64_t i = at.pool_lo; i < at.pool_hi; i++) {
            least = drawn[i] < least ? drawn[i] : least;
            most = drawn[i] > most ? drawn[i] : most;
        }
        cr_assert(most - least <= 1, "%s, step %" PRId64, run->words, t);
    }
    free(batch);
    schedule_free(&s);
}

Test(schedule, continual_draws_the_current_chunk_evenly)
{
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        struct run run = random_single(&r, MODE_CONTINUAL);
        check_even(&run);
    }
}

Test(schedule, cumulative_grows_and_ends_as_everything)
{
    struct rng r;
    rng_init(&r, 6, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        struct run run = random_single(&r, MODE_CUMULATIVE);
        check_even(&run);
        struct schedule s = open_run(&run);
        struct schedule_place at;
        int64_t size = 0;
        for (int64_t t = 0; t < run.facts.steps; t++) {
            schedule_at(&s, t, &at);
            cr_assert(at.pool_lo == 0 && at.pool_hi >= size, "%s", run.words);
            size = at.pool_hi;
        }
        cr_assert(size == run.facts.n, "%s", run.words);
        schedule_free(&s);
    }
}

Test(schedule, has_t_steps_in_every_mode)
{
    struct rng r;
    rng_init(&r, 7, RNG_TEST, 0, 0);
    for (int round = 0; round < MANY; round++) {
        for (int mode = 0; mode < MODE_COUNT; mode++) {
            struct run run = random_single(&r, (enum mode)mode);
            struct schedule s = open_run(&run);
            struct schedule_place at;
            int64_t batch[B_MAX];
            struct error e = {""};
            cr_assert(schedule_batch(&s, run.facts.steps - 1, batch, &e) == 0, "%s", e.text);
            cr_assert(schedule_batch(&s, run.facts.steps, batch, &e) == -1);
            cr_assert(schedule_batch(&s, -1, batch, &e) == -1);
            schedule_at(&s, run.facts.steps - 1, &at);
            cr_assert(at.ends == run.facts.steps, "%s", run.words);
            schedule_free(&s);
        }
    }
    cr_assert(schedule_steps(60000, 128, 10) == 4680);
    cr_assert(schedule_steps(10, 11, 10) == 0);
    cr_assert(schedule_steps(INT64_MAX, 1, 3) == INT64_MAX);
}

Test(schedule, a_switch_changes_its_step_and_none_before)
{
    struct rng r;
    rng_init(&r, 8, RNG_TEST, 0, 0);
    int changed = 0;
    for (int round = 0; round < MANY; round++) {
        struct run run = random_run(&r, (int)between(&r, 1, 3));
        struct schedule s = open_run(&run);
        int64_t from = between(&r, 0, run.facts.steps - 1);
        enum mode mode = (enum mode)rng_below(&r, MODE_COUNT);
        int64_t *before = all_batches(&s);
        struct schedule_place old, new;
        schedule_at(&s, from, &old);
        cr_assert(append(&s, from, mode, 0, NULL) == 0);
        schedule_at(&s, from, &new);
        cr_assert(new.mode == mode &&new.chunks == run.facts.chunks, "%s", run.words);
        int64_t *after = all_batches(&s);
        int64_t until = from * run.facts.batch;
        cr_assert(memcmp(before, after, (size_t)until * sizeof *before) == 0, "%s", run.words);
        struct schedule_place previous;
        schedule_at(&s, from - 1, &previous);
        if (from > 0 && new.mode != previous.mode)
            cr_assert(new.segment == from, "%s", run.words);
        // a fresh permutation of enough images all but surely differs
        if (new.mode != old.mode && old.segment<from &&new.pool_hi - new.pool_lo> 20 &&
            run.facts.batch >= 8) {
            changed++;
            cr_assert(memcmp(before + until, after + until,
                             (size_t)run.facts.batch * sizeof *before) != 0,
                      "%s", run.words);
        }
        free(before);
        free(after);
        schedule_free(&s);
    }
    cr_assert(changed > 20, "only %d rounds looked at the step of the switch", changed);
}

Test(schedule, refuses_facts_that_cannot_work_and_says_what_would)
{
    struct rng r;
    rng_init(&r, 9, RNG_TEST, 0, 0);
    struct schedule s;
    struct error e = {""};
    for (int round = 0; round < MANY; round++) {
        struct run run = random_run(&r, 1);
        struct schedule_facts f = run.facts;
        f.chunks = schedule_max_chunks(f.n, f.batch, f.steps);
        cr_assert(schedule_text_parse(&s, &f, "continual", &e) == 0, "%s: %s", run.words, e.text);
        schedule_free(&s);
        char most[32];
        snprintf(most, sizeof most, "at most %d", f.chunks);
        f.chunks += (int)between(&r, 1, 1000);
        cr_assert(schedule_text_parse(&s, &f, "continual", &e) == -1, "%s", run.words);
        const char *said = strstr(e.text, most);
        cr_assert(said && !said[strlen(most)], "%s: %s", run.words, e.text);
        f.chunks = -1;
        cr_assert(schedule_text_parse(&s, &f, "continual", &e) == -1, "%s", run.words);
        f.chunks = 1;
        f.batch = (int)f.n + 1;
        cr_assert(schedule_text_parse(&s, &f, "continual", &e) == -1, "%s", run.words);
        cr_assert(strstr(e.text, "batch"), "%s", e.text);
    }
    for (int i = 0; i < 3; i++) {
        struct schedule_facts f = {.n = i != 0, .batch = i != 1, .steps = i != 2, .chunks = 1};
        cr_assert(schedule_text_parse(&s, &f, "continual", &e) == -1);
    }
}

Test(schedule, an_entry_that_changes_nothing_starts_nothing)
{
    static const struct schedule_facts facts = {
        .seed = 1, .n = 1000, .batch = 10, .steps = 300, .chunks = 5};
    struct schedule s, plain;
    cr_assert(schedule_text_parse(&s, &facts, "multi-epoch:57,multi-epoch@7", NULL) == 0);
    cr_assert(schedule_text_parse(&plain, &facts, "multi-epoch", NULL) == 0);
    int64_t *a = all_batches(&s), *b = all_batches(&plain);
    cr_assert(memcmp(a, b, 3000 * sizeof *a) == 0);
    struct schedule_place at;
    schedule_at(&s, 100, &at);
    cr_assert(at.segment == 0 && at.ends == 300 && at.chunks == 7);
    cr_assert(at.passes == 1.0);
    free(a);
    free(b);
    schedule_free(&s);

    // the same chunk goes on over an entry in the middle of it, another K is another pool
    cr_assert(schedule_text_parse(&s, &facts, "continual:70,continual:80,continual@6", NULL) == 0);
    schedule_at(&s, 75, &at);
    cr_assert(at.segment == 60 && at.ends == 80 && at.chunk == 1 && at.pool_lo == 200);
    cr_assert(at.passes == 0.75);
    schedule_at(&s, 80, &at);
    cr_assert(at.segment == 80 && at.ends == 100 && at.chunk == 1 && at.pool_lo == 166);
    schedule_free(&s);
    schedule_free(&plain);
}

// --- the arrival order ---

Test(schedule, order_is_a_permutation_and_a_subset_its_beginning)
{
    enum { TOTAL = 500 };
    int64_t all[TOTAL], part[TOTAL], other[TOTAL];
    int seen[TOTAL] = {0};
    struct error e = {""};
    cr_assert(schedule_order(7, TOTAL, TOTAL, all, &e) == 0);
    for (int i = 0; i < TOTAL; i++)
        seen[all[i]]++;
    for (int i = 0; i < TOTAL; i++)
        cr_assert(seen[i] == 1);
    for (int n = 1; n < TOTAL; n += 83) {
        cr_assert(schedule_order(7, TOTAL, n, part, &e) == 0);
        cr_assert(memcmp(part, all, (size_t)n * sizeof *all) == 0);
    }
    cr_assert(schedule_order(8, TOTAL, TOTAL, other, &e) == 0);
    cr_assert(memcmp(other, all, sizeof all) != 0);
    cr_assert(schedule_order(7, TOTAL, TOTAL + 1, part, &e) == -1);
}

// Recorded runs name steps, not images: the batches of a (seed, plan) must stay what they are.
Test(schedule, batches_of_recorded_runs_stay)
{
    struct schedule s;
    struct schedule_facts f = {.seed = 1, .n = 997, .batch = 32, .steps = 200, .chunks = 6};
    cr_assert(schedule_text_parse(&s, &f, "continual:25%,cumulative@9:70%,multi-epoch", NULL) == 0);
    int64_t *batch = all_batches(&s), order[997];
    cr_assert(schedule_order(1, 997, 997, order, NULL) == 0);
    uint64_t hash = 14695981039346656037u; // FNV-1a
    for (int i = 0; i < 200 * 32; i++)
        hash = (hash ^ (uint64_t)order[batch[i]]) * 1099511628211u;
    cr_assert(hash == 8718748735352455047u, "the batches have changed: %" PRIu64, hash);
    free(batch);
    schedule_free(&s);
}
