// Commands of keys, scripts and signals. Every answer says from which step it holds, or why not.
// The batch of a step may be with the device already when a command comes, so a mode holds from the
// first step whose batch is not.
#include "train/run/commands.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "train/run/duties.h"
#include "train/run/report.h"
#include "train/run/steer.h"
#include "train/schedule/schedule_text.h"

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

// The outcome of what steers: -1 refused, with the reason in `why`; 0 done; 1 done, but not on
// disk.
__attribute__((format(printf, 5, 6))) static void
settle(struct answer *a, int rc, const struct error *why, int64_t step, const char *fmt, ...)
{
    va_list ap;
    if (rc < 0) {
        refuse(a, "%.250s", why->text);
        return;
    }
    a->ok = 1;
    a->step = step;
    va_start(ap, fmt);
    int n = vsnprintf(a->text, sizeof a->text, fmt, ap);
    va_end(ap);
    if (rc && n >= 0 && (size_t)n < sizeof a->text)
        snprintf(a->text + n, sizeof a->text - (size_t)n,
                 " (the log can't be written: a kill would forget it)");
}

static void do_pause(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (state_is_paused(tr)) {
        refuse(a, "it is paused already, before step %" PRId64, tr->t);
        return;
    }
    tr->pause_at = next_free(tr);
    report_event(&tr->report, tr->pause_at, "pause", c->by, "", "", 0, "%s", "");
    settle(a, 0, NULL, tr->pause_at, "paused from step %" PRId64, tr->pause_at);
}

static void do_resume(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (tr->pause_at < 0) {
        refuse(a, "it is not paused");
        return;
    }
    tr->pause_at = -1;
    report_event(&tr->report, tr->t, "resume", c->by, "", "", 0, "%s", "");
    settle(a, 0, NULL, tr->t, "goes on with step %" PRId64, tr->t);
}

static void do_step(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    if (!state_is_paused(tr)) {
        refuse(a, "it is not paused: pause first");
        return;
    }
    tr->pause_at = tr->t + 1;
    report_event(&tr->report, tr->t, "step", c->by, "", "", 0, "%s", "");
    settle(a, 0, NULL, tr->t, "makes step %" PRId64, tr->t);
}

static void do_eval(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    int rc = 0;
    if (tr->last_eval != tr->t) { // else it would only say the same again
        report_event(&tr->report, tr->t, "eval", c->by, "", "", 0, "%s", "");
        rc = duties_evaluate(tr, duties_evaluation_is_due(tr));
    }
    if (tr->last_eval == tr->t)
        settle(a, 0, NULL, tr->t, "evaluated before step %" PRId64, tr->t);
    else if (rc < 0)
        refuse(a, "the evaluation was broken off: the training ends by a signal");
    else
        refuse(a, "the evaluation failed; trainer.log says why");
}

static void do_checkpoint(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    char file[64];
    report_event(&tr->report, tr->t, "checkpoint", c->by, "", "", 0, "%s", "");
    checkpoint_name(tr->t, file, sizeof file);
    if (duties_checkpoint(tr, &why) == 0)
        settle(a, 0, NULL, tr->t, "%s is written", file);
    else
        refuse(a, "%.250s", why.text);
}

static void do_stop(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    tr->over = 1;
    if (!tr->broken)
        snprintf(tr->why, sizeof tr->why, "by %s", c->by);
    report_event(&tr->report, tr->t, "stop", c->by, "", "", 0, "%s", "");
    settle(a, 0, NULL, tr->t, "stops before step %" PRId64, tr->t);
}

static void do_mode(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    const struct schedule_switch w = {next_free(tr), c->mode, c->chunks, .clears = -1};
    int rc = steer_switch(tr, &w, c->by, "", &why);
    settle(a, rc, &why, w.from, "%s from step %" PRId64, mode_name(c->mode), w.from);
}

static void do_lr(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    int rc = steer_rate(tr, tr->t, c->factor, c->by, "", &why);
    settle(a, rc, &why, tr->t, "learning rates times %g from step %" PRId64,
           rates_at(&tr->rates, tr->t), tr->t);
}

static void do_until(struct trainer *tr, const struct command_call *c, struct answer *a)
{
    struct error why = {{0}};
    struct schedule_switch w = {.mode = c->mode, .chunks = c->chunks, .clears = next_free(tr)};
    char now[64];

    steer_name_mode(tr, w.clears, now, sizeof now);
    int rc = schedule_text_point(c->at, tr->setup.steps, &w.from, &why);
    if (rc == 0 && w.from < w.clears)
        rc = error_set(&why, "step %" PRId64 " has passed: the next that can change is %" PRId64,
                       w.from, w.clears);
    if (rc == 0)
        rc = steer_switch(tr, &w, c->by, "", &why);
    settle(a, rc, &why, w.from, "%s until step %" PRId64 ", then %s", now, w.from,
           mode_name(c->mode));
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

static void end_by_signal(struct trainer *tr, int sig)
{
    tr->signal = sig;
    tr->over = 1;
    if (!tr->broken)
        snprintf(tr->why, sizeof tr->why, "by SIG%s", sigabbrev_np(sig));
    report_event(&tr->report, tr->t, "stop", "signal", "", "", 0, "SIG%s", sigabbrev_np(sig));
}

static void handle(struct trainer *tr, const struct request *r)
{
    struct answer a;
    answer_init(&a, r->call.id);
    if (r->signal) {
        end_by_signal(tr, r->signal);
        return;
    }
    if (tr->broken && r->call.command != COMMAND_STOP)
        refuse(&a, "%s", tr->why);
    else if (handler[r->call.command])
        handler[r->call.command](tr, &r->call, &a);
    else
        refuse(&a, "%s is not for the trainer", command_table[r->call.command].name);
    steer_status(tr);
    publisher_answer(tr->report.publisher, r, &a);
}

// Until something is asked. 0: another rank is gone meanwhile.
static int await(struct trainer *tr, struct request *r)
{
    enum { LOOK_MS = 250 };
    if (!tr->ranks)
        return publisher_next(tr->report.publisher, r, 1);
    struct pollfd p = {.fd = publisher_fd(tr->report.publisher, NULL), .events = POLLIN};
    while (!publisher_next(tr->report.publisher, r, 0)) {
        if (ranks_alive(tr->ranks, NULL) < 0)
            return 0;
        poll(&p, 1, LOOK_MS); // also woken by a signal; without a descriptor it sleeps
    }
    return 1;
}

void commands_handle(struct trainer *tr)
{
    struct request r;
    if (tr->heard)
        end_by_signal(tr, tr->heard);
    while (!tr->over && publisher_next(tr->report.publisher, &r, 0))
        handle(tr, &r);
    if (tr->over || !state_is_paused(tr))
        return;
    double since = clock_seconds();
    steer_status(tr);
    while (!tr->over && state_is_paused(tr)) {
        if (!await(tr, &r))
            break;
        handle(tr, &r);
    }
    double now = clock_seconds();
    tr->paused_seconds += now - since;
    report_speed(&tr->report, tr->t, now);
}
