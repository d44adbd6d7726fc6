// The first three lines: the run, what it does, and its schedule as a bar.
#ifndef SSLTOP_TUI_DRAW_HEADER_H
#define SSLTOP_TUI_DRAW_HEADER_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void header_draw(struct canvas *c, const struct scene *s);

#endif
