// Passes of a convolution by kernels of ours, as operations of a plan (kernels.h has the kernels).
#ifndef SSLTOP_GPU_CPU_OURS_H
#define SSLTOP_GPU_CPU_OURS_H

#include "gpu/cpu/onednn.h"

enum our_kernel {
    OURS_NONE,
    OURS_PAIRS,    // of bf16, blocked: the gradient of the filter
    OURS_TILES,    // of bf16, channels last
    OURS_WINOGRAD, // f32, blocked: 3 x 3 with stride 1
};

// Whether this processor and the layouts of the stage's tensors are made for it.
int ours_can(const struct plan *p, const struct stage *s, enum pass pass, enum our_kernel by);

// How the weights lie for it, oc x ic x k x k; in PASS_WEIGHTS their gradient.
onednn_layout ours_weights(struct plan *p, enum our_kernel by, enum pass pass,
                           const dnnl_dims_t weights, struct error *e);

// A pass; the plan owns it. What weights it reads comes later, where the pass reads any.
struct ours {
    enum our_kernel by;
    union {
        struct conv_args conv;
        struct filter_args filter; // of PASS_WEIGHTS
    };
    dnnl_memory_t weights;
};
struct ours *ours_new(struct plan *p, const struct stage *s, enum pass pass, enum our_kernel by,
                      struct error *e);

// Append it: from x to y; the gradient of the filter from x and dy to dw.
int ours_conv(struct stage *s, struct ours *o, const void *x, void *y, struct op_list *list,
              struct error *e);
int ours_filter(struct plan *p, struct stage *s, const struct ours *o, const void *x,
                const void *dy, float *dw, struct op_list *list, struct error *e);

#endif
