// A trainer as a child in a session of its own, so that neither the terminal nor the viewer can
// take it along.
#ifndef SSLTOP_TUI_CLI_LAUNCH_H
#define SSLTOP_TUI_CLI_LAUNCH_H

#include <sys/types.h>

#include "metrics/base/error.h"
#include "train/options/options.h"

struct launch {
    pid_t pid;
    int fd; // the child's last words may come here ("!..."), non-blocking; the caller closes it
    char run_dir[4096];
};

// Fork, train in the child, wait until its run folder stands. Before any device is opened: libgomp
// does not survive a fork. What it is doing meanwhile goes to stderr. 0; or the exit code of a
// trainer that could not begin, with its sentence in `e`; SIGNALS_ENDING while waiting end the
// child too (130, 143, ...).
int launch_trainer(const struct options *o, const unsigned char *given, struct launch *out,
                   struct error *e);

// Stay until the trainer has ended, for a process whose end takes all others with it (that of
// number 1 in a container): says so on `say` when there is something to wait for. SIGNALS_ENDING
// but SIGHUP are passed on as SIGTERM. The trainer's exit code, or -1: it is gone already.
int launch_stay(pid_t trainer, FILE *say);

#endif
