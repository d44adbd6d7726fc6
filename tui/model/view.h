// What is drawn: the screen is a pure function of a scene (records so far, schedule, view state)
// and a size. The view state is made of parts, each of which has an owner.
#ifndef SSLTOP_TUI_MODEL_VIEW_H
#define SSLTOP_TUI_MODEL_VIEW_H

#include <stdint.h>

#include "tui/draw/canvas.h"
#include "tui/draw/theme.h"
#include "tui/feed/history.h"
#include "tui/model/cmdline.h"
#include "tui/model/machine.h"
#include "tui/model/schedule_view.h"
#include "tui/model/window.h"

// Who gets the keys.
enum context {
    CONTEXT_MAIN,
    CONTEXT_REPLAY, // before MAIN while a replay is shown; never the context of a view state
    CONTEXT_HELP,
    CONTEXT_MENU,
    CONTEXT_QUIT,
    CONTEXT_COMMAND,
    CONTEXT_SEARCH,
    CONTEXT_COUNT
};

enum view_id { VIEW_OVERVIEW, VIEW_SPECTRUM, VIEW_COLLAPSE, VIEW_EVENTS, VIEW_DEVICE, VIEW_COUNT };

// What a person settled: kept from one time to the next (tui/hands/settings.h).
struct look {
    int linear;                // spectrum axis
    int absolute;              // sigma instead of sigma / sigma_1
    int waterfall;             // fills the view of the spectrum
    int ascii_always;          // not only where it must be
    int no_mouse;              // it is left to the terminal
    const struct theme *theme; // NULL: the default
};

enum link {       // to the trainer
    LINK_READING, // the log so far
    LINK_LIVE,
    LINK_ENDED, // it finished, stopped or failed, and said so
    LINK_LOST,  // it is gone without a word
    LINK_APART, // it lives, but can't be reached
    LINK_REPLAY // there is none to look for: a log is shown
};

// The way to the trainer, and what is known of it besides its records.
struct link_state {
    enum link state;
    char text[640];  // what happened to the trainer, for ENDED and LOST
    char hint[320];  // what to type then; "" nothing
    char lost[256];  // what the log lost, clean; "" nothing
    int can_steer;   // commands can reach it
    int asked_pause; // 1/0: pause/resume was asked and not yet confirmed; -1: nothing asked
    double heard;    // when the last record came; NaN unknown
    double rss;      // bytes of the trainer; NaN unknown
    struct machine machine;
};

// How a replay plays; its place is the cursor.
struct replay_state {
    int on;
    int reading; // the logs are not yet read to their end
    int growing; // a record came a moment ago
    int playing, speed;
    int ended;         // the run has an end record
    double at, length; // seconds of play
    int64_t newest;    // the last step of the longest run
};

// Lists: first line shown, clamped when drawn, and lines of a page, told by the drawing.
struct list_state {
    int scroll, page, help_scroll, help_page;
    int metric;           // row of the list of metrics that is drawn large
    int64_t event;        // selected one, counted from the oldest; -1: the newest
    int64_t event_before; // where a search began
    char search[64];      // text last looked for in the events; "" none
};

// What the pointer can hit, told by the drawing.
enum zone_kind {
    ZONE_PANEL,   // from: the view that shows it large
    ZONE_TIME,    // columns of dots: steps `from` on, `per` each
    ZONE_INDEX,   // of a spectrum: `from` values over the columns
    ZONE_METRICS, // lines of the list, from row `from` on
    ZONE_EVENTS,  // lines of the list, from event `from` on, backwards
    ZONE_KEY      // from: the key that a click is
};
struct zone {
    struct rect r;
    enum zone_kind kind;
    int64_t from, per;
};
enum { ZONES = 64 };
struct pointer {
    int y, x; // of the click or wheel that is a key now
    struct zone zone[ZONES];
    int n;
};

// The last answer or complaint: it goes after a while.
struct message {
    char text[320]; // clean; "" none
    double at;
    enum role role;
};

struct view_state {
    char name[256]; // the run, clean
    double now;     // seconds
    int ascii;
    int view;      // row of view_table
    int view_last; // the one before the events
    int index;     // singular value that is read off, from 1; 0: none
    int menu_row;
    int reference; // laid under the curves, as far as there is one
    int of_z;      // spectra are those of the projections
    enum context context;
    struct look look;
    struct link_state link;
    struct replay_state replay;
    struct window_state time;
    struct list_state list;
    struct pointer pointer;
    struct cmdline line;
    struct message message;
};

// One of several runs that are shown together.
enum { PLAYBACK_RUNS = 6 };
struct peer {
    const char *name;
    const struct history *h, *all; // up to the place, and whole
};

struct scene {
    const struct history *h;
    const struct schedule_view *schedule;
    struct view_state *v;      // written: where lists are scrolled to, and what the drawing tells
    const struct history *all; // the whole run where `h` is its past (a replay): what comes after
                               // is drawn dim. NULL: `h` is all there is
    const struct peer *peer;   // the runs of a replay
    int n_peer, chosen;        // chosen: the one that `h` is of
    const struct peer *reference; // a run laid under the curves; NULL: none. Only `all` counts
    // Live spectra at the cursor, at the mark and at the last switch (time_switch), looked up in
    // the log; NULL: the nearest that the history keeps must do.
    const struct history_spectrum *read, *marked, *switched;
};

// Nothing chosen, nothing heard.
void view_init(struct view_state *v);
// Say this on the status line. Text from elsewhere may be in it: it is cleaned.
void view_say(struct view_state *v, enum role role, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int view_says(const struct view_state *v); // that is still to be read
// Tell the pointer what is shown here; later ones lie over earlier ones.
void view_zone(struct view_state *v, struct rect r, enum zone_kind kind, int64_t from, int64_t per);
// What is under the pointer; NULL: nothing.
const struct zone *view_hit(const struct view_state *v);

#endif
