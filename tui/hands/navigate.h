// Handlers of the key table that only move about: views, cursor, window of time, lists. None sends
// anything.
#ifndef SSLTOP_TUI_HANDS_NAVIGATE_H
#define SSLTOP_TUI_HANDS_NAVIGATE_H

#include "tui/hands/ui.h"

// Put the cursor on what the text says: a step, or a percentage of the run so far. -1: neither.
int navigate_goto(struct ui *u, const char *text, struct error *e);
unsigned navigate_event(struct ui *u, int by); // cursor to the next event, or the one before
unsigned navigate_to_mark(struct ui *u, int unused);
unsigned navigate_view(struct ui *u, int view);
unsigned navigate_turn(struct ui *u, int by);   // views on
unsigned navigate_scroll(struct ui *u, int by); // lines or rows; 2 or -2: half pages
unsigned navigate_click(struct ui *u, int unused);
unsigned navigate_wheel(struct ui *u,
                        int by); // zooms time where it turns over a plot, scrolls lists
unsigned navigate_jump(struct ui *u, int unused);   // the cursor to the step of the selected event
unsigned navigate_mark(struct ui *u, int unused);   // mark the cursor's step, or forget the mark
unsigned navigate_index(struct ui *u, int by);      // of the singular value that is read off
unsigned navigate_search(struct ui *u, int unused); // open the line
unsigned navigate_search_edit(struct ui *u, int what);  // enum edit
unsigned navigate_search_next(struct ui *u, int older); // 1 older, -1 newer
unsigned navigate_search_done(struct ui *u, int keep);  // 0: back to where it began
void navigate_search_insert(struct ui *u, uint32_t ch);
unsigned navigate_theme(struct ui *u, int by);
unsigned navigate_cursor(struct ui *u, int by); // columns of dots
unsigned navigate_end(struct ui *u, int end);   // the cursor to the first (0) or newest (1) step
unsigned navigate_zoom(struct ui *u, int by);   // 0: the whole run
unsigned navigate_pan(struct ui *u, int by);    // halves of the window

#endif
