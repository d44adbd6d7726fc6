// Keys as the screen knows them, and a terminal's bytes turned into them: a pure function of bytes
// and times. Only what the key table documents comes out of it. Whatever else a terminal sends
// (replies, reports of the focus, Alt and a key, sequences that nobody knows) is passed over whole,
// however it is split: bytes of a sequence are never keys.
#ifndef SSLTOP_TUI_HANDS_KEYS_H
#define SSLTOP_TUI_HANDS_KEYS_H

#include <stddef.h>
#include <stdint.h>

// Keys are code points (Ctrl-X is 1..26); those without one follow Unicode.
enum key {
    KEYS_TAB = 9,
    KEYS_ENTER = 13,
    KEYS_ESCAPE = 27,
    KEYS_UP = 0x110000,
    KEYS_DOWN,
    KEYS_LEFT,
    KEYS_RIGHT,
    KEYS_FAR_LEFT, // with Shift
    KEYS_FAR_RIGHT,
    KEYS_PAGE_UP,
    KEYS_PAGE_DOWN,
    KEYS_HOME,
    KEYS_END,
    KEYS_BACKSPACE,
    KEYS_DELETE,
    KEYS_F1,
    KEYS_BACK_TAB,
    KEYS_CLICK, // the place is beside it
    KEYS_WHEEL_UP,
    KEYS_WHEEL_DOWN
};
#define KEY_CTRL(c) ((c) - '@')

struct keys_event {
    uint32_t key;
    int y, x;   // of KEYS_CLICK and the wheel, from 0
    int pasted; // no key but a character of a paste
};

enum { KEYS_ROWS = 15, KEYS_FORMS = 4, KEYS_SEQUENCE = 24 };

// A key that terminals send as a sequence: what most send behind ESC, and what terminfo calls that
// of the terminal at hand.
struct keys_row {
    uint32_t key;
    const char *capability;
    const char *usual[KEYS_FORMS];
};
extern const struct keys_row keys_table[]; // KEYS_ROWS of them

// All zero at first, but for what the terminal is known to send.
struct keys {
    const char *own[KEYS_ROWS]; // of each row, from terminfo; NULL: nothing
    int mouse;                  // it was asked for its mouse
    int state;                  // within what the last byte was
    char text[KEYS_SEQUENCE];   // the sequence so far, ESC first; n beyond it: too long to be known
    size_t n;                   //
    uint32_t ch, least;         // a character of UTF-8 so far, and the least that is not overlong
    int left;                   // bytes that it still wants
    int alt;                    // it came with Alt
    int eight_bit;              // the string began with a C1 character and may end with one
    int typed;                  // a person may have begun it: its first byte did not come at once
    int pasting;                // between the marks of a paste
    double at;                  // when the last byte came, in seconds
};

// A byte that came at this time: 1 = it ends an event, 0 = it does not.
int keys_take(struct keys *k, unsigned char byte, double now, struct keys_event *out);
// Nothing more has come until now: 1 = then ESC was the key Escape.
int keys_idle(struct keys *k, double now, struct keys_event *out);
// Seconds from now after which keys_idle is of use; below 0: never.
double keys_patience(const struct keys *k, double now);

// Whether bytes that came at once are a paste whose ends the terminal does not mark, as under GNU
// screen or on a console: more text, and more kinds of it, than anybody types ahead; or, where one
// `goes_on`, text at all. One line behind ':' or '/' is what scripts type.
int keys_pasted(const struct keys *k, const unsigned char *bytes, size_t n, int goes_on);

// A key that is held down repeats, and is one wish all the same. It comes again after half a second
// or so and then many times a second: what comes as fast as that is dropped, and a second one waits
// until it is clear that no third follows.
struct keys_hold {
    uint32_t key;   // the last one; 0: none
    double at;      // when it came last
    uint32_t waits; // one that may be a repetition; 0: none
};
// 1 = it is meant, 0 = it is a repetition, or waits for keys_hold_due.
int keys_hold_take(struct keys_hold *h, uint32_t key, double now);
// The key that waited long enough, or (whatever the time) that waits when `now` is infinite; else
// 0.
uint32_t keys_hold_due(struct keys_hold *h, double now);
double keys_hold_patience(const struct keys_hold *h, double now); // as keys_patience

#endif
