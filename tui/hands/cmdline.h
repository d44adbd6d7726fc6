// The line behind ":", UTF-8, with the lines entered before. Works on the view state; knows neither
// keys nor commands.
#ifndef SSLTOP_TUI_HANDS_CMDLINE_H
#define SSLTOP_TUI_HANDS_CMDLINE_H

#include <stdint.h>

#include "tui/model/view.h"

enum edit {
    EDIT_LEFT,
    EDIT_RIGHT,
    EDIT_HOME,
    EDIT_END,
    EDIT_BACKSPACE,
    EDIT_DELETE,
    EDIT_CLEAR,
    EDIT_OLDER,
    EDIT_NEWER
};

void cmdline_open(struct view_state *v);
// A printable code point at the cursor; others, and what no longer fits, are left out.
void cmdline_insert(struct view_state *v, uint32_t ch);
// 0: the line was empty and deleted into (close it); else 1.
int cmdline_edit(struct view_state *v, enum edit what);
// The line without blanks around it into line[LINE_SIZE]; kept for EDIT_OLDER unless empty or the
// same as the last.
void cmdline_take(struct view_state *v, char *line);

#endif
