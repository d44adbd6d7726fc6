// What ranks add, each on a card of its own: sums that the next operation needs (of batch norms, of
// the loss), moments of features, and gradients in buckets (gpu/buckets.h) beside the backward
// pass. NCCL does it on the card, on one stream, as part of the recorded step; whoever waits for
// the card waits here, so that a rank that is gone is noticed. A plan without ranks has none of it.
#ifndef SSLTOP_GPU_CUDA_REDUCE_H
#define SSLTOP_GPU_CUDA_REDUCE_H

#include "gpu/cuda/cuda.h"
#include "gpu/ranks/nccl/nccl.h"

// With ranks, first: loads NCCL, and says which it is, of which a sum's last bit may depend.
int reduce_prefix(struct plan *p, char *prefix, size_t size, struct error *e);
// After all lists are built: places the buckets.
int reduce_init(struct plan *p, struct error *e);
// Before the first sum, by all ranks: they are connected.
int reduce_join(struct plan *p, struct error *e);
// When nothing uses it any more: no graph, and where all went well no work of the streams.
void reduce_part(struct plan *p);
// Before anything of the card is freed, which waits for all that is queued: where ranks have
// failed, what waits for them there comes to an end.
void reduce_give_up(struct cuda_device *d);

// The numbers of everybody, added before what `main` does next.
int reduce_add(struct plan *p, void *card, size_t n, enum nccl_number number, struct error *e);
// The forward list; and the backward list with its buckets on the way, and their end before what
// `main` does next: every trained.sum is then the gradient of the whole batch, the same on all
// ranks.
int reduce_forward(struct plan *p, struct error *e);
int reduce_backward(struct plan *p, struct error *e);

// Numbers of everybody that `side` has made, added before what `side` does next: on all, or on rank
// 0 alone. Then, after the last of them: nothing of the backward pass comes before their end.
enum reduce_for { FOR_ALL, FOR_FIRST };
int reduce_beside(struct plan *p, double *card, size_t n, enum reduce_for whom, struct error *e);
int reduce_between(struct plan *p, struct error *e);

// Milliseconds in which `main` had nothing to do but wait for others, in the last step of this
// parity, which is over: in the forward pass, before the backward pass, in it. NaN: the clock could
// not be read.
enum { WAITS_FORWARD, WAITS_BETWEEN, WAITS_BACKWARD, WAITS };
void reduce_waited(const struct plan *p, int parity, double ms[WAITS]);
// A graph is launched by all ranks or by none: whether one of them could not record it.
int reduce_refused(struct plan *p, int refused, struct error *e);

// Wait for what is queued, as long as all ranks are there.
int reduce_wait_stream(struct plan *p, cudaStream_t s, const char *what, struct error *e);
int reduce_wait_event(struct plan *p, cudaEvent_t event, const char *what, struct error *e);

#endif
