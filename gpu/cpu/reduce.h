// What ranks add on the CPU, but for what a stage does by itself: gradients in buckets
// (gpu/buckets.h) while the backward pass still runs, and moments of the features.
#ifndef SSLTOP_GPU_CPU_REDUCE_H
#define SSLTOP_GPU_CPU_REDUCE_H

#include "gpu/cpu/cpu.h"

// After all lists are built; nothing where there are no ranks.
int reduce_init(struct plan *p, struct error *e);

// The last view's backward pass with its buckets on the way, and their end: every trained.sum is
// then the gradient of the whole batch, both views', the same on all ranks.
int reduce_backward(struct plan *p, struct error *e);

// With ranks: moments of the features of both views, of all; added to m where that is not NULL.
int reduce_moments(struct plan *p, const float *const h[VIEWS], struct moments *m, struct error *e);

#endif
