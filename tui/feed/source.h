// Where records come from: a class of functions, so that the screen does not know whether it looks
// at a live run or at a log. None of them blocks.
#ifndef SSLTOP_TUI_FEED_SOURCE_H
#define SSLTOP_TUI_FEED_SOURCE_H

#include <poll.h>
#include <sys/types.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "train/wire/control.h"

struct source;

// What a source gives to.
struct sink {
    void *to;
    int (*record)(void *to, const struct record *r, struct error *e); // -1: out of memory
    void (*answer)(void *to, const struct answer *a);
    // Of many live spectra read at once only the newest is parsed, and those of steps that this
    // asks for; NULL: no others.
    int (*wants_spectrum)(void *to, int64_t step);
};

enum source_state {
    SOURCE_READING, // the log so far; pump again at once
    SOURCE_LIVE,    // following a trainer
    SOURCE_ALONE,   // the whole log is read and no trainer runs
    SOURCE_APART    // the same, but a trainer holds the run: it can't be reached
};

struct source_class {
    const char *name;
    // What to poll for: fills `p`, returns 0 or 1. *timeout_ms is lowered to when pump must run
    // anyway.
    int (*poll)(struct source *s, struct pollfd *p, int *timeout_ms);
    // Take what has come, for a few milliseconds at most. `revents` of the pollfd. -1: the source
    // is broken.
    int (*pump)(struct source *s, short revents, const struct sink *sink, struct error *e);
    enum source_state (*state)(const struct source *s);
    // Send a command; the answer comes to the sink, its id modulo COMMAND_COUNT is the command.
    // NULL: cannot be steered.
    int (*send)(struct source *s, const struct command_call *call, struct error *e);
    pid_t (*pid)(const struct source *s);        // of the trainer, 0 unknown
    const char *(*lost)(const struct source *s); // what the log lost, NULL nothing
    void (*free)(struct source *s);
};
struct source {
    const struct source_class *klass;
};

// A run folder: its log, then the trainer's socket if one runs; when the connection is lost, the
// log again, and so on.
int source_live_open(const char *run_dir, struct source **out, struct error *e);

#endif
