// A figure of a run as an SVG that stands alone: four panels (spectrum, AUC, probe accuracy, loss),
// round axes, mode bands behind what runs over steps. All coordinates are whole tenths of a pixel.
// Colours: Okabe and Ito's, which the colour-blind can tell apart; nothing is told by colour alone.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/mode.h"
#include "tui/export/export.h"
#include "tui/export/svg.h"
#include "tui/model/format.h"
#include "tui/feed/history.h"
#include "tui/draw/plot.h"

enum {
    WIDTH = 7600,
    HEIGHT = 5900,
    LEFT = 650,
    TOP = 860,
    ACROSS = 3650, // from panel to panel
    DOWN = 2650,
    LEGEND = 80,
    SAMPLE = 180, // of a line in a legend
    LETTER = 49,  // of a legend, about
    POINTS = 600  // of a curve over steps: half a pixel each
};

// Below that a singular value is the noise of double precision (metrics/science/spectrum.h).
#define FLOOR 1e-7

struct figure {
    FILE *f;
    const struct history *h;
    int64_t from, to; // steps at the ends of the axes
};

struct series_look {
    const char *colour, *dash; // dash NULL: solid
};
static const struct series_look look_now = {"#0072B2", NULL}, look_start = {"#D55E00", "60 40"},
                                look_live = {"#666666", "15 25"};

static void begin_curve(struct figure *g, const struct series_look *look)
{
    svg_put(g->f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"14\"%s%s%s d=\"", look->colour,
            look->dash ? " stroke-dasharray=\"" : "", look->dash ? look->dash : "",
            look->dash ? "\"" : "");
}

static void diamond(struct figure *g, int x, int y, const char *colour)
{
    svg_put(g->f,
            "<path fill=\"#fff\" stroke=\"%s\" stroke-width=\"12\" d=\"M%d %dl38 38l-38 "
            "38l-38-38z\"/>\n",
            colour, x, y - 38);
}

// --- what is what: samples with names above a panel, one beside the other ---

static void name_sample(struct figure *g, const struct svg_panel *p, int *x, int sample,
                        const char *name)
{
    svg_text(g->f, *x + sample + 50, p->y - LEGEND, "start", " style=\"font-size:95px\"", "%s",
             name);
    *x += sample + 50 + LETTER * text_columns(name) + 90;
}

static void legend_line(struct figure *g, const struct svg_panel *p, int *x,
                        const struct series_look *look, const char *name)
{
    begin_curve(g, look);
    svg_put(g->f, "M%d %dh%d\"/>\n", *x, p->y - LEGEND - 35, SAMPLE);
    name_sample(g, p, x, SAMPLE, name);
}

static void legend_band(struct figure *g, const struct svg_panel *p, int *x, const char *name)
{
    svg_put(g->f,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"80\" fill=\"%s\" "
            "fill-opacity=\"0.25\"/>\n",
            *x, p->y - LEGEND - 75, SAMPLE, look_now.colour);
    name_sample(g, p, x, SAMPLE, name);
}

static void legend_measured(struct figure *g, const struct svg_panel *p, int *x, const char *name)
{
    diamond(g, *x + 38, p->y - LEGEND - 35, look_start.colour);
    name_sample(g, p, x, 76, name);
}

// --- over steps ---

static struct svg_panel over_steps(const struct figure *g, int x, int y, struct axis axis)
{
    return (struct svg_panel){x, y, axis, (double)g->from, (double)g->to};
}

static const char *const mode_colour[MODE_COUNT] = {"#e8f1f8", "#fdebd8", "#e6f4ec"};

// The modes as bands behind the curves, with their names where there is room.
static void bands(struct figure *g, const struct svg_panel *p)
{
    const struct history *h = g->h;
    for (int i = 0; i < h->n_mode; i++) {
        int64_t from = h->mode[i].step, to = i + 1 < h->n_mode ? h->mode[i + 1].step : g->to;
        if (from < g->from || i == 0)
            from = g->from;
        if (to > g->to)
            to = g->to;
        if (from >= to)
            continue;
        int x = svg_x(p, (double)from), w = svg_x(p, (double)to) - x;
        svg_put(g->f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", x, p->y,
                w, SVG_PANEL_H, mode_colour[h->mode[i].mode]);
        if (i)
            svg_put(g->f,
                    "<path d=\"M%d %dv%d\" stroke=\"#999\" stroke-width=\"6\" "
                    "stroke-dasharray=\"30 30\"/>\n",
                    x, p->y, SVG_PANEL_H);
        const char *name = mode_name(h->mode[i].mode);
        if (w > 55 * (int)strlen(name))
            svg_text(g->f, x + 40, p->y + 120, "start", " fill=\"#666\"", "%s", name);
    }
}

// Step range of point i, and where it stands.
static int points_of(const struct figure *g)
{
    int64_t steps = g->to - g->from;
    return steps < POINTS ? (int)steps : POINTS;
}

static struct span span_at(const struct figure *g, int series, int i, int n, double *step)
{
    int64_t steps = g->to - g->from, from = g->from + steps * i / n,
            to = g->from + steps * (i + 1) / n;
    *step = n < POINTS ? (double)from : (double)(from + to) / 2;
    return series_range(&g->h->series[series], from, to);
}

// All values from the least to the largest that share a point, so that no spike is lost. A value
// that is missing is a gap; one alone between gaps is a dot (of a line with round ends).
static void curve(struct figure *g, const struct svg_panel *p, int series,
                  const struct series_look *look)
{
    int n = points_of(g), pen = 0;
    begin_curve(g, look);
    for (int i = 0; i < n; i++) {
        double step;
        struct span s = span_at(g, series, i, n, &step);
        if (isnan(s.lo)) {
            pen = 0;
            continue;
        }
        int x = svg_x(p, step), lo = svg_y(p, s.lo), hi = svg_y(p, s.hi), last = svg_y(p, s.last);
        svg_put(g->f, "%c%d %d", pen ? 'L' : 'M', x, lo);
        if (!pen)
            svg_put(g->f, "h0");
        if (hi != lo)
            svg_put(g->f, "V%d", hi);
        if (last != hi)
            svg_put(g->f, "V%d", last);
        pen = 1;
    }
    svg_put(g->f, "\"/>\n");
}

// The area between two series, a polygon for each stretch without gaps.
static void area(struct figure *g, const struct svg_panel *p, int low, int high, const char *colour)
{
    int n = points_of(g);
    svg_put(g->f, "<path stroke=\"none\" fill=\"%s\" fill-opacity=\"0.25\" d=\"", colour);
    for (int i = 0; i < n;) {
        double step;
        int end = i;
        while (end < n && !isnan(span_at(g, low, end, n, &step).lo) &&
               !isnan(span_at(g, high, end, n, &step).hi)) {
            double v = span_at(g, high, end, n, &step).hi;
            svg_put(g->f, "%c%d %d", end == i ? 'M' : 'L', svg_x(p, step), svg_y(p, v));
            end++;
        }
        for (int k = end; k-- > i;) {
            double v = span_at(g, low, k, n, &step).lo;
            svg_put(g->f, "L%d %d", svg_x(p, step), svg_y(p, v));
        }
        if (end > i)
            svg_put(g->f, "z");
        i = end + 1;
    }
    svg_put(g->f, "\"/>\n");
}

static void widen(struct span *s, double v)
{
    if (!isfinite(v))
        return;
    s->lo = fminf(s->lo, (float)v);
    s->hi = fmaxf(s->hi, (float)v);
}

static int in_range(const struct figure *g, int64_t step)
{
    return step >= g->from && step <= g->to;
}

static void draw_auc(struct figure *g)
{
    const struct history *h = g->h;
    struct span s = series_range(&h->series[METRIC_AUC], g->from, g->to);
    for (int i = 0; i < h->n_eval; i++)
        if (in_range(g, h->eval[i].step))
            widen(&s, h->eval[i].metric[METRIC_AUC]);
    struct svg_panel p =
        over_steps(g, LEFT + ACROSS, TOP, axis_linear(s.lo, s.hi, 0.05, 0, 1, SVG_LABELS));
    bands(g, &p);
    curve(g, &p, METRIC_AUC, &look_now);
    for (int i = 0; i < h->n_eval; i++)
        if (in_range(g, h->eval[i].step) && isfinite(h->eval[i].metric[METRIC_AUC]))
            diamond(g, svg_x(&p, (double)h->eval[i].step), svg_y(&p, h->eval[i].metric[METRIC_AUC]),
                    look_start.colour);
    svg_frame(g->f, &p, "collapse: AUC of the spectrum", "step");
    int x = p.x;
    legend_line(g, &p, &x, &look_now, "live");
    legend_measured(g, &p, &x, "exact");
}

static void draw_accuracy(struct figure *g)
{
    const struct history *h = g->h;
    struct span s = series_range(&h->series[SERIES_FORECAST_LO], g->from, g->to),
                top = series_range(&h->series[SERIES_FORECAST_HI], g->from, g->to);
    widen(&s, top.hi);
    for (int i = 0; i < h->n_eval; i++)
        if (in_range(g, h->eval[i].step))
            widen(&s, 100 * h->eval[i].probe);
    struct svg_panel p = over_steps(
        g, LEFT, TOP + DOWN,
        axis_linear(isnan(s.lo) ? 0 : s.lo, isnan(s.hi) ? 100 : s.hi, 5, 0, 100, SVG_LABELS));
    bands(g, &p);
    area(g, &p, SERIES_FORECAST_LO, SERIES_FORECAST_HI, look_now.colour);
    curve(g, &p, SERIES_FORECAST, &look_now);
    for (int i = 0; i < h->n_eval; i++)
        if (in_range(g, h->eval[i].step) && isfinite(h->eval[i].probe))
            diamond(g, svg_x(&p, (double)h->eval[i].step), svg_y(&p, 100 * h->eval[i].probe),
                    look_start.colour);
    svg_frame(g->f, &p, "accuracy of a linear probe, %", "step");
    int x = p.x;
    legend_line(g, &p, &x, &look_now, "forecast");
    legend_band(g, &p, &x, "95 % interval");
    legend_measured(g, &p, &x, "measured (fast probe)");
    if (isnan(s.lo))
        svg_text(g->f, p.x + SVG_PANEL_W / 2, p.y + SVG_PANEL_H / 2, "middle", " fill=\"#666\"",
                 "neither forecast nor measured");
}

static void draw_loss(struct figure *g)
{
    struct span s = series_range(&g->h->series[METRIC_LOSS], g->from, g->to);
    struct limits l = history_limits(g->h, METRIC_LOSS);
    struct svg_panel p = over_steps(g, LEFT + ACROSS, TOP + DOWN,
                                    axis_linear(s.lo, s.hi, 0.01, l.lo, l.hi, SVG_LABELS));
    bands(g, &p);
    curve(g, &p, METRIC_LOSS, &look_now);
    svg_frame(g->f, &p, "loss", "step");
}

// --- the spectrum ---

static int has(const struct history_spectrum *s)
{
    return s->d > 0 && s->sigma && s->sigma[0] > 0;
}

// Zeros end a curve: there is no place for them on a logarithmic axis.
static void spectrum(struct figure *g, const struct svg_panel *p, const struct history_spectrum *s,
                     const struct series_look *look)
{
    int pen = 0;
    begin_curve(g, look);
    for (int i = 0; i < s->d; i++) {
        double v = s->sigma[i] / s->sigma[0];
        if (!(v > 0)) {
            pen = 0;
            continue;
        }
        svg_put(g->f, "%c%d %d%s", pen ? 'L' : 'M', svg_x(p, i + 1), svg_y(p, v), pen ? "" : "h0");
        pen = 1;
    }
    svg_put(g->f, "\"/>\n");
}

static void draw_spectrum(struct figure *g)
{
    const struct history *h = g->h;
    const struct {
        const struct history_spectrum *s;
        const struct series_look *look;
        const char *what;
        int shown;
    } curve_of[] = {
        {&h->live, &look_live, "live", has(&h->live)},
        {&h->first_exact, &look_start, "exact", has(&h->first_exact)},
        {&h->exact, &look_now, "exact", has(&h->exact) && h->exact.step > h->first_exact.step},
    };
    double least = 1;
    int d = 2;
    for (int k = 0; k < 3; k++)
        for (int i = 0; curve_of[k].shown && i < curve_of[k].s->d; i++) {
            double v = curve_of[k].s->sigma[i] / curve_of[k].s->sigma[0];
            least = v > FLOOR && v < least ? v : least;
            d = curve_of[k].s->d > d ? curve_of[k].s->d : d;
        }
    struct svg_panel p = {LEFT, TOP, axis_decades(least, 1, SVG_LABELS), 1, d};
    for (int k = 0; k < 3; k++)
        if (curve_of[k].shown)
            spectrum(g, &p, curve_of[k].s, curve_of[k].look);
    svg_frame(g->f, &p, "singular values \u03c3/\u03c3\u2081 of the features", "index");
    for (int k = 0, x = p.x; k < 3; k++) {
        char name[64];
        if (!curve_of[k].shown)
            continue;
        snprintf(name, sizeof name, g->to > 999999 ? "%s @%s" : "%s, step %s", curve_of[k].what,
                 format_count(curve_of[k].s->step).s);
        legend_line(g, &p, &x, curve_of[k].look, name);
    }
}

// --- the figure ---

static void draw(struct figure *g)
{
    const struct history *h = g->h;
    svg_begin(g->f, WIDTH, HEIGHT, LEFT, h->run.name);
    svg_text(g->f, LEFT, 410, "start", "",
             "%s \u00b7 %s\u00d7%d \u00b7 %s \u00b7 %s parameters \u00b7 %s", h->run.dataset.name,
             h->run.model.arch, h->run.model.width, h->method, format_count(h->run.model.params).s,
             h->run.device.name);
    draw_spectrum(g);
    draw_auc(g);
    draw_accuracy(g);
    draw_loss(g);
    svg_end(g->f);
}

// Of the live spectra, which are most of a log, only the last of the range is looked at.
static int gather(struct cursor *c, const struct cursor_range *range, struct history *h,
                  struct error *e)
{
    struct record r;
    int rc, bad = 0;
    cursor_want(c, &(struct cursor_wanted){.kinds = CURSOR_CURVES, .range = range});
    for (; !bad && (rc = cursor_record(c, &r, e)) == 1; record_free(&r))
        bad = history_add(h, &r, e);
    if (bad || rc < 0)
        return -1;
    rc = cursor_find(c, RUNLOG_LIVE, range->to, &r, e);
    if (rc == 1 && r.step >= range->from)
        rc = history_add(h, &r, e);
    record_free(&r);
    return rc < 0 ? -1 : 0;
}

int export_svg(struct cursor *c, const struct cursor_range *range, FILE *f, struct error *e)
{
    struct history h;
    if (history_init(&h, e))
        return -1;
    int rc = gather(c, range, &h, e);
    if (rc == 0 && !h.have_run)
        rc = error_set(e, "nothing in it can be read");
    if (rc == 0 && h.last_step < 0)
        rc = error_set(e, "it has no steps there to draw");
    struct figure g = {f, &h, range->from, h.last_step + 1};
    if (rc == 0)
        draw(&g);
    history_free(&h);
    return rc;
}
