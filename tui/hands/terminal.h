// The terminal: cells to curses, bytes to keys, and its modes given back however the program ends.
// The only code that knows curses.
#ifndef SSLTOP_TUI_HANDS_TERMINAL_H
#define SSLTOP_TUI_HANDS_TERMINAL_H

#include "metrics/base/error.h"
#include "tui/draw/canvas.h"
#include "tui/draw/theme.h"
#include "tui/hands/keys.h"

// Whether the terminal (TERM) can show a screen: 1, else 0 with the reason.
// A type of the kind of xterm or screen that the system does not know is taken for that (TERM is
// set to it), which terminal_stands_in says.
int terminal_suits(struct error *e);
// The terminal was taken for another: 1 with a sentence, else 0.
int terminal_stands_in(struct error *e);
// Take the terminal on stdin/stdout. `theme` NULL: the default, or mono where there is no colour or
// NO_COLOR is set. From here to terminal_close a signal that kills and that nobody has taken
// restores the terminal first.
int terminal_open(const struct theme *theme, struct error *e);
// Give it back as it was. Does nothing when it is not open.
void terminal_close(void);
// The same in a signal's handler and without waiting for a terminal that does not read: what it was
// still to be sent is lost. The process ends behind it.
void terminal_drop(void);
// Locale and terminal show Unicode with its Braille: 1, else 0 with the reason (the Linux console
// and VT terminals have none).
int terminal_unicode(struct error *why);
// Other colours from now on (NULL: the default); mono where there are none.
void terminal_theme(const struct theme *theme);
// Clicks and the wheel are keys, from now on or no longer (at first they are not).
void terminal_mouse(int on);
// Its size now; tells curses when it changed.
void terminal_size(int *h, int *w);
// Show the cells; only what changed is sent. `again`: send everything.
void terminal_show(const struct canvas *c, int again);
// Take in what was typed, as much as there is room for. -1: the terminal is gone.
int terminal_read(void);
// The next key of it, or one that has become certain by now: 1, or 0 where there is none.
int terminal_key(double now, struct keys_event *out);
double terminal_patience(double now); // as keys_patience
// What was read and not yet taken is a paste that nothing marks as one, or goes on with one that
// was passed over: 1 = all of it is passed over too.
int terminal_pass_over_paste(double now);
// Stop this process as Ctrl-Z does in other programs, and take the terminal again afterwards.
void terminal_suspend(void);
// Take it again after somebody else had it; everything must be shown again.
void terminal_resume(void);

#endif
