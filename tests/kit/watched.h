// A run in a temporary folder, trained for the length of a test and watched on a terminal
// (tests/kit/session.h).
#ifndef SSLTOP_TESTS_KIT_WATCHED_H
#define SSLTOP_TESTS_KIT_WATCHED_H

#include <sys/types.h>

#include "tests/kit/session.h"
#include "train/wire/control.h"

struct watched {
    char runs[64], path[128]; // the folder of runs, and the run "v" in it
};

void watched_make(struct watched *r); // the folder only
// A small training on a terminal, waited for until it has made a step.
void watched_start(struct session *s, const struct watched *r);
pid_t watched_trainer(const struct watched *r);
struct answer watched_ask(const struct watched *r, enum command command);
// The state of the one run there, as `ssltop runs` says it.
void watched_state(const struct watched *r, const char *state);
// Wait until the training made steps.
void watched_progress(const struct watched *r);
// Wait until a trainer that is nobody's child any more is gone.
void watched_death(pid_t pid);
// Stop the trainer, if there is one (else 0), and remove everything.
void watched_end(struct watched *r, pid_t trainer);

#endif
