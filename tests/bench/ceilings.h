// What a card can at best, measured by a library that bench_gpu.c loads when CUDA's are loaded.
#ifndef SSLTOP_TESTS_BENCH_CEILINGS_H
#define SSLTOP_TESTS_BENCH_CEILINGS_H

#include "metrics/base/error.h"

// Bytes a second of a copy (read and write both counted), and operations a second of a product of
// large matrices, in bf16 or f32. 0, or -1 and why.
typedef int ceilings_function(int bf16, double *bytes, double *flops, struct error *e);
ceilings_function ceilings_measure;

#endif
