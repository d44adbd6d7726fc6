// In place of the overview while several runs are shown: their curves over each other.
#ifndef SSLTOP_TUI_DRAW_VIEW_COMPARE_H
#define SSLTOP_TUI_DRAW_VIEW_COMPARE_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void view_compare(struct canvas *c, struct rect r, const struct scene *s);

#endif
