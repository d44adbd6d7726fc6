// What lies over the panels (help, menu, questions, lines that are typed), and the function bar.
#ifndef SSLTOP_TUI_DRAW_OVERLAY_H
#define SSLTOP_TUI_DRAW_OVERLAY_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void overlay_draw(struct canvas *c, const struct scene *s);
void function_bar_draw(struct canvas *c, int y, const struct scene *s);

#endif
