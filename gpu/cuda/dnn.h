// Convolutions by cuDNN's backend API: a plan for one shape and pass, with or without a card.
// Without one the plan is made from a description of the card and cannot run.
#ifndef SSLTOP_GPU_CUDA_DNN_H
#define SSLTOP_GPU_CUDA_DNN_H

#include <cudnn.h>
#include <stddef.h>

#include "metrics/base/error.h"

struct dnn {
    cudnnHandle_t handle;              // NULL: only planning
    cudnnBackendDescriptor_t describe; // then: the card's properties
};
// For a card, on this stream; for planning, sm 80 or 90 (what cards there are: dnn_sm_names).
int dnn_open(struct dnn *d, cudaStream_t stream, struct error *e);
int dnn_open_planning(struct dnn *d, int sm, struct error *e);
void dnn_close(struct dnn *d);

enum dnn_pass { DNN_FORWARD, DNN_DATA, DNN_FILTER };
// Square k x k filters; NHWC images n x h x w x c to n x oh x ow x out.
struct dnn_shape {
    int n, c, h, w, out, oh, ow, k, stride, pad;
    int bf16; // else f32, without TF32
};

typedef cudnnBackendDescriptor_t dnnPack; // a plan's memory: tensors and workspace
struct dnn_plan;
// `letter`: of an earlier choice, or 0 to choose. `time` (or NULL) runs a candidate and says its
// milliseconds, < 0 when it cannot run; without it the first that can be built is taken. The letter
// of what was chosen goes to *chosen.
typedef double dnn_timer(void *context, struct dnn_plan *candidate);
int dnn_plan_new(struct dnn *d, const struct dnn_shape *s, enum dnn_pass pass, char letter,
                 dnn_timer *time, void *context, struct dnn_plan **out, char *chosen,
                 struct error *e);
void dnn_plan_free(struct dnn_plan *p);
size_t dnn_plan_workspace(const struct dnn_plan *p);
// Whether this may be a letter at all.
int dnn_is_letter(char c);

// Tie a plan to memory; run it on the handle's stream; let go.
int dnn_pack_new(const struct dnn_plan *p, void *x, void *w, void *y, void *workspace, dnnPack *out,
                 struct error *e);
void dnn_pack_free(dnnPack pack);
int dnn_run(struct dnn *d, const struct dnn_plan *p, dnnPack pack, struct error *e);

#endif
