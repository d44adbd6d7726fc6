// Zoom and pan in time.
#include "tui/model/window.h"

#include "tui/draw/plot.h"

struct window window_of(const struct view_state *v, int64_t last, int columns)
{
    struct window w = {0, plot_steps_per_column(last, columns), columns};
    int64_t all = w.per;
    for (int i = 0; i < v->zoom && w.per > 1; i++)
        w.per /= 2;
    int64_t half = columns * w.per / 2;
    if (w.per == all || half < 1)
        return w;
    int64_t centre = v->centre >= 0 ? v->centre : v->cursor >= 0 ? v->cursor : last;
    if (centre > last)
        centre = last;
    if (centre > half / 2)
        w.from = (centre - half / 2) / half * half;
    return w;
}

int window_column(const struct window *w, int64_t step, int64_t last)
{
    if (step > last)
        step = last;
    if (step < w->from || w->per < 1)
        return -1;
    int64_t column = (step - w->from) / w->per;
    return column < w->columns ? (int)column : -1;
}
