// Where images come in: the pixel pool works the views of queued batches into staging memory; from
// there they go into the network's input tensor.
#ifndef SSLTOP_GPU_CPU_FEED_H
#define SSLTOP_GPU_CPU_FEED_H

#include "gpu/cpu/cpu.h"

// Staging memory and the way to the input tensor; at compile. feed_free at the end.
int feed_init(struct cpu_plan *p, struct error *e);
void feed_free(struct cpu_plan *p);

// The contract's load, and input for tests.
int feed_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e);
int feed_input(struct plan *p, int view, const float *x, struct error *e);

// Bring the oldest batch (or what plan_input has set) into the input tensor of both views.
int feed_take(struct cpu_plan *p, struct error *e);
// Bring n un-augmented images into the input tensor of view 0; the rest of the batch keeps what was
// there.
int feed_evaluate(struct cpu_plan *p, struct images *s, const int64_t *index, int n,
                  struct error *e);

#endif
