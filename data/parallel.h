// The same small thing for many items, on several threads.
#ifndef SSLTOP_DATA_PARALLEL_H
#define SSLTOP_DATA_PARALLEL_H

#include <stdint.h>

enum { PARALLEL_MAX = 256 };

// work(context, i) for every i < n, in no order; returns when all are done. `threads` (0: as many
// as there are cores) is the most that work at a time, and never more than PARALLEL_MAX. The caller
// is one of them, so that it cannot fail: where no thread can be started it does everything.
void parallel_run(int threads, int64_t n, void (*work)(void *context, int64_t i), void *context);

#endif
