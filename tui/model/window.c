// The cursor, zoom and pan in time.
#include "tui/model/window.h"

enum { ZOOM_MAX = 40 };

int64_t window_steps_per_column(int64_t last, int columns)
{
    int64_t per = 1;
    while (columns > 0 && last / per >= columns)
        per *= 2;
    return per;
}

struct window window_of(const struct window_state *t, int64_t last, int columns)
{
    struct window w = {0, window_steps_per_column(last, columns), columns};
    int64_t all = w.per;
    for (int i = 0; i < t->zoom && w.per > 1; i++)
        w.per /= 2;
    int64_t half = columns * w.per / 2;
    if (w.per == all || half < 1)
        return w;
    int64_t centre = t->centre >= 0 ? t->centre : t->cursor >= 0 ? t->cursor : last;
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

void window_put_cursor(struct window_state *t, int64_t step, int64_t newest)
{
    t->centre = -1;
    t->cursor = step >= newest ? -1 : step < 0 ? 0 : step;
}

void window_zoom(struct window_state *t, int by)
{
    if (by == 0)
        t->zoom = 0;
    else if (by < 0 && t->zoom > 0)
        t->zoom--;
    else if (by > 0 && t->per > 1 && t->zoom < ZOOM_MAX)
        t->zoom++;
    if (t->zoom == 0)
        t->centre = -1;
}

void window_pan(struct window_state *t, int by, int64_t last)
{
    if (t->zoom == 0 || t->span < 2)
        return;
    int64_t at = t->centre >= 0 ? t->centre : t->cursor >= 0 ? t->cursor : last;
    at += by * (t->span / 2);
    t->centre = at < 0 ? 0 : at > last ? last : at;
}
