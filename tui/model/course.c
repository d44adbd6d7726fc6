// Past and planned modes of a run, for the schedule bar, the marks and the mode menu.
#include "tui/model/course.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/options/options.h"
#include "tui/model/format.h"

void course_free(struct course *c)
{
    if (c->known)
        schedule_free(&c->plan);
    *c = (struct course){0};
}

// The plan that the run started with.
static void begin(struct course *c, const struct record_run *run)
{
    course_free(c);
    struct options *o = calloc(1, sizeof *o);
    if (!o)
        return;
    options_default(o);
    if (run->config && options_from_json(o, run->config, NULL) == 0 && run->steps > 0) {
        struct schedule_facts f = {.seed = o->seed,
                                   .n = run->dataset.n,
                                   .batch = o->batch,
                                   .steps = run->steps,
                                   .chunks = o->chunks};
        c->known = schedule_init(&c->plan, &f, o->schedule, NULL) == 0;
    }
    free(o);
}

// MODE, MODE@K, or either with " at STEP" behind it: what events say in `to`.
static int parse_switch(const char *text, int *chunks, int64_t *at)
{
    char name[32];
    size_t n = strcspn(text, "@ ");
    if (n >= sizeof name)
        return -1;
    memcpy(name, text, n);
    name[n] = 0;
    long k = text[n] == '@' ? strtol(text + n + 1, NULL, 10) : 0;
    const char *when = strstr(text + n, " at ");
    *chunks = k > 0 && k <= INT32_MAX ? (int)k : 0;
    *at = when ? strtoll(when + 4, NULL, 10) : -1;
    return mode_find(name);
}

void course_add(struct course *c, const struct history *h, const struct record *r)
{
    if (r->type == RECORD_RUN)
        begin(c, &h->run);
    if (r->type != RECORD_EVENT || !c->known || r->step < 0)
        return;
    const struct record_event *v = &r->u.event;
    int is_until = strcmp(v->what, "until") == 0, chunks;
    int64_t at;
    int mode = parse_switch(v->to, &chunks, &at);
    if ((!is_until && strcmp(v->what, "mode") != 0) || mode < 0 || strcmp(v->by, "plan") == 0)
        return; // what the plan does is in it already
    if (is_until)
        schedule_truncate(&c->plan, r->step);
    schedule_append(&c->plan, is_until ? at : r->step, (enum mode)mode, chunks, NULL);
}

int course_mode(const struct course *c, const struct history *h, int64_t t)
{
    if (t <= h->last_step) {
        int lo = 0, hi = h->n_mode; // the last switch at or before t
        while (lo < hi) {
            int mid = (lo + hi) / 2;
            if (h->mode[mid].step <= t)
                lo = mid + 1;
            else
                hi = mid;
        }
        return lo ? mode_find(h->mode[lo - 1].mode) : -1;
    }
    if (!c->known)
        return -1;
    struct schedule_place p;
    schedule_at(&c->plan, t, &p);
    return (int)p.mode;
}

int course_next(const struct course *c, int64_t t, int64_t *step, int *mode)
{
    if (!c->known)
        return 0;
    struct schedule_place now;
    schedule_at(&c->plan, t, &now);
    for (int i = 0; i < c->plan.n; i++)
        if (c->plan.entry[i].from > t && c->plan.entry[i].mode != now.mode) {
            *step = c->plan.entry[i].from;
            *mode = (int)c->plan.entry[i].mode;
            return 1;
        }
    return 0;
}

int64_t course_border(const struct course *c, int chunks, int64_t t)
{
    int64_t steps = c->plan.facts.steps;
    int64_t k = (int64_t)((__int128)t * chunks / steps) + 1;
    int64_t border = (int64_t)(((__int128)k * steps + chunks - 1) / chunks);
    return border < steps ? border : steps;
}

void course_what_if(const struct course *c, int mode, int64_t t, char *text, size_t size)
{
    struct schedule s;
    snprintf(text, size, "\u2013");
    if (!c->known || t >= c->plan.facts.steps ||
        schedule_init(&s, &c->plan.facts, mode_table[mode].name, NULL))
        return;
    struct schedule_place p;
    schedule_at(&s, t, &p);
    int64_t pool = p.pool_hi - p.pool_lo, batch = s.facts.batch;
    double passes = (double)(p.ends - t) * (double)batch / (double)(pool > 0 ? pool : 1);
    char chunk[64] = "";
    if (p.chunk >= 0)
        snprintf(chunk, sizeof chunk, "chunk %d/%d, ", p.chunk + 1, p.chunks);
    snprintf(text, size, "%s%s images, %.1f passes left", chunk, format_count(pool).s, passes);
    schedule_free(&s);
}
