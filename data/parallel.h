// The same small thing for many items on all cores this process may use.
#ifndef SSLTOP_DATA_PARALLEL_H
#define SSLTOP_DATA_PARALLEL_H

#include <stdint.h>

int parallel_cores(void);

// work(context, i) for every i < n, in no order; returns when all are done. The caller works too,
// so that it cannot fail: where no thread can be started it does everything.
void parallel_run(int64_t n, void (*work)(void *context, int64_t i), void *context);

#endif
