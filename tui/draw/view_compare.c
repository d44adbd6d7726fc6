// Several runs over each other. Each has a letter that stands along its curves, a line of its own
// and, where there are colours, a colour: any of the three tells it.
#include "tui/draw/view_compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/base/text.h"
#include "tui/model/format.h"
#include "tui/draw/timeplot.h"

// Lines as dots that are left out, in a period of 8 columns: whole cells, so that they differ in
// ASCII too.
static const struct {
    unsigned dots; // bit i: column i is drawn
    const char *sample;
} lines[PLAYBACK_RUNS] = {
    {0xff, "\u2824\u2824\u2824\u2824"},
    {0x3f, "\u2824\u2824\u2824 "},
    {0x0f, "\u2824\u2824  "},
    {0x33, "\u2824 \u2824 "},
    {0x03, "\u2824   "},
    {0xcf, "\u2824\u2824 \u2824"},
};
enum { PERIOD = 8, BETWEEN_LETTERS = 48 };

static enum role role_of(int run)
{
    return (enum role)(ROLE_RUN + run % RUN_ROLES);
}

// The curve with its letter along it, somewhere else for each run.
static void draw_curve(struct canvas *c, struct rect area, const struct axis *a, struct span *col,
                       int run, int runs)
{
    int columns = 2 * area.w, lettered = 0, last = -1;
    int first = 6 + run * (BETWEEN_LETTERS / (runs > 0 ? runs : 1));
    struct span *dotted = calloc((size_t)columns, sizeof *dotted);
    if (!dotted)
        return;
    for (int x = 0; x < columns; x++)
        dotted[x] = lines[run].dots >> x % PERIOD & 1 ? col[x] : (struct span){NAN, NAN, NAN};
    plot_curve(c, area, a, dotted, LINE_SOLID, role_of(run));
    free(dotted);
    for (int x = 0; x < columns; x++) {
        if (isnan(col[x].last))
            continue;
        last = x;
        if (x < first || (x - first) % BETWEEN_LETTERS)
            continue;
        plot_sign(c, area, a, x, col[x].last, (uint32_t)('A' + run), role_of(run));
        lettered = 1;
    }
    if (!lettered && last >= 0)
        plot_sign(c, area, a, last, col[last].last, (uint32_t)('A' + run), role_of(run));
}

// --- over steps ---

// The scene with the longest run in it, whose steps make the axis.
static struct scene widest(const struct scene *s)
{
    struct scene out = *s;
    for (int i = 0; i < s->n_peer; i++)
        if (s->peer[i].all->last_step > out.all->last_step)
            out.all = s->peer[i].all;
    out.h = out.all;
    return out;
}

static struct span read_run(struct time_plot *t, const struct history *h, int series)
{
    struct span all = {NAN, NAN, NAN};
    for (int x = 0; x < t->win.columns; x++) {
        int64_t from = t->win.from + x * t->win.per;
        t->col[x] = series_range(&h->series[series], from, from + t->win.per);
        all.lo = fminf(all.lo, t->col[x].lo);
        all.hi = fmaxf(all.hi, t->col[x].hi);
    }
    return all;
}

static void draw_series(struct canvas *c, struct rect r, const struct scene *s, int series,
                        const char *title, double span, double least, double most)
{
    struct scene wide = widest(s);
    struct time_plot t;
    struct span range = {NAN, NAN, NAN};
    view_zone(s->v, r, ZONE_PANEL, VIEW_OVERVIEW, 0);
    char legend[96];
    time_reference_legend(s, 24, legend, sizeof legend);
    struct rect in = canvas_box(c, r, title, legend);
    if (time_open(&t, c, in, &wide, 0))
        return;
    for (int i = 0; i < s->n_peer; i++) {
        struct span one = read_run(&t, s->peer[i].all, series);
        range.lo = fminf(range.lo, one.lo);
        range.hi = fmaxf(range.hi, one.hi);
    }
    range = time_with_reference(&t, range, series);
    struct axis a = time_axis(&t, range, span, least, most);
    if (isnan(range.lo)) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, "none of the runs has any");
    } else {
        plot_labels(c, t.area, &a, t.area.x - 1, GUTTER - 1, 1, ROLE_DIM);
        time_reference(&t, &a, series);
        for (int i = s->n_peer - 1; i >= 0; i--) { // the first lies on top
            read_run(&t, s->peer[i].all, series);
            draw_curve(c, t.area, &a, t.col, i, s->n_peer);
        }
    }
    time_cursor(&t);
    time_close(&t);
}

static int any_has(const struct scene *s, int series)
{
    for (int i = 0; i < s->n_peer; i++)
        if (isfinite(series_range(&s->peer[i].all->series[series], 0, SERIES_LAST_STEP).last))
            return 1;
    return 0;
}

// --- spectra at the cursor ---

static void index_columns(const struct history_spectrum *p, int d, struct span *col, int columns)
{
    for (int x = 0; x < columns; x++) {
        int a = (int)((int64_t)x * d / columns), b = (int)((int64_t)(x + 1) * d / columns);
        if (b <= a)
            b = a + 1;
        col[x] = (struct span){NAN, NAN, NAN};
        if (a >= p->d || !(p->sigma[0] > 0))
            continue;
        if (b > p->d)
            b = p->d;
        double hi = p->sigma[a] / p->sigma[0], lo = p->sigma[b - 1] / p->sigma[0];
        col[x] = (struct span){(float)lo, (float)hi, (float)lo};
    }
}

static void draw_spectra(struct canvas *c, struct rect r, const struct scene *s)
{
    int d = 0;
    double least = 1;
    char title[64];
    for (int i = 0; i < s->n_peer; i++) {
        const struct history_spectrum *p = &s->peer[i].h->live;
        if (p->step < 0)
            continue;
        d = p->d > d ? p->d : d;
        for (int k = 0; k < p->d; k++)
            if (p->sigma[k] > 0 && p->sigma[0] > 0)
                least = fmin(least, p->sigma[k] / p->sigma[0]);
    }
    snprintf(title, sizeof title, "live spectra \u03c3/\u03c3\u2081%s",
             s->v->look.linear ? "" : " log");
    view_zone(s->v, r, ZONE_PANEL, VIEW_SPECTRUM, 0);
    struct rect in = canvas_box(c, r, title, s->v->time.cursor < 0 ? "newest" : "at the cursor");
    struct rect area = {in.y, in.x + GUTTER, in.h, in.w - GUTTER};
    struct span *col = area.w < 4 || area.h < 2 ? NULL : calloc(2 * (size_t)area.w, sizeof *col);
    if (!d || !col) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, "no spectrum yet");
        free(col);
        return;
    }
    struct axis a = s->v->look.linear
                        ? axis_linear(0, 1, 1, 0, 1, area.h / 2)
                        : axis_decades(fmax(least, 1e-8), 1, area.h > 1 ? area.h - 1 : 1);
    plot_labels(c, area, &a, area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    for (int i = s->n_peer - 1; i >= 0; i--) {
        if (s->peer[i].h->live.step < 0)
            continue;
        index_columns(&s->peer[i].h->live, d, col, 2 * area.w);
        draw_curve(c, area, &a, col, i, s->n_peer);
    }
    free(col);
    struct text last = format_count(d);
    int n = text_columns(last.s);
    canvas_text(c, area.y + area.h, area.x, 3, ROLE_DIM, "1");
    canvas_text(c, area.y + area.h, area.x + area.w - n, n, ROLE_DIM, last.s);
}

// --- who is who ---

// Columns of numbers from the right: as many as leave room for the names.
static const struct {
    const char *title;
    int w;
} cells[] = {{"step", 10}, {"AUC", 8}, {"loss", 9}, {"RankMe", 8}, {"forecast", 10}, {"probe", 8}};
enum { CELLS = sizeof cells / sizeof *cells, NAME_AT = 10, NAME_LEAST = 12 };

static double last_probe(const struct history *h)
{
    for (int i = h->n_eval - 1; i >= 0; i--)
        if (isfinite(h->eval[i].probe))
            return h->eval[i].probe;
    return NAN;
}

static struct text cell(const struct history *h, int i)
{
    const struct record_step *last = &h->last;
    if (h->last_step < 0)
        return format_count(-1);
    double probe = i == 4 ? last->forecast : last_probe(h);
    struct text t;
    switch (i) {
    case 0:
        return format_count(h->last_step);
    case 1:
        return format_fixed(last->metric[METRIC_AUC], 3);
    case 2:
        return format_fixed(last->metric[METRIC_LOSS], 3);
    case 3:
        return format_value(last->metric[METRIC_RANKME], 4);
    default:
        t = format_fixed(100 * probe, 1);
        text_add(t.s, sizeof t.s, "%s", isfinite(probe) ? " %" : "");
        return t;
    }
}

static void draw_legend(struct canvas *c, struct rect r, const struct scene *s)
{
    struct rect in = canvas_box(c, r, "runs", "");
    int shown = CELLS, w = 0;
    for (int i = 0; i < CELLS; i++)
        w += cells[i].w;
    while (shown > 1 && in.w - NAME_AT - w < NAME_LEAST)
        w -= cells[--shown].w;
    int x0 = in.x + in.w - w - 1;
    for (int i = 0, x = x0; i < shown; x += cells[i++].w)
        canvas_printf(c, r.y, x + cells[i].w - text_columns(cells[i].title) - 2, cells[i].w + 2,
                      ROLE_TITLE, " %s ", cells[i].title);
    for (int k = 0; k < s->n_peer && k < in.h; k++) {
        const struct peer *p = &s->peer[k];
        int y = in.y + k, x = x0;
        canvas_put(c, y, in.x, k == s->chosen ? 0x25B6 : ' ', ROLE_VALUE);
        canvas_put(c, y, in.x + 2, (uint32_t)('A' + k), role_of(k));
        canvas_text(c, y, in.x + 4, 4, role_of(k), lines[k].sample);
        canvas_text(c, y, in.x + NAME_AT, x0 - in.x - NAME_AT - 1,
                    k == s->chosen ? ROLE_VALUE : ROLE_TEXT, p->name);
        for (int i = 0; i < shown; x += cells[i++].w) {
            struct text t = cell(p->h, i);
            int n = text_columns(t.s);
            canvas_text(c, y, x + cells[i].w - n - 1, n, ROLE_TEXT, t.s);
        }
    }
}

// Runs of several methods share an axis.
static struct limits loss_limits(const struct scene *s)
{
    struct limits all = history_limits(s->all ? s->all : s->h, METRIC_LOSS);
    for (int i = 0; i < s->n_peer; i++) {
        struct limits one = history_limits(s->peer[i].all, METRIC_LOSS);
        all.lo = fmin(all.lo, one.lo);
        all.hi = fmax(all.hi, one.hi);
    }
    return all;
}

void view_compare(struct canvas *c, struct rect r, const struct scene *s)
{
    draw_legend(c, canvas_take_top(&r, s->n_peer + 2), s);
    struct rect row = canvas_take_top(&r, (r.h + 1) / 2);
    draw_series(c, canvas_take_left(&row, row.w / 2), s, METRIC_AUC, "AUC live", 0.1, 0.5, 1);
    struct limits loss = loss_limits(s);
    draw_series(c, row, s, METRIC_LOSS, "loss", 0.2, loss.lo, loss.hi);
    struct rect left = canvas_take_left(&r, r.w / 2);
    if (any_has(s, SERIES_FORECAST))
        draw_series(c, left, s, SERIES_FORECAST, "forecast of probe accuracy, %", 5, 0, 100);
    else
        draw_series(c, left, s, METRIC_RANKME, "RankMe", 1, 0, INFINITY);
    draw_spectra(c, r, s);
}
