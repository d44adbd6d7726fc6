// Steering: changes of mode and rate with their events, what the schedule or a repeated run brings
// by itself, and the guard. Every switch is on disk before the step from which it holds.
#include "train/run/steer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/output.h"
#include "train/ranks/orders.h"
#include "train/run/keep.h"
#include "train/run/report.h"
#include "train/schedule/schedule_text.h"

// Remember that the switch at this step has its event.
static void mark_announced(struct trainer *tr, int64_t step)
{
    tr->announced[tr->n_announced++ % ANNOUNCED] = step;
}

static int is_announced(const struct trainer *tr, int64_t step)
{
    int n = tr->n_announced < ANNOUNCED ? tr->n_announced : ANNOUNCED;
    for (int i = 0; i < n; i++)
        if (tr->announced[i] == step)
            return 1;
    return tr->start.kind == START_RESUME && earlier_find(&tr->start.earlier, step, "mode", NULL);
}

void steer_status(struct trainer *tr)
{
    struct schedule_place place;
    schedule_at(&tr->setup.schedule, tr->t, &place);
    report_status(&tr->report, tr->t, state_is_paused(tr), place.mode, tr->broken ? tr->why : "");
}

void steer_name_mode(const struct trainer *tr, int64_t step, char *text, size_t size)
{
    struct schedule_place place;
    schedule_at(&tr->setup.schedule, step, &place);
    schedule_text_name(&tr->setup.schedule, place.mode, place.chunks, text, size);
}

int steer_switch(struct trainer *tr, const struct schedule_switch *w, const char *by,
                 const char *text, struct error *e)
{
    struct schedule *s = &tr->setup.schedule;
    int64_t step = schedule_switch_step(w);
    int chunks = w->chunks ? w->chunks : s->facts.chunks;
    char from[64], to[64];
    struct schedule_place now;
    schedule_at(s, step, &now);
    steer_name_mode(tr, step, from, sizeof from);
    const char *what = schedule_text_switch(s, w, to, sizeof to);
    if (w->clears < 0 && step >= tr->report.end)
        return error_set(e, "no step is left to switch: the run ends at step %" PRId64,
                         tr->report.end);
    if (w->clears < 0 && mode_same(now.mode, now.chunks, w->mode, chunks))
        return error_set(e, "it is %s already", mode_name(w->mode));
    if (schedule_switch(s, w, e) < 0)
        return -1;
    const struct order order = {.kind = ORDER_SWITCH, .change = *w};
    struct error lost; // the next step ends for it
    if (orders_tell(tr->ranks, &order, &lost) < 0)
        output_log(tr->dir.trainer_log_fd, 0, "%s", lost.text);
    keep_forget_after(tr, step);
    if (w->clears < 0)
        mark_announced(tr, step);
    return report_event(&tr->report, step, what, by, from, to, 1, "%s", text) < 0;
}

// The shortest decimal that reads back as the same number.
static void print_number(char *text, size_t size, double v)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            return;
    }
}

int steer_rate(struct trainer *tr, int64_t step, double factor, const char *by, const char *text,
               struct error *e)
{
    char from[32], to[32];
    double was = rates_at(&tr->rates, step), is = was * factor;
    print_number(from, sizeof from, was);
    print_number(to, sizeof to, is);
    if (!(is >= 1e-12 && is <= 1e12))
        return error_set(
            e, "the learning rates would be multiplied by %g in all: that is beyond sense", is);
    if (rates_set(&tr->rates, step, is, e) < 0)
        return -1;
    keep_forget_after(tr, step);
    return report_event(&tr->report, step, "lr", by, from, to, 1, "%s", text) < 0;
}

// ---------------------------------------------------------------- what comes by itself

// Who made the switch at this step: in a repeated run whoever made it then.
static const char *who(const struct trainer *tr, int64_t step, const char *what, const char **text)
{
    const struct record_event *v =
        tr->start.kind == START_RERUN ? earlier_find(&tr->start.earlier, step, what, NULL) : NULL;
    *text = v ? v->text : "";
    return v ? v->by : "plan";
}

void steer_announce(struct trainer *tr)
{
    const struct schedule *s = &tr->setup.schedule;
    char from[64], to[64];
    const char *text;
    for (int i = 1; i < s->n && s->entry[i].from <= tr->t; i++) {
        const struct schedule_entry *was = &s->entry[i - 1], *is = &s->entry[i];
        if (is->from != tr->t || is_announced(tr, tr->t))
            continue;
        schedule_text_name(s, was->mode, was->chunks, from, sizeof from);
        schedule_text_name(s, is->mode, is->chunks, to, sizeof to);
        if (strcmp(from, to) == 0)
            continue;
        const char *by = who(tr, tr->t, "mode", &text);
        report_event(&tr->report, tr->t, "mode", by, from, to, strcmp(by, "plan") != 0, "%s", text);
        mark_announced(tr, tr->t);
    }
}

// ---------------------------------------------------------------- guard

// A rule's mode holds from the second step on, whether or not the next batch is drawn already: what
// it does must not depend on whether somebody pauses just then. The rest holds from the next.
static int64_t guard_from(const struct trainer *tr, const struct guard_rule *r)
{
    return tr->t + (r->action == GUARD_MODE ? 2 : 1);
}

static const char *const guard_what[GUARD_ACTION_COUNT] = {
    [GUARD_MODE] = "mode", [GUARD_PAUSE] = "pause", [GUARD_STOP] = "stop", [GUARD_LR] = "lr"};

// In a resumed or repeated run the log knows what this rule did at this step: it is in the schedule
// already.
static int is_past(const struct trainer *tr, const struct guard_rule *r)
{
    const struct earlier *earlier = &tr->start.earlier;
    if (tr->start.kind != START_RESUME && tr->start.kind != START_RERUN)
        return 0;
    return tr->t + 1 <= earlier->last_step ||
           earlier_find(earlier, guard_from(tr, r), guard_what[r->action], "guard");
}

static void guard_mode(struct trainer *tr, const struct guard_rule *r, int64_t step,
                       struct error *e)
{
    const struct schedule_switch w = {.from = step, .mode = r->mode, .clears = -1};
    struct schedule_place now;
    schedule_at(&tr->setup.schedule, step, &now);
    if (step < tr->report.end && now.mode == r->mode) // over however many chunks
        error_set(e, "it is %s already", mode_name(r->mode));
    else
        steer_switch(tr, &w, "guard", r->text, e);
}

static void fire(struct trainer *tr, const struct guard_rule *r)
{
    struct error why = {{0}};
    int64_t step = guard_from(tr, r);
    switch (r->action) {
    case GUARD_MODE:
        guard_mode(tr, r, step, &why);
        break;
    case GUARD_LR:
        steer_rate(tr, step, r->factor, "guard", r->text, &why);
        break;
    case GUARD_PAUSE:
        tr->pause_at = tr->t + 1 + tr->queued;
        report_event(&tr->report, tr->pause_at, "pause", "guard", "", "", 1, "%s", r->text);
        break;
    case GUARD_STOP:
        tr->over = 1;
        snprintf(tr->why, sizeof tr->why, "by guard: %.150s", r->text);
        report_event(&tr->report, step, "stop", "guard", "", "", 1, "%s", r->text);
        break;
    case GUARD_ACTION_COUNT:
        break;
    }
    if (why.text[0])
        report_event(&tr->report, step, "guard", "guard", "", "", 1, "%s: %s", r->text, why.text);
}

void steer_guard(struct trainer *tr, const double value[GUARD_VALUES])
{
    int fired[GUARD_MAX];
    int n = guard_step(&tr->setup.guard, value, fired);
    for (int i = 0; i < n; i++) {
        const struct guard_rule *r = &tr->setup.guard.rule[fired[i]];
        if (!is_past(tr, r))
            fire(tr, r);
    }
}

static void tell_broken(struct trainer *tr, const char *what)
{
    output_log(tr->dir.trainer_log_fd, tr->report.headless, "step %" PRId64 ": %s", tr->t, tr->why);
    report_event(&tr->report, tr->t, what, "trainer", "", "", 0, "%s", tr->why);
    steer_status(tr);
}

void steer_break(struct trainer *tr, const char *why)
{
    // Nobody watches a headless training: it would pause until the time of its job is over.
    const char *on_nan = tr->setup.o.on_nan;
    int stops = tr->over || tr->t >= tr->report.end || strcmp(on_nan, "stop") == 0 ||
                (tr->report.headless && strcmp(on_nan, "pause") != 0);
    tr->broken = 1;
    tr->over |= stops;
    if (tr->last_checkpoint >= 0)
        snprintf(tr->why, sizeof tr->why,
                 "%.80s; %sbranch: --resume %.40s --from %" PRId64 " --name NEW --lr LESS", why,
                 stops ? "" : "stop, then ", tr->dir.name, tr->last_checkpoint);
    else
        snprintf(tr->why, sizeof tr->why, "%.80s; %sbegin again with a lower --lr", why,
                 stops ? "" : "stop, and ");
    tell_broken(tr, stops ? "stop" : "pause");
}

void steer_give_up(struct trainer *tr, const char *why)
{
    tr->broken = tr->over = 1;
    snprintf(tr->why, sizeof tr->why, "%.190s", why);
    tell_broken(tr, "stop");
}
