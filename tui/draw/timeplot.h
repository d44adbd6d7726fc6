// A plot over steps: window, mode switches, cursor, curves of series, signs of what was measured.
// What is common to every panel with steps along its bottom.
#ifndef SSLTOP_TUI_DRAW_TIMEPLOT_H
#define SSLTOP_TUI_DRAW_TIMEPLOT_H

#include "tui/draw/plot.h"
#include "tui/model/view.h"
#include "tui/model/window.h"

enum { GUTTER = 6 }; // columns of axis labels

struct time_plot {
    struct canvas *c;
    const struct scene *s;
    const struct history *h; // the whole run, of which the scene may show the past
    struct rect area;
    int has_band; // a line above the area is for the modes
    struct window win;
    struct span *col; // one a column of dots, for time_read and time_curve
};

// The plot inside the box `in`: an axis at the left, `right_gutter` columns free at the right.
// Labels the steps on the box's bottom line. -1: too small, no step yet (said in the box), or out
// of memory; else close it.
int time_open(struct time_plot *t, struct canvas *c, struct rect in, const struct scene *s,
              int right_gutter);
void time_close(struct time_plot *t);

// The values of a series of the whole run in the window; their whole range as the result.
struct span time_read(struct time_plot *t, int series);
// An axis around `range`, at least `span` long, as many labels as fit. It keeps within [least,
// most] unless the values do not: another method's loss may leave the range that a table knows.
struct axis time_axis(const struct time_plot *t, struct span range, double span, double least,
                      double most);
// Switches that were, and the next one that is planned if the window reaches it. Before the curves.
void time_marks(const struct time_plot *t);
// A series up to now; what the whole run has after it is dim.
void time_curve(struct time_plot *t, const struct axis *a, int series, enum line line,
                enum role role);
// The run laid under the curves, as far as one is shown: its range in the window, with `range`; its
// curve, before one's own; what it measured, a sign each (`metric` -1: its probe, percent).
struct span time_with_reference(struct time_plot *t, struct span range, int series);
void time_reference(struct time_plot *t, const struct axis *a, int series);
void time_reference_measured(const struct time_plot *t, const struct axis *a, int metric);
// "· · NAME" for a box's title, at most `columns` wide; "" where none is shown.
void time_reference_legend(const struct scene *s, int columns, char *text, size_t size);
// A sign at a step and a value; dim when that is still to come.
void time_sign(const struct time_plot *t, const struct axis *a, int64_t step, double v, uint32_t ch,
               enum role role);
// Shade between two series.
void time_band(struct time_plot *t, const struct axis *a, int lo, int hi, enum role role);
int time_shown(const struct time_plot *t, int64_t step); // it lies in the window
// The cursor's line and step, if there is one. After the curves.
void time_cursor(const struct time_plot *t);

// The whole run.
const struct history *time_whole(const struct scene *s);
// The step that the screen speaks of: the cursor's, else the newest; -1: none yet.
int64_t time_step(const struct scene *s);
// The last switch of mode by then; -1: none.
int64_t time_switch(const struct scene *s);
// The value of a series at that step; NaN: none.
double time_value(const struct scene *s, int series);
// The same; where the newest step was not measured (not every one is, of a training that has no
// time for it), that of the last one that was. Of which step it is.
double time_recent(const struct scene *s, int series, int64_t *step);

#endif
