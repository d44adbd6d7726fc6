// The views: each a row of one table.
#ifndef SSLTOP_TUI_DRAW_VIEWS_H
#define SSLTOP_TUI_DRAW_VIEWS_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

struct view {
    const char *name, *doc;
    void (*draw)(struct canvas *c, struct rect r, const struct scene *s);
};
extern const struct view view_table[VIEW_COUNT];

#endif
