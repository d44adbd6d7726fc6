// Plots over steps.
#include "tui/draw/timeplot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/model/format.h"

enum { BAND_FROM = 9 }; // lines of a plot that has one for the modes

const struct history *time_whole(const struct scene *s)
{
    return s->all ? s->all : s->h;
}

int time_open(struct time_plot *t, struct canvas *c, struct rect in, const struct scene *s,
              int right_gutter)
{
    *t = (struct time_plot){.c = c,
                            .s = s,
                            .h = time_whole(s),
                            .area = {in.y, in.x + GUTTER, in.h, in.w - GUTTER - right_gutter}};
    if (t->area.w < 4 || t->area.h < 2)
        return -1;
    t->has_band = t->area.h >= BAND_FROM;
    t->area.y += t->has_band;
    t->area.h -= t->has_band;
    if (t->h->last_step < 0) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, "no step yet");
        return -1;
    }
    // Boxes of one width show the same steps, whether or not there are labels at the right too.
    int shared = 2 * (in.w - 2 * GUTTER);
    t->win = window_of(&s->v->time, t->h->last_step, shared < 8 ? 2 * t->area.w : shared);
    t->win.columns = 2 * t->area.w;
    t->col = calloc((size_t)t->win.columns, sizeof *t->col);
    if (!t->col)
        return -1;
    if (t->win.per < s->v->time.per || s->v->time.per < 1) {
        s->v->time.per = t->win.per;
        s->v->time.span = t->win.per * t->win.columns;
    }
    view_zone(s->v, t->area, ZONE_TIME, t->win.from, t->win.per);
    plot_step_labels(c, t->area, t->win.from, t->win.per, ROLE_DIM);
    return 0;
}

void time_close(struct time_plot *t)
{
    free(t->col);
    t->col = NULL;
}

static struct span read_columns(struct time_plot *t, const struct series *p)
{
    struct span all = {NAN, NAN, NAN};
    for (int x = 0; x < t->win.columns; x++) {
        int64_t from = t->win.from + x * t->win.per;
        t->col[x] = series_range(p, from, from + t->win.per);
        all.lo = fminf(all.lo, t->col[x].lo);
        all.hi = fmaxf(all.hi, t->col[x].hi);
    }
    return all;
}

struct span time_read(struct time_plot *t, int series)
{
    return read_columns(t, &t->h->series[series]);
}

struct axis time_axis(const struct time_plot *t, struct span range, double span, double least,
                      double most)
{
    static const double rounding = 1e-6;
    if ((double)range.lo < least - rounding * (1 + fabs(least)))
        least = -INFINITY;
    if ((double)range.hi > most + rounding * (1 + fabs(most)))
        most = INFINITY;
    return axis_linear(range.lo, range.hi, span, least, most, t->area.h > 3 ? t->area.h / 2 : 2);
}

static int column_of(const struct time_plot *t, int64_t step)
{
    return window_column(&t->win, step, t->h->last_step);
}

// Modes as a line above the plot: heavy where they were, light where they are planned, each with
// its name if that fits.
static void draw_band(const struct time_plot *t)
{
    int y = t->area.y - 1, begin = 0;
    enum mode held = MODE_NONE;
    int64_t all = t->h->run.steps;
    for (int x = 0; x <= t->area.w; x++) {
        int64_t step = t->win.from + (int64_t)(2 * x) * t->win.per;
        enum mode mode = x < t->area.w && (all <= 0 || step < all)
                             ? schedule_view_mode(t->s->schedule, t->h, step)
                             : MODE_NONE;
        if (mode != held) {
            const char *name = mode_name(held);
            int n = (int)strlen(name), room = x - begin;
            if (held != MODE_NONE && room >= 3)
                canvas_text(t->c, y, t->area.x + begin + 1, room - 2, theme_mode(held),
                            room >= n + 2 ? name : (const char[]){theme_mode_letter(held), 0});
            begin = x;
            held = mode;
        }
        if (mode != MODE_NONE)
            canvas_put(t->c, y, t->area.x + x, step <= t->h->last_step ? 0x2501 : 0x2500,
                       theme_mode(mode));
    }
}

// The role of what happened at a step.
static enum role role_at(const struct time_plot *t, int64_t step, enum role role)
{
    return t->s->all && step > t->s->h->last_step ? ROLE_DIM : role;
}

void time_marks(const struct time_plot *t)
{
    const struct history *h = t->h;
    if (t->has_band)
        draw_band(t);
    for (int i = 1; i < h->n_mode; i++)
        plot_mark(t->c, t->area, column_of(t, h->mode[i].step), 0x250A,
                  t->has_band ? 0x250A : theme_mode_letter(h->mode[i].mode),
                  role_at(t, h->mode[i].step, ROLE_MARK));
    if (t->s->v->time.mark >= 0)
        plot_mark(t->c, t->area, column_of(t, t->s->v->time.mark), 0x250A, 0x2020, ROLE_CURSOR);
    int64_t step;
    enum mode mode;
    if (!schedule_view_next(t->s->schedule, h->last_step, &step, &mode))
        return;
    int64_t column = (step - t->win.from) / t->win.per;
    if (column < t->win.columns)
        plot_mark(t->c, t->area, (int)column, 0x2506,
                  t->has_band ? 0x2506 : theme_mode_letter(mode), ROLE_DIM);
}

// --- the run laid under ---

static const struct history *reference_of(const struct scene *s)
{
    return s->reference && s->v->reference ? s->reference->all : NULL;
}

// The step `step` of a run of `from` steps as one of a run of `to`: the same share of it. Where one
// of the two does not say how long it is: the same step.
static int64_t aligned(int64_t step, int64_t from, int64_t to)
{
    return from > 0 && to > 0 ? (int64_t)((__int128)step * to / from) : step;
}

// A reference may have but a point every so many steps, or fewer steps than there are columns: a
// straight line leads from one to the next.
static void join_points(struct span *col, int n)
{
    int last = -1;
    for (int x = 0; x < n; x++) {
        if (isnan(col[x].lo))
            continue;
        float a = last >= 0 ? col[last].last : 0, b = (col[x].lo + col[x].hi) / 2;
        for (int k = last + 1; last >= 0 && k < x; k++) {
            float v = a + (b - a) * (float)(k - last) / (float)(x - last);
            col[k] = (struct span){v, v, v};
        }
        last = x;
    }
}

// The columns of the reference; NaN: none is shown, or has any.
static struct span read_reference(struct time_plot *t, int series)
{
    const struct history *r = reference_of(t->s);
    struct span all = {NAN, NAN, NAN};
    if (!r || (series >= SERIES_OWN && series < SERIES_COUNT))
        return all; // another script's own scalars are not these
    int64_t own = t->h->run.steps, its = r->run.steps;
    for (int x = 0; x < t->win.columns; x++) {
        int64_t from = aligned(t->win.from + x * t->win.per, own, its),
                to = aligned(t->win.from + (x + 1) * t->win.per, own, its);
        t->col[x] = series_range(&r->series[series], from, to > from ? to : from + 1);
        all.lo = fminf(all.lo, t->col[x].lo);
        all.hi = fmaxf(all.hi, t->col[x].hi);
    }
    join_points(t->col, t->win.columns);
    return all;
}

struct span time_with_reference(struct time_plot *t, struct span range, int series)
{
    struct span its = read_reference(t, series);
    range.lo = fminf(range.lo, its.lo);
    range.hi = fmaxf(range.hi, its.hi);
    return range;
}

void time_reference(struct time_plot *t, const struct axis *a, int series)
{
    if (!isnan(read_reference(t, series).lo))
        plot_curve(t->c, t->area, a, t->col, LINE_DOTTED, ROLE_REFERENCE);
}

void time_reference_measured(const struct time_plot *t, const struct axis *a, int metric)
{
    const struct history *r = reference_of(t->s);
    for (int i = 0; r && i < r->n_eval; i++) {
        double v = metric < 0 ? 100 * r->eval[i].probe : r->eval[i].metric[metric];
        int64_t step = aligned(r->eval[i].step, r->run.steps, t->h->run.steps);
        int64_t column = (step - t->win.from) / t->win.per;
        if (step >= t->win.from && column < t->win.columns)
            plot_sign(t->c, t->area, a, (int)column, v, 0x25C7, ROLE_REFERENCE);
    }
}

void time_reference_legend(const struct scene *s, int columns, char *text, size_t size)
{
    *text = '\0';
    if (reference_of(s) && columns > 8)
        snprintf(text, size, "%s%.*s", s->v->ascii ? "~ ~ " : DOTTED, columns - 4,
                 s->reference->name);
}

void time_curve(struct time_plot *t, const struct axis *a, int series, enum line line,
                enum role role)
{
    if (t->s->all) {
        read_columns(t, &t->s->all->series[series]);
        plot_curve(t->c, t->area, a, t->col, line, ROLE_DIM);
    }
    read_columns(t, &t->s->h->series[series]);
    plot_curve(t->c, t->area, a, t->col, line, role);
}

void time_sign(const struct time_plot *t, const struct axis *a, int64_t step, double v, uint32_t ch,
               enum role role)
{
    plot_sign(t->c, t->area, a, column_of(t, step), v, ch, role_at(t, step, role));
}

static int is_label(const struct canvas *c, int y, int x)
{
    const struct cell *p = canvas_at(c, y, x);
    return p && p->ch != 0x2500;
}

void time_cursor(const struct time_plot *t)
{
    if (t->s->v->time.cursor < 0)
        return;
    int column = column_of(t, t->s->v->time.cursor);
    if (column < 0)
        return;
    plot_cursor(t->c, t->area, column, ROLE_CURSOR);
    struct text step = format_count(t->s->v->time.cursor);
    int n = text_columns(step.s), x = t->area.x + column / 2 - n / 2, y = t->area.y + t->area.h;
    x = x + n > t->area.x + t->area.w ? t->area.x + t->area.w - n : x;
    x = x < t->area.x ? t->area.x : x;
    // Labels of the axis that it touches go as a whole.
    for (int left = x - 1; left > t->area.x - 1 && is_label(t->c, y, left); left--)
        canvas_put(t->c, y, left, 0x2500, ROLE_FRAME);
    for (int right = x; right < t->area.x + t->area.w && is_label(t->c, y, right); right++)
        canvas_put(t->c, y, right, 0x2500, ROLE_FRAME);
    for (int right = x + n; right < t->area.x + t->area.w && is_label(t->c, y, right); right++)
        canvas_put(t->c, y, right, 0x2500, ROLE_FRAME);
    canvas_text(t->c, y, x, n, ROLE_SELECTED, step.s);
}

int64_t time_step(const struct scene *s)
{
    int64_t at = s->v->time.cursor;
    return at >= 0 && at < s->h->last_step ? at : s->h->last_step;
}

int64_t time_switch(const struct scene *s)
{
    int64_t step = time_step(s);
    for (int i = s->h->n_mode - 1; i > 0; i--)
        if (s->h->mode[i].step <= step)
            return s->h->mode[i].step;
    return -1;
}

static double value_at(const struct scene *s, int series, int64_t step)
{
    // What only some steps have stands until the next.
    const unsigned rare = METRIC_NEEDS_Z | METRIC_NEEDS_VIEWS | METRIC_NEEDS_PAIRS |
                          METRIC_NEEDS_RAW | METRIC_NEEDS_IMAGES;
    int is_rare = series < METRIC_COUNT && metric_table[series].needs & rare;
    return step < 0 ? NAN : series_range(&s->h->series[series], is_rare ? 0 : step, step + 1).last;
}

double time_value(const struct scene *s, int series)
{
    return value_at(s, series, time_step(s));
}

double time_recent(const struct scene *s, int series, int64_t *step)
{
    double v = time_value(s, series);
    *step = time_step(s);
    if (isfinite(v) || s->v->time.cursor >= 0 || s->h->spectrum_step < 0)
        return v;
    double before = value_at(s, series, s->h->spectrum_step);
    *step = isfinite(before) ? s->h->spectrum_step : *step;
    return isfinite(before) ? before : v;
}

void time_band(struct time_plot *t, const struct axis *a, int lo, int hi, enum role role)
{
    struct span *upper = calloc((size_t)t->win.columns, sizeof *upper);
    if (!upper)
        return;
    read_columns(t, &t->s->h->series[hi]);
    memcpy(upper, t->col, (size_t)t->win.columns * sizeof *upper);
    read_columns(t, &t->s->h->series[lo]);
    plot_band(t->c, t->area, a, t->col, upper, role);
    free(upper);
}

int time_shown(const struct time_plot *t, int64_t step)
{
    return column_of(t, step) >= 0;
}
