// The sampler that other people's trainings draw with: the batches are the trainer's own.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "train/client/ssltop-client.h"
#include "train/schedule/schedule_text.h"

enum { N = 700, BATCH = 64 };

static int below(struct rng *r, int n)
{
    return (int)rng_below(r, (uint64_t)n);
}

// What `ssltop train` shows its step: the schedule's positions in the order of arrival.
static void want_batch(struct schedule *s, const int64_t *order, int64_t step, int64_t *index)
{
    struct error e;
    cr_assert(schedule_batch(s, step, index, &e) == 0, "%s", e.text);
    for (int i = 0; i < s->facts.batch; i++)
        index[i] = order[index[i]];
}

static void same(ssltop_sampler *mine, struct schedule *s, const int64_t *order, int64_t from,
                 int64_t to)
{
    int64_t want[BATCH], got[BATCH];
    for (int64_t t = from; t < to; t++) {
        struct schedule_place at;
        int chunk;
        want_batch(s, order, t, want);
        cr_assert(ssltop_sampler_batch(mine, t, got) == 0);
        cr_assert(memcmp(got, want, (size_t)s->facts.batch * sizeof *got) == 0, "step %" PRId64, t);
        schedule_at(s, t, &at);
        cr_assert(ssltop_sampler_at(mine, t, &chunk) == (int)at.mode && chunk == at.chunk);
    }
}

Test(sampler, draws_the_batches_of_the_trainer)
{
    static const char *const plan[] = {"multi-epoch", "continual", "cumulative", "hybrid",
                                       "cumulative@2:30%,continual@3:50%,multi-epoch"};
    struct rng r;
    struct error e;
    char why[200], text[400];
    int64_t order[N];
    rng_init(&r, 3, RNG_INIT, 0, 0);
    for (int round = 0; round < 300; round++) {
        struct schedule_facts f = {.seed = (uint64_t)below(&r, 1000)};
        f.batch = 1 + below(&r, BATCH);
        f.n = 3 * f.batch + below(&r, N - 3 * BATCH);
        f.steps = 3 + below(&r, 60);
        f.chunks = below(&r, 2) ? 1 + below(&r, 3) : 0;
        struct schedule s;
        const char *words = plan[below(&r, 5)];
        cr_assert(schedule_text_parse(&s, &f, words, &e) == 0, "%s", e.text);
        cr_assert(schedule_order(f.seed, f.n, f.n, order, &e) == 0, "%s", e.text);
        ssltop_sampler *mine =
            ssltop_sampler_new(f.n, f.batch, f.steps, f.seed, words, f.chunks, why, sizeof why);
        cr_assert(mine != NULL, "%s", why);
        same(mine, &s, order, 0, f.steps);

        int64_t from = below(&r, (int)f.steps);
        struct schedule_switch w = {from, (enum mode)below(&r, MODE_COUNT), below(&r, 3), -1};
        struct schedule_place now;
        schedule_at(&s, from, &now);
        int changes = now.mode != w.mode || (w.mode != MODE_MULTI_EPOCH &&
                                             now.chunks != (w.chunks ? w.chunks : s.facts.chunks));
        int rc = ssltop_sampler_switch(mine, from, (int)w.mode, w.chunks, why, sizeof why);
        cr_assert((rc == 0) == changes, "%s", why);
        if (changes)
            cr_assert(schedule_switch(&s, &w, &e) == 0, "%s", e.text);
        same(mine, &s, order, 0, f.steps);

        // Its plan in another one is the same sampler.
        int n = ssltop_sampler_plan(mine, text, sizeof text);
        cr_assert(n > 0 && n < (int)sizeof text);
        ssltop_sampler *other =
            ssltop_sampler_new(f.n, f.batch, f.steps, f.seed, NULL, f.chunks, why, sizeof why);
        cr_assert(other && ssltop_sampler_take(other, text, why, sizeof why) == 0, "%s", why);
        same(other, &s, order, 0, f.steps);
        ssltop_sampler_free(other);
        ssltop_sampler_free(mine);
        schedule_free(&s);
    }
}

Test(sampler, what_cannot_be_is_refused)
{
    char why[200];
    int64_t index[10];
    cr_expect(!ssltop_sampler_new(9, 10, 5, 1, NULL, 0, why, sizeof why) &&
                  strstr(why, "larger than the data set"),
              "%s", why);
    cr_expect(!ssltop_sampler_new(100, 10, 5, 1, "whatever", 0, why, sizeof why) &&
                  strstr(why, "unknown mode"),
              "%s", why);
    cr_expect(!ssltop_sampler_new(-1, 10, 5, 1, NULL, 0, why, sizeof why));
    ssltop_sampler *s = ssltop_sampler_new(100, 10, 5, 1, NULL, 2, why, sizeof why);
    cr_assert(s != NULL, "%s", why);
    cr_expect(ssltop_sampler_batch(s, 5, index) == -1 && ssltop_sampler_batch(s, -1, index) == -1);
    cr_expect(ssltop_sampler_switch(s, 2, 0, 0, why, sizeof why) == -1 && strstr(why, "already"),
              "%s", why);
    cr_expect(ssltop_sampler_switch(s, 2, 3, 0, why, sizeof why) == -1);
    cr_expect(ssltop_sampler_switch(s, 5, 1, 0, why, sizeof why) == -1 && strstr(why, "no step 5"),
              "%s", why);
    cr_expect(ssltop_sampler_switch(s, 4, 2, 0, why, sizeof why) == 0);
    cr_expect(ssltop_sampler_until(s, 2, 1, 1, 0, why, sizeof why) == -1 &&
                  strstr(why, "has passed"),
              "%s", why);
    cr_expect(ssltop_sampler_until(s, 2, 3, 1, 0, why, sizeof why) == 0);
    char plan[64]; // what was to come at step 4 is forgotten
    cr_expect(ssltop_sampler_plan(s, plan, sizeof plan) > 0);
    cr_expect_str_eq(plan, "0:multi-epoch@2,3:continual@2");
    cr_expect(ssltop_sampler_take(s, "3:continual", why, sizeof why) == -1);
    cr_expect(ssltop_sampler_batch(s, 4, index) == 0);
    ssltop_sampler_free(s);
    ssltop_sampler_free(NULL);
}
