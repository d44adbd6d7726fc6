// What a person chose for the screen, kept in $XDG_CONFIG_HOME/ssltop/ssltop.ini (else under
// ~/.config). Rows of one table, which the manual prints too.
#ifndef SSLTOP_TUI_HANDS_SETTINGS_H
#define SSLTOP_TUI_HANDS_SETTINGS_H

#include "metrics/base/error.h"
#include "tui/model/view.h"

struct setting {
    const char *name;
    const char *choices; // words separated by '|', the first is the default; NULL: colour schemes
    size_t offset;       // of the int in struct look
    const char *doc;
};
extern const struct setting setting_table[]; // ends with a NULL name

// The path of the file: 0, or -1 where there is no home.
int settings_path(char *path, size_t size);
// Read the file into `look`; what it does not say stays. A missing file is fine. -1 with a sentence
// for a line that is not understood: what stands before and after it still counts.
int settings_read(const char *path, struct look *look, struct error *e);
// Write it (folders made, replaced as a whole).
int settings_write(const char *path, const struct look *look, struct error *e);
// ASCII where an option or the file asks for it, or where it must be: then it is said why, as it is
// that the terminal was taken for another.
void settings_characters(struct view_state *v, int ascii);
// Do these differ in anything that is kept?
int settings_differ(const struct look *a, const struct look *b);

#endif
