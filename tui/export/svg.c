// Panels of a figure as SVG: text, axes with round numbers, and where a value stands.
#include "tui/export/svg.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "tui/model/format.h"

enum { TITLE = 230 }; // above a panel

// --- text and numbers ---

void svg_put(FILE *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(f, fmt, args);
    va_end(args);
}

void svg_escaped(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '&')
            svg_put(f, "&amp;");
        else if (*s == '<')
            svg_put(f, "&lt;");
        else if (*s == '>')
            svg_put(f, "&gt;");
        else if (*s == '"')
            svg_put(f, "&quot;");
        else if (!strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3))
            s += 2;
        else
            fputc(*s, f);
    }
}

void svg_text(FILE *f, int x, int y, const char *anchor, const char *style, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    svg_put(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\"%s>", x, y, anchor, style);
    svg_escaped(f, line);
    svg_put(f, "</text>\n");
}

// --- a figure ---

void svg_begin(FILE *f, int w, int h, int left, const char *title)
{
    svg_put(f,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\">\n<title>",
            w / 10, h / 10, w, h);
    svg_escaped(f, title);
    svg_put(
        f,
        "</title>\n<style>text{font-family:Helvetica,Arial,sans-serif;font-size:105px;fill:#000}"
        ".axis path{stroke:#000;stroke-width:8;fill:none}</style>\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
        "<g stroke-linecap=\"round\" stroke-linejoin=\"round\">\n",
        w, h);
    svg_text(f, left, 250, "start", " font-weight=\"bold\" style=\"font-size:140px\"", "%s", title);
}

void svg_end(FILE *f)
{
    svg_put(f, "</g>\n</svg>\n");
}

// --- a panel ---

int svg_x(const struct svg_panel *p, double v)
{
    return p->x + (int)lround((v - p->x_lo) / (p->x_hi - p->x_lo) * SVG_PANEL_W);
}

int svg_y(const struct svg_panel *p, double v)
{
    return p->y + SVG_PANEL_H - (int)lround(axis_place(&p->axis, v) * SVG_PANEL_H);
}

static void tick_y(FILE *f, const struct svg_panel *p, double v, const char *label)
{
    int y = svg_y(p, v);
    svg_put(f, "<path d=\"M%d %dh-40\"/>\n", p->x, y);
    svg_text(f, p->x - 70, y + 35, "end", "", "%s", label);
}

static void ticks_y(FILE *f, const struct svg_panel *p)
{
    const struct axis *a = &p->axis;
    char label[48];
    if (a->log) {
        int top = (int)lround(log10(a->hi)), bottom = (int)lround(log10(a->lo));
        for (int d = top; d >= bottom; d -= (int)a->step) {
            snprintf(label, sizeof label, "1e%d", d);
            tick_y(f, p, pow(10, d), d ? label : "1");
        }
        return;
    }
    int n = (int)lround((a->hi - a->lo) / a->step);
    for (int i = 0; i <= n; i++) {
        double v = a->lo + i * a->step;
        snprintf(label, sizeof label, "%.6g", fabs(v) < a->step / 2 ? 0 : v);
        if (v <= a->hi + a->step / 1000)
            tick_y(f, p, v, label);
    }
}

// Round numbers between the ends, which stay where the data end.
static void ticks_x(FILE *f, const struct svg_panel *p)
{
    struct axis a = axis_linear(p->x_lo, p->x_hi, 1, 0, INFINITY, SVG_LABELS);
    double step = fmax(1, a.step);
    for (double v = ceil(p->x_lo / step) * step; v <= p->x_hi; v += step) {
        svg_put(f, "<path d=\"M%d %dv40\"/>\n", svg_x(p, v), p->y + SVG_PANEL_H);
        svg_text(f, svg_x(p, v), p->y + SVG_PANEL_H + 150, "middle", "", "%s",
                 format_count((int64_t)v).s);
    }
}

void svg_frame(FILE *f, const struct svg_panel *p, const char *title, const char *x_title)
{
    svg_put(f, "<g stroke=\"none\">\n");
    svg_text(f, p->x, p->y - TITLE, "start", " font-weight=\"bold\"", "%s", title);
    svg_text(f, p->x + SVG_PANEL_W / 2, p->y + SVG_PANEL_H + 300, "middle", "", "%s", x_title);
    svg_put(f,
            "</g>\n<g stroke=\"#000\" stroke-width=\"8\" fill=\"none\">\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
            p->x, p->y, SVG_PANEL_W, SVG_PANEL_H);
    svg_put(f, "</g>\n<g class=\"axis\">\n");
    ticks_y(f, p);
    ticks_x(f, p);
    svg_put(f, "</g>\n");
}
