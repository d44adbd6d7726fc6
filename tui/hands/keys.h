// Keys as the screen knows them, whatever the terminal sends.
#ifndef SSLTOP_TUI_HANDS_KEYS_H
#define SSLTOP_TUI_HANDS_KEYS_H

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
    KEYS_CLICK, // the place is beside it: view_state.pointer_y, _x
    KEYS_WHEEL_UP,
    KEYS_WHEEL_DOWN,
    KEYS_OTHER // one without a meaning here
};
#define KEY_CTRL(c) ((c) - '@')

#endif
