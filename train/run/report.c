// Records as lines for log and watchers, and the lines of a run that nobody watches.
#include "train/run/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "metrics/base/text.h"
#include "metrics/science/views.h"

#define WAITING_SHOWN 0.1 // from this share of a step on, waiting for data is worth a word

// Images a second over the last second or so.
static double images_a_second(struct report *p, int64_t step, double now)
{
    if (now - p->speed_clock[1] >= 1) {
        p->speed_clock[0] = p->speed_clock[1];
        p->speed_step[0] = p->speed_step[1];
        p->speed_clock[1] = now;
        p->speed_step[1] = step + 1;
        if (p->speed_step[0] == step + 1) // the first step took longer than a second
            return NAN;
    }
    double seconds = now - p->speed_clock[0], steps = (double)(step + 1 - p->speed_step[0]);
    return seconds > 0 && steps > 0 ? steps * p->batch / seconds : NAN;
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

// A stream that can't be written is told of at the end; one that is not read is not.
static void say_end(struct output *out)
{
    if (output_end(out, STDOUT_FILENO) < 0 && errno != EAGAIN) {
        putchar('\n');
        fflush(stdout);
    }
}

// A line a second, at the first and at the last step.
static void print_step(struct report *p, int64_t step, const struct record_step *r, double now)
{
    char eta[32];
    int64_t done = step + 1;
    struct output out;
    FILE *f;
    if (!p->headless || (now - p->printed < 1 && done != p->end && step != p->begin) ||
        !(f = output_begin(&out)))
        return;
    p->printed = now;
    print_duration(eta, sizeof eta, (double)(p->end - done) * p->batch / r->images_s);
    fprintf(f, "step %" PRId64 "/%" PRId64 "  %s  loss %.4f  auc %.4f", done, p->steps,
            mode_name(r->mode), r->metric[METRIC_LOSS], r->metric[METRIC_AUC]);
    if (!r->forecast_state[0])
        fprintf(f, "  forecast %.3f (%.3f to %.3f)", r->forecast, r->forecast_lo, r->forecast_hi);
    if (isfinite(r->forecast_end))
        fprintf(f, "  ends at %.3f (%.3f to %.3f)%s%s", r->forecast_end, r->forecast_end_lo,
                r->forecast_end_hi, *r->forecast_end_of ? " by probe " : "", r->forecast_end_of);
    double sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        sum += isfinite(r->ms[i]) ? r->ms[i] : 0;
    if (r->ms[PHASE_DATA] > WAITING_SHOWN * sum)
        fprintf(f, "  waiting for data %.0f %%", 100 * r->ms[PHASE_DATA] / sum);
    fprintf(f, "  %.0f img/s  ETA %s\n", r->images_s, eta);
    say_end(&out);
}

void report_speed(struct report *p, int64_t step, double now)
{
    p->speed_clock[0] = p->speed_clock[1] = now;
    p->speed_step[0] = p->speed_step[1] = step;
}

int step_result_says(const struct step_result *r, int m)
{
    unsigned needs = metric_table[m].needs;
    int said = views_say(r->said, m);
    return needs & METRIC_NEEDS_EVALUATION ? 0
           : said >= 0                     ? said
                                           : r->has_spectrum || needs & METRIC_NEEDS_BATCH ||
                             metric_is_given(m, METRIC_NEEDS_SCORES);
}

static void put_spectrum(struct report *p, int64_t step, enum spectrum_source source, double n,
                         int d, const double *sigma)
{
    struct record record;
    record_init(&record, RECORD_SPECTRUM, step);
    record.u.spectrum.source = source;
    record.u.spectrum.n = n;
    record.u.spectrum.d = d;
    record.u.spectrum.sigma = (double *)sigma; // borrowed
    publisher_put(p->publisher, &record);
}

void report_step(struct report *p, int64_t step, const struct step_result *r)
{
    struct record record;
    double now = clock_seconds();

    record_init(&record, RECORD_STEP, step);
    struct record_step *s = &record.u.step;
    s->t = p->t_offset + now - p->begun;
    s->mode = r->mode;
    s->chunk = r->chunk;
    s->lr = r->lr;
    s->lr_pred = r->lr_pred;
    memcpy(s->metric, r->metric, sizeof s->metric);
    live_forecast_step(&p->forecast, step, r->metric);
    live_forecast_fill(&p->forecast, s, step);
    p->foretold = s->forecast_state[0] ? NAN : s->forecast;
    s->images_s = images_a_second(p, step, now);
    memcpy(s->ms, r->ms, sizeof s->ms);
    s->dropped = r->dropped;
    if (r->own)
        s->own = *r->own;
    publisher_put(p->publisher, &record);
    print_step(p, step, s, now);
    if (r->has_spectrum)
        put_spectrum(p, step, SPECTRUM_LIVE, r->n, r->d, r->sigma);
    if (r->said & VIEWS_Z)
        put_spectrum(p, step, SPECTRUM_Z, r->z_n, r->z_d, r->z);
}

// For who trains without a screen.
static void print_eval(const struct report *p, int64_t step, const struct record_eval *v)
{
    char stands[96];
    struct output out;
    FILE *f = p->headless ? output_begin(&out) : NULL;
    if (!f)
        return;
    fprintf(f, "step %" PRId64 "  exact auc %.4f", step, v->metric[METRIC_AUC]);
    if (isfinite(v->auc_live))
        fprintf(f, " (live %.4f)", v->auc_live);
    if (isfinite(v->probe))
        fprintf(f, "  probe %.4f  knn %.4f", v->probe, v->knn);
    best_says(&p->best, stands, sizeof stands);
    fprintf(f, "%s%s\n", *stands ? "  " : p->best.step == step ? "  best so far" : "", stands);
    say_end(&out);
}

int report_eval(struct report *p, struct record *eval, struct record *spectrum, int counts)
{
    struct record_eval *v = &eval->u.eval;
    live_forecast_eval(&p->forecast, eval->step, v->metric);
    struct forecast_value f = live_forecast_exact(&p->forecast, eval->step);
    v->forecast = f.state == FORECAST_OK ? f.value : NAN;
    int is_best = counts && best_add(&p->best, eval->step, v->probe, v->forecast);
    if (p->best.step >= 0) {
        v->best = p->best.value;
        v->best_step = p->best.step;
        v->best_age = p->best.age;
        snprintf(v->best_by, sizeof v->best_by, "%s", best_by_name[p->best.by]);
    }
    publisher_put(p->publisher, eval);
    publisher_put(p->publisher, spectrum);
    print_eval(p, eval->step, v);
    return is_best;
}

static void print_event(const struct report *p, int64_t step, const struct record_event *v)
{
    struct output out;
    FILE *f = p->headless ? output_begin(&out) : NULL;
    if (!f)
        return;
    fprintf(f, "step %" PRId64 "  %s by %s%s%s%s%s%s%s\n", step, v->what, v->by,
            *v->from ? ": " : "", v->from, *v->to ? " -> " : "", v->to, *v->text ? ": " : "",
            v->text);
    say_end(&out);
}

int report_event(struct report *p, int64_t step, const char *what, const char *by, const char *from,
                 const char *to, int sync, const char *text, ...)
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
    print_event(p, step, v);
    if (!sync) {
        publisher_put(p->publisher, &r);
        return 0;
    }
    if (publisher_sync(p->publisher, &r, &why) == 0)
        return 0;
    output_log(p->log_fd, p->headless, "the %s at step %" PRId64 " is not on disk: %s", what, step,
               why.text);
    return -1;
}

void report_warning(struct report *p, int64_t step, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    output_log(p->log_fd, p->headless, "step %" PRId64 ": %s", step, text);
    report_event(p, step, "warning", "trainer", "", "", 0, "%s", text);
}

void report_checkpoint(struct report *p, int64_t step, const char *file)
{
    struct record r;
    record_init(&r, RECORD_CHECKPOINT, step);
    snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "%s", file);
    publisher_put(p->publisher, &r);
}

void report_end(struct report *p, int64_t step, const char *reason, const char *why)
{
    struct record r;
    record_init(&r, RECORD_END, step);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "%s", reason);
    text_clean(r.u.end.text, sizeof r.u.end.text, why);
    publisher_put(p->publisher, &r);
    output_log(p->log_fd, 0, "%s at step %" PRId64 "%s%s", reason, step, *why ? ": " : "", why);
    if (p->headless) {
        char clean[200], path[4096];
        text_clean(clean, sizeof clean, why);
        text_clean(path, sizeof path, p->dir);
        struct output out;
        if (output_begin(&out)) {
            fprintf(out.f, "%s at step %" PRId64 "%s%s: %s\n", reason, step, *clean ? ", " : "",
                    clean, path);
            say_end(&out);
        }
    }
}

void report_status(struct report *p, int64_t step, int paused, enum mode mode, const char *why)
{
    struct publisher_status s = {.step = step, .paused = paused};
    snprintf(s.text, sizeof s.text, "%s before step %" PRId64, paused ? "paused" : "running", step);
    if (p->steps > 0)
        text_add(s.text, sizeof s.text, " of %" PRId64, p->steps);
    text_add(s.text, sizeof s.text, "%s%s%s%.100s", mode == MODE_NONE ? "" : ", ", mode_name(mode),
             *why ? "; " : "", why);
    publisher_status(p->publisher, &s);
}
