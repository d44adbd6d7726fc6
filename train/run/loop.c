// The loop: commands, batch, step, spectrum, records. Before step t come, in this order: what was
// asked, what was planned, an evaluation if one is due, a checkpoint if one is due.
#include "train/run/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "train/ranks/orders.h"
#include "train/run/commands.h"
#include "train/run/duties.h"
#include "train/run/report.h"
#include "train/run/steer.h"

// ---------------------------------------------------------------- the step

// Batches for step t and, unless something ends before, t + 1. The other ranks are told to do so
// and to begin.
static int load(struct trainer *tr, struct error *e)
{
    int64_t last = tr->report.end - 1;
    if (tr->pause_at >= 0 && tr->pause_at - 1 < last)
        last = tr->pause_at - 1;
    if (last > tr->t + 1)
        last = tr->t + 1;
    if (last < tr->t)
        last = tr->t;
    const struct order order = {.kind = ORDER_STEP, .t = tr->t, .last = last};
    if (orders_tell(tr->ranks, &order, e) < 0)
        return -1;
    for (; tr->t + tr->queued <= last; tr->queued++)
        if (loader_queue(&tr->loader, &tr->setup, tr->t + tr->queued, e) < 0)
            return -1;
    return 0;
}

static void rates_of_step(const struct trainer *tr, struct update *u, struct step_result *r)
{
    const struct setup *s = &tr->setup;
    rates_update(&s->o, s->epoch, s->steps, tr->t, rates_at(&tr->rates, tr->t), u);
    r->lr = u->lr[GROUP_MAIN];
    r->lr_pred = u->lr[GROUP_PREDICTOR];
}

static int moments_finite(const struct moments *m)
{
    size_t d = (size_t)m->d;
    for (size_t i = 0; i < d; i++)
        if (!isfinite(m->mean[i]) || !isfinite(m->scatter[i * d + i]))
            return 0;
    return 1;
}

// What the two views tell, of the projections in tr->z and of features that are fetched if wanted.
static int look_at_views(struct trainer *tr, struct step_result *r, struct metric_input *in,
                         struct error *e)
{
    int64_t rows = tr->alignment.rows;
    size_t n = (size_t)tr->setup.o.batch * (size_t)tr->setup.d;
    struct view_rows z = {{tr->z[0], tr->z[1]}, {rows, rows}}, h = {{NULL}, {0}};
    for (int v = 0; v < 2 && paced_wants(&tr->views.h); v++) {
        if (tr->h[v] && plan_features(tr->setup.plan, v, tr->h[v], e) < 0)
            return -1;
        h.at[v] = tr->h[v] ? tr->h[v] : tr->live_images.h + (size_t)v * n;
        h.n[v] = rows;
    }
    int said = views_step(&tr->views, &z, &h, in, e);
    r->said |= said < 0 ? 0 : said;
    r->z = tr->views.sigma;
    r->z_d = tr->views.z.d;
    r->z_n = tr->views.n;
    return said < 0 ? -1 : 0;
}

// Live spectrum and metrics of the forward pass that was just made. 1: not finite.
static int live_spectrum(struct trainer *tr, const struct plan_scores *scores,
                         struct step_result *r, struct error *e)
{
    struct setup *s = &tr->setup;
    double since = clock_seconds();
    moments_age(&tr->live, 2 * (int64_t)s->o.batch);
    if (plan_moments(s->plan, &tr->live, e) < 0 ||
        live_images_step(&tr->live_images, s, &tr->team, tr->t, e) < 0 ||
        (tr->ranks && team_projections(&tr->team, s, tr->z, e) < 0))
        return -1;
    int has_z = tr->ranks != NULL, due = views_due(&tr->views, tr->t);
    int rc = device_spectrum(s->device, &tr->live, tr->sigma, due ? tr->raw : NULL, &r->n, e);
    if (rc < 0) // the features' fault, or the device's
        return moments_finite(&tr->live) ? -1 : 1;
    r->has_spectrum = rc == 0;
    r->said = r->has_spectrum && due ? VIEWS_NOW : 0;
    double alignment = NAN, uniformity = NAN;
    if (!has_z && (r->said || paced_wants(&tr->views.z)) &&
        team_projections(&tr->team, s, tr->z, e) < 0)
        return -1;
    if (r->said)
        alignment_measure(&tr->alignment, (const float *const *)tr->z, &alignment, &uniformity);
    struct metric_input in = metric_unknown();
    if (look_at_views(tr, r, &in, e) < 0)
        return -1;
    in.sigma = r->has_spectrum ? tr->sigma : NULL;
    in.raw = r->said & VIEWS_NOW ? tr->raw : NULL;
    in.d = s->d;
    in.n = r->has_spectrum ? r->n : NAN;
    in.mean_norm = moments_mean_norm(&tr->live);
    in.zstd = scores->zstd;
    in.alignment = alignment;
    in.uniformity = uniformity;
    in.loss = scores->loss;
    in.fewshot_r2 = tr->live_images.told.r2;
    in.fewshot10 = tr->live_images.told.top1;
    if (r->said & VIEWS_NOW)
        in.pixel_r2 = live_images_r2(&tr->live_images, &tr->live, tr->evaluation.n_all);
    metric_all(&in, r->metric);
    views_tell(&tr->views, tr->t, r->said, r->metric);
    r->ms[PHASE_SPECTRUM] = 1e3 * (clock_seconds() - since);
    return 0;
}

// Values for the guard: those of the newest spectrum where this step has none.
static void newest_values(struct trainer *tr, const struct step_result *r)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (step_result_says(r, i))
            tr->last_value[i] = r->metric[i];
    views_last(&tr->views, tr->last_value);
    const struct best *best = &tr->report.best;
    tr->last_value[GUARD_FORECAST] = tr->report.foretold;
    tr->last_value[GUARD_BEST_AGE] = best->step < 0 ? NAN : (double)best->age;
}

static void tell(struct trainer *tr, struct step_result *r)
{
    struct plan_times times;
    struct schedule_place place;
    plan_times(tr->setup.plan, &times);
    schedule_at(&tr->setup.schedule, tr->t, &place);
    r->mode = place.mode;
    r->chunk = place.chunk;
    r->ms[PHASE_DATA] = times.data;
    r->ms[PHASE_FORWARD] = times.forward;
    r->ms[PHASE_BACKWARD] = times.backward;
    r->ms[PHASE_UPDATE] = times.update;
    if (tr->ranks)
        r->ms[PHASE_REDUCE] = times.reduce;
    report_step(&tr->report, tr->t, r);
    duties_sense(tr);
}

static int break_off(struct trainer *tr, struct step_result *r, const char *what)
{
    char why[120];
    tell(tr, r);
    snprintf(why, sizeof why, "the %s of step %" PRId64 " %s not finite", what, tr->t,
             strcmp(what, "loss") == 0 ? "is" : "are");
    steer_break(tr, why);
    return 0;
}

// How long each rank took, and a signal that only another one has heard.
static int hear_ranks(struct trainer *tr, struct error *e)
{
    struct plan_times times;
    plan_times(tr->setup.plan, &times);
    const struct team_times mine = {times.data + times.forward + times.backward + tr->update_ms,
                                    times.reduce, 0};
    if (team_tell_times(&tr->team, &mine, e) < 0)
        return -1;
    for (int k = 1; tr->ranks && k < tr->ranks->size; k++)
        if (tr->team.times[k].signal > 0)
            tr->heard = (int)tr->team.times[k].signal;
    return 0;
}

// The update that ends the step, here and on the other ranks.
static int update_all(struct trainer *tr, const struct update *update, struct error *e)
{
    struct setup *s = &tr->setup;
    struct plan_times times;
    const struct order order = {
        .kind = ORDER_UPDATE, .update = *update, .tau = rates_tau(&s->o, s->steps, tr->t)};
    if (orders_tell(tr->ranks, &order, e) < 0 || plan_update(s->plan, update, e) < 0 ||
        (order.tau >= 0 && plan_ema(s->plan, order.tau, e) < 0))
        return -1;
    plan_times(s->plan, &times);
    tr->update_ms = times.update;
    return 0;
}

static int make_step(struct trainer *tr, struct error *e)
{
    struct setup *s = &tr->setup;
    struct step_result r = {.sigma = tr->sigma,
                            .d = s->d,
                            .n = NAN,
                            .dropped = -1,
                            .ms[PHASE_SPECTRUM] = NAN,
                            .ms[PHASE_REDUCE] = NAN};
    struct plan_scores scores;
    struct update update;

    for (int i = 0; i < METRIC_COUNT; i++)
        r.metric[i] = NAN;
    // A device that works by itself goes through the backward pass while the host looks at what the
    // forward pass gave; parameters stay as they are until the update.
    if (load(tr, e) < 0 || plan_forward(s->plan, e) < 0 || plan_backward(s->plan, e) < 0)
        return -1;
    tr->queued--;
    if (plan_scores(s->plan, &scores, e) < 0 || hear_ranks(tr, e) < 0)
        return -1;
    r.metric[METRIC_LOSS] = scores.loss;
    r.metric[METRIC_ZSTD] = scores.zstd;
    rates_of_step(tr, &update, &r);
    if (!isfinite(scores.loss))
        return break_off(tr, &r, "loss");
    int rc = live_spectrum(tr, &scores, &r, e);
    if (rc > 0)
        return break_off(tr, &r, "features");
    if (rc < 0 || update_all(tr, &update, e) < 0)
        return -1;
    tell(tr, &r);
    duties_tell_broken(tr);
    newest_values(tr, &r);
    steer_guard(tr, tr->last_value);
    tr->t++;
    return 0;
}

// ---------------------------------------------------------------- the run

static int loop(struct trainer *tr, struct error *e)
{
    struct error why;
    while (!tr->over && tr->t < tr->report.end) {
        commands_handle(tr);
        duties_look_after_folder(tr);
        if (tr->over)
            break;
        int due =
            duties_evaluation_is_due(tr); // before a repeated run hears that it was lengthened here
        steer_announce(tr);
        duties_repeat(tr);
        if (due && tr->last_eval != tr->t && duties_evaluate(tr, 1) < 0)
            continue;
        if (duties_checkpoint_is_due(tr))
            duties_checkpoint(tr, &why);
        if (ranks_alive(tr->ranks, e) < 0)
            return -1;
        if (tr->broken)
            continue;
        if (make_step(tr, e) < 0)
            return -1;
        steer_status(tr);
    }
    return 0;
}

// The last evaluation and checkpoint. What the end record says.
static const char *finish(struct trainer *tr)
{
    struct error why = {{0}};
    int cut = tr->over; // nobody waits for an evaluation then
    if (tr->broken)
        return "failed";
    if (tr->start.kind == START_RERUN && tr->report.end < tr->setup.steps)
        cut = !earlier_evaluated(&tr->start.earlier, tr->report.end);
    if (!cut && tr->last_eval != tr->t)
        duties_evaluate(tr, 0);
    if (tr->last_checkpoint != tr->t && duties_checkpoint(tr, &why) < 0) {
        if (!tr->broken)
            snprintf(tr->why, sizeof tr->why, "no last checkpoint: %.150s", why.text);
        return "failed";
    }
    return tr->t >= tr->setup.steps ? "finished" : "stopped";
}

int loop_run(struct trainer *tr, struct error *e)
{
    int rc = loop(tr, e);
    if (rc < 0) {
        if (tr->ranks)
            ranks_give_up(tr->ranks);
        duties_tell_broken(tr); // perhaps what it ends for
        snprintf(tr->why, sizeof tr->why, "%.190s", e->text);
        output_log(tr->dir.trainer_log_fd, 0, "step %" PRId64 ": %s", tr->t, e->text);
        report_end(&tr->report, tr->t, "failed", tr->why);
        return 1;
    }
    const char *reason = finish(tr);
    int failed = strcmp(reason, "failed") == 0;
    if (failed)
        error_set(e, "%s: %s", tr->dir.path, tr->why);
    report_end(&tr->report, tr->t, reason, tr->why);
    if (failed) // a signal's status says that there is a checkpoint
        return 1;
    return tr->signal ? 128 + tr->signal : 0;
}
