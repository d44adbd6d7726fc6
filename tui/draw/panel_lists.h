// Metrics and events as lists.
#ifndef SSLTOP_TUI_DRAW_PANEL_LISTS_H
#define SSLTOP_TUI_DRAW_PANEL_LISTS_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

// Every metric now, exact and at the start; with a selected row where they can be chosen.
void panel_numbers(struct canvas *c, struct rect r, const struct scene *s, int choose);
// Rows that can be chosen, and the series of one.
int panel_list_rows(const struct history *h);
int panel_list_series(const struct history *h, int row);
// Newest first; with a selected line where they can be chosen.
void panel_events(struct canvas *c, struct rect r, const struct scene *s, int choose);

#endif
