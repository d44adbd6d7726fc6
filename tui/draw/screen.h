// The whole screen: header, a view, status line, function bar, and what lies over them.
#ifndef SSLTOP_TUI_DRAW_SCREEN_H
#define SSLTOP_TUI_DRAW_SCREEN_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

// Onto `c`, whatever its size. A pure function of the scene and the size.
void screen_draw(struct canvas *c, const struct scene *s);

#endif
