// Past and planned modes of a run, for the schedule bar, the marks and the mode menu.
#include "tui/model/schedule_view.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/log/run_facts.h"
#include "train/schedule/schedule_text.h"
#include "tui/model/format.h"

void schedule_view_free(struct schedule_view *c)
{
    if (c->known)
        schedule_free(&c->run);
    *c = (struct schedule_view){0};
}

// The schedule that the run started with.
static void begin(struct schedule_view *c, const struct record_run *run)
{
    struct run_facts r;
    schedule_view_free(c);
    run_facts_read(run, &r);
    struct schedule_facts f = {.seed = r.seed,
                               .n = run->dataset.n,
                               .batch = r.batch,
                               .steps = run->steps,
                               .chunks = r.chunks};
    c->known =
        run->steps > 0 && r.batch > 0 && schedule_text_parse(&c->run, &f, r.schedule, NULL) == 0;
}

void schedule_view_add(struct schedule_view *c, const struct history *h, const struct record *r)
{
    if (r->type == RECORD_RUN)
        begin(c, &h->run);
    struct schedule_switch w;
    if (r->type == RECORD_EVENT && c->known && r->step >= 0 &&
        schedule_text_event(&r->u.event, r->step, &w, NULL) > 0)
        schedule_switch(&c->run, &w, NULL);
}

enum mode schedule_view_mode(const struct schedule_view *c, const struct history *h, int64_t t)
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
        return lo ? h->mode[lo - 1].mode : MODE_NONE;
    }
    if (!c->known)
        return MODE_NONE;
    struct schedule_place p;
    schedule_at(&c->run, t, &p);
    return p.mode;
}

int schedule_view_next(const struct schedule_view *c, int64_t t, int64_t *step, enum mode *mode)
{
    if (!c->known)
        return 0;
    struct schedule_place now;
    schedule_at(&c->run, t, &now);
    for (int i = 0; i < c->run.n; i++)
        if (c->run.entry[i].from > t && c->run.entry[i].mode != now.mode) {
            *step = c->run.entry[i].from;
            *mode = c->run.entry[i].mode;
            return 1;
        }
    return 0;
}

int64_t schedule_view_border(const struct schedule_view *c, int chunks, int64_t t)
{
    int64_t steps = c->run.facts.steps;
    int64_t k = (int64_t)((__int128)t * chunks / steps) + 1;
    int64_t border = (int64_t)(((__int128)k * steps + chunks - 1) / chunks);
    return border < steps ? border : steps;
}

void schedule_view_what_if(const struct schedule_view *c, enum mode mode, int64_t t, char *text,
                           size_t size)
{
    struct schedule s;
    snprintf(text, size, "\u2013");
    if (!c->known || t >= c->run.facts.steps || schedule_init(&s, &c->run.facts, NULL) < 0)
        return;
    schedule_switch(&s, &(struct schedule_switch){.mode = mode, .clears = -1}, NULL);
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
