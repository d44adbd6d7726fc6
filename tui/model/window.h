// Which steps a time plot shows: a pure function of zoom, cursor and width, so that plots of one
// screen agree and old columns stay where they are while a run grows.
#ifndef SSLTOP_TUI_MODEL_WINDOW_H
#define SSLTOP_TUI_MODEL_WINDOW_H

#include <stdint.h>

#include "tui/model/view.h"

struct window {
    int64_t from; // first step shown
    int64_t per;  // steps a column of dots
    int columns;  // of dots
};

// Zoom 0 shows steps 0 .. last. Each further step halves what a column stands for, down to one
// step; the window then moves by halves of itself, so that what it is centred on (the centre, else
// the cursor, else the newest step) is always in it.
struct window window_of(const struct view_state *v, int64_t last, int columns);
// The column of dots of a step; -1: outside. A step behind `last` (an evaluation at the end) is in
// the column of the last when that one is shown.
int window_column(const struct window *w, int64_t step, int64_t last);

#endif
