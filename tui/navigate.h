// Handlers of the key table that only move about: views, cursor, window of time, lists. None sends
// anything.
#ifndef SSLTOP_TUI_NAVIGATE_H
#define SSLTOP_TUI_NAVIGATE_H

#include "tui/actions.h"

unsigned navigate_view(struct ui *u, int view);
unsigned navigate_turn(struct ui *u, int by);   // views on
unsigned navigate_scroll(struct ui *u, int by); // lines; 2 or -2: half pages
unsigned navigate_cursor(struct ui *u, int by); // columns of dots
unsigned navigate_end(struct ui *u, int end);   // the cursor to the first (0) or newest (1) step
unsigned navigate_zoom(struct ui *u, int by);   // 0: the whole run
unsigned navigate_pan(struct ui *u, int by);    // halves of the window

#endif
