// The line behind ":" or "/", with the lines entered before. Knows neither keys nor commands.
#ifndef SSLTOP_TUI_MODEL_CMDLINE_H
#define SSLTOP_TUI_MODEL_CMDLINE_H

#include <stddef.h>
#include <stdint.h>

enum { LINE_SIZE = 256, LINES_KEPT = 16 };

struct cmdline {
    char text[LINE_SIZE]; // UTF-8
    size_t len, at;
    char kept[LINES_KEPT][LINE_SIZE]; // lines entered before, newest first
    int n_kept, kept_at;              // kept_at: 0 the line being written, i the i-th kept
};

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

void cmdline_open(struct cmdline *l);
// A printable code point at the cursor; others, and what no longer fits, are left out.
void cmdline_insert(struct cmdline *l, uint32_t ch);
// 0: the line was empty and deleted into (close it); else 1.
int cmdline_edit(struct cmdline *l, enum edit what);
// The line without blanks around it into line[LINE_SIZE]; kept for EDIT_OLDER unless empty or the
// same as the last.
void cmdline_take(struct cmdline *l, char *line);

#endif
