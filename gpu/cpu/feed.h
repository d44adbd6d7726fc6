// Where images come in: a pool of threads works the views of queued batches into staging memory;
// from there they go into the network's input tensor.
#ifndef SSLTOP_GPU_CPU_FEED_H
#define SSLTOP_GPU_CPU_FEED_H

#include "gpu/cpu/cpu.h"

// Staging memory and the way to the input tensor; at compile. feed_free at the end.
int feed_init(struct plan *p, struct error *e);
void feed_free(struct plan *p);

// As plan_load.
int feed_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e);
// Bring the oldest batch into the input tensor of both views.
int feed_take(struct plan *p, struct error *e);
// Bring n un-augmented images into the input tensor of view 0; the rest of the batch keeps what was
// there.
int feed_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, struct error *e);

#endif
