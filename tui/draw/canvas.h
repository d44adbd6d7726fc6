// The screen as a grid of cells: a code point and a role. Everything that is drawn is drawn here,
// so that a test can look at any moment without a terminal; terminal.c copies the cells to curses.
// Writing outside the grid is clipped.
#ifndef SSLTOP_TUI_DRAW_CANVAS_H
#define SSLTOP_TUI_DRAW_CANVAS_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "tui/draw/theme.h"

struct cell {
    uint32_t ch; // Unicode; 0: right half of a wide character
    uint8_t role;
    uint8_t upper, lower; // of ROLE_HEAT: levels of the two halves, 0 none, 1 .. HEAT_LEVELS
};
enum { HEAT_LEVELS = 24 };
struct rect {
    int y, x, h, w; // cells
};
struct canvas {
    int h, w;
    struct cell *cell; // h x w, row major
};

// Blank. A zeroed canvas may be given to init, free and resize.
int canvas_resize(struct canvas *c, int h, int w, struct error *e);
void canvas_free(struct canvas *c);
void canvas_clear(struct canvas *c);

const struct cell *canvas_at(const struct canvas *c, int y, int x); // NULL outside
void canvas_put(struct canvas *c, int y, int x, uint32_t ch, enum role role);
void canvas_fill(struct canvas *c, struct rect r, uint32_t ch, enum role role);

// UTF-8 text in at most `max` columns; what does not fit ends in an ellipsis. Control characters
// and broken UTF-8 become
// '?'. Returns the columns used.
int canvas_text(struct canvas *c, int y, int x, int max, enum role role, const char *text);
int canvas_printf(struct canvas *c, int y, int x, int max, enum role role, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
int text_columns(const char *text);
// Text broken at blanks (a longer word anywhere) over lines y, y + 1, ... of `max` columns, at most
// `lines` of them; the last one is cut. Returns the lines used.
int canvas_wrap(struct canvas *c, int y, int x, int max, int lines, enum role role,
                const char *text);

// One Braille dot: 2 x 4 dots a cell, (0, 0) at the top left of the canvas. Cells that hold other
// characters than a mark line or a shade keep them.
void canvas_dot(struct canvas *c, int dy, int dx, enum role role);

// Two values one above the other in a cell, as brightness: a block character that stands for their
// mean, and the levels for a terminal that has colours for them.
void canvas_heat(struct canvas *c, int y, int x, int upper, int lower);

// A box; returns what is inside.
struct rect canvas_frame(struct canvas *c, struct rect r, enum role role);
// That of a panel, with its title and a remark at the right, which is left out where both do not
// fit; what is inside.
struct rect canvas_box(struct canvas *c, struct rect r, const char *title, const char *right);
int canvas_box_fits(struct rect r, const char *title, const char *right);
// The upper `h` lines (or left `w` columns) of a rectangle, which keeps the rest.
struct rect canvas_take_top(struct rect *r, int h);
struct rect canvas_take_left(struct rect *r, int w);

// Replace every character by its ASCII stand-in, the dots too: the last thing done for a terminal
// without UTF-8.
void canvas_ascii(struct canvas *c);

// Lines, trailing blanks cut, each with a newline; malloc'd, NULL without memory.
char *canvas_to_text(const struct canvas *c);

#endif
