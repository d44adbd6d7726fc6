// What panels share: the box, how lines look in titles, where the pointer hits.
#ifndef SSLTOP_TUI_DRAW_PANEL_H
#define SSLTOP_TUI_DRAW_PANEL_H

#include "tui/model/view.h"

// How the kinds of line look, for titles and legends.
#define SOLID  "\u2824\u2824 "
#define DASHED "\u2824 \u2824 "
#define DOTTED "\u2804 \u2804 "

// A framed panel with its title and a remark at the right; what is inside.
struct rect panel_box(struct canvas *c, struct rect r, const char *title, const char *right);

// Whether a box has room for both titles; else it leaves out the right one.
int panel_fits(struct rect r, const char *title, const char *right);

// The upper `h` lines (or left `w` columns) of a rectangle, which keeps the rest.
struct rect take_top(struct rect *r, int h);
struct rect take_left(struct rect *r, int w);

// Tell the pointer that `what` is shown here (later ones lie over earlier ones).
void panel_zone(const struct scene *s, struct rect r, enum zone_kind kind, int64_t from,
                int64_t per);

#endif
