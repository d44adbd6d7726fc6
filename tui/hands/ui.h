// What the handlers of keys work on and what they ask for.
#ifndef SSLTOP_TUI_HANDS_UI_H
#define SSLTOP_TUI_HANDS_UI_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "train/wire/control.h"
#include "tui/feed/playback.h"
#include "tui/hands/keys.h"
#include "tui/model/view.h"

// What a handler asks for.
enum {
    UI_LEAVE = 1,   // end the viewer, whatever the trainer does
    UI_STOP = 2,    // leave once the trainer has stopped
    UI_SUSPEND = 4, // give the terminal back to the shell (Ctrl-Z)
    UI_REPAINT = 8  // draw every cell again
};

// What the handlers work on.
struct ui {
    struct view_state *v;
    const struct history *h;
    // Send a command to the trainer; its answer comes later. NULL: cannot be steered.
    int (*send)(void *to, const struct command_call *call, struct error *e);
    void *to;
    // Have a run to lay under the curves, and say what it is called. NULL: there can be none.
    int (*reference)(void *to, const char **name, struct error *e);
    struct playback *play; // the replay, NULL: none
    struct keys_hold hold;
    int unread;       // what q asks was not yet shown: no answer counts
    unsigned waiting; // bit of each command whose answer has not come
};

#endif
