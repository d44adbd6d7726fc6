// Counts and series cut short: nothing of a history is kept by step but what can be cut. A log that
// is still growing is looked at anew when it does not have what is asked for.
#include "tui/feed/past.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The same series without the points behind `step`. Its upper levels still hold them where a group
// straddles the cut, but series_range looks only at groups that lie before the end.
static struct series series_past(const struct series *s, int64_t step)
{
    struct series out = *s;
    size_t n = step < 0 || !s->width ? 0 : (size_t)(step / s->width) + 1;
    if (n < out.n)
        out.n = n;
    return out;
}

static double value(const struct history *h, int series, int64_t step)
{
    return series_range(&h->series[series], step, step + 1).last;
}

static void last_step(struct history *h, int64_t step)
{
    struct record_step *r = &h->last;
    memset(r, 0, sizeof *r);
    for (int i = 0; i < METRIC_COUNT; i++)
        r->metric[i] = value(h, i, step);
    for (int i = 0; i < PHASE_COUNT; i++)
        r->ms[i] = value(h, SERIES_PHASE + i, step);
    r->t = value(h, SERIES_TIME, step);
    r->lr = value(h, SERIES_LR, step);
    r->lr_pred = NAN;
    r->images_s = value(h, SERIES_IMAGES_S, step);
    r->forecast = value(h, SERIES_FORECAST, step) / 100;
    r->forecast_lo = value(h, SERIES_FORECAST_LO, step) / 100;
    r->forecast_hi = value(h, SERIES_FORECAST_HI, step) / 100;
    r->forecast_end = r->forecast_end_lo = r->forecast_end_hi = NAN; // that was foretold then
    double chunk = value(h, SERIES_CHUNK, step);
    r->chunk = isnan(chunk) ? -1 : (int)chunk;
    if (h->n_mode)
        r->mode = h->mode[h->n_mode - 1].mode;
}

// The last step up to this one with a live AUC; -1: none.
static int64_t last_spectrum(const struct history *h, int64_t step)
{
    const struct series *s = &h->series[METRIC_AUC];
    if (isnan(series_range(s, 0, step + 1).last))
        return -1;
    while (isnan(series_range(s, step, step + 1).last))
        step--;
    return step;
}

static void forget_later(struct history_spectrum *p, int64_t step)
{
    if (p->step > step)
        p->step = -1;
}

void past_at(const struct history *h, int64_t step, struct history *out)
{
    *out = *h;
    if (step >= h->last_step)
        return;
    for (int i = 0; i < SERIES_COUNT; i++)
        out->series[i] = series_past(&h->series[i], step);
    while (out->n_mode && out->mode[out->n_mode - 1].step > step)
        out->n_mode--;
    while (out->n_eval && out->eval[out->n_eval - 1].step > step)
        out->n_eval--;
    while (out->n_event && out->event[out->n_event - 1].step > step)
        out->n_event--;
    forget_later(&out->first_live, step);
    forget_later(&out->live, step);
    forget_later(&out->first_exact, step);
    forget_later(&out->exact, step);
    forget_later(&out->first_z, step);
    forget_later(&out->z, step);
    out->last_step = step < 0 ? -1 : step;
    out->steps = out->last_step + 1;
    out->paused = out->ended = 0;
    out->end_reason[0] = out->end_text[0] = 0;
    last_step(out, step);
    out->rate = out->last.images_s;
    out->spectrum_step = last_spectrum(out, step);
}

// --- from the log ---
void past_spectrum_init(struct past_spectrum *k)
{
    *k = (struct past_spectrum){.at = -1, .p.step = -1};
}

void past_spectrum_free(struct past_spectrum *k)
{
    free(k->p.sigma);
    past_spectrum_init(k);
}

int past_spectrum_find(struct cursor *log, struct past_spectrum *k, int64_t step,
                       enum runlog_kind kind, struct error *e)
{
    struct record r;
    size_t frames;
    if (cursor_look(log, e) < 0)
        return -1;
    const struct runlog_frame *frame = cursor_frames(log, &frames);
    // Not so when a resumed run makes the step again.
    int passed = frames > 0 && frame[frames - 1].first_step > step;
    if (k->at == step && (k->frames == frames || (k->passed && passed)))
        return 0;
    past_spectrum_free(k);
    k->at = step;
    k->frames = frames;
    k->passed = passed;
    int rc = cursor_find(log, kind, step, &r, e);
    if (rc == 1 && r.u.spectrum.d > 0 && r.u.spectrum.sigma) {
        k->p =
            (struct history_spectrum){r.step, r.u.spectrum.n, r.u.spectrum.d, r.u.spectrum.sigma};
        r.u.spectrum.sigma = NULL;
    }
    record_free(&r);
    return rc < 0 ? -1 : 0;
}

int past_step(struct cursor *log, int64_t step, struct record *out, struct error *e)
{
    int rc = cursor_find(log, RUNLOG_SCALARS, step, out, e);
    if (rc == 1 && out->step != step) {
        record_free(out);
        return 0;
    }
    return rc;
}
