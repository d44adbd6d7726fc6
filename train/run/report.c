// Records of the trainer: what happened, as lines for log and watchers; and the lines of a headless
// run.
#include "train/run/report.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "train/store/trainer_log.h"

#define WAITING_SHOWN 0.1 // from this share of a step on, waiting for data is worth a word

void report_run(struct trainer *tr, struct record *out)
{
    const struct setup *s = &tr->setup;
    const struct device_info *info = device_info(s->device);
    char now[CLOCK_TEXT];

    record_init(out, RECORD_RUN, -1);
    struct record_run *r = &out->u.run;
    r->version = 1;
    snprintf(r->name, sizeof r->name, "%.127s", tr->dir.name);
    clock_utc(now);
    snprintf(r->created, sizeof r->created, "%s", now);
    r->config = options_to_json(&s->o);
    text_clean(r->dataset.name, sizeof r->dataset.name, s->data.name);
    r->dataset.n = s->n;
    r->dataset.n_test = s->data.split[SPLIT_TEST].n;
    r->dataset.classes = s->data.classes;
    r->dataset.channels = s->data.channels;
    r->dataset.height = s->data.height;
    r->dataset.width = s->data.width;
    snprintf(r->model.arch, sizeof r->model.arch, "%s", s->o.arch);
    r->model.width = s->o.width;
    r->model.d = s->d;
    r->model.params = net_count(&s->net);
    text_clean(r->device.name, sizeof r->device.name, info->name);
    text_clean(r->device.detail, sizeof r->device.detail, info->detail);
    r->device.threads = info->threads;
    snprintf(r->device.precision, sizeof r->device.precision, "%s", s->o.precision);
    r->device.algorithms = strdup(plan_algorithms(s->plan));
    r->steps = s->steps;
    snprintf(r->parent, sizeof r->parent, "%s", tr->start.parent);
    r->parent_step = tr->start.parent_step;
}

// Images a second over the last second or so.
static double images_a_second(struct trainer *tr, double now)
{
    if (now - tr->speed_clock[1] >= 1) {
        tr->speed_clock[0] = tr->speed_clock[1];
        tr->speed_step[0] = tr->speed_step[1];
        tr->speed_clock[1] = now;
        tr->speed_step[1] = tr->t + 1;
        if (tr->speed_step[0] == tr->t + 1) // the first step took longer than a second
            return NAN;
    }
    double seconds = now - tr->speed_clock[0];
    return seconds > 0 ? (double)(tr->t + 1 - tr->speed_step[0]) * tr->setup.o.batch / seconds
                       : NAN;
}

static void print_duration(char *text, size_t size, double seconds)
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        snprintf(text, size, "-");
        return;
    }
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(text, size, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

// A line a second, at the first and at the last step.
static void print_step(struct trainer *tr, const struct record_step *r, double now)
{
    char eta[32];
    int64_t done = tr->t + 1;
    if (!tr->headless || (now - tr->printed < 1 && done != tr->end && tr->t != tr->begin))
        return;
    tr->printed = now;
    print_duration(eta, sizeof eta, (double)(tr->end - done) * tr->setup.o.batch / r->images_s);
    printf("step %" PRId64 "/%" PRId64 "  %s  loss %.4f  auc %.4f", done, tr->setup.steps,
           mode_name(r->mode), r->metric[METRIC_LOSS], r->metric[METRIC_AUC]);
    if (!r->forecast_state[0])
        printf("  forecast %.3f (%.3f to %.3f)", r->forecast, r->forecast_lo, r->forecast_hi);
    double sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        sum += isfinite(r->ms[i]) ? r->ms[i] : 0;
    if (r->ms[PHASE_DATA] > WAITING_SHOWN * sum)
        printf("  waiting for data %.0f %%", 100 * r->ms[PHASE_DATA] / sum);
    printf("  %.0f img/s  ETA %s\n", r->images_s, eta);
    fflush(stdout);
}

// What the card's sensors say, about once a second.
static void report_device(struct trainer *tr, double now)
{
    struct device_sensors s;
    struct record record;
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
    publisher_put(tr->publisher, &record);
}

void report_step(struct trainer *tr, const struct step_result *r)
{
    struct record record;
    struct schedule_place place;
    struct plan_times times;
    double now = clock_seconds();

    schedule_at(&tr->setup.schedule, tr->t, &place);
    plan_times(tr->setup.plan, &times);
    record_init(&record, RECORD_STEP, tr->t);
    struct record_step *s = &record.u.step;
    s->t = tr->t_offset + now - tr->begun;
    s->mode = place.mode;
    s->chunk = place.chunk;
    s->lr = r->lr;
    s->lr_pred = r->lr_pred;
    memcpy(s->metric, r->metric, sizeof s->metric);
    live_forecast_step(&tr->forecast, tr->t, r->metric);
    live_forecast_fill(&tr->forecast, s, tr->t);
    s->images_s = images_a_second(tr, now);
    s->ms[PHASE_DATA] = times.data;
    s->ms[PHASE_FORWARD] = times.forward;
    s->ms[PHASE_BACKWARD] = times.backward;
    s->ms[PHASE_UPDATE] = times.update;
    s->ms[PHASE_SPECTRUM] = r->spectrum_ms;
    publisher_put(tr->publisher, &record);
    print_step(tr, s, now);
    report_device(tr, now);
    if (!r->has_spectrum)
        return;
    record_init(&record, RECORD_SPECTRUM, tr->t);
    record.u.spectrum.source = SPECTRUM_LIVE;
    record.u.spectrum.n = r->n;
    record.u.spectrum.d = tr->setup.d;
    record.u.spectrum.sigma = tr->sigma; // borrowed
    publisher_put(tr->publisher, &record);
}

static void print_event(const struct trainer *tr, int64_t step, const struct record_event *v)
{
    if (!tr->headless)
        return;
    printf("step %" PRId64 "  %s by %s%s%s%s%s%s%s\n", step, v->what, v->by, *v->from ? ": " : "",
           v->from, *v->to ? " -> " : "", v->to, *v->text ? ": " : "", v->text);
    fflush(stdout);
}

int report_event(struct trainer *tr, int64_t step, const char *what, const char *by,
                 const char *from, const char *to, int sync, const char *text, ...)
{
    struct record r;
    struct error why = {{0}};
    char line[sizeof r.u.event.text];
    va_list ap;

    va_start(ap, text);
    vsnprintf(line, sizeof line, text, ap);
    va_end(ap);
    record_init(&r, RECORD_EVENT, step);
    struct record_event *v = &r.u.event;
    snprintf(v->what, sizeof v->what, "%s", what);
    snprintf(v->by, sizeof v->by, "%s", by);
    text_clean(v->from, sizeof v->from, from);
    text_clean(v->to, sizeof v->to, to);
    text_clean(v->text, sizeof v->text, line);
    print_event(tr, step, v);
    if (!sync) {
        publisher_put(tr->publisher, &r);
        return 0;
    }
    if (publisher_sync(tr->publisher, &r, &why) == 0)
        return 0;
    trainer_log(tr->dir.trainer_log_fd, tr->headless,
                "the %s at step %" PRId64 " is not on disk: %s", what, step, why.text);
    return -1;
}

void report_warning(struct trainer *tr, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    trainer_log(tr->dir.trainer_log_fd, tr->headless, "step %" PRId64 ": %s", tr->t, text);
    report_event(tr, tr->t, "warning", "trainer", "", "", 0, "%s", text);
}

void report_broken(struct trainer *tr)
{
    enum { NAMED = 20 };
    for (int s = 0; s < SPLIT_COUNT; s++) {
        struct pictures *source = tr->setup.data.split[s].source;
        int64_t n = source ? pictures_broken(source) : 0;
        if (source && source->notice && !tr->told_notice[s]) {
            tr->told_notice[s] = 1;
            report_warning(tr, "%s", source->notice);
        }
        for (int64_t *told = &tr->told_broken[s]; *told < n; ++*told) {
            const char *sentence = pictures_sentence(source, *told);
            if (*told < NAMED)
                report_warning(tr, "broken image %" PRId64 ", left out: %s", *told + 1,
                               sentence ? sentence : "");
            else if (*told == NAMED)
                report_warning(tr, "more images are broken; the trainer's notes name them");
            if (*told >= NAMED)
                trainer_log(tr->dir.trainer_log_fd, 0, "broken image %" PRId64 ", left out: %s",
                            *told + 1, sentence ? sentence : "");
        }
    }
}

void report_checkpoint(struct trainer *tr, int64_t step, const char *file)
{
    struct record r;
    record_init(&r, RECORD_CHECKPOINT, step);
    snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "%s", file);
    publisher_put(tr->publisher, &r);
}

void report_end(struct trainer *tr, const char *reason)
{
    struct record r;
    record_init(&r, RECORD_END, tr->t);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "%s", reason);
    text_clean(r.u.end.text, sizeof r.u.end.text, tr->why);
    publisher_put(tr->publisher, &r);
    trainer_log(tr->dir.trainer_log_fd, 0, "%s at step %" PRId64 "%s%s", reason, tr->t,
                *tr->why ? ": " : "", tr->why);
    if (tr->headless) {
        char why[sizeof tr->why], path[sizeof tr->dir.path];
        text_clean(why, sizeof why, tr->why);
        text_clean(path, sizeof path, tr->dir.path);
        printf("%s at step %" PRId64 "%s%s: %s\n", reason, tr->t, *why ? ", " : "", why, path);
        fflush(stdout);
    }
}

void report_status(struct trainer *tr)
{
    struct publisher_status s = {.step = tr->t, .paused = state_is_paused(tr)};
    struct schedule_place place;
    schedule_at(&tr->setup.schedule, tr->t, &place);
    snprintf(s.text, sizeof s.text, "%s before step %" PRId64 " of %" PRId64 ", %s%s%.100s",
             s.paused ? "paused" : "running", tr->t, tr->setup.steps, mode_name(place.mode),
             tr->broken ? "; " : "", tr->broken ? tr->why : "");
    publisher_status(tr->publisher, &s);
}
