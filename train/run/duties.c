// What is due between two steps: evaluations, no more than their share of the time, and
// checkpoints.
#include "train/run/duties.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "metrics/base/text.h"
#include "train/ranks/orders.h"
#include "train/run/keep.h"
#include "train/run/report.h"
#include "train/run/steer.h"

#define LOOK_SECONDS  2   // between two looks after the run folder
#define EVAL_PATIENCE 2.0 // seconds of evaluations before their share is looked at

// ---------------------------------------------------------------- evaluation

// The next multiple of the interval at which evaluations cost no more than their share.
static void lengthen(struct trainer *tr, double cost, double now)
{
    int64_t made = tr->t - tr->report.begin;
    double training = now - tr->begun_training - tr->paused_seconds - tr->eval_seconds;
    double share = tr->setup.o.eval_share;
    if (made < 1 || tr->eval_seconds < EVAL_PATIENCE || share >= 1 ||
        tr->eval_seconds <= share * (training + tr->eval_seconds))
        return;
    double a_step = training / (double)made;
    double wanted = cost * (1 - share) / share / a_step;
    int64_t base = tr->setup.o.eval_every;
    double times = ceil(wanted / (double)base);
    if (!(times * (double)base > (double)tr->eval_every) || times * (double)base > 1e15)
        return;
    char from[32], to[32];
    snprintf(from, sizeof from, "%" PRId64, tr->eval_every);
    tr->eval_every = base * (int64_t)times;
    snprintf(to, sizeof to, "%" PRId64, tr->eval_every);
    report_event(&tr->report, tr->t, "eval", "trainer", from, to, 0,
                 "evaluations took %.0f %% of the time: one every %" PRId64 " steps from here on",
                 100 * tr->eval_seconds / (training + tr->eval_seconds), tr->eval_every);
}

static int has_signal(void *context)
{
    const struct trainer *tr = context;
    return publisher_has_signal(tr->report.publisher);
}

int duties_evaluate(struct trainer *tr, int periodic)
{
    struct record eval, spectrum;
    struct error why = {{0}};
    double since = clock_seconds();
    const struct order order = {.kind = ORDER_EVALUATE};
    tr->evaluation.end = (struct team_end){periodic ? has_signal : NULL, tr};
    int rc = orders_tell(tr->ranks, &order, &why);
    if (rc == 0)
        rc = evaluation_run(&tr->evaluation, &tr->setup, tr->t, &eval, &spectrum, &why);
    if (rc == TEAM_BROKEN_OFF)
        return -1;
    if (rc < 0) {
        report_warning(&tr->report, tr->t, "no evaluation: %s", why.text);
        return 0;
    }
    eval.u.eval.auc_live = tr->report.forecast.live[FORECAST_AUC];
    // A look in between, or where a run is stopped, changes nothing: a guard may ask for the best.
    int counts = periodic || tr->t >= tr->setup.steps;
    int is_best = report_eval(&tr->report, &eval, &spectrum, counts);
    if (counts) {
        live_images_penalty(&tr->live_images, tr->evaluation.lambda);
        for (int i = 0; i < METRIC_COUNT; i++) // what only evaluations give, for the guard
            if (metric_table[i].needs & METRIC_NEEDS_EVALUATION)
                tr->last_value[i] = eval.u.eval.metric[i];
    }
    tr->last_eval = tr->t;
    double now = clock_seconds();
    if (!periodic)
        tr->paused_seconds += state_is_paused(tr) ? 0 : now - since; // asked for: nobody's share
    else if (tr->t > tr->report.begin) // the first one warms things up
        tr->eval_seconds += now - since;
    else
        tr->begun_training = now;
    // A repeated run lengthens when the first one did.
    if (periodic && tr->start.kind != START_RERUN)
        lengthen(tr, now - since, now);
    // One file serves both where a checkpoint is due here too.
    if (is_best && periodic && duties_checkpoint_is_due(tr))
        duties_checkpoint(tr, &why);
    if (counts)
        keep_best(tr, is_best);
    return 0;
}

int duties_evaluation_is_due(const struct trainer *tr)
{
    if (tr->last_eval == tr->t)
        return 0;
    // A run that begins elsewhere than at step 0 has no other measure of where it begins.
    int begins_here = tr->t == tr->report.begin && tr->start_step == tr->report.begin &&
                      tr->start.kind != START_RESUME;
    return tr->t % tr->eval_every == 0 || begins_here;
}

// ---------------------------------------------------------------- checkpoint

int duties_first_checkpoint(struct trainer *tr, struct error *e)
{
    int rc = keep_write(tr, NULL, e);
    if (rc == 0)
        tr->last_checkpoint = tr->t;
    return rc;
}

int duties_checkpoint(struct trainer *tr, struct error *e)
{
    char file[64];
    int rc = keep_write(tr, NULL, e);
    if (rc < 0) {
        report_warning(&tr->report, tr->t, "no checkpoint: %s", e->text);
        if (rc == -2 && !tr->broken) {
            char why[80];
            snprintf(why, sizeof why, "the state before step %" PRId64 " is not finite", tr->t);
            steer_break(tr, why);
        }
        return rc;
    }
    tr->last_checkpoint = tr->t;
    checkpoint_name(tr->t, file, sizeof file);
    report_checkpoint(&tr->report, tr->t, file);
    rundir_prune(tr->dir.path, tr->setup.o.keep, &tr->setup.schedule, tr->start_step);
    return 0;
}

int duties_checkpoint_is_due(const struct trainer *tr)
{
    const struct schedule *s = &tr->setup.schedule;
    if (tr->t == tr->report.begin || tr->last_checkpoint == tr->t)
        return 0;
    for (int i = 1; i < s->n; i++)
        if (s->entry[i].from == tr->t)
            return 1;
    return tr->t % tr->setup.o.checkpoint_every == 0;
}

// ---------------------------------------------------------------- the run folder

void duties_look_after_folder(struct trainer *tr)
{
    struct error why;
    double now = clock_seconds();
    if (now - tr->found < LOOK_SECONDS)
        return;
    tr->found = now;
    if (keep_find(tr, &why) == RUNDIR_LOST)
        steer_give_up(tr, why.text);
}

// ---------------------------------------------------------------- sensors

static void tell_ranks(struct trainer *tr, double now)
{
    const struct ranks *r = tr->ranks;
    const struct team_times *times = tr->team.times;
    struct record record;
    if (!r || now - tr->told_ranks < 1)
        return;
    tr->told_ranks = now;
    record_init(&record, RECORD_RANKS, tr->t);
    struct record_ranks *out = &record.u.ranks;
    size_t n = (size_t)r->size, size = n * (RANKS_HOST + 1) + 1;
    out->hosts = calloc(size, 1);
    out->own.sigma = malloc(n * sizeof(double));
    out->reduce.sigma = malloc(n * sizeof(double));
    if (out->hosts && out->own.sigma && out->reduce.sigma) {
        out->own.d = out->reduce.d = r->size;
        for (size_t k = 0; k < n; k++) {
            text_add(out->hosts, size, "%s%s", k ? " " : "", r->place[k].host);
            out->own.sigma[k] = times[k].own;
            out->reduce.sigma[k] = times[k].reduce;
        }
        publisher_put(tr->report.publisher, &record);
    }
    record_free(&record);
}

void duties_sense(struct trainer *tr)
{
    struct device_sensors s;
    struct record record;
    double now = clock_seconds();
    tell_ranks(tr, now);
    if (now - tr->sensed < 1 || !device_sense(tr->setup.device, &s))
        return;
    tr->sensed = now;
    record_init(&record, RECORD_DEVICE, tr->t);
    struct record_device *r = &record.u.device;
    r->utilization = s.utilization;
    r->memory_used = s.memory_used;
    r->memory_total = s.memory_total;
    r->power = s.power;
    r->power_limit = s.power_limit;
    r->temperature = s.temperature;
    r->clock_sm = s.clock_sm;
    r->clock_memory = s.clock_memory;
    r->others = s.others;
    r->others_memory = s.others_memory;
    text_clean(r->others_text, sizeof r->others_text, s.others_text);
    publisher_put(tr->report.publisher, &record);
}

// ---------------------------------------------------------------- images

void duties_tell_broken(struct trainer *tr)
{
    enum { NAMED = 20 };
    for (int s = 0; s < SPLIT_COUNT; s++) {
        struct pictures *source = tr->setup.data.split[s].source;
        int64_t n = source ? pictures_broken(source) : 0;
        if (source && source->notice && !tr->told_notice[s]) {
            tr->told_notice[s] = 1;
            report_warning(&tr->report, tr->t, "%s", source->notice);
        }
        for (int64_t *told = &tr->told_broken[s]; *told < n; ++*told) {
            const char *sentence = pictures_sentence(source, *told);
            if (*told < NAMED)
                report_warning(&tr->report, tr->t, "broken image %" PRId64 ", left out: %s",
                               *told + 1, sentence ? sentence : "");
            else if (*told == NAMED)
                report_warning(&tr->report, tr->t,
                               "more images are broken; the trainer's notes name them");
            if (*told >= NAMED)
                output_log(tr->dir.trainer_log_fd, 0, "broken image %" PRId64 ", left out: %s",
                           *told + 1, sentence ? sentence : "");
        }
    }
}

// ---------------------------------------------------------------- again

// A repeated run writes again what was done by hand then.
void duties_repeat(struct trainer *tr)
{
    const struct earlier *earlier = &tr->start.earlier;
    for (size_t i = 0; tr->start.kind == START_RERUN && i < earlier->n; i++) {
        const struct record_event *v = &earlier->event[i].event;
        if (earlier->event[i].step != tr->t || strcmp(v->by, "plan") == 0)
            continue;
        int again = strcmp(v->what, "lr") == 0 || strcmp(v->what, "until") == 0 ||
                    strcmp(v->what, "guard") == 0;
        int does_eval = strcmp(v->what, "eval") == 0,
            does_checkpoint = strcmp(v->what, "checkpoint") == 0;
        if (again || does_eval || does_checkpoint)
            report_event(&tr->report, tr->t, v->what, v->by, v->from, v->to, again, "%s", v->text);
        if (does_eval && *v->to) { // the interval was lengthened
            int64_t every = strtoll(v->to, NULL, 10);
            tr->eval_every = every > 0 ? every : tr->eval_every;
        } else if (does_eval) {
            duties_evaluate(tr, duties_evaluation_is_due(tr));
        }
        struct error why;
        if (does_checkpoint && tr->last_checkpoint != tr->t)
            duties_checkpoint(tr, &why);
    }
}
