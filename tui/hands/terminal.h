// The terminal: cells to curses, keys from it, and its modes given back however the program ends.
// The only code that knows curses.
#ifndef SSLTOP_TUI_HANDS_TERMINAL_H
#define SSLTOP_TUI_HANDS_TERMINAL_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "tui/draw/canvas.h"
#include "tui/draw/theme.h"

// Take the terminal on stdin/stdout. `theme` NULL: the default, or mono where there is no colour or
// NO_COLOR is set. From here to terminal_close a fault of the program (SIGSEGV, SIGABRT, ...)
// restores the terminal before it kills.
int terminal_open(const struct theme *theme, struct error *e);
// Give it back as it was. Does nothing when it is not open.
void terminal_close(void);
// Locale and terminal show Unicode with its Braille: the Linux console and VT terminals have none.
int terminal_unicode(void);
// Other colours from now on (NULL: the default); mono where there are none.
void terminal_theme(const struct theme *theme);
// Clicks and the wheel are keys (at first they are not).
void terminal_mouse(int on);
// Where the pointer was at the last KEYS_CLICK, KEYS_WHEEL_UP or KEYS_WHEEL_DOWN.
void terminal_pointer(int *y, int *x);
// Its size now; tells curses when it changed.
void terminal_size(int *h, int *w);
// Show the cells; only what changed is sent. `again`: send everything.
void terminal_show(const struct canvas *c, int again);
// The next key (tui/hands/actions.h), 0 when there is none now, -1 when the terminal is gone.
int64_t terminal_key(void);
// Stop this process as Ctrl-Z does in other programs, and take the terminal again afterwards.
void terminal_suspend(void);

#endif
