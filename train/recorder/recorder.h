// The recorder: what a client in somebody else's training starts (`ssltop record`). It makes that
// training a run like any other: log, control socket, spectrum, metrics, forecast and guard.
#ifndef SSLTOP_TRAIN_RECORDER_RECORDER_H
#define SSLTOP_TRAIN_RECORDER_RECORDER_H

#include "metrics/base/error.h"

enum { RECORDER_FD = 3 }; // where a client puts its end

// Serve the client at the other end of descriptor `fd` (train/client/link.h) until it ends the run
// or is gone. `runs`: the folder of runs where the client names none. The exit code: 0; 1, with the
// sentence in `e` unless the client has heard it. `works`: all is written down, but a thread is at
// work that gets hardly any time of the processors; whoever does not wait for it leaves by _exit.
int recorder_main(int fd, const char *runs, int *works, struct error *e);

#endif
