// A figure of a calibration: each evaluation of a run that was left out, what was foretold of it
// (across) and what the probe measured (up). Where all are right they lie on the diagonal; between
// the two other lines lie those that the 95 % interval holds.
#include <math.h>

#include "metrics/base/text.h"
#include "tui/export/export.h"
#include "tui/export/svg.h"

enum {
    WIDTH = 7600,
    HEIGHT = 3300,
    LEFT = 650,
    TOP = 860,
    ACROSS = 3650, // from panel to panel
    LEGEND = 80,
    POINTS = 100, // of a line
    RADIUS = 22
};

// The line through (foretold, foretold - or + the interval), sign 0: the diagonal.
static void line(FILE *f, const struct svg_panel *p, const struct forecast_law *law, int sign)
{
    double lo = fmax(p->x_lo / 100, 1e-3), hi = fmin(p->x_hi / 100, 1 - 1e-3);
    svg_put(f, "<path fill=\"none\" stroke=\"#D55E00\" stroke-width=\"%d\"%s d=\"", sign ? 8 : 12,
            sign ? " stroke-dasharray=\"60 40\"" : "");
    for (int i = 0; i <= POINTS; i++) {
        double v = lo + (hi - lo) * i / POINTS, logit = log(v / (1 - v)),
               y = 100 * forecast_accuracy(logit + sign * forecast_interval(law, logit));
        svg_put(f, "%c%d %d", i ? 'L' : 'M', svg_x(p, 100 * v), svg_y(p, y));
    }
    svg_put(f, "\"/>\n");
}

static void panel(FILE *f, int x, const struct forecast_law *law, const char *title)
{
    double lo = 1, hi = 0;
    for (int64_t i = 0; i < law->n_left_out; i++) {
        const struct forecast_left_out *v = &law->left_out[i];
        lo = fmin(lo, fmin(v->foretold, v->measured));
        hi = fmax(hi, fmax(v->foretold, v->measured));
    }
    struct svg_panel p = {x, TOP, axis_linear(100 * lo, 100 * hi, 1, 0, 100, SVG_LABELS), 0, 0};
    p.x_lo = p.axis.lo;
    p.x_hi = p.axis.hi;
    svg_put(f, "<g fill=\"#0072B2\" fill-opacity=\"0.4\">\n");
    for (int64_t i = 0; i < law->n_left_out; i++)
        svg_put(f, "<circle cx=\"%d\" cy=\"%d\" r=\"%d\"/>\n",
                svg_x(&p, 100 * law->left_out[i].foretold),
                svg_y(&p, 100 * law->left_out[i].measured), RADIUS);
    svg_put(f, "</g>\n");
    for (int sign = -1; sign <= 1; sign++)
        line(f, &p, law, sign);
    svg_frame(f, &p, title, "foretold, %");
    svg_text(f, p.x, p.y - LEGEND, "start", " style=\"font-size:95px\"",
             "measured, %%; off by %.1f points; 95 %% interval dashed", law->error_points);
}

int export_forecast(const struct forecast *f, FILE *out, struct error *e)
{
    char data[sizeof f->data], arch[sizeof f->arch], method[sizeof f->method], title[512];
    if (!f->now.n_left_out)
        return error_set(e, "it does not tell what it foretold of runs left out: fit it anew");
    text_clean(data, sizeof data, f->data);
    text_clean(arch, sizeof arch, f->arch);
    text_clean(method, sizeof method, f->method);
    snprintf(title, sizeof title, "%s \u00b7 %s \u00b7 %s", data, arch, method);
    svg_begin(out, WIDTH, HEIGHT, LEFT, title);
    svg_text(out, LEFT, 410, "start", "",
             "the probe's accuracy, foretold without labels of %d runs, each by the others",
             f->runs);
    panel(out, LEFT, &f->now, "at the step");
    if (f->end.n_left_out)
        panel(out, LEFT + ACROSS, &f->end, "at the end of the run");
    svg_end(out);
    return 0;
}
