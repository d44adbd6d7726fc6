// The panels: each draws one box from a scene. What is measured is a sign, what is live a line,
// what was at the start dotted, so that a screen without colour says the same.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/format.h"
#include "tui/timeplot.h"

// How the two kinds of line look, for titles and legends.
#define SOLID  "\u2824\u2824 "
#define DASHED "\u2824 \u2824 "

static struct rect box(struct canvas *c, struct rect r, const char *title, const char *right)
{
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    int n_right = text_columns(right);
    int used = canvas_printf(c, r.y, r.x + 1, r.w - 2, ROLE_TITLE, " %s ", title);
    if (n_right && used + n_right + 2 <= r.w - 3)
        canvas_printf(c, r.y, r.x + r.w - n_right - 3, n_right + 2, ROLE_DIM, " %s ", right);
    return in;
}

// --- spectrum ---

// One span a column of dots of sigma / sigma_1 over index. Where there are more columns than
// values, neighbours are joined.
static void spectrum_columns(const struct history_spectrum *p, struct span *col, int columns)
{
    double top = p->sigma[0];
    for (int x = 0; x < columns; x++) {
        int a = (int)((int64_t)x * p->d / columns), b = (int)((int64_t)(x + 1) * p->d / columns);
        if (b <= a)
            b = a + 1;
        double hi = top > 0 ? p->sigma[a] / top : 0, lo = top > 0 ? p->sigma[b - 1] / top : 0;
        col[x] = (struct span){(float)lo, (float)hi, (float)lo};
    }
}

static double smallest(const struct history_spectrum *p)
{
    double top = p->sigma[0], least = 1;
    for (int i = 0; i < p->d; i++)
        if (top > 0 && p->sigma[i] > 0)
            least = fmin(least, p->sigma[i] / top);
    return least;
}

void panel_spectrum(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    const struct history_spectrum *start =
        h->first_exact.step >= 0 ? &h->first_exact : &h->first_live;
    char right[80] = "";
    if (h->live.step >= 0)
        snprintf(right, sizeof right, "%s samples", format_count((int64_t)llround(h->live.n)).s);
    struct rect in = box(
        c, r, s->v->linear ? "spectrum \u03c3/\u03c3\u2081" : "spectrum \u03c3/\u03c3\u2081 log",
        right);
    struct rect area = {in.y, in.x + GUTTER, in.h, in.w - GUTTER};
    if (area.w < 4 || area.h < 2)
        return;
    if (h->live.step < 0 && h->exact.step < 0) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, "no spectrum yet");
        return;
    }
    const struct {
        const struct history_spectrum *p;
        enum line line;
        enum role role;
        int shown;
    } curves[] = {
        {start, LINE_DASHED, ROLE_START, start->step >= 0},
        {&h->live, LINE_SOLID, ROLE_LIVE, h->live.step >= 0},
        {&h->exact, LINE_SOLID, ROLE_EXACT, h->exact.step >= 0},
    };
    double least = 1;
    for (int i = 0; i < 3; i++)
        if (curves[i].shown)
            least = fmin(least, smallest(curves[i].p));
    struct axis a = s->v->linear ? axis_linear(0, 1, 1, 0, 1, area.h / 2)
                                 : axis_decades(fmax(least, 1e-8), 1, area.h > 1 ? area.h - 1 : 1);
    int columns = 2 * area.w;
    struct span *col = calloc((size_t)columns, sizeof *col);
    if (!col)
        return;
    plot_labels(c, area, &a, area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    for (int i = 0; i < 3; i++) {
        if (!curves[i].shown)
            continue;
        spectrum_columns(curves[i].p, col, columns);
        if (curves[i].role == ROLE_EXACT) // signs, so as not to hide the live curve
            for (int x = 3; x < columns; x += 10)
                plot_sign(c, area, &a, x, col[x].hi, 0x25C6, ROLE_EXACT);
        else
            plot_curve(c, area, &a, col, curves[i].line, curves[i].role);
    }
    free(col);
    int d = h->live.step >= 0 ? h->live.d : h->exact.d, y = r.y + r.h - 1;
    canvas_text(c, y, area.x, 3, ROLE_DIM, "1");
    struct text last = format_count(d);
    int n = text_columns(last.s);
    canvas_text(c, y, area.x + area.w - n, n, ROLE_DIM, last.s);
    int x = area.x + 2, end = area.x + area.w - n - 1;
    x += canvas_text(c, y, x, end - x, ROLE_LIVE, SOLID "now ");
    x += canvas_text(c, y, x, end - x, ROLE_START, DASHED "start ");
    if (h->exact.step < 0)
        return;
    char exact[64];
    snprintf(exact, sizeof exact, "\u25c6 exact @%s", format_count(h->exact.step).s);
    canvas_text(c, y, x, end - x, ROLE_EXACT,
                text_columns(exact) <= end - x ? exact : "\u25c6 exact");
}

// --- over steps ---

void panel_auc(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    char title[160], right[128] = "";
    int64_t at = -1;
    double offset = history_auc_offset(h, &at), now = time_value(s, METRIC_AUC);
    if (h->last_step < 0)
        snprintf(title, sizeof title, "AUC");
    else if (s->v->cursor < 0 && !isfinite(now) && h->spectrum_step >= 0)
        snprintf(
            title, sizeof title, "AUC live %s of step %s",
            format_fixed(
                series_range(&h->series[METRIC_AUC], h->spectrum_step, h->spectrum_step + 1).last,
                3)
                .s,
            format_count(h->spectrum_step).s);
    else
        snprintf(title, sizeof title, "AUC live %s", format_fixed(now, 3).s);
    if (isfinite(offset))
        snprintf(right, sizeof right, "exact %s%s @%s", offset < 0 ? "" : "+",
                 format_fixed(offset, 3).s, format_count(at).s);
    struct rect in = box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    h = t.h;
    struct span range = time_read(&t, METRIC_AUC);
    for (int i = 0; i < h->n_eval; i++) {
        range.lo = fminf(range.lo, (float)h->eval[i].metric[METRIC_AUC]);
        range.hi = fmaxf(range.hi, (float)h->eval[i].metric[METRIC_AUC]);
    }
    struct axis a = time_axis(&t, range, 0.1, 0.5, 1);
    plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    time_marks(&t);
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
    snprintf(title, sizeof title, SOLID "loss");
    if (h->last_step >= 0) {
        snprintf(title, sizeof title, SOLID "loss %s",
                 format_fixed(time_value(s, METRIC_LOSS), 3).s);
        int n = snprintf(right, sizeof right, DASHED "z-std %s",
                         format_fixed(time_value(s, METRIC_ZSTD), 3).s);
        if (r.w >= 50)
            snprintf(right + n, sizeof right - (size_t)n, "  lr %s",
                     format_value(time_value(s, SERIES_LR), 3).s);
    }
    struct rect in = box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, GUTTER))
        return;
    time_marks(&t);
    const struct {
        int series, labels_left;
        enum line line;
        enum role role;
    } curves[] = {
        {METRIC_ZSTD, 0, LINE_DASHED, ROLE_SECOND},
        {METRIC_LOSS, 1, LINE_SOLID, ROLE_LIVE},
    };
    for (int i = 0; i < 2; i++) {
        struct span range = time_read(&t, curves[i].series);
        const struct metric *m = &metric_table[curves[i].series];
        // Another method's loss, or a rounding, may leave the range that the table knows.
        struct axis a = time_axis(&t, range, 0.2, fmin(m->lo, range.lo), fmax(m->hi, range.hi));
        int x = curves[i].labels_left ? t.area.x - 1 : t.area.x + t.area.w + 1;
        plot_labels(c, t.area, &a, x, GUTTER - 1, curves[i].labels_left, ROLE_DIM);
        time_curve(&t, &a, curves[i].series, curves[i].line, curves[i].role);
    }
    time_cursor(&t);
    time_close(&t);
}

// --- probe accuracy ---

static const struct history_eval *last_measured(const struct history *h)
{
    for (int i = h->n_eval - 1; i >= 0; i--)
        if (isfinite(h->eval[i].probe))
            return &h->eval[i];
    return NULL;
}

// `narrow`: the interval is left to the curves, so that what was measured fits beside it.
static void forecast_title(const struct history *h, int narrow, char *title, size_t size)
{
    const struct record_step *last = &h->last;
    char state[sizeof last->forecast_state];
    text_clean(state, sizeof state, last->forecast_state);
    if (h->last_step < 0)
        snprintf(title, size, "forecast");
    else if (isfinite(last->forecast) && narrow)
        snprintf(title, size, SOLID "forecast %s %%", format_fixed(100 * last->forecast, 1).s);
    else if (isfinite(last->forecast))
        snprintf(title, size, SOLID "forecast %s %% (%s\u2013%s)",
                 format_fixed(100 * last->forecast, 1).s,
                 format_fixed(100 * last->forecast_lo, 1).s,
                 format_fixed(100 * last->forecast_hi, 1).s);
    else
        snprintf(title, size, "forecast: %s", *state ? state : "none");
}

// Why there is no forecast, where nothing of one can be drawn.
static void forecast_hint(struct canvas *c, struct rect in, const struct history *h)
{
    int no_curve = h->last_step >= 0 && !isfinite(h->last.forecast);
    const char *state = h->last.forecast_state;
    const char *text = !no_curve                            ? ""
                       : strcmp(state, "uncalibrated") == 0 ? "no calibration: ssltop fit makes one"
                       : strcmp(state, "extrapolating") == 0
                           ? "AUC, loss or width are far from the calibration's"
                           : "";
    canvas_text(c, in.y, in.x + GUTTER + 1, in.w - GUTTER - 2, ROLE_DIM, text);
}

void panel_forecast(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    const struct history_eval *last = last_measured(h);
    char title[256], right[200] = "";
    int narrow = r.w < 56;
    forecast_title(h, narrow, title, sizeof title);
    if (last && narrow)
        snprintf(right, sizeof right, "\u25C6 measured %s", format_fixed(100 * last->probe, 1).s);
    else if (last)
        snprintf(right, sizeof right, "\u25C6 measured %s %% @%s",
                 format_fixed(100 * last->probe, 1).s, format_count(last->step).s);
    struct rect in = box(c, r, title, right);
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    static const struct {
        int series;
        enum line line;
        enum role role;
    } curves[] = {{SERIES_FORECAST_LO, LINE_DASHED, ROLE_DIM},
                  {SERIES_FORECAST_HI, LINE_DASHED, ROLE_DIM},
                  {SERIES_FORECAST, LINE_SOLID, ROLE_LIVE}};
    h = t.h;
    struct span range = {NAN, NAN, NAN};
    for (int i = 0; i < 3; i++) {
        struct span one = time_read(&t, curves[i].series);
        range.lo = fminf(range.lo, one.lo);
        range.hi = fmaxf(range.hi, one.hi);
    }
    for (int i = 0; i < h->n_eval; i++) {
        range.lo = fminf(range.lo, (float)(100 * h->eval[i].probe));
        range.hi = fmaxf(range.hi, (float)(100 * h->eval[i].probe));
    }
    struct axis a = time_axis(&t, range, 5, 0, 100);
    time_marks(&t);
    if (isfinite(range.lo))
        plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    for (int i = 0; i < 3; i++)
        time_curve(&t, &a, curves[i].series, curves[i].line, curves[i].role);
    for (int i = 0; i < h->n_eval; i++)
        time_sign(&t, &a, h->eval[i].step, 100 * h->eval[i].probe, 0x25C6, ROLE_EXACT);
    forecast_hint(c, in, s->h);
    time_cursor(&t);
    time_close(&t);
}

int panel_has_probe(const struct history *h)
{
    return last_measured(h) != NULL || (h->last_step >= 0 && isfinite(h->last.forecast));
}

static const char *series_title(int series, const char **unit)
{
    *unit = series < METRIC_COUNT       ? metric_table[series].unit
            : series == SERIES_IMAGES_S ? "img/s"
            : series == SERIES_LR       ? ""
                                        : "ms";
    return series < METRIC_COUNT       ? metric_table[series].title
           : series == SERIES_IMAGES_S ? "throughput"
           : series == SERIES_LR       ? "learning rate"
                                       : record_phase_key[series - SERIES_PHASE];
}

void panel_metric(struct canvas *c, struct rect r, const struct scene *s, int series)
{
    const struct history *h = s->h;
    const char *unit, *name = series_title(series, &unit);
    char title[120];
    double now = time_value(s, series);
    snprintf(title, sizeof title, "%s %s%s%s", name, format_value(now, 4).s, *unit ? " " : "",
             unit);
    struct rect in = box(c, r, title, "");
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    h = t.h;
    struct span range = time_read(&t, series);
    int is_metric = series < METRIC_COUNT;
    double least = is_metric && isfinite(metric_table[series].lo) ? metric_table[series].lo
                   : is_metric                                    ? -INFINITY
                                                                  : 0;
    double most = is_metric ? metric_table[series].hi : INFINITY;
    if (isnan(most)) // of a rank: as many as there are directions
        most = h->run.model.d > 0 ? h->run.model.d : INFINITY;
    for (int i = 0; is_metric && i < h->n_eval; i++) {
        range.lo = fminf(range.lo, (float)h->eval[i].metric[series]);
        range.hi = fmaxf(range.hi, (float)h->eval[i].metric[series]);
    }
    double span = fmax(fabs((double)range.hi) * 0.1, 1e-12);
    struct axis a = time_axis(&t, range, isfinite(span) ? span : 1, fmin(least, range.lo),
                              fmax(most, range.hi));
    plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    time_marks(&t);
    time_curve(&t, &a, series, LINE_SOLID, ROLE_LIVE);
    for (int i = 0; is_metric && i < h->n_eval; i++)
        time_sign(&t, &a, h->eval[i].step, h->eval[i].metric[series], 0x25C6, ROLE_EXACT);
    time_cursor(&t);
    time_close(&t);
}

// --- lists ---

void panel_numbers(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    struct rect in = box(c, r, "numbers", "");
    enum { COLUMN = 8 };
    static const char *const heads[] = {"live", "exact", "start"};
    int x = in.x + in.w - 3 * COLUMN;
    for (int i = 0; i < 3; i++)
        canvas_printf(c, r.y, x + i * COLUMN + COLUMN - (int)strlen(heads[i]) - 2, 7, ROLE_TITLE,
                      " %s ", heads[i]);
    const double *values[] = {
        h->last_step >= 0 ? h->last.metric : NULL,
        h->n_eval ? h->eval[h->n_eval - 1].metric : NULL,
        h->n_eval ? h->eval[0].metric : NULL,
    };
    int y = in.y;
    for (int m = 0; m < METRIC_COUNT && y < in.y + in.h; m++) {
        if (m == METRIC_ZSTD || m == METRIC_LOSS)
            continue; // of the step, not of a spectrum: they have a panel
        const char *unit = metric_table[m].unit;
        canvas_printf(c, y, in.x + 1, x - in.x - 1, ROLE_TEXT, "%s%s%s", metric_table[m].title,
                      *unit ? " " : "", unit);
        for (int i = 0; i < 3; i++) {
            struct text t = format_value(values[i] ? values[i][m] : NAN, 4);
            int n = text_columns(t.s);
            canvas_text(c, y, x + (i + 1) * COLUMN - n - 1, n, i ? ROLE_TEXT : ROLE_VALUE, t.s);
        }
        y++;
    }
}

void panel_events(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    int n = h->n_event;
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    int first = s->v->scroll, most = n > in.h ? n - in.h : 0;
    first = first > most ? most : first < 0 ? 0 : first;
    s->v->scroll = first;
    s->v->page = in.h;
    char right[200] = "";
    if (n > in.h)
        snprintf(right, sizeof right, "%s\u2013%s of %s, newest first", format_count(first + 1).s,
                 format_count(first + in.h).s, format_count(n).s);
    box(c, r, "events", right);
    for (int i = 0; i < in.h; i++) {
        const struct history_event *v = history_event(h, first + i);
        if (!v)
            break;
        struct text step = format_count(v->step);
        int w = text_columns(step.s);
        canvas_text(c, in.y + i, in.x + 10 - (w < 10 ? w : 10), 10, ROLE_DIM, step.s);
        canvas_text(c, in.y + i, in.x + 12, in.w - 13, v->warning ? ROLE_WARN : ROLE_TEXT, v->text);
    }
}

void panel_times(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    struct rect in = box(c, r, "time of a step", "ms");
    if (h->last_step < 0)
        return;
    double sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        if (isfinite(h->last.ms[i]))
            sum += h->last.ms[i];
    int w = in.w - 24;
    for (int i = 0; i < PHASE_COUNT && i < in.h; i++) {
        canvas_text(c, in.y + i, in.x + 1, 10, ROLE_TEXT, record_phase_key[i]);
        struct text t = format_value(h->last.ms[i], 3);
        canvas_text(c, in.y + i, in.x + 20 - text_columns(t.s), 9, ROLE_VALUE, t.s);
        int n =
            sum > 0 && isfinite(h->last.ms[i]) && w > 0 ? (int)lround(h->last.ms[i] / sum * w) : 0;
        canvas_fill(c, (struct rect){in.y + i, in.x + 22, 1, n}, 0x2588, ROLE_LIVE);
    }
    if (in.h <= PHASE_COUNT)
        return;
    canvas_printf(c, in.y + PHASE_COUNT, in.x + 1, in.w - 2, ROLE_DIM,
                  "sum %s ms, %s images each with two views", format_value(sum, 3).s,
                  format_count(h->batch).s);
}
