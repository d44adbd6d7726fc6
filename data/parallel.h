// The same small thing for many items, on several threads.
#ifndef SSLTOP_DATA_PARALLEL_H
#define SSLTOP_DATA_PARALLEL_H

#include <stdint.h>

#include "metrics/base/error.h"

enum { PARALLEL_MAX = 256 };

// What is done for item i: 0, or -1 with the reason.
typedef int parallel_work(void *context, int64_t i, struct error *e);

// Work for every i < n, in no order; returns when all are done: 0, or -1 with the reason of the
// item that failed first, and the others are done all the same. `threads` (0: as many as there are
// cores) is the most that work at a time, and never more than PARALLEL_MAX. The caller is one of
// them: where no thread can be started it does everything.
int parallel_run(int threads, int64_t n, parallel_work *work, void *context, struct error *e);

#endif
