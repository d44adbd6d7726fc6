// What is drawn: the screen is a pure function of a scene (records so far, schedule, view state)
// and a size.
#ifndef SSLTOP_TUI_MODEL_VIEW_H
#define SSLTOP_TUI_MODEL_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "tui/draw/canvas.h"
#include "tui/model/schedule_view.h"
#include "tui/feed/history.h"
#include "tui/model/machine.h"

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

enum link {       // to the trainer
    LINK_READING, // the log so far
    LINK_LIVE,
    LINK_ENDED, // it finished, stopped or failed, and said so
    LINK_LOST,  // it is gone without a word
    LINK_APART, // it lives, but can't be reached
    LINK_REPLAY // there is none to look for: a log is shown
};

enum { LINE_SIZE = 256, LINES_KEPT = 16 };

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

struct view_state {
    int view;      // row of view_table
    int view_last; // the one before the events
    int linear;    // spectrum axis
    int absolute;  // sigma instead of sigma / sigma_1
    int waterfall; // fills the view of the spectrum
    int index;     // singular value that is read off, from 1; 0: none
    int metric;    // row of the list of metrics that is drawn large
    // Time plots.
    int64_t cursor;       // the step that is read off, in a replay its place; -1: the newest
    int64_t mark;         // a step to come back to; -1: none
    int64_t centre;       // what the window is centred on; -1: the cursor
    int zoom;             // halvings of the window; 0: the whole run
    int64_t per, span;    // steps of a column of dots and of the window, told by the drawing
    int64_t event_before; // where a search began
    int64_t event;        // selected one, counted from the oldest; -1: the newest
    char search[64];      // text last looked for in the events; "" none
    // Lists: first line shown, clamped when drawn, and lines of a page, told by the drawing.
    int scroll, page, help_scroll, help_page;
    enum context context;
    int menu_row;
    char line[LINE_SIZE]; // command line, UTF-8
    size_t line_len, line_at;
    char kept[LINES_KEPT][LINE_SIZE]; // lines entered before, newest first
    int n_kept, kept_at;              // kept_at: 0 the line being written, i the i-th kept

    char message[320]; // last answer or complaint, clean; "" none
    double message_at; // when it came: it goes after a while
    enum role message_role;
    enum link link;
    char link_text[640]; // what happened to the trainer, for ENDED and LOST
    char link_hint[320]; // what to type then; "" nothing
    int asked_pause;     // 1/0: pause/resume was asked and not yet confirmed; -1: nothing asked
    double now, heard;   // seconds: the clock, and when the last record came; NaN unknown
    double rss;          // bytes of the trainer; NaN unknown
    int can_steer;       // commands can reach a trainer
    struct replay_state replay;
    int ascii;
    int ascii_always, no_mouse; // settings
    char name[256];             // the run, clean
    char lost[256];             // what the log lost, clean; "" nothing
    const struct theme *theme;  // NULL: the default
    struct machine machine;
    struct zone zone[ZONES];
    int n_zone;
    int pointer_y, pointer_x; // of the click or wheel that is a key now
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
    // Live spectra at the cursor, at the mark and at the last switch (time_switch), looked up in
    // the log; NULL: the nearest that the history keeps must do.
    const struct history_spectrum *read, *marked, *switched;
};

struct view {
    const char *name, *doc;
    void (*draw)(struct canvas *c, struct rect r, const struct scene *s);
};
extern const struct view view_table[];
extern const int view_count;

// The whole screen onto `c`, whatever its size.
void screen_draw(struct canvas *c, const struct scene *s);

// --- parts ---
void header_draw(struct canvas *c, const struct scene *s); // rows 0..2
void panel_spectrum(struct canvas *c, struct rect r, const struct scene *s);
void panel_cumulative(struct canvas *c, struct rect r, const struct scene *s);
void panel_waterfall(struct canvas *c, struct rect r, const struct scene *s);
void panel_auc(struct canvas *c, struct rect r, const struct scene *s);
void panel_loss(struct canvas *c, struct rect r, const struct scene *s);
// Probe accuracy: forecast without labels beside measured with them.
void panel_forecast(struct canvas *c, struct rect r, const struct scene *s);
int panel_has_probe(const struct history *h); // there is something to draw in it
void panel_metric(struct canvas *c, struct rect r, const struct scene *s, int series);
// Every metric now, exact and at the start; with a selected row where they can be chosen.
void panel_numbers(struct canvas *c, struct rect r, const struct scene *s, int choose);
extern const int panel_list[]; // series of the rows that can be chosen
extern const int panel_list_n;
// Newest first; with a selected line where they can be chosen.
void panel_events(struct canvas *c, struct rect r, const struct scene *s, int choose);
void panel_times(struct canvas *c, struct rect r, const struct scene *s);
void panel_machine(struct canvas *c, struct rect r, const struct scene *s);
void panel_facts(struct canvas *c, struct rect r, const struct scene *s);
void overlay_draw(struct canvas *c, const struct scene *s);
void function_bar_draw(struct canvas *c, int y, const struct scene *s);

// --- views (view_*.c) ---
void view_overview(struct canvas *c, struct rect r, const struct scene *s);
void view_spectrum(struct canvas *c, struct rect r, const struct scene *s);
void view_collapse(struct canvas *c, struct rect r, const struct scene *s);
void view_events(struct canvas *c, struct rect r, const struct scene *s);
void view_device(struct canvas *c, struct rect r, const struct scene *s);
// In place of the overview while several runs are shown: their curves over each other.
void view_compare(struct canvas *c, struct rect r, const struct scene *s);

// What stands for a mode in marks and short segments: M, C, A (all that arrived, the paper's
// "accumulate"); '?' for -1.
char mode_letter(enum mode mode);
enum role mode_role(enum mode mode);

// What the numbers say, as a sentence of facts.
enum role verdict(const struct history *h, char *text, size_t size);

#endif
