// The viewer: one loop over terminal, signals and source; the only place that draws.
#ifndef SSLTOP_TUI_CLI_VIEWER_H
#define SSLTOP_TUI_CLI_VIEWER_H

#include <sys/types.h>

#include "metrics/base/error.h"
#include "tui/feed/playback.h"
#include "tui/feed/source.h"
#include "tui/draw/theme.h"

struct viewer_options {
    const char *name; // of the run, for the screen and for hints: what `ssltop attach` would take
    pid_t child;      // the trainer, when it is a child of this process; 0
    int child_fd;     // where it may have left a sentence ("!..."); -1
    int ascii;        // whatever the locale says
    const struct theme *theme;    // NULL: by terminal
    struct playback *play;        // a replay, instead of a source
    const char *runs, *reference; // where runs lie; what --reference says, NULL: nothing
    const char *log;              // of the run: its spectra are looked up there; NULL: they are not
};

// What the viewer leaves behind, for the caller to print after the terminal is back.
struct viewer_result {
    char text[2048]; // "NAME: still training at step 1 284"
    char hint[384];  // "look again with: ssltop attach NAME"; "" none
};

// `source` NULL with a replay. Runs until the person leaves or a signal says so; the exit code: 0,
// 1 when the trainer failed or died, 128 + signal, or -1 with a sentence when the terminal cannot
// be used.
int viewer_run(struct source *source, const struct viewer_options *o, struct viewer_result *out,
               struct error *e);

#endif
