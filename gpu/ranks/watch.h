// Who is still there. A thread looks after the processes of this host, and after the other hosts by
// signs of life where the engine can carry them beside the work. It writes ranks.gone, where
// whoever waits for others (ranks_wait) sees it, and says on standard error who it is: rank 0 does,
// or the next one where rank 0 is gone.
#ifndef SSLTOP_GPU_RANKS_WATCH_H
#define SSLTOP_GPU_RANKS_WATCH_H

#include "gpu/ranks/ranks.h"

// A rank on another host is gone when nothing has come from it for so many signs of life of our
// own. They are counted, not timed: a machine that slept has not heard from anybody.
enum { WATCH_BEAT_MS = 500, WATCH_MISSED = 8 };

int watch_open(struct ranks *r, struct error *e);
void watch_close(struct ranks *r); // before the others may go

#endif
