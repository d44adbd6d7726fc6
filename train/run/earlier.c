// What an earlier life of a run did, read from its log.
#include "train/run/earlier.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/log/cursor.h"
#include "train/schedule/schedule_text.h"

void earlier_free(struct earlier *p)
{
    if (p->has_run)
        record_free(&p->run);
    free(p->event);
    free(p->evaluated);
    memset(p, 0, sizeof *p);
}

static int keep_event(struct earlier *p, const struct record *r, struct error *e)
{
    const struct record_event *event = &r->u.event;
    if (strcmp(event->what, "warning") == 0)
        return 0;
    if (strcmp(event->what, "resume") == 0 && strcmp(event->by, "trainer") == 0) {
        // The run went on from here; what an earlier life did later may not have happened in this
        // one.
        p->last_step = r->step - 1;
        return 0;
    }
    if (memory_grow(p->event, p->cap, p->n + 1) < 0)
        return error_memory(e, "the events of a run");
    p->event[p->n++] = (struct earlier_event){r->step, *event};
    return 0;
}

static int keep_eval(struct earlier *p, int64_t step, struct error *e)
{
    if (memory_grow(p->evaluated, p->cap_evaluated, p->n_evaluated + 1) < 0)
        return error_memory(e, "the evaluations of a run");
    p->evaluated[p->n_evaluated++] = step;
    return 0;
}

// The record is the past's now when it is its `run`; else it is still to be freed.
static int keep(struct earlier *p, struct record *r, struct error *e)
{
    int ended = 0, rc = 0;
    switch (r->type) {
    case RECORD_RUN:
        if (!p->has_run) {
            p->run = *r;
            p->has_run = 1;
            record_init(r, RECORD_UNKNOWN, -1);
        }
        return 0;
    case RECORD_STEP:
        p->last_step = r->step;
        if (isfinite(r->u.step.t))
            p->last_t = r->u.step.t;
        break;
    case RECORD_EVENT:
        rc = keep_event(p, r, e);
        ended = strcmp(r->u.event.what, "warning") == 0; // says nothing about whether it goes on
        break;
    case RECORD_EVAL:
        rc = keep_eval(p, r->step, e);
        break;
    case RECORD_END:
        p->end_step = r->step;
        snprintf(p->end_reason, sizeof p->end_reason, "%s", r->u.end.reason);
        ended = 1;
        break;
    default:
        ended = 1;
    }
    if (!ended) {
        p->end_step = -1;
        p->end_reason[0] = '\0';
    }
    return rc;
}

int earlier_read(const char *dir, struct earlier *out, struct error *e)
{
    struct cursor *c;
    struct record r;
    int rc, kept = 0;
    memset(out, 0, sizeof *out);
    out->last_step = out->end_step = -1;
    if (cursor_open(path_of("%s/run.jsonl.zst", dir).s, &c, e))
        return -1;
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS});
    for (; kept == 0 && (rc = cursor_record(c, &r, e)) == 1; record_free(&r))
        kept = keep(out, &r, e);
    cursor_free(c);
    if (rc == 0 && (!out->has_run || !out->run.u.run.config))
        rc = error_set(e, "there is no run record in it");
    if (rc >= 0 && kept >= 0)
        return 0;
    earlier_free(out);
    return error_prefix(e, "%s/run.jsonl.zst", dir);
}

int earlier_apply(const struct earlier *p, int64_t from, struct schedule *s, struct rates *r,
                  struct error *e)
{
    for (size_t i = 0; i < p->n; i++) {
        int64_t step = p->event[i].step;
        const struct record_event *v = &p->event[i].event;
        struct schedule_switch w;
        if (step < from)
            continue;
        int rc = schedule_text_event(v, step, &w, e);
        if (rc > 0)
            rc = schedule_switch(s, &w, e);
        if (rc < 0 || rates_event(r, v, step, e) < 0)
            return error_prefix(e, "event at step %lld", (long long)step);
    }
    return 0;
}

const struct record_event *earlier_find(const struct earlier *p, int64_t step, const char *what,
                                        const char *by)
{
    for (size_t i = p->n; i-- > 0;)
        if (p->event[i].step == step && strcmp(p->event[i].event.what, what) == 0 &&
            (!by || strcmp(p->event[i].event.by, by) == 0))
            return &p->event[i].event;
    return NULL;
}

int earlier_evaluated(const struct earlier *p, int64_t step)
{
    for (size_t i = 0; i < p->n_evaluated; i++)
        if (p->evaluated[i] == step)
            return 1;
    return 0;
}
