// The spectrum: singular values over index, now and at earlier steps; their cumulative sum, under
// which AUC is the area; and all of them over time as a waterfall.
#include "tui/draw/panel_spectrum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/base/text.h"
#include "tui/model/format.h"
#include "tui/draw/timeplot.h"

// A spectrum wherever it is kept.
struct sigma {
    const double *wide;
    const float *narrow; // one of the two, NULL both: there is none
    int d;
    int64_t step;
    double n;
};

static struct sigma of_history(const struct history_spectrum *p)
{
    return p->step >= 0 && p->d > 0 ? (struct sigma){p->sigma, NULL, p->d, p->step, p->n}
                                    : (struct sigma){.step = -1};
}

static struct sigma of_row(const struct spectra_row *p)
{
    return p ? (struct sigma){NULL, p->sigma, p->d, p->step, p->n} : (struct sigma){.step = -1};
}

// The newer one of two that are known by `step`: a replay has looked up the very one.
static struct sigma newer(const struct history_spectrum *p, const struct spectra_row *row,
                          int64_t step)
{
    return p->step >= 0 && p->step <= step + 1 && (!row || row->step <= p->step) ? of_history(p)
                                                                                 : of_row(row);
}

// The spectra that are looked at, over steps.
static const struct spectra *rows_of(const struct scene *s, const struct history *h)
{
    return s->v->of_z ? &h->z_rows : &h->live_rows;
}

static const char *none_yet(const struct scene *s)
{
    return !s->v->of_z                       ? "no spectrum yet"
           : s->v->link.state == LINK_REPLAY ? "this log has no spectrum of z"
                                             : "no spectrum of z yet";
}

static double at(const struct sigma *p, int i)
{
    return p->wide ? p->wide[i] : p->narrow ? (double)p->narrow[i] : NAN;
}

static double sum_of(const struct sigma *p)
{
    double sum = 0;
    for (int i = 0; i < p->d; i++)
        sum += at(p, i);
    return sum;
}

// Equation 2 of the paper, of a spectrum of which only the values are kept.
static double auc_of(const struct sigma *p)
{
    double part = 0, area = 0;
    for (int i = 0; i < p->d; i++)
        area += part += at(p, i);
    return part > 0 ? area / part / p->d : 1;
}

enum { NOW, START, SWITCH, MARKED, EXACT, CURVES };

// The newer one of what a history keeps and of what was looked up, where that was done.
static struct sigma better(struct sigma kept, const struct history_spectrum *found)
{
    return found && found->step >= kept.step && found->step >= 0 ? of_history(found) : kept;
}

// Of the projections, which have none but live ones, and few enough that a history keeps them.
static void collect_z(const struct scene *s, struct sigma curve[CURVES])
{
    const struct history *h = s->h;
    int64_t step = time_step(s);
    curve[NOW] = newer(&h->z, spectra_at(&h->z_rows, step), step);
    curve[START] = of_history(&h->first_z);
    curve[SWITCH].step = curve[MARKED].step = curve[EXACT].step = -1;
    if (time_switch(s) >= 0)
        curve[SWITCH] = of_row(spectra_at(&h->z_rows, time_switch(s)));
    if (s->v->time.mark >= 0)
        curve[MARKED] = of_row(spectra_at(&time_whole(s)->z_rows, s->v->time.mark));
}

// What there is to compare, as of the step that the screen speaks of.
static void collect(const struct scene *s, struct sigma curve[CURVES])
{
    const struct history *h = s->h;
    const struct spectra *live = &h->live_rows, *exact = &h->exact_rows;
    int64_t step = time_step(s);
    int past = step < h->last_step || s->all;
    if (s->v->of_z) {
        collect_z(s, curve);
        return;
    }
    curve[NOW] = past ? better(newer(&h->live, spectra_at(live, step), step), s->read)
                      : of_history(&h->live);
    curve[EXACT] = past ? newer(&h->exact, spectra_at(exact, step), step) : of_history(&h->exact);
    curve[START] = of_history(&h->first_exact);
    if (curve[START].step < 0)
        curve[START] = of_history(&h->first_live);
    curve[SWITCH].step = curve[MARKED].step = -1;
    if (time_switch(s) >= 0)
        curve[SWITCH] = better(of_row(spectra_at(live, time_switch(s))), s->switched);
    if (s->v->time.mark >= 0)
        curve[MARKED] =
            better(of_row(spectra_at(&time_whole(s)->live_rows, s->v->time.mark)), s->marked);
}

static const struct {
    const char *name, *look;
    enum line line;
    uint32_t sign; // drawn as signs instead of a line
    int at;        // column of the first sign
    enum role role;
} curve_look[CURVES] = {
    [NOW] = {"now", SOLID, LINE_SOLID, 0, 0, ROLE_LIVE},
    [START] = {"start", DASHED, LINE_DASHED, 0, 0, ROLE_START},
    [SWITCH] = {"switch", DOTTED, LINE_DOTTED, 0, 0, ROLE_SWITCH},
    [MARKED] = {"mark", "\u2020 ", LINE_SOLID, 0x2020, 8, ROLE_MARKED},
    [EXACT] = {"exact", "\u25c6 ", LINE_SOLID, 0x25C6, 3, ROLE_EXACT},
};
enum { BETWEEN_SIGNS = 10 };

// One span a column of dots over index. Where there are more columns than values, neighbours share
// them; where fewer, they are joined.
static void index_columns(const struct sigma *p, double scale, struct span *col, int columns)
{
    for (int x = 0; x < columns; x++) {
        int a = (int)((int64_t)x * p->d / columns), b = (int)((int64_t)(x + 1) * p->d / columns);
        if (b <= a)
            b = a + 1;
        double hi = at(p, a) * scale, lo = at(p, b - 1) * scale;
        col[x] = (struct span){(float)lo, (float)hi, (float)lo};
    }
}

static double scale_of(const struct sigma *p, int absolute)
{
    return absolute ? 1 : at(p, 0) > 0 ? 1 / at(p, 0) : 0;
}

static double smallest(const struct sigma *p, double scale)
{
    double least = INFINITY;
    for (int i = 0; i < p->d; i++)
        if (at(p, i) * scale > 0)
            least = fmin(least, at(p, i) * scale);
    return least;
}

// Index along the bottom line, and what the curves are.
static void draw_legend(struct canvas *c, struct rect area, const struct sigma curve[CURVES], int d,
                        const struct scene *s, unsigned shown)
{
    int y = area.y + area.h;
    canvas_text(c, y, area.x, 3, ROLE_DIM, "1");
    struct text last = format_count(d);
    int n = text_columns(last.s), x = area.x + 2, end = area.x + area.w - n - 1;
    canvas_text(c, y, area.x + area.w - n, n, ROLE_DIM, last.s);
    for (int i = 0; i < CURVES; i++) {
        if (curve[i].step < 0 || !(shown >> i & 1))
            continue;
        char text[96];
        snprintf(text, sizeof text, "%s%s @%s ", curve_look[i].look, curve_look[i].name,
                 format_count(curve[i].step).s);
        if ((i == NOW && s->v->time.cursor < 0) || i == START || x + text_columns(text) > end)
            snprintf(text, sizeof text, "%s%s ", curve_look[i].look, curve_look[i].name);
        if (x + text_columns(text) <= end)
            x += canvas_text(c, y, x, end - x, curve_look[i].role, text);
    }
}

static void draw_curve(struct canvas *c, struct rect area, const struct axis *a, int which,
                       const struct span *col)
{
    if (!curve_look[which].sign) {
        plot_curve(c, area, a, col, curve_look[which].line, curve_look[which].role);
        return;
    }
    for (int x = curve_look[which].at; x < 2 * area.w; x += BETWEEN_SIGNS)
        plot_sign(c, area, a, x, col[x].hi, curve_look[which].sign, curve_look[which].role);
}

static const int drawing_order[CURVES] = {START, SWITCH, NOW, MARKED, EXACT};

static void spectrum_title(const struct scene *s, const struct sigma *now, char *title, char *right,
                           size_t size)
{
    snprintf(title, size, "spectrum %s\u03c3%s%s", s->v->of_z ? "of z " : "",
             s->v->look.absolute ? "" : "/\u03c3\u2081", s->v->look.linear ? "" : " log");
    right[0] = 0;
    if (now->step >= 0 && (s->v->time.cursor >= 0 || s->all))
        snprintf(right, size, "of step %s", format_count(now->step).s);
    else if (now->step >= 0)
        snprintf(right, size, "%s samples", format_count((int64_t)llround(now->n)).s);
}

// A line at the index, and the values of all curves there.
static void read_index(struct canvas *c, struct rect r, struct rect area,
                       const struct sigma curve[CURVES], int d, const struct scene *s)
{
    int i = s->v->index - 1;
    plot_cursor(c, area, (int)((2 * (int64_t)area.w * i + area.w) / d), ROLE_CURSOR);
    char text[256];
    snprintf(text, sizeof text, " i = %d", s->v->index);
    static const int order[CURVES] = {NOW, EXACT, START, SWITCH, MARKED};
    for (int o = 0, k; o < CURVES; o++)
        if (curve[k = order[o]].step >= 0 && i < curve[k].d)
            text_add(
                text, sizeof text, "  %s %s", curve_look[k].name,
                format_value(at(&curve[k], i) * scale_of(&curve[k], s->v->look.absolute), 4).s);
    text_add(text, sizeof text, " ");
    int columns = text_columns(text), room = r.w - 24;
    if (columns > room)
        columns = room;
    canvas_fill(c, (struct rect){r.y, r.x + r.w - 2 - columns, 1, columns}, ' ', ROLE_VALUE);
    canvas_text(c, r.y, r.x + r.w - 2 - columns, columns, ROLE_VALUE, text);
}

void panel_spectrum(struct canvas *c, struct rect r, const struct scene *s)
{
    struct sigma curve[CURVES];
    char title[96], right[96];
    collect(s, curve);
    spectrum_title(s, &curve[NOW], title, right, sizeof title);
    view_zone(s->v, r, ZONE_PANEL, VIEW_SPECTRUM, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct rect area = {in.y, in.x + GUTTER, in.h, in.w - GUTTER};
    if (area.w < 4 || area.h < 2)
        return;
    int d = 0;
    double least = INFINITY, most = 0;
    for (int i = 0; i < CURVES; i++)
        if (curve[i].step >= 0) {
            double scale = scale_of(&curve[i], s->v->look.absolute);
            least = fmin(least, smallest(&curve[i], scale));
            most = fmax(most, at(&curve[i], 0) * scale);
            d = !d || i == EXACT ? curve[i].d : d;
        }
    struct span *col = calloc(2 * (size_t)area.w, sizeof *col);
    if (!d || !col) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, none_yet(s));
        free(col);
        return;
    }
    if (!(most > 0))
        most = 1;
    struct axis a = s->v->look.linear ? axis_linear(0, most, most, 0, INFINITY, area.h / 2)
                                      : axis_decades(fmax(fmin(least, most), most * 1e-8), most,
                                                     area.h > 1 ? area.h - 1 : 1);
    plot_labels(c, area, &a, area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    for (int k = 0; k < CURVES; k++) {
        int i = drawing_order[k];
        if (curve[i].step < 0)
            continue;
        index_columns(&curve[i], scale_of(&curve[i], s->v->look.absolute), col, 2 * area.w);
        draw_curve(c, area, &a, i, col);
    }
    free(col);
    draw_legend(c, area, curve, d, s, ~0U);
    if (s->v->view != VIEW_SPECTRUM)
        return;
    view_zone(s->v, area, ZONE_INDEX, d, 0);
    if (s->v->index > 0 && s->v->index <= d)
        read_index(c, r, area, curve, d, s);
}

// --- cumulative sum ---

static void cumulative_columns(const struct sigma *p, struct span *col, int columns)
{
    double sum = sum_of(p), part = 0;
    int i = 0;
    for (int x = 0; x < columns; x++) {
        int b = (int)((int64_t)(x + 1) * p->d / columns);
        if (b <= (int)((int64_t)x * p->d / columns))
            b = (int)((int64_t)x * p->d / columns) + 1;
        double before = part;
        for (; i < b && i < p->d; i++)
            part += at(p, i);
        double lo = sum > 0 ? (i == b && before > 0 ? before : part) / sum : 1;
        double hi = sum > 0 ? part / sum : 1;
        col[x] = (struct span){(float)fmin(lo, hi), (float)hi, (float)hi};
    }
}

void panel_cumulative(struct canvas *c, struct rect r, const struct scene *s)
{
    struct sigma curve[CURVES];
    char title[96] = "cumulative", right[96] = "";
    collect(s, curve);
    if (curve[NOW].step >= 0) {
        snprintf(title, sizeof title, "cumulative  area = AUC %s%s", s->v->of_z ? "of z " : "",
                 format_fixed(auc_of(&curve[NOW]), 3).s);
        snprintf(right, sizeof right, "none collapsed %s",
                 format_fixed((curve[NOW].d + 1) / (2.0 * curve[NOW].d), 3).s);
    }
    view_zone(s->v, r, ZONE_PANEL, VIEW_SPECTRUM, 0);
    struct rect in = canvas_box(c, r, title, right);
    struct rect area = {in.y, in.x + GUTTER, in.h, in.w - GUTTER};
    if (area.w < 4 || area.h < 2)
        return;
    struct span *col = calloc(2 * (size_t)area.w, sizeof *col);
    if (!col || curve[NOW].step < 0) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, none_yet(s));
        free(col);
        return;
    }
    struct axis a = axis_linear(0, 1, 1, 0, 1, area.h > 3 ? area.h / 2 : 2);
    plot_labels(c, area, &a, area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    cumulative_columns(&curve[NOW], col, 2 * area.w);
    plot_area(c, area, &a, col, ROLE_SHADE);
    static const int order[] = {START, SWITCH, NOW};
    for (int k = 0; k < 3; k++) {
        if (curve[order[k]].step < 0)
            continue;
        cumulative_columns(&curve[order[k]], col, 2 * area.w);
        draw_curve(c, area, &a, order[k], col);
    }
    free(col);
    draw_legend(c, area, curve, curve[NOW].d, s, 1U << START | 1U << SWITCH | 1U << NOW);
}

// --- waterfall ---

// Decades of sigma / sigma_1 that the levels span: down to where nine tenths of the values lie, at
// the beginning of the window, in its middle and at its end.
static int decades_of(const struct spectra *rows, const struct window *win)
{
    enum { MOST = 8 };
    int decades = 1;
    for (int i = 0; i < 3; i++) {
        const struct spectra_row *p = spectra_at(rows, win->from + win->per * win->columns * i / 2);
        double v = p && p->sigma[0] > 0 ? (double)(p->sigma[p->d * 9 / 10] / p->sigma[0]) : 1;
        int need = v > 0 ? (int)ceil(-log10(v) - 0.1) : MOST;
        decades = need > decades ? need : decades;
    }
    return decades < MOST ? decades : MOST;
}

// log10(sigma / sigma_1) in the middle of a part of the index as a level, 1 .. HEAT_LEVELS.
static int level_of(const struct spectra_row *p, int part, int parts, int decades)
{
    int a = (int)((int64_t)part * p->d / parts), b = (int)((int64_t)(part + 1) * p->d / parts);
    float v = p->sigma[(a + (b > a ? b - 1 : a)) / 2], top = p->sigma[0];
    double place = top > 0 && v > 0 ? 1 + log10((double)(v / top)) / decades : 0;
    int level = 1 + (int)floor(place * HEAT_LEVELS);
    return level < 1 ? 1 : level > HEAT_LEVELS ? HEAT_LEVELS : level;
}

// The spectrum of a column of cells: the last one in it, or the last before it that stands for its
// steps too.
static const struct spectra_row *row_of(const struct spectra *s, int64_t from, int64_t to)
{
    const struct spectra_row *p = spectra_at(s, to - 1);
    // Where only some steps have one, it stands for as many as there were to it.
    int64_t stands = p && p > s->row ? p->step - p[-1].step : 1;
    return p && (p->step + stands > from || p->step / s->stride >= from / s->stride) ? p : NULL;
}

static void draw_scale(struct canvas *c, struct rect r, int decades)
{
    char text[40];
    enum { CELLS = 8 };
    snprintf(text, sizeof text, " \u03c3/\u03c3\u2081 1e-%d ", decades);
    int x = r.x + r.w - 2 - CELLS - 3;
    canvas_text(c, r.y, x - text_columns(text), r.w, ROLE_DIM, text);
    for (int i = 0; i < CELLS; i++) {
        int level = 1 + i * (HEAT_LEVELS - 1) / (CELLS - 1);
        canvas_heat(c, r.y, x + i, level, level);
    }
    canvas_text(c, r.y, x + CELLS, 3, ROLE_DIM, " 1 ");
}

void panel_waterfall(struct canvas *c, struct rect r, const struct scene *s)
{
    view_zone(s->v, r, ZONE_PANEL, VIEW_SPECTRUM, 0);
    struct rect in = canvas_box(
        c, r, s->v->of_z ? "waterfall of z  index over steps" : "waterfall  index over steps", "");
    struct time_plot t;
    if (time_open(&t, c, in, s, 0))
        return;
    time_marks(&t);
    const struct spectra *rows = rows_of(s, t.h);
    int decades = decades_of(rows, &t.win);
    if (r.w >= 58)
        draw_scale(c, r, decades);
    int64_t last = time_step(s);
    int d = 0;
    for (int x = 0; x < t.area.w; x++) {
        int64_t from = t.win.from + 2 * x * t.win.per, to = from + 2 * t.win.per;
        if (from > s->h->last_step)
            break; // in a replay: what is still to come
        const struct spectra_row *p = rows->n ? row_of(rows, from, to) : NULL;
        if (!p)
            continue;
        d = p->d;
        for (int y = 0; y < t.area.h; y++)
            canvas_heat(c, t.area.y + y, t.area.x + x, level_of(p, 2 * y, 2 * t.area.h, decades),
                        level_of(p, 2 * y + 1, 2 * t.area.h, decades));
    }
    if (!d)
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM,
                    last < 0 ? "no step yet" : "no spectrum in this window");
    struct text end = format_count(d);
    int n = text_columns(end.s);
    canvas_text(c, t.area.y, t.area.x - 2, 1, ROLE_DIM, "1");
    if (d && t.area.h > 1)
        canvas_text(c, t.area.y + t.area.h - 1, t.area.x - 1 - n, n, ROLE_DIM, end.s);
    time_cursor(&t);
    time_close(&t);
}
