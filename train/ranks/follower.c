// The loop of a rank other than 0; see follower.h.
#include "train/ranks/follower.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>

#include "metrics/base/clock.h"
#include "metrics/base/cores.h"
#include "metrics/base/signals.h"
#include "metrics/science/alignment.h"
#include "train/ranks/orders.h"
#include "train/ranks/team.h"
#include "train/run/evaluate.h"
#include "train/run/loader.h"

struct follower {
    struct ranks *ranks;
    struct setup setup;
    struct evaluation evaluation;
    struct loader loader;
    struct team team;
    struct signals signals;
    int is_built, queued; // batches that are with the device already
    double update;        // ms of the last
    double signal;        // number of one that has come; 0: none
};

static void quiet(void *context, const char *what)
{
    (void)context;
    (void)what;
}

// What comes to rank 0 as well ends the training there; what comes only here is told to it.
static void hear_signals(struct follower *f)
{
    int sig = f->signals.n ? signals_next(&f->signals) : 0;
    if (sig)
        f->signal = sig;
}

// --- orders ---
static int build(struct follower *f, struct error *e)
{
    static const struct progress progress = {quiet, NULL};
    struct setup *s = &f->setup;
    struct options o;
    char *algorithms = NULL;
    if (team_options(f->ranks, &o, &algorithms, e) < 0)
        return -1;
    int rc =
        setup_open(s, &o, algorithms && *algorithms ? algorithms : NULL, f->ranks, &progress, e);
    free(algorithms);
    struct error mine = *e;
    f->is_built = team_agree(f->ranks, rc, s, &mine) == 0;
    e->text[0] = '\0'; // rank 0 says it
    if (!f->is_built)
        return f->ranks->over ? -1 : 0; // the end is to come
    int rows = s->o.batch < ALIGNMENT_ROWS ? s->o.batch : ALIGNMENT_ROWS;
    return loader_init(&f->loader, s, e) < 0 || evaluation_init(&f->evaluation, s, e) < 0
               ? -1
               : team_open(&f->team, f->ranks, s, s->d, rows, s->net.node[s->net.projected].c, e);
}

static int step(struct follower *f, const struct order *order, struct error *e)
{
    struct setup *s = &f->setup;
    struct plan_scores scores;
    struct plan_times times;
    for (; order->t + f->queued <= order->last; f->queued++)
        if (loader_queue(&f->loader, s, order->t + f->queued, e) < 0)
            return -1;
    if (plan_forward(s->plan, e) < 0 || plan_backward(s->plan, e) < 0 ||
        plan_scores(s->plan, &scores, e) < 0)
        return -1;
    f->queued--;
    hear_signals(f);
    plan_times(s->plan, &times);
    struct team_times mine = {times.data + times.forward + times.backward + f->update, times.reduce,
                              f->signal};
    if (team_tell_times(&f->team, &mine, e) < 0)
        return -1;
    if (!isfinite(scores.loss)) // it is the same on all
        return 0;
    if (plan_moments(s->plan, NULL, e) < 0)
        return -1;
    for (int v = 0; v < 2 && setup_asks(s); v++)
        if (team_features(&f->team, s, v, NULL, e) < 0)
            return -1;
    return team_projections(&f->team, s, NULL, e);
}

static int update(struct follower *f, const struct order *order, struct error *e)
{
    struct plan_times times;
    struct plan *p = f->setup.plan;
    if (plan_update(p, &order->update, e) < 0 ||
        (order->tau >= 0 && plan_ema(p, order->tau, e) < 0))
        return -1;
    plan_times(p, &times);
    f->update = times.update;
    return 0;
}

// 1: it was the last one.
static int obey(struct follower *f, const struct order *order, struct error *e)
{
    struct error why;
    switch (order->kind) {
    case ORDER_SETUP:
        return build(f, e);
    case ORDER_STATE:
        return team_state(f->ranks, &f->setup, e);
    case ORDER_SWITCH:
        return schedule_switch(&f->setup.schedule, &order->change, e);
    case ORDER_STEP:
        return step(f, order, e);
    case ORDER_UPDATE:
        return update(f, order, e);
    case ORDER_EVALUATE: // what keeps a rank from it is told, and training goes on
        if (evaluation_help(&f->evaluation, &f->setup, &why) < 0 && f->ranks->over)
            return error_pass(e, &why);
        return 0;
    case ORDER_END:
        return 1;
    }
    return error_set(e, "rank 0 has ordered what nobody knows");
}

// --- the whole ---
static void release(struct follower *f)
{
    team_close(&f->team);
    evaluation_free(&f->evaluation);
    loader_free(&f->loader);
    setup_close(&f->setup);
    if (f->signals.n)
        signals_release(&f->signals);
    free(f);
}

// Rank 0 ends its log and then all; where it is the one that is gone the next one ends them.
static void leave_room(const struct ranks *r)
{
    enum { SECONDS = 4 };
    int gone = atomic_load(&r->gone);
    if (gone && (gone != 1 || r->rank != 1))
        clock_sleep(SECONDS);
}

int follower_run(struct ranks *r, struct error *e)
{
    static const int heard[] = {SIGNALS_ENDING, SIGUSR1};
    enum { ENDING = sizeof heard / sizeof *heard - 1, NO_SOCKET = 1 << ENDING };
    unsigned ignored = signals_ignored(heard, ENDING) | NO_SOCKET;
    struct order order;
    struct follower *f = calloc(1, sizeof *f);
    int rc = f ? signals_take(&f->signals, heard, ENDING + 1, ignored, e)
               : error_set(e, "out of memory");
    if (f)
        f->ranks = r;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signals_warn_of_limit(cores_usable());
    while (rc == 0)
        rc = orders_hear(r, &order, e) < 0 ? -1 : obey(f, &order, e);
    if (rc < 0) {
        leave_room(r);
        if (*e->text && !atomic_load(&r->gone))
            error_prefix(e, "rank %d on %s", r->rank, r->place[r->rank].host);
        ranks_give_up(r);
    }
    if (f)
        release(f);
    return rc < 0;
}
