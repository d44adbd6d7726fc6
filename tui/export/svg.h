// Panels of a figure as SVG. Coordinates are whole tenths of a pixel; a write error shows in
// ferror(f).
#ifndef SSLTOP_TUI_CLI_SVG_H
#define SSLTOP_TUI_CLI_SVG_H

#include <stdio.h>

#include "tui/draw/plot.h"

enum { SVG_PANEL_W = 2900, SVG_PANEL_H = 1900, SVG_LABELS = 5 };

struct svg_panel {
    int x, y; // left upper corner
    struct axis axis;
    double x_lo, x_hi;
};

void svg_put(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Text of a log, clean UTF-8, with what XML takes for markup or refuses made harmless; and as a
// text.
void svg_escaped(FILE *f, const char *s);
void svg_text(FILE *f, int x, int y, const char *anchor, const char *style, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

// A figure of w x h, its title above what begins at `left`; and its end.
void svg_begin(FILE *f, int w, int h, int left, const char *title);
void svg_end(FILE *f);

// Where a value stands.
int svg_x(const struct svg_panel *p, double v);
int svg_y(const struct svg_panel *p, double v);

// Title, frame and both axes of a panel.
void svg_frame(FILE *f, const struct svg_panel *p, const char *title, const char *x_title);

#endif
