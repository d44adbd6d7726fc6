// A convolution's forward pass, or the gradient of its input, by the kernel for tiles
// (kernels_conv_tiles.h) as an operation of a plan. Channels last, in bf16.
#ifndef SSLTOP_GPU_CPU_TILES_H
#define SSLTOP_GPU_CPU_TILES_H

#include "gpu/cpu/onednn.h"

// How the weights lie for it, oc x ic x k x k.
onednn_layout tiles_weights(struct plan *p, enum pass pass, const dnnl_dims_t weights,
                            struct error *e);

// A pass of a convolution; the plan owns it. The weights come later.
struct tiles {
    struct conv_args args;
    dnnl_memory_t weights;
};
struct tiles *tiles_new(struct plan *p, const struct stage *s, enum pass pass, struct error *e);

// Append it: from x to y.
int tiles_op(struct stage *s, struct tiles *t, const void *x, void *y, struct op_list *list,
             struct error *e);

#endif
