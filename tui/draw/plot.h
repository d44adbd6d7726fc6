// Axes and curves on a canvas. A plot is a rectangle of cells of 2 x 4 dots; values become dots
// through an axis with round numbers. A column of dots shows the whole range of the values that
// share it, so no spike is lost.
#ifndef SSLTOP_TUI_DRAW_PLOT_H
#define SSLTOP_TUI_DRAW_PLOT_H

#include <stdint.h>

#include "tui/draw/canvas.h"
#include "tui/model/series.h"

// How the kinds of line look, for titles and legends.
#define SOLID  "\u2824\u2824 "
#define DASHED "\u2824 \u2824 "
#define DOTTED "\u2804 \u2804 "

struct axis {
    double lo, hi; // values at the lower and the upper end
    double step;   // between labels; decades if logarithmic
    int log;
};
// Round ends around [lo, hi], at least `span` long, within [least, most]; about `labels` steps
// between them.
struct axis axis_linear(double lo, double hi, double span, double least, double most, int labels);
// Whole decades around [lo, hi], both > 0.
struct axis axis_decades(double lo, double hi, int labels);
// 0 at the lower end .. 1 at the upper end, clamped; NaN stays.
double axis_place(const struct axis *a, double v);

// Dashed: every second cell, which holds the range of both, so that it is no solid line in ASCII
// either. Dotted: one column of dots in every third cell.
enum line { LINE_SOLID, LINE_DASHED, LINE_DOTTED };

// `col`: one span a column of dots (2 * r.w of them). NaN is a gap.
void plot_curve(struct canvas *c, struct rect r, const struct axis *a, const struct span *col,
                enum line line, enum role role);
// Shade the cells that lie wholly below a curve.
void plot_area(struct canvas *c, struct rect r, const struct axis *a, const struct span *col,
               enum role role);
// Shade the cells between two curves.
void plot_band(struct canvas *c, struct rect r, const struct axis *a, const struct span *lo,
               const struct span *hi, enum role role);
// A sign at a column of dots and a value; not drawn for NaN.
void plot_sign(struct canvas *c, struct rect r, const struct axis *a, int column, double v,
               uint32_t ch, enum role role);
// A vertical line through the cell of a column of dots, a letter at its top; curves drawn later go
// over it.
void plot_mark(struct canvas *c, struct rect r, int column, uint32_t line, uint32_t letter,
               enum role role);
// A vertical line in the free cells of a column of dots; a curve in it stays, in the line's role.
void plot_cursor(struct canvas *c, struct rect r, int column, enum role role);
// Labels of an axis, right-aligned in `w` columns that end left of x (left = 1) or left-aligned
// from x on.
void plot_labels(struct canvas *c, struct rect r, const struct axis *a, int x, int w, int left,
                 enum role role);

// Round step numbers along the bottom line of a frame under the plot, whose first column of dots
// begins at step `from`.
void plot_step_labels(struct canvas *c, struct rect r, int64_t from, int64_t per_column,
                      enum role role);

#endif
