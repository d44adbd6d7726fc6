// A run whose curves are laid under those of another: one that is known to be good. Any log will
// do; for passing on there is a small one, lines of JSON that `ssltop export --format reference`
// makes. Some come with the program, in data/reference or share/ssltop/reference, named after the
// recipes that made them.
#ifndef SSLTOP_TUI_FEED_UNDERLAY_H
#define SSLTOP_TUI_FEED_UNDERLAY_H

#include <stddef.h>

#include "metrics/base/error.h"
#include "tui/feed/history.h"

struct underlay {
    char name[64]; // clean
    struct history h;
};

// Read a log as it is now. -1: it can't be read, or has no steps. underlay_free in any case.
int underlay_open(struct underlay *r, const char *path, const char *name, struct error *e);
void underlay_free(struct underlay *r); // takes a zeroed struct too

// The one to lay under a run: what `word` says (underlay_find), or with NULL or "auto" the one
// that comes with the program for it (NULL: not known yet). Freed where it fails.
int underlay_for_run(struct underlay *r, const char *runs, const char *word,
                     const struct record_run *run, struct error *e);

// The path of what `word` names: a run under `runs`, a file, or one that comes with the program.
int underlay_find(const char *runs, const char *word, char *path, size_t size, struct error *e);
// Whether it names something that is there; "auto" always does.
int underlay_check(const char *runs, const char *word, struct error *e);

// The one that comes with the program for this data set, network and method: 1 and its path and
// name; 0: there is none.
int underlay_for(const struct record_run *run, char *path, size_t size, char name[64]);
// The i-th name of those, as option_row.values.
int underlay_value(int i, char *text, size_t size);

#endif
