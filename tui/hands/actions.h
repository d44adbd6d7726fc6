// Keys as rows of one table: it feeds dispatch, the function bar, the help screen and the manual. A
// handler changes the view state or sends a command, and returns what must happen next; it never
// draws and never waits.
#ifndef SSLTOP_TUI_HANDS_ACTIONS_H
#define SSLTOP_TUI_HANDS_ACTIONS_H

#include <stdint.h>

#include "train/wire/control.h"
#include "tui/hands/ui.h"

struct action {
    enum context context;
    uint32_t key[3];   // 0 where fewer
    const char *keys;  // as a person reads them
    const char *label; // in the function bar; NULL: not there
    int rank;          // in the function bar: the highest go first when it is narrow
    const char *doc;   // help and manual
    unsigned (*run)(struct ui *u, int argument);
    int argument;
};
extern const struct action action_table[]; // ends with NULL keys

extern const char
    *const context_title[CONTEXT_COUNT]; // "while the mode menu is open", for help and manual

// Whether a key of the main context means this action now: a replay has some of its own.
int action_holds(const struct action *a, const struct view_state *v);

// Give a key to whoever has the keys now. Unknown keys do nothing (printable ones go into an open
// command line).
unsigned action_key(struct ui *u, uint32_t key);

// What the terminal sent at this time: a key that steers is one wish for as long as it is held
// down, a paste is text where there is a line to write and nothing elsewhere.
unsigned action_event(struct ui *u, const struct keys_event *ev, double now);
// What has waited until now to be a wish.
unsigned action_due(struct ui *u, double now);

// The answer to a command that was sent; its id says which one (tui/feed/source.h).
void action_answer(struct ui *u, const struct answer *a);

// Why the training does not take what this action would order, or the log has not what it would
// show; NULL: nothing speaks against it.
const char *action_missing(const struct action *a, const struct history *h);

// The label of an action now ("Pause" or "Resume", "Play").
const char *action_label(const struct action *a, const struct scene *s);

#endif
