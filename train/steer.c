// Steering: what keys, scripts, guard rules and signals ask for. Every answer says from which step
// it holds; every switch is on disk before that step. The batch of a step may be with the device
// already when a command comes, so a mode holds from the first step whose batch is not.
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/note.h"
#include "train/state.h"

int is_paused(const struct trainer *tr)
{
    return tr->broken || (tr->pause_at == tr->t && tr->queued == 0);
}

// The first step whose batch is not drawn yet.
static int64_t next_free(const struct trainer *tr)
{
    return tr->t + tr->queued;
}

__attribute__((format(printf, 2, 3))) static void refuse(struct answer *a, const char *fmt, ...)
{
    va_list ap;
    a->ok = 0;
    va_start(ap, fmt);
    vsnprintf(a->text, sizeof a->text, fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void accept(struct answer *a, int64_t step,
                                                         const char *fmt, ...)
{
    va_list ap;
    a->ok = 1;
    a->step = step;
    va_start(ap, fmt);
    vsnprintf(a->text, sizeof a->text, fmt, ap);
    va_end(ap);
}

static void append_unsynced(struct answer *a)
{
    size_t n = strlen(a->text);
    snprintf(a->text + n, sizeof a->text - n,
             " (the log can't be written: a kill would forget it)");
}

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
    return tr->origin.kind == ORIGIN_RESUME && past_find(&tr->origin.past, step, "mode", NULL);
}

// ---------------------------------------------------------------- commands

static void do_pause(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (is_paused(tr)) {
        refuse(a, "it is paused already, before step %" PRId64, tr->t);
        return;
    }
    tr->pause_at = next_free(tr);
    report_event(tr, tr->pause_at, "pause", c->by, "", "", 0, "%s", "");
    accept(a, tr->pause_at, "paused from step %" PRId64, tr->pause_at);
}

static void do_resume(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (tr->broken) {
        refuse(a, "%s", tr->why);
        return;
    }
    if (tr->pause_at < 0) {
        refuse(a, "it is not paused");
        return;
    }
    tr->pause_at = -1;
    report_event(tr, tr->t, "resume", c->by, "", "", 0, "%s", "");
    accept(a, tr->t, "goes on with step %" PRId64, tr->t);
}

static void do_step(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (tr->broken) {
        refuse(a, "%s", tr->why);
        return;
    }
    if (!is_paused(tr)) {
        refuse(a, "it is not paused: pause first");
        return;
    }
    tr->pause_at = tr->t + 1;
    report_event(tr, tr->t, "step", c->by, "", "", 0, "%s", "");
    accept(a, tr->t, "makes step %" PRId64, tr->t);
}

static void do_eval(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (tr->broken) {
        refuse(a, "%s", tr->why);
        return;
    }
    report_event(tr, tr->t, "eval", c->by, "", "", 0, "%s", "");
    loop_evaluate(tr, 0);
    if (tr->last_eval == tr->t)
        accept(a, tr->t, "evaluated before step %" PRId64, tr->t);
    else
        refuse(a, "the evaluation failed; trainer.log says why");
}

static void do_checkpoint(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    char file[64];
    if (tr->broken) {
        refuse(a, "%s", tr->why);
        return;
    }
    report_event(tr, tr->t, "checkpoint", c->by, "", "", 0, "%s", "");
    checkpoint_name(tr->t, file, sizeof file);
    if (loop_checkpoint(tr, &why) == 0)
        accept(a, tr->t, "%s is written", file);
    else
        refuse(a, "%.250s", why.text);
}

static void do_stop(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    tr->over = 1;
    if (!tr->broken)
        snprintf(tr->why, sizeof tr->why, "by %s", c->by);
    report_event(tr, tr->t, "stop", c->by, "", "", 0, "%s", "");
    accept(a, tr->t, "stops before step %" PRId64, tr->t);
}

static void name_mode_at(const struct trainer *tr, int64_t step, char *text, size_t size)
{
    struct schedule_place place;
    schedule_at(&tr->setup.schedule, step, &place);
    mode_text(&tr->setup.schedule, place.mode, place.chunks, text, size);
}

// Put a mode into the plan from this step on, with its event. -1: refused; 1: done, but not on
// disk.
static int switch_mode(struct trainer *tr, int64_t step, enum mode mode, int chunks, const char *by,
                       const char *text, struct error *e)
{
    char from[64], to[64];
    name_mode_at(tr, step, from, sizeof from);
    mode_text(&tr->setup.schedule, mode, chunks, to, sizeof to);
    if (schedule_append(&tr->setup.schedule, step, mode, chunks, e) < 0)
        return -1;
    rundir_drop_after(tr->dir.path, step);
    mark_announced(tr, step);
    return report_event(tr, step, "mode", by, from, to, 1, "%s", text) < 0;
}

static void do_mode(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    int64_t step = next_free(tr);
    enum mode mode = (enum mode)mode_find(c->mode);
    struct schedule_place now;

    schedule_at(&tr->setup.schedule, step, &now);
    if (step < tr->end && now.mode == mode &&
        (mode == MODE_MULTI_EPOCH ||
         now.chunks == (c->chunks ? c->chunks : tr->setup.schedule.facts.chunks))) {
        refuse(a, "it is %s already", c->mode);
        return;
    }
    int rc =
        step < tr->end
            ? switch_mode(tr, step, mode, c->chunks, c->by, "", &why)
            : error_set(&why, "no step is left to switch: the run ends at step %" PRId64, tr->end);
    if (rc < 0) {
        refuse(a, "%.250s", why.text);
        return;
    }
    accept(a, step, "%s from step %" PRId64, c->mode, step);
    if (rc)
        append_unsynced(a);
}

// Multiply the rates from this step on, with its event.
static int change_rate(struct trainer *tr, int64_t step, double factor, const char *by,
                       const char *text, struct error *e)
{
    char from[32], to[32];
    double was = rates_at(&tr->rates, step), is = was * factor;
    snprintf(from, sizeof from, "%.17g", was);
    snprintf(to, sizeof to, "%.17g", is);
    if (!(is >= 1e-12 && is <= 1e12))
        return error_set(
            e, "the learning rates would be multiplied by %g in all: that is beyond sense", is);
    if (rates_set(&tr->rates, step, is, e) < 0)
        return -1;
    rundir_drop_after(tr->dir.path, step);
    return report_event(tr, step, "lr", by, from, to, 1, "%s", text) < 0;
}

static void do_lr(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    int rc = change_rate(tr, tr->t, c->factor, c->by, "", &why);
    if (rc < 0) {
        refuse(a, "%.250s", why.text);
        return;
    }
    accept(a, tr->t, "learning rates times %g from step %" PRId64, rates_at(&tr->rates, tr->t),
           tr->t);
    if (rc)
        append_unsynced(a);
}

static void do_until(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    struct schedule *s = &tr->setup.schedule;
    int64_t next = next_free(tr), at;
    enum mode mode = (enum mode)mode_find(c->mode);
    char from[64], to[64];

    int rc = schedule_point(c->at, tr->setup.steps, &at, &why);
    if (rc == 0 && at < next)
        rc = error_set(&why, "step %" PRId64 " has passed: the next that can change is %" PRId64,
                       at, next);
    // Appended first, because that is what can be refused; then what was planned besides goes.
    if (rc == 0)
        rc = schedule_append(s, at, mode, c->chunks, &why);
    if (rc == 0) {
        schedule_truncate(s, next);
        rc = schedule_append(s, at, mode, c->chunks, &why);
    }
    if (rc < 0) {
        refuse(a, "%.250s", why.text);
        return;
    }
    rundir_drop_after(tr->dir.path, next);
    name_mode_at(tr, next, from, sizeof from);
    until_text(s, mode, c->chunks, at, to, sizeof to);
    rc = report_event(tr, next, "until", c->by, from, to, 1, "%s", "");
    accept(a, at, "%s until step %" PRId64 ", then %s", from, at, c->mode);
    if (rc < 0)
        append_unsynced(a);
}

static void (*const handler[COMMAND_COUNT])(struct trainer *, const struct command_call *,
                                            struct answer *) = {
    [COMMAND_PAUSE] = do_pause,
    [COMMAND_RESUME] = do_resume,
    [COMMAND_STEP] = do_step,
    [COMMAND_EVAL] = do_eval,
    [COMMAND_CHECKPOINT] = do_checkpoint,
    [COMMAND_STOP] = do_stop,
    [COMMAND_MODE] = do_mode,
    [COMMAND_LR] = do_lr,
    [COMMAND_UNTIL] = do_until,
};

static void handle(struct trainer *tr, const struct request *r)
{
    struct answer a;
    answer_init(&a, r->call.id);
    if (r->signal) {
        tr->signal = r->signal;
        tr->over = 1;
        if (!tr->broken)
            snprintf(tr->why, sizeof tr->why, "by SIG%s", sigabbrev_np(r->signal));
        report_event(tr, tr->t, "stop", "signal", "", "", 0, "SIG%s", sigabbrev_np(r->signal));
        return;
    }
    if (handler[r->call.command])
        handler[r->call.command](tr, &r->call, &a);
    else
        refuse(&a, "%s is not for the trainer", command_table[r->call.command].name);
    report_status(tr);
    publish_answer(tr->publisher, r, &a);
}

void steer(struct trainer *tr)
{
    struct request r;
    while (!tr->over && publish_next(tr->publisher, &r, 0))
        handle(tr, &r);
    if (tr->over || !is_paused(tr))
        return;
    double since = trainer_clock();
    report_status(tr);
    while (!tr->over && is_paused(tr)) {
        publish_next(tr->publisher, &r, 1);
        handle(tr, &r);
    }
    double now = trainer_clock();
    tr->paused_seconds += now - since;
    // The speed is counted anew.
    tr->rate_clock[0] = tr->rate_clock[1] = now;
    tr->rate_step[0] = tr->rate_step[1] = tr->t;
}

// ---------------------------------------------------------------- what comes by itself

// Who made the switch at this step: in a repeated run whoever made it then.
static const char *who(const struct trainer *tr, int64_t step, const char *what, const char **text)
{
    const struct record_event *v =
        tr->origin.kind == ORIGIN_RERUN ? past_find(&tr->origin.past, step, what, NULL) : NULL;
    *text = v ? v->text : "";
    return v ? v->by : "plan";
}

static void announce_mode(struct trainer *tr)
{
    const struct schedule *s = &tr->setup.schedule;
    char from[64], to[64];
    const char *text;
    for (int i = 1; i < s->n && s->entry[i].from <= tr->t; i++) {
        const struct plan_entry *was = &s->entry[i - 1], *is = &s->entry[i];
        if (is->from != tr->t || is_announced(tr, tr->t))
            continue;
        mode_text(s, was->mode, was->chunks, from, sizeof from);
        mode_text(s, is->mode, is->chunks, to, sizeof to);
        if (strcmp(from, to) == 0)
            continue;
        const char *by = who(tr, tr->t, "mode", &text);
        report_event(tr, tr->t, "mode", by, from, to, strcmp(by, "plan") != 0, "%s", text);
        mark_announced(tr, tr->t);
    }
}

// A repeated run writes again what was done by hand then.
static void announce_repeated(struct trainer *tr)
{
    const struct past *past = &tr->origin.past;
    for (size_t i = 0; i < past->n; i++) {
        const struct record_event *v = &past->event[i].event;
        if (past->event[i].step != tr->t || strcmp(v->by, "plan") == 0)
            continue;
        int again = strcmp(v->what, "lr") == 0 || strcmp(v->what, "until") == 0 ||
                    strcmp(v->what, "guard") == 0;
        int does_eval = strcmp(v->what, "eval") == 0,
            does_checkpoint = strcmp(v->what, "checkpoint") == 0;
        if (again || does_eval || does_checkpoint)
            report_event(tr, tr->t, v->what, v->by, v->from, v->to, again, "%s", v->text);
        if (does_eval && *v->to) { // the interval was lengthened
            int64_t every = strtoll(v->to, NULL, 10);
            tr->eval_every = every > 0 ? every : tr->eval_every;
        } else if (does_eval) {
            loop_evaluate(tr, 0);
        }
        struct error why;
        if (does_checkpoint && tr->last_checkpoint != tr->t)
            loop_checkpoint(tr, &why);
    }
}

void steer_announce(struct trainer *tr)
{
    announce_mode(tr);
    if (tr->origin.kind == ORIGIN_RERUN)
        announce_repeated(tr);
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

// In a resumed or repeated run the log knows what this rule did at this step: it is in the plan
// already.
static int is_past(const struct trainer *tr, const struct guard_rule *r)
{
    const struct past *past = &tr->origin.past;
    if (tr->origin.kind != ORIGIN_RESUME && tr->origin.kind != ORIGIN_RERUN)
        return 0;
    return tr->t + 1 <= past->last_step ||
           past_find(past, guard_from(tr, r), guard_what[r->action], "guard");
}

static void guard_mode(struct trainer *tr, const struct guard_rule *r, int64_t step,
                       struct error *e)
{
    struct schedule_place now;
    schedule_at(&tr->setup.schedule, step, &now);
    if (step >= tr->end)
        error_set(e, "no step is left to switch");
    else if (now.mode == r->mode)
        error_set(e, "it is %s already", mode_table[r->mode].name);
    else
        switch_mode(tr, step, r->mode, 0, "guard", r->text, e);
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
        change_rate(tr, step, r->factor, "guard", r->text, &why);
        break;
    case GUARD_PAUSE:
        tr->pause_at = tr->t + 1 + tr->queued;
        report_event(tr, tr->pause_at, "pause", "guard", "", "", 1, "%s", r->text);
        break;
    case GUARD_STOP:
        tr->over = 1;
        snprintf(tr->why, sizeof tr->why, "by guard: %.150s", r->text);
        report_event(tr, step, "stop", "guard", "", "", 1, "%s", r->text);
        break;
    case GUARD_ACTION_COUNT:
        break;
    }
    if (why.text[0])
        report_event(tr, step, "guard", "guard", "", "", 1, "%s: %s", r->text, why.text);
}

void steer_guard(struct trainer *tr, const double metric[METRIC_COUNT])
{
    int fired[GUARD_MAX];
    int n = guard_step(&tr->setup.guard, metric, fired);
    for (int i = 0; i < n; i++) {
        const struct guard_rule *r = &tr->setup.guard.rule[fired[i]];
        if (!is_past(tr, r))
            fire(tr, r);
    }
}

void steer_break(struct trainer *tr, const char *why)
{
    tr->broken = 1;
    if (tr->last_checkpoint >= 0)
        snprintf(tr->why, sizeof tr->why,
                 "%.90s; stop, and go on from step %" PRId64 " with other options", why,
                 tr->last_checkpoint);
    else
        snprintf(tr->why, sizeof tr->why, "%.90s; stop, and begin again with other options", why);
    note(tr->dir.note_fd, tr->headless, "step %" PRId64 ": %s", tr->t, tr->why);
    report_event(tr, tr->t, "pause", "trainer", "", "", 0, "%s", tr->why);
    report_status(tr);
}
