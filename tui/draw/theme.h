// Colours by role and scheme. A cell of the screen knows what it is (its role); only here and in
// terminal.c does anyone know how that looks. Every scheme gives every role an attribute that works
// without colour.
#ifndef SSLTOP_TUI_DRAW_THEME_H
#define SSLTOP_TUI_DRAW_THEME_H

#include "metrics/log/mode.h"

enum role {
    ROLE_TEXT,
    ROLE_DIM,
    ROLE_FRAME,
    ROLE_TITLE,
    ROLE_VALUE,
    ROLE_GOOD,
    ROLE_WARN,
    ROLE_BAD,
    ROLE_LIVE,      // first curve of a plot
    ROLE_EXACT,     // what was measured exactly
    ROLE_START,     // how it was at the start
    ROLE_SECOND,    // second curve of a plot
    ROLE_MARK,      // switches in time plots
    ROLE_CURSOR,    // the step that is read off
    ROLE_SHADE,     // areas and bands
    ROLE_SWITCH,    // how it was at the last switch
    ROLE_MARKED,    // how it was at the marked step
    ROLE_HEAT,      // two levels of brightness, see struct cell
    ROLE_MATCH,     // what a search found
    ROLE_REFERENCE, // a run laid under the curves: in ASCII another sign than its own
    ROLE_RUN,       // several runs over each other, RUN_ROLES of them
    ROLE_RUN_LAST = ROLE_RUN + 5,
    ROLE_MULTI, // modes, in the order of enum mode
    ROLE_CONTINUAL,
    ROLE_CUMULATIVE,
    ROLE_BAR, // function bar
    ROLE_BAR_KEY,
    ROLE_OVERLAY,
    ROLE_SELECTED,
    ROLE_COUNT
};

enum { RUN_ROLES = ROLE_RUN_LAST - ROLE_RUN + 1 };

enum { STYLE_BOLD = 1, STYLE_DIM = 2, STYLE_REVERSE = 4, STYLE_UNDERLINE = 8 };

struct style {
    short fg, bg; // colour 0..7, -1 the terminal's own
    unsigned attr;
    short rich; // colour 16..255 instead of fg where the terminal has them; 0: fg
};
enum heat { HEAT_NONE, HEAT_HOT, HEAT_GREY }; // ramps of ROLE_HEAT, of 256 colours
struct theme {
    const char *name, *doc;
    enum heat heat;
    struct style style[ROLE_COUNT];
};
extern const struct theme theme_table[];          // ends with a NULL name; the first is the default
const struct theme *theme_find(const char *name); // NULL: unknown

// How a mode looks, and the letter that stands for it in marks and short segments: M, C, A (all
// that arrived, the paper's "accumulate"); '?' for none.
enum role theme_mode(enum mode mode);
char theme_mode_letter(enum mode mode);

#endif
