// Which steps a time plot shows: a pure function of zoom, cursor and width, so that plots of one
// screen agree and old columns stay where they are while a run grows.
#ifndef SSLTOP_TUI_MODEL_WINDOW_H
#define SSLTOP_TUI_MODEL_WINDOW_H

#include <stdint.h>

// What a person chose.
struct window_state {
    int64_t cursor;    // the step that is read off, in a replay its place; -1: the newest
    int64_t mark;      // a step to come back to; -1: none
    int64_t centre;    // what the window is centred on; -1: the cursor
    int zoom;          // halvings of the window; 0: the whole run
    int64_t per, span; // steps of a column of dots and of the window, told by the drawing
};

struct window {
    int64_t from; // first step shown
    int64_t per;  // steps a column of dots
    int columns;  // of dots
};

// Zoom 0 shows steps 0 .. last. Each further step halves what a column stands for, down to one
// step; the window then moves by halves of itself, so that what it is centred on (the centre, else
// the cursor, else the newest step) is always in it.
struct window window_of(const struct window_state *t, int64_t last, int columns);
// The column of dots of a step; -1: outside. A step behind `last` (an evaluation at the end) is in
// the column of the last when that one is shown.
int window_column(const struct window *w, int64_t step, int64_t last);
// Steps a column of dots stands for when `columns` of them must hold steps 0..last: a power of two,
// so that a growing run leaves old columns where they are and from time to time joins pairs of
// them.
int64_t window_steps_per_column(int64_t last, int columns);

// Put the cursor on a step; behind the newest it goes along with it.
void window_put_cursor(struct window_state *t, int64_t step, int64_t newest);
void window_zoom(struct window_state *t, int by);              // 1 in, -1 out, 0 the whole run
void window_pan(struct window_state *t, int by, int64_t last); // halves of the window

#endif
