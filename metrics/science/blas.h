// The linear algebra library, OpenBLAS, as everything here wants it: one thread a call, as the
// threads are OpenMP's, and never a call for which it has no memory.
#ifndef SSLTOP_METRICS_SCIENCE_BLAS_H
#define SSLTOP_METRICS_SCIENCE_BLAS_H

#include "metrics/base/error.h"

// Before the first call, and before `threads` of them at once. -1: what the library needs for so
// many is not there. It would ask for it for ever.
int blas_begin(int threads, struct error *e);

#endif
