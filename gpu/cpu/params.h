// Parameters of a plan: where they lie, how they come in and go out under PyTorch's names.
#ifndef SSLTOP_GPU_CPU_PARAMS_H
#define SSLTOP_GPU_CPU_PARAMS_H

#include "gpu/cpu/cpu.h"

// A weight matrix or filter: the trained master copy lies as its gradient does (grad_md); forward
// and backward get copies in their own layout and type where these differ, made again after each
// update. backward_md may be NULL.
struct weights {
    struct trained *trained;
    dnnl_memory_t grad[VIEWS];
    dnnl_memory_t forward, backward;
};
int params_weights(struct plan *p, struct weights *w, const struct node *node,
                   onednn_layout grad_md, onednn_layout forward_md, onednn_layout backward_md,
                   struct error *e);

// A vector (bias, batch norm weight) of node->c floats, padded with zeros; and running statistics.
struct trained *params_vector(struct plan *p, const struct node *node, enum param_kind kind,
                              size_t padded, struct error *e);
float *params_running(struct plan *p, const struct node *node, enum param_kind kind, size_t padded,
                      struct error *e);

// The backend's put and get, and the update.
int params_put(struct plan *p, int i, enum array which, const float *v, struct error *e);
int params_get(struct plan *p, int i, enum array which, float *v, struct error *e);
int params_update(struct plan *p, const struct update *u, struct error *e);

// After all stages: what follows must lie as what it follows. Then the moving average.
int params_check(const struct plan *p, struct error *e);
int params_ema(struct plan *p, double tau, struct error *e);

#endif
