// What is drawn: the screen is a pure function of a scene (records so far, course, view state) and
// a size.
#ifndef SSLTOP_TUI_VIEW_H
#define SSLTOP_TUI_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "tui/canvas.h"
#include "tui/course.h"
#include "tui/history.h"

// Who gets the keys.
enum context {
    CONTEXT_MAIN,
    CONTEXT_HELP,
    CONTEXT_MENU,
    CONTEXT_QUIT,
    CONTEXT_COMMAND,
    CONTEXT_COUNT
};

enum link {       // to the trainer
    LINK_READING, // the log so far
    LINK_LIVE,
    LINK_ENDED, // it finished, stopped or failed, and said so
    LINK_LOST,  // it is gone without a word
    LINK_REPLAY // there is none to look for: a log is shown
};

enum { LINE_SIZE = 256, LINES_KEPT = 16 };

struct view_state {
    int view;   // row of view_table
    int linear; // spectrum axis
    // Time plots.
    int64_t cursor;    // the step that is read off, in a replay its place; -1: the newest
    int64_t mark;      // a step to come back to; -1: none
    int64_t centre;    // what the window is centred on; -1: the cursor
    int zoom;          // halvings of the window; 0: the whole run
    int64_t per, span; // steps of a column of dots and of the window, told by the drawing
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
    int ascii;
    char name[256]; // the run, clean
};

struct scene {
    const struct history *h;
    const struct course *c;
    struct view_state *v;      // only where lists are scrolled to is written
    const struct history *all; // the whole run where `h` is its past (a replay): what comes after
                               // is drawn dim. NULL: `h` is all there is
};

struct view {
    const char *name, *doc;
    void (*draw)(struct canvas *c, struct rect r, const struct scene *s);
};
extern const struct view view_table[];
extern const int view_count;

// The whole screen onto `c`, whatever its size.
void screen_draw(struct canvas *c, const struct scene *s);

// --- parts (panels.c, header.c, overlay.c, verdict.c) ---
void header_draw(struct canvas *c, const struct scene *s); // rows 0..2
void panel_spectrum(struct canvas *c, struct rect r, const struct scene *s);
void panel_auc(struct canvas *c, struct rect r, const struct scene *s);
void panel_loss(struct canvas *c, struct rect r, const struct scene *s);
// Probe accuracy: forecast without labels beside measured with them.
void panel_forecast(struct canvas *c, struct rect r, const struct scene *s);
int panel_has_probe(const struct history *h); // there is something to draw in it
void panel_metric(struct canvas *c, struct rect r, const struct scene *s, int series);
void panel_numbers(struct canvas *c, struct rect r, const struct scene *s);
void panel_events(struct canvas *c, struct rect r, const struct scene *s);
void panel_times(struct canvas *c, struct rect r, const struct scene *s);
void overlay_draw(struct canvas *c, const struct scene *s);
void function_bar_draw(struct canvas *c, int y, const struct scene *s);

// What stands for a mode in marks and short segments: M, C, A (all that arrived, the paper's
// "accumulate"); '?' for -1.
char mode_letter(int mode);

// What the numbers say, as a sentence of facts.
enum role verdict(const struct history *h, char *text, size_t size);

#endif
