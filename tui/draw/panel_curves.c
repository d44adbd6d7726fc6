// Curves over steps: AUC, loss, the probe's accuracy, any metric. What is measured is a sign, what
// is live a line, so that a screen without colour says the same.
#include "tui/draw/panel_curves.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/text.h"
#include "tui/model/format.h"
#include "tui/draw/timeplot.h"

static struct span wider(struct span range, double v)
{
    range.lo = fminf(range.lo, (float)v);
    range.hi = fmaxf(range.hi, (float)v);
    return range;
}

// The range with what was measured in the window.
static struct span with_measured(const struct time_plot *t, struct span range, int metric)
{
    for (int i = 0; i < t->h->n_eval; i++)
        if (time_shown(t, t->h->eval[i].step))
            range = wider(range, t->h->eval[i].metric[metric]);
    return range;
}

// The remark at the right of a box, and before it, where both fit or instead, what is laid under.
static void with_legend(const struct scene *s, struct rect r, const char *title, char *right,
                        size_t size)
{
    char legend[96], both[384];
    int room = r.w - 3 - text_columns(title) - 4;
    time_reference_legend(s, room < 24 ? room : 24, legend, sizeof legend);
    if (!*legend)
        return;
    snprintf(both, sizeof both, "%s%s%s", legend, *right ? "  " : "", right);
    const char *fits = canvas_box_fits(r, title, both) ? both : legend;
    snprintf(right, size, "%.*s", (int)size - 1, fits);
}

void panel_auc(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    char title[160], right[128] = "";
    int64_t at = -1, of;
    double offset = history_auc_offset(h, &at), now = time_recent(s, METRIC_AUC, &of);
    if (h->last_step < 0)
        snprintf(title, sizeof title, "AUC");
    else if (of != time_step(s))
        snprintf(title, sizeof title, "AUC live %s of step %s", format_fixed(now, 3).s,
                 format_count(of).s);
    else
        snprintf(title, sizeof title, "AUC live %s", format_fixed(now, 3).s);
    if (isfinite(offset) && s->v->time.cursor < 0)
        snprintf(right, sizeof right, "exact %s%s @%s", offset < 0 ? "" : "+",
                 format_fixed(offset, 3).s, format_count(at).s);
    with_legend(s, r, title, right, sizeof right);
    view_zone(s->v, r, ZONE_PANEL, VIEW_COLLAPSE, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    h = t.h;
    struct span range = time_read(&t, METRIC_AUC);
    range = time_with_reference(&t, with_measured(&t, range, METRIC_AUC), METRIC_AUC);
    struct axis a = time_axis(&t, range, 0.1, 0.5, 1);
    plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    time_marks(&t);
    time_reference(&t, &a, METRIC_AUC);
    time_reference_measured(&t, &a, METRIC_AUC);
    time_curve(&t, &a, METRIC_AUC, LINE_SOLID, ROLE_LIVE);
    for (int i = 0; i < h->n_eval; i++)
        time_sign(&t, &a, h->eval[i].step, h->eval[i].metric[METRIC_AUC], 0x25C6, ROLE_EXACT);
    time_cursor(&t);
    time_close(&t);
}

void panel_loss(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    char title[160], right[128] = "";
    int64_t of;
    snprintf(title, sizeof title, SOLID "loss");
    if (h->last_step >= 0) {
        snprintf(title, sizeof title, SOLID "loss %s",
                 format_fixed(time_value(s, METRIC_LOSS), 3).s);
        snprintf(right, sizeof right, DASHED "z-std %s",
                 format_fixed(time_recent(s, METRIC_ZSTD, &of), 3).s);
        if (r.w >= 50)
            text_add(right, sizeof right, "  lr %s", format_value(time_value(s, SERIES_LR), 3).s);
    }
    view_zone(s->v, r, ZONE_PANEL, VIEW_COLLAPSE, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, GUTTER))
        return;
    time_marks(&t);
    const struct {
        int series, labels_left;
        double most; // what the axis ends with where no value is beyond; z-std passes 1 by a hair
        enum line line;
        enum role role;
    } curves[] = {
        {METRIC_ZSTD, 0, 1, LINE_DASHED, ROLE_SECOND},
        {METRIC_LOSS, 1, INFINITY, LINE_SOLID, ROLE_LIVE},
    };
    for (int i = 0; i < 2; i++) {
        struct span range = time_read(&t, curves[i].series);
        range = time_with_reference(&t, range, curves[i].series);
        struct limits l = history_limits(t.h, curves[i].series);
        struct axis a = time_axis(&t, range, 0.2, l.lo, fmin(l.hi, curves[i].most));
        int x = curves[i].labels_left ? t.area.x - 1 : t.area.x + t.area.w + 1;
        plot_labels(c, t.area, &a, x, GUTTER - 1, curves[i].labels_left, ROLE_DIM);
        time_reference(&t, &a, curves[i].series);
        time_curve(&t, &a, curves[i].series, curves[i].line, curves[i].role);
    }
    time_cursor(&t);
    time_close(&t);
}

// --- probe accuracy ---

// The last one by `step`; NULL: none.
static const struct history_eval *last_measured(const struct history *h, int64_t step)
{
    for (int i = h->n_eval - 1; i >= 0; i--)
        if (isfinite(h->eval[i].probe) && h->eval[i].step <= step)
            return &h->eval[i];
    return NULL;
}

// `narrow`: the interval is left to the curves, so that what was measured fits beside it.
static void forecast_title(const struct scene *s, int narrow, char *title, size_t size)
{
    int64_t of;
    double value = time_recent(s, SERIES_FORECAST, &of);
    char state[sizeof s->h->last.forecast_state] = "";
    if (s->v->time.cursor < 0 || s->all)
        text_clean(state, sizeof state, s->h->last.forecast_state);
    if (s->h->last_step < 0)
        snprintf(title, size, "forecast");
    else if (isfinite(value) && narrow)
        snprintf(title, size, SOLID "forecast %s %%", format_fixed(value, 1).s);
    else if (isfinite(value))
        snprintf(title, size, SOLID "forecast %s %% (%s\u2013%s)", format_fixed(value, 1).s,
                 format_fixed(time_recent(s, SERIES_FORECAST_LO, &of), 1).s,
                 format_fixed(time_recent(s, SERIES_FORECAST_HI, &of), 1).s);
    else
        snprintf(title, size, "forecast: %s", *state ? state : "none");
}

// The best by the place, as far as the run has said; NULL: none.
static const struct history_eval *best_by_now(const struct history *h)
{
    const struct history_eval *v = h->n_eval ? &h->eval[h->n_eval - 1] : NULL;
    return v && v->best_step >= 0 ? v : NULL;
}

// `narrow` -1: with the best; 2: beside the word extrapolating only the sign and the number fit.
static void measured_title(const struct history *h, const struct history_eval *last, int narrow,
                           char *title, size_t size)
{
    const struct history_eval *best = best_by_now(h);
    title[0] = '\0';
    if (best && narrow < 0) {
        int n =
            snprintf(title, size, "\u2605 best %s %% @%s%s", format_fixed(100 * best->best, 1).s,
                     format_count(best->best_step).s, last ? "  " : "");
        title += n;
        size -= (size_t)n;
    }
    if (last && narrow > 0)
        snprintf(title, size, narrow > 1 ? "\u25C6 %s %%" : "\u25C6 measured %s",
                 format_fixed(100 * last->probe, 1).s);
    else if (last)
        snprintf(title, size, "\u25C6 measured %s %% @%s", format_fixed(100 * last->probe, 1).s,
                 format_count(last->step).s);
}

// Nothing is drawn there or just before it but lines that mark steps.
static int is_free(const struct canvas *c, struct rect r)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x - 1; x < r.x + r.w; x++) {
            const struct cell *p = canvas_at(c, y, x);
            if (p && p->ch != ' ' && p->ch != 0x250A && p->ch != 0x2506)
                return 0;
        }
    return 1;
}

// What the run comes to as it goes, at the right where nothing is drawn, as low as can be and in as
// many words as there is room for.
static void forecast_end(struct canvas *c, struct rect in, const struct history *h)
{
    char number[48], between[112], text[256];
    if (h->last_step < 0 || !isfinite(h->last.forecast_end))
        return;
    snprintf(number, sizeof number, "%.40s", format_fixed(100 * h->last.forecast_end, 1).s);
    snprintf(between, sizeof between, " (%.40s\u2013%.40s)",
             format_fixed(100 * h->last.forecast_end_lo, 1).s,
             format_fixed(100 * h->last.forecast_end_hi, 1).s);
    const char *probe = *h->last.forecast_end_of ? " by the linear probe" : "";
    for (int less = *probe ? 0 : 1; less < 4; less++) {
        snprintf(text, sizeof text, "%sends at %s %%%s%s", less < 2 ? "as it goes it " : "", number,
                 less < 3 ? between : "", less < 1 ? probe : "");
        struct rect r = {in.y + in.h - 2, 0, 1, text_columns(text)};
        r.x = in.x + in.w - r.w - 1;
        for (; r.x > in.x + GUTTER && r.y > in.y; r.y--)
            if (is_free(c, r)) {
                canvas_text(c, r.y, r.x, r.w, ROLE_TEXT, text);
                return;
            }
    }
}

// Why there is no forecast, where nothing of one can be drawn.
static void forecast_hint(struct canvas *c, struct rect in, const struct history *h)
{
    int no_curve = h->last_step >= 0 && !isfinite(h->last.forecast);
    const char *state = h->last.forecast_state;
    const char *text = !no_curve                            ? ""
                       : strcmp(state, "uncalibrated") == 0 ? "no calibration: ssltop fit makes one"
                       : strcmp(state, "extrapolating") == 0
                           ? "too far from the runs that the calibration was fitted on"
                           : "";
    if (!*text)
        return;
    struct rect r = {in.y, in.x + GUTTER + 1, 0, in.w - GUTTER - 2};
    struct canvas nowhere = {0};
    r.h = canvas_wrap(&nowhere, 0, 0, r.w, 2, ROLE_DIM, text);
    for (int i = 0; i < 2 * in.h; i++) { // as near to the middle as there is room
        r.y = in.y + in.h / 2 + (i % 2 ? -(i + 1) / 2 : i / 2);
        if (r.y < in.y || r.y + r.h > in.y + in.h || !is_free(c, r))
            continue;
        canvas_wrap(c, r.y, r.x, r.w, r.h, ROLE_DIM, text);
        return;
    }
}

void panel_forecast(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    const struct history_eval *last = last_measured(h, time_step(s) + (s->v->time.cursor < 0));
    char title[256], right[200];
    for (int narrow = -1; narrow < 3; narrow++) {
        forecast_title(s, narrow > 0 ? narrow : 0, title, sizeof title);
        measured_title(h, last, narrow, right, sizeof right);
        if (canvas_box_fits(r, title, right))
            break;
    }
    view_zone(s->v, r, ZONE_PANEL, VIEW_COLLAPSE, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    static const int curves[] = {SERIES_FORECAST_LO, SERIES_FORECAST_HI, SERIES_FORECAST};
    h = t.h;
    struct span range = {NAN, NAN, NAN};
    for (int i = 0; i < 3; i++) {
        struct span one = time_read(&t, curves[i]);
        range.lo = fminf(range.lo, one.lo);
        range.hi = fmaxf(range.hi, one.hi);
    }
    range = time_with_reference(&t, range, SERIES_FORECAST);
    for (int i = 0; i < h->n_eval; i++)
        if (time_shown(&t, h->eval[i].step))
            range = wider(range, 100 * h->eval[i].probe);
    const struct history_eval *best = best_by_now(s->h);
    if (best && time_shown(&t, best->best_step))
        range = wider(range, 100 * best->best);
    struct axis a = time_axis(&t, range, 5, 0, 100);
    time_marks(&t);
    if (isfinite(range.lo))
        plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    time_band(&t, &a, SERIES_FORECAST_LO, SERIES_FORECAST_HI, ROLE_SHADE);
    time_reference(&t, &a, SERIES_FORECAST);
    time_reference_measured(&t, &a, -1);
    time_curve(&t, &a, SERIES_FORECAST, LINE_SOLID, ROLE_LIVE);
    for (int i = 0; i < h->n_eval; i++)
        time_sign(&t, &a, h->eval[i].step, 100 * h->eval[i].probe, 0x25C6, ROLE_EXACT);
    if (best)
        time_sign(&t, &a, best->best_step, 100 * best->best, 0x2605, ROLE_EXACT);
    forecast_hint(c, in, s->h);
    forecast_end(c, in, s->h);
    time_cursor(&t);
    time_close(&t);
}

int panel_has_probe(const struct history *h)
{
    return last_measured(h, INT64_MAX) != NULL || (h->last_step >= 0 && isfinite(h->last.forecast));
}

static const char *series_title(const struct history *h, int series, const char **unit)
{
    *unit = series < METRIC_COUNT       ? metric_table[series].unit
            : series == SERIES_IMAGES_S ? "img/s"
            : series >= SERIES_OWN      ? ""
            : series >= SERIES_PHASE    ? "ms"
                                        : "";
    return series < METRIC_COUNT       ? metric_table[series].title
           : series == SERIES_IMAGES_S ? "throughput"
           : series == SERIES_LR       ? "learning rate"
           : series >= SERIES_OWN      ? h->own[series - SERIES_OWN]
           : series >= SERIES_FORECAST ? "forecast"
                                       : record_phase_key[series - SERIES_PHASE];
}

void panel_metric(struct canvas *c, struct rect r, const struct scene *s, int series)
{
    const char *unit, *name = series_title(s->h, series, &unit);
    char title[120], right[128] = "";
    int64_t of;
    double now = time_recent(s, series, &of);
    snprintf(title, sizeof title, "%s %s%s%s", name, format_value(now, 4).s, *unit ? " " : "",
             unit);
    if (of != time_step(s))
        text_add(title, sizeof title, " of step %s", format_count(of).s);
    with_legend(s, r, title, right, sizeof right);
    view_zone(s->v, r, ZONE_PANEL, VIEW_COLLAPSE, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    const struct history *h = t.h;
    struct span range = time_read(&t, series);
    int is_metric = series < METRIC_COUNT;
    struct limits l = history_limits(h, series);
    if (is_metric)
        range = with_measured(&t, range, series);
    range = time_with_reference(&t, range, series);
    double span = fmax(fabs((double)range.hi) * 0.1, 1e-12);
    struct axis a = time_axis(&t, range, isfinite(span) ? span : 1, l.lo, l.hi);
    plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    time_marks(&t);
    time_reference(&t, &a, series);
    if (is_metric)
        time_reference_measured(&t, &a, series);
    time_curve(&t, &a, series, LINE_SOLID, ROLE_LIVE);
    for (int i = 0; is_metric && i < h->n_eval; i++)
        time_sign(&t, &a, h->eval[i].step, h->eval[i].metric[series], 0x25C6, ROLE_EXACT);
    time_cursor(&t);
    time_close(&t);
}
