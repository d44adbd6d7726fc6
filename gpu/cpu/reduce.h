// Gradients of all ranks, added in buckets (gpu/buckets.h) while the backward pass still runs.
#ifndef SSLTOP_GPU_CPU_REDUCE_H
#define SSLTOP_GPU_CPU_REDUCE_H

#include "gpu/cpu/cpu.h"

// After all lists are built; nothing where there are no ranks.
int reduce_init(struct plan *p, struct error *e);

// The last view's backward pass with its buckets on the way, and their end: every trained.sum is
// then the gradient of the whole batch, both views', the same on all ranks.
int reduce_backward(struct plan *p, struct error *e);

#endif
