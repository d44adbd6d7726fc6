// Signals as bytes in a pipe, for a loop on poll. Not signalfd: libraries start threads before main
// that do not block what we block, and the signal would find them.
#ifndef SSLTOP_METRICS_BASE_SIGNALS_H
#define SSLTOP_METRICS_BASE_SIGNALS_H

#include <signal.h>

#include "metrics/base/error.h"

enum { SIGNALS_MAX = 16 };

// What asks a process to end: a person, a machine that goes down, and schedulers, which warn of it
// (Slurm's --signal, a limit of CPU time).
#define SIGNALS_ENDING SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR2, SIGXCPU, SIGALRM, SIGPWR

struct signals {
    int fd; // readable when there is one
    int n, number[SIGNALS_MAX];
    struct sigaction before[SIGNALS_MAX];
};

// From here on these signals come through s->fd; of number[i] nothing comes, and it does nothing
// else either, where bit i of `ignored` is set. One at a time in a process. -1: no pipe.
int signals_take(struct signals *s, const int *number, int n, unsigned ignored, struct error *e);
int signals_next(const struct signals *s); // one that came, or 0
// Bits of those that are ignored so far, as by nohup, and are to stay so. Never of SIGINT and
// SIGTERM: what a shell starts in the background ignores the first, and is ended by it all the
// same.
unsigned signals_ignored(const int *number, int n);
// Where the limit of CPU time kills without a warning, as `ulimit -t` sets it, SIGXCPU comes before
// that: when a tenth is left, or what so many cores use in ten seconds.
void signals_warn_of_limit(int cores);
// Until the next call, or the release, what of them comes, but for SIGUSR1, ends the process with
// status 128 and its number, and these words on standard error: for work that asks nobody and
// leaves nothing behind. NULL: no more.
void signals_end(const char *words);
// Until the release: who has not come to it `seconds` after the first SIGHUP, SIGINT, SIGQUIT or
// SIGTERM hangs, in a write that nobody reads, say. Then `last` is called, which may do what a
// handler may, and the process ends with status 128 and the number. Takes SIGALRM.
void signals_hurry(unsigned seconds, void (*last)(void));
// As it was before. A fork of the process that took them does the same.
void signals_release(struct signals *s);

#endif
