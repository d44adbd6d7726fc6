// Live values are others than exact ones: augmented views are more spread, the network moves. A
// calibration has a law of its own for them; for one of before, the difference is measured at each
// evaluation and added to the live value until the next, and until a first one has found enough
// samples to compare with it is what the calibration's runs had. All state follows from records, so
// that a resumed run foretells what it would have without the pause.
#include "train/run/live_forecast.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/path.h"
#include "metrics/log/cursor.h"

#define SUFFIX ".json"

void live_forecast_init(struct live_forecast *o, const struct live_forecast_facts *facts)
{
    memset(o, 0, sizeof *o);
    o->width = facts->width;
    o->steps = facts->steps > 0 ? facts->steps : 0;
    o->images = facts->images > 0 ? facts->images : 0;
    o->warm = ((int64_t)LIVE_FORECAST_SAMPLES * facts->d + facts->samples - 1) / facts->samples - 1;
    o->zstd = NAN;
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        o->metric[i] = forecast_metric((enum forecast_in)i);
        o->live[i] = o->exact[i] = o->offset[i] = NAN;
    }
    for (int i = 0; i < LIVE_FORECAST_STEPS; i++)
        o->ring[i].step = -1;
    for (int i = 0; i < LIVE_FORECAST_FEWSHOT; i++)
        o->fewshot_r2[i] = o->fewshot10[i] = NAN;
}

void live_forecast_free(struct live_forecast *o)
{
    forecast_free(&o->calibration);
    memset(o, 0, sizeof *o);
}

// ---------------------------------------------------------------- calibrations

static int is_calibration(const struct dirent *d)
{
    size_t n = strlen(d->d_name), m = strlen(SUFFIX);
    return n > m && strcmp(d->d_name + n - m, SUFFIX) == 0;
}

static int is_for(const struct forecast *f, const char *data, const char *arch, const char *method)
{
    return strcmp(f->data, data) == 0 && strcmp(f->arch, arch) == 0 &&
           strcmp(f->method, method) == 0;
}

// The first of a folder that is for this run. 1: found.
static int look_in(struct live_forecast *o, const char *folder, const char *data, const char *arch,
                   const char *method, char *path, size_t size, struct error *e)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, is_calibration, alphasort);
    for (int i = 0; i < n; i++) {
        int length = o->calibrated ? -1 : snprintf(path, size, "%s/%s", folder, entry[i]->d_name);
        free(entry[i]);
        if (length < 0 || (size_t)length >= size || forecast_read(path, &o->calibration, e) < 0)
            continue;
        o->calibrated = is_for(&o->calibration, data, arch, method);
        if (!o->calibrated)
            forecast_free(&o->calibration);
    }
    if (n >= 0)
        free(entry);
    if (!o->calibrated)
        path[0] = '\0';
    return o->calibrated;
}

int live_forecast_calibrate(struct live_forecast *o, const char *word, const char *data,
                            const char *arch, const char *method, char *path, size_t size,
                            struct error *e)
{
    struct path folder[PATH_INSTALLED];
    path[0] = '\0';
    if (strcmp(word, "off") == 0)
        return 0;
    if (strcmp(word, "auto") == 0) {
        int n = path_installed("SSLTOP_CALIBRATION", "calibration", folder);
        for (int i = 0; i < n; i++)
            if (look_in(o, folder[i].s, data, arch, method, path, size, e))
                break;
        return 0;
    }
    if (forecast_read(word, &o->calibration, e) < 0)
        return -1;
    const struct forecast *f = &o->calibration;
    if (!is_for(f, data, arch, method)) {
        error_set(e, "%.200s is for %.60s on %.60s by %.30s, not for this run", word, f->arch,
                  f->data, f->method);
        forecast_free(&o->calibration);
        return -1;
    }
    o->calibrated = 1;
    snprintf(path, size, "%s", word);
    return 0;
}

// ---------------------------------------------------------------- the run

// Not of every step, where batches are small.
static void push(double v[LIVE_FORECAST_FEWSHOT], double newest)
{
    if (!isfinite(newest))
        return;
    memmove(v + 1, v, (LIVE_FORECAST_FEWSHOT - 1) * sizeof *v);
    v[0] = newest;
}

static double mean_of(const double *v, int most)
{
    double sum = 0;
    int n = 0;
    for (; n < most && isfinite(v[n]); n++)
        sum += v[n];
    return n ? sum / n : NAN;
}

void live_forecast_step(struct live_forecast *o, int64_t step, const double *metric)
{
    o->ring[step % LIVE_FORECAST_STEPS].step = step;
    o->ring[step % LIVE_FORECAST_STEPS].loss = metric[METRIC_LOSS];
    push(o->fewshot_r2, metric[METRIC_FEWSHOT_R2]);
    push(o->fewshot10, metric[METRIC_FEWSHOT10]);
    o->zstd = metric[METRIC_ZSTD];
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        double v =
            o->metric[i] < 0 ? NAN : forecast_input_of((enum forecast_in)i, metric[o->metric[i]]);
        if (isfinite(v))
            o->live[i] = v;
    }
}

void live_forecast_eval(struct live_forecast *o, int64_t step, const double *metric)
{
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        double v =
            o->metric[i] < 0 ? NAN : forecast_input_of((enum forecast_in)i, metric[o->metric[i]]);
        if (!isfinite(v))
            continue;
        o->exact[i] = v;
        if (step > o->warm)
            o->offset[i] = v - o->live[i]; // NaN where there was no live value
    }
    o->untrained = isnan(live_forecast_loss(o, step));
}

double live_forecast_loss(const struct live_forecast *o, int64_t step)
{
    double sum = 0;
    int n = 0;
    // From the newest back: the order of a sum is part of its value.
    for (int64_t s = step - 1; s >= 0 && s >= step - LIVE_FORECAST_STEPS; s--)
        if (o->ring[s % LIVE_FORECAST_STEPS].step == s) {
            sum += o->ring[s % LIVE_FORECAST_STEPS].loss;
            n++;
        }
    return n ? sum / n : NAN;
}

struct forecast_input live_forecast_input(const struct live_forecast *o, int64_t made)
{
    struct forecast_input in = forecast_nothing();
    memcpy(in.v, o->exact, sizeof in.v);
    in.v[FORECAST_LOSS] = live_forecast_loss(o, made);
    in.v[FORECAST_WIDTH] = o->width > 0 ? log(o->width) : NAN;
    in.v[FORECAST_SHARE] = o->steps > 0 ? (double)made / (double)o->steps : NAN;
    in.v[FORECAST_POOL] = o->images > 0 ? log((double)o->images) : NAN;
    in.v[FORECAST_ZSTD] = o->zstd;
    in.v[FORECAST_FEWSHOT_R2] = forecast_input_bounded(
        FORECAST_FEWSHOT_R2, mean_of(o->fewshot_r2, LIVE_FORECAST_FEWSHOT_R2));
    in.v[FORECAST_FEWSHOT10] = mean_of(o->fewshot10, LIVE_FORECAST_FEWSHOT);
    return in;
}

// What stands in for exact values between evaluations. Before the live spectrum has samples enough
// the exact value stays, as it does where nothing live was seen.
static struct forecast_input stand_ins(const struct live_forecast *o, int64_t made)
{
    struct forecast_input in = live_forecast_input(o, made);
    for (enum forecast_in i = 0; i < FORECAST_INPUTS; i++)
        if (made > o->warm && forecast_inputs[i].live != FORECAST_INPUTS &&
            isfinite(o->exact[i] + o->live[i]))
            in.v[i] = forecast_stand_in(i, o->live[i], o->offset[i], o->calibration.offset[i]);
    return in;
}

static struct forecast_value by_live_law(const struct live_forecast *o, int64_t made)
{
    const struct forecast *f = &o->calibration;
    struct forecast_input in = live_forecast_input(o, made);
    for (enum forecast_in i = 0; i < FORECAST_INPUTS; i++)
        if (forecast_inputs[i].live != FORECAST_INPUTS)
            in.v[forecast_inputs[i].live] = o->live[i];
    return forecast_at(f, &f->live, &in);
}

// What the probe would measure of the network of now. A law of live values may ask for what this
// run does not have: of small batches, say.
static struct forecast_value between(const struct live_forecast *o, int64_t made)
{
    const struct forecast *f = &o->calibration;
    struct forecast_value v = {FORECAST_UNKNOWN, NAN, NAN, NAN};
    if (made <= o->warm && o->untrained)
        return v;
    if (made > o->warm && f->live.knots)
        v = by_live_law(o, made);
    if (v.state != FORECAST_UNKNOWN)
        return v;
    struct forecast_input in = stand_ins(o, made);
    return forecast_at(f, &f->now, &in);
}

// What it will measure at the end: from the last exact values.
static struct forecast_value at_end(const struct live_forecast *o, int64_t made)
{
    const struct forecast *f = &o->calibration;
    struct forecast_input in = f->live.knots ? live_forecast_input(o, made) : stand_ins(o, made);
    // What a run has come to is told from its first tenth on.
    if (!(in.v[FORECAST_SHARE] >= FORECAST_ENDS_FROM))
        return (struct forecast_value){FORECAST_UNKNOWN, NAN, NAN, NAN};
    return forecast_at(f, f->linear.knots ? &f->linear : &f->end, &in);
}

struct forecast_value live_forecast_exact(const struct live_forecast *o, int64_t step)
{
    struct forecast_input in = live_forecast_input(o, step);
    return o->calibrated ? forecast_at(&o->calibration, &o->calibration.now, &in)
                         : (struct forecast_value){FORECAST_UNKNOWN, NAN, NAN, NAN};
}

void live_forecast_fill(const struct live_forecast *o, struct record_step *out, int64_t step)
{
    static const char *const word[] = {[FORECAST_OK] = "",
                                       [FORECAST_EXTRAPOLATING] = "extrapolating",
                                       [FORECAST_UNKNOWN] = "waiting"};
    const struct forecast *f = &o->calibration;
    struct forecast_value v = {FORECAST_UNKNOWN, NAN, NAN, NAN}, end = v;
    int by_linear = f->linear.knots > 0; // the better measure, where the calibration's runs had it
    if (o->calibrated) {
        v = between(o, step + 1);
        end = at_end(o, step + 1);
    }
    out->forecast = v.value;
    out->forecast_lo = v.lo;
    out->forecast_hi = v.hi;
    snprintf(out->forecast_state, sizeof out->forecast_state, "%s",
             o->calibrated ? word[v.state] : "uncalibrated");
    int is_shown = end.state == FORECAST_OK && v.state == FORECAST_OK;
    out->forecast_end = is_shown ? end.value : NAN;
    out->forecast_end_lo = is_shown ? end.lo : NAN;
    out->forecast_end_hi = is_shown ? end.hi : NAN;
    snprintf(out->forecast_end_of, sizeof out->forecast_end_of, "%s",
             is_shown && by_linear ? "linear" : "");
}

// ---------------------------------------------------------------- the log

int live_forecast_replay(struct live_forecast *o, const char *dir, int64_t step, struct error *e)
{
    struct cursor *c;
    struct record r;
    int rc;
    if (cursor_open(path_of("%s/run.jsonl.zst", dir).s, &c, e))
        return -1;
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS});
    for (; (rc = cursor_record(c, &r, e)) == 1; record_free(&r))
        if (r.type == RECORD_STEP && r.step >= 0 && r.step < step)
            live_forecast_step(o, r.step, r.u.step.metric);
        else if (r.type == RECORD_EVAL && r.step >= 0 && r.step <= step)
            live_forecast_eval(o, r.step, r.u.eval.metric);
    cursor_free(c);
    return rc;
}
