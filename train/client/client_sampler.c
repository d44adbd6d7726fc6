// The trainer's own schedule for whoever draws batches elsewhere.
#include <stdio.h>
#include <stdlib.h>

#include "train/client/ssltop-client.h"
#include "train/schedule/schedule_text.h"

struct ssltop_sampler {
    struct schedule schedule;
    int64_t *order; // of arrival
};

static int told(const struct error *e, char *why, size_t size)
{
    snprintf(why, size, "%s", e->text);
    return -1;
}

ssltop_sampler *ssltop_sampler_new(int64_t n, int batch, int64_t steps, uint64_t seed,
                                   const char *schedule, int chunks, char *why, size_t size)
{
    const struct schedule_facts facts = {
        .seed = seed, .n = n, .batch = batch, .steps = steps, .chunks = chunks};
    struct error e = {"out of memory for a sampler"};
    ssltop_sampler *s = calloc(1, sizeof *s);
    if (s && schedule_text_parse(&s->schedule, &facts,
                                 schedule ? schedule : mode_name(MODE_MULTI_EPOCH), &e) == 0) {
        s->order = calloc((size_t)n, sizeof *s->order);
        if (!s->order)
            error_memory(&e, "the order of the images");
        else if (schedule_order(seed, n, n, s->order, &e) == 0)
            return s;
    }
    told(&e, why, size);
    ssltop_sampler_free(s);
    return NULL;
}

void ssltop_sampler_free(ssltop_sampler *s)
{
    if (!s)
        return;
    schedule_free(&s->schedule);
    free(s->order);
    free(s);
}

int ssltop_sampler_batch(ssltop_sampler *s, int64_t step, int64_t *index)
{
    if (schedule_batch(&s->schedule, step, index, NULL) < 0)
        return -1;
    for (int i = 0; i < s->schedule.facts.batch; i++)
        index[i] = s->order[index[i]];
    return 0;
}

int ssltop_sampler_at(const ssltop_sampler *s, int64_t step, int *chunk)
{
    struct schedule_place at;
    schedule_at(&s->schedule, step, &at);
    *chunk = at.chunk;
    return (int)at.mode;
}

int ssltop_sampler_until(ssltop_sampler *s, int64_t now_free, int64_t from, int mode, int chunks,
                         char *why, size_t size)
{
    struct error e;
    const struct schedule_switch w = {from, (enum mode)mode, chunks, now_free};
    if (mode < 0 || mode >= MODE_COUNT || chunks < 0)
        error_set(&e, "there is no mode %d over %d chunks", mode, chunks);
    else if (from < now_free)
        error_set(&e, "step %lld has passed: the next that can change is %lld", (long long)from,
                  (long long)now_free);
    else if (schedule_switch(&s->schedule, &w, &e) == 0)
        return 0;
    return told(&e, why, size);
}

int ssltop_sampler_switch(ssltop_sampler *s, int64_t from, int mode, int chunks, char *why,
                          size_t size)
{
    struct error e;
    struct schedule_place now;
    if (mode < 0 || mode >= MODE_COUNT || chunks < 0) {
        error_set(&e, "there is no mode %d over %d chunks", mode, chunks);
        return told(&e, why, size);
    }
    const struct schedule_switch w = {from, (enum mode)mode, chunks, -1};
    schedule_at(&s->schedule, from, &now);
    if (mode_same(now.mode, now.chunks, w.mode, chunks ? chunks : s->schedule.facts.chunks)) {
        error_set(&e, "it is %s already", mode_name(w.mode));
        return told(&e, why, size);
    }
    return schedule_switch(&s->schedule, &w, &e) < 0 ? told(&e, why, size) : 0;
}

int ssltop_sampler_plan(const ssltop_sampler *s, char *text, size_t size)
{
    char *plan = schedule_text_write(&s->schedule);
    int n = plan ? snprintf(text, size, "%s", plan) : -1;
    free(plan);
    return n;
}

int ssltop_sampler_take(ssltop_sampler *s, const char *plan, char *why, size_t size)
{
    struct error e;
    struct schedule read = {0};
    if (schedule_init(&read, &s->schedule.facts, &e) < 0)
        return told(&e, why, size);
    if (schedule_text_read(&read, plan, &e) < 0) {
        schedule_free(&read);
        return told(&e, why, size);
    }
    schedule_free(&s->schedule);
    s->schedule = read;
    return 0;
}
