// One loop on poll: what the client says, what viewers and scripts ask, and whether the client
// still lives. What a step brought is reported by the trainer's own code.
#include "train/recorder/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "metrics/base/text.h"
#include "train/recorder/greeting.h"
#include "train/recorder/line.h"
#include "train/recorder/orders.h"
#include "train/recorder/steps.h"

enum { NICE = 5, FAILED = 1 };

static void over(struct recorder *r, const char *reason, const char *why)
{
    r->over = 1;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    snprintf(r->why, sizeof r->why, "%.250s", why);
}

// ---------------------------------------------------------------- evaluations

// What an evaluation found. Before the first step there is no log that it could go into.
static void tell_evaluation(struct recorder *r, int wait)
{
    struct error why = {{0}};
    struct probing *p = &r->probing;
    int rc = r->begun ? probing_end(p, wait, &why) : 0;
    if (rc != 0)
        steps_settle(r, STEPS_SOON);
    if (rc < 0)
        report_warning(&r->report, r->step + 1, "no evaluation: %s", why.text);
    if (rc <= 0)
        return;
    report_eval(&r->report, &p->eval, &p->spectrum, 1); // what is best, its own script may keep
}

static int evaluate(struct recorder *r, int memory, struct error *e)
{
    struct error why = {{0}};
    if (steps_take(r, e) < 0) // it is of the network after these
        return -1;
    steps_settle(r, STEPS_SOON);
    if (memory < 0)
        error_set(&why, "features for an evaluation without their memory");
    else if (probing_begin(&r->probing, memory, r->step + 1,
                           r->begun ? r->report.forecast.live[FORECAST_AUC] : NAN, &why) == 0)
        return 0;
    char text[sizeof *r->early];
    snprintf(text, sizeof text, "no evaluation: %.200s", why.text);
    steps_warning(r, text);
    return 0;
}

// ---------------------------------------------------------------- from the client

static void ended(struct recorder *r, const struct link_message *m, const char *text)
{
    static const char *const reason[] = {
        [LINK_FINISHED] = "finished", [LINK_STOPPED] = "stopped", [LINK_FAILED] = "failed"};
    over(r, reason[m->what <= LINK_FAILED ? m->what : LINK_FAILED], text);
}

static int obey(struct recorder *r, const struct link_message *m, char *text, int memory,
                struct error *e)
{
    text_clean(text, strlen(text) + 1, text);
    if (m->kind == LINK_RING)
        return steps_ring(r, memory, e);
    if (m->kind == LINK_STEP)
        return steps_take(r, e);
    if (m->kind == LINK_PROBE)
        return evaluate(r, memory, e);
    if (m->kind == LINK_ANSWER || m->kind == LINK_EVENT)
        steps_settle(r, STEPS_SOON); // they are written down behind the steps before
    if (m->kind == LINK_ANSWER)
        orders_answered(r, m, text);
    else if (m->kind == LINK_EVENT)
        steps_warning(r, text);
    else if (m->kind == LINK_END)
        ended(r, m, text);
    return 0;
}

// What it has said, but not all of one who never stops.
static int listen_to(struct recorder *r, struct error *e)
{
    enum { AT_ONCE = 64 };
    struct link_message m;
    char text[1024];
    size_t length;
    int memory, got;
    for (int i = 0; i < AT_ONCE && !r->over; i++) {
        if ((got = line_hear(r->fd, &m, text, sizeof text, &length, &memory)) == 0)
            break;
        int rc = 0;
        if (got < 0)
            over(r, "failed", "the trainer is gone");
        else
            rc = obey(r, &m, text, memory, e);
        if (memory >= 0)
            close(memory);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static void asked(struct recorder *r, const struct request *q)
{
    char why[64];
    if (!q->signal) {
        orders_take(r, q);
        return;
    }
    snprintf(why, sizeof why, "the recorder was ended by SIG%s", sigabbrev_np(q->signal));
    over(r, "stopped", why);
}

static int serve(struct recorder *r, struct error *e)
{
    int asks = publisher_fd(r->report.publisher, e);
    if (asks < 0)
        return -1;
    while (!r->over) {
        struct pollfd set[5] = {{r->fd, POLLIN, 0},
                                {asks, POLLIN, 0},
                                {r->begun ? r->probing.fd : -1, POLLIN, 0},
                                {r->pidfd, POLLIN, 0},
                                {r->measuring.fd, POLLIN, 0}};
        if (poll(set, 5, r->pidfd >= 0 ? -1 : 1000) < 0 && errno != EINTR)
            return error_system(e, "poll");
        if (steps_take(r, e) < 0)
            return -1;
        tell_evaluation(r, 0);
        struct request q;
        while (!r->over && publisher_next(r->report.publisher, &q, 0))
            asked(r, &q);
        if (listen_to(r, e) < 0)
            return -1;
        int is_gone = r->pidfd >= 0 ? (set[3].revents & POLLIN) != 0 : getppid() != r->client;
        struct pollfd more = {r->fd, POLLIN, 0};
        if (!r->over && is_gone && !(poll(&more, 1, 0) > 0 && (more.revents & POLLIN)))
            over(r, "failed", "the trainer is gone");
    }
    if (steps_take(r, e) < 0)
        return -1;
    steps_settle(r, r->hello.ok ? -1 : STEPS_LAST);
    tell_evaluation(r, 1);
    return 0;
}

// ---------------------------------------------------------------- the whole

static int open_run(struct recorder *r, const char *runs, struct error *e)
{
    // Warnings are for the training, though schedulers send them to all processes of a job.
    static const int heard[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT, SIGUSR1,
                                SIGUSR2, SIGXCPU, SIGALRM, SIGPWR};
    enum { HEARD = sizeof heard / sizeof *heard, ENDING = 2 };
    if (rundir_create(&r->dir, *r->word[LINK_RUNS] ? r->word[LINK_RUNS] : runs, r->word[LINK_RUN],
                      *r->data ? r->data : "run", NULL, e) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (signals_take(&r->signals, heard, HEARD, ~0u << ENDING, e) < 0 ||
        measuring_init(&r->measuring, !r->hello.ok, e) < 0)
        return -1;
    r->report.log_fd = r->dir.trainer_log_fd;
    r->report.dir = r->dir.path;
    r->report.end = r->report.steps = r->hello.steps;
    struct publisher_options o = {
        .dir = r->dir.path, .signal_fd = r->signals.fd, .trainer_log_fd = r->dir.trainer_log_fd};
    if (publisher_open(&o, &r->report.publisher, e) < 0)
        return -1;
    struct link_message m = {0};
    char path[sizeof r->dir.runs + sizeof r->dir.name + 1];
    snprintf(path, sizeof path, "%s/%s", r->dir.runs, r->dir.name);
    if (line_say(r->fd, LINK_READY, &m, path) < 0)
        return error_system(e, "the client does not listen");
    output_log(r->dir.trainer_log_fd, 0, "recording for process %d", (int)r->client);
    return 0;
}

static int finish(struct recorder *r, struct error *e)
{
    struct publisher *p = r->report.publisher;
    if (!r->begun) { // there was no step: nothing to keep
        if (p)
            publisher_discard(p);
        rundir_discard(&r->dir);
        return 0;
    }
    if (r->dropped)
        report_warning(&r->report, r->step + 1,
                       "%" PRId64 " steps came faster than they could be recorded", r->dropped);
    report_end(&r->report, r->step + 1, r->reason, r->why);
    return publisher_close(p, e);
}

// The training comes first: this process is never woken at its cost, and the mathematics gets what
// is left. Unless the training waits for it.
static void stand_back(struct recorder *r)
{
    r->probing.stands_back = !r->hello.ok;
    if (r->hello.ok)
        return;
    setpriority(PRIO_PROCESS, 0, NICE);
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

int recorder_main(int fd, const char *runs, int *works, struct error *e)
{
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory"), FAILED;
    r->fd = fd;
    r->client = getppid();
    r->step = -1;
    r->mode = MODE_NONE;
    r->own.n = RECORD_OWN;
    r->dir.folder_fd = r->dir.lock_fd = r->dir.trainer_log_fd = r->report.log_fd = -1;
    for (int i = 0; i < GUARD_VALUES; i++)
        r->last_value[i] = NAN;
    best_init(&r->report.best);
    r->report.foretold = NAN;
    r->pidfd = (int)syscall(SYS_pidfd_open, r->client, 0);
    int rc = probing_init(&r->probing, e);
    r->measuring.fd = -1;
    if (rc == 0)
        rc = greeting_hear(r, e);
    if (rc == 0)
        stand_back(r);
    if (rc == 0)
        rc = open_run(r, runs, e);
    if (rc < 0) {
        struct link_message m = {0};
        if (line_say(fd, LINK_REFUSED, &m, e->text) == 0)
            *e->text = '\0';
    } else if ((rc = serve(r, e)) < 0) {
        over(r, "failed", e->text);
    }
    struct error late = {{0}};
    if (finish(r, &late) < 0 && rc == 0)
        rc = error_pass(e, &late);
    *works = r->measuring.is_busy;
    if (*works) { // what it reads and writes stays
        rundir_close(&r->dir);
        close(fd);
        return rc < 0 ? FAILED : 0;
    }
    measuring_free(&r->measuring);
    slots_close(&r->slots);
    slots_close(&r->before);
    probing_free(&r->probing);
    live_forecast_free(&r->report.forecast);
    rundir_close(&r->dir);
    signals_release(&r->signals);
    if (r->pidfd >= 0)
        close(r->pidfd);
    close(fd);
    free(r->config);
    free(r);
    return rc < 0 ? FAILED : 0;
}
