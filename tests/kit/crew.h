// Ranks as threads of one process, for tests: an engine (gpu/ranks/ranks.h) that copies memory.
#ifndef SSLTOP_TESTS_KIT_CREW_H
#define SSLTOP_TESTS_KIT_CREW_H

#include "gpu/ranks/ranks.h"

struct crew;

struct crew *crew_new(int size);
void crew_free(struct crew *c); // after all have parted

// Rank `rank` of it, in a thread of its own; waits until all have come. ranks_close parts.
int crew_join(struct crew *c, int rank, struct ranks **out, struct error *e);

// As the watch of the others says when a process has ended: this rank is gone. From its own thread.
void crew_lose(struct crew *c, int rank);

// The call-th thing that `rank` begins from now on fails (from 1; 0: nothing does); then nothing of
// anybody's is ever done. How many it has begun.
void crew_fail(struct crew *c, int rank, int call);
int crew_calls(struct crew *c, int rank);

#endif
