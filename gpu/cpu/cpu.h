// What the rooms of the CPU device share: how its tensors lie, its own part of a plan, its stages.
// A step runs lists of operations (gpu/plan.h): forward and backward of each view by itself, and
// the refresh of weight copies.
#ifndef SSLTOP_GPU_CPU_CPU_H
#define SSLTOP_GPU_CPU_CPU_H

#include "gpu/cpu/arena.h"
#include "gpu/cpu/kernels.h"
#include "gpu/cpu/onednn_types.h"
#include "gpu/plan.h"

_Static_assert((int)TYPE_F32 == (int)PRECISION_F32 && (int)TYPE_BF16 == (int)PRECISION_BF16,
               "kernels are tables by precision");

// --- tensors ---
enum order {
    ORDER_PLAIN,   // n x c x h x w: the network's input, as the first convolution likes it
    ORDER_BLOCKED, // n x ceil(c/B) x h x w x B, padding channels zero
    ORDER_LAST,    // n x h x w x c, c rounded up to whole blocks in the same way
    ORDER_ROWS     // n x c
};

// How a tensor lies. The same memory is described twice: for computing, the padding channels are
// channels like any other (oneDNN's fast code wants whole blocks, and zeros stay zeros); for
// tensors that come in or go out they are padding; callers have them in plain_md, row major f32.
struct layout {
    enum order order;
    dnnl_format_tag_t tag;
    onednn_layout md, outer_md, plain_md;
    dnnl_memory_t memory[VIEWS];
};

// A oneDNN primitive to be run.
struct call {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[10];
    int n_arg;
};

// --- parameters ---
// A trained tensor: master copy, momentum and one gradient a view, f32, in one layout (`md`, with
// its padding). A frozen one has the master copy only.
struct trained {
    const struct param *param;
    onednn_layout md, plain_md; // plain_md: the same row major, NULL for a vector
    size_t elements;
    float *w, *v, *g[VIEWS];
    float *sum; // with ranks: the gradient of all of them (reduce.h); NULL without
};
enum { REFRESH_TRAINED, REFRESH_FROZEN, REFRESHES };

// The device's own part of a plan.
struct own {
    const struct kernels *k;
    struct onednn onednn; // the device's
    int threads;
    struct arena arena;
    dnnl_memory_t *scratch; // views of the one scratchpad that all primitives share
    int n_scratch, cap_scratch;
    size_t scratch_size;
    void *scratch_data; // it, once placed

    // Parameters, by their index in net.param.
    struct trained *trained; // .param NULL for running statistics
    float **running;         // NULL for trained ones
    struct op_list refresh[REFRESHES];
    int stale; // master weights have changed: run `refresh` before the next pass

    // Work of the stages.
    double *partial;          // batch norm sums
    double *sums, *all_sums;  // with ranks: what they add, of this one and of all; else NULL
    struct reduce *reduce;    // with ranks: the sums of gradients (reduce.h); NULL without
    const float *zeros;       // with ranks: as many as the largest parameter has numbers
    struct cpu_loss *loss_is; // loss.c's

    struct feed *feed; // where images come in (feed.c)
};

extern const struct stage_kind cpu_conv, cpu_linear, cpu_norm, cpu_relu, cpu_add, cpu_maxpool,
    cpu_gap;
// Of a net with a loss, as struct backend has it (loss.c).
int cpu_loss_value(struct plan *p, int view, struct op_list *list, struct error *e);
int cpu_loss_gradient(struct plan *p, int view, struct op_list *list, struct error *e);

// Memory of the arena.
void *cpu_take(struct plan *p, size_t size, struct error *e);
// What a tensor's shape is row major, n images or rows for the batch.
onednn_layout cpu_plain(struct plan *p, const struct tensor *t, dnnl_data_type_t type,
                        struct error *e);

// Channels of a blocked tensor, whole blocks.
static inline int padded(const struct plan *p, int c)
{
    return (c + p->own->k->block - 1) / p->own->k->block * p->own->k->block;
}
static inline dnnl_data_type_t type_dnnl(int type)
{
    return type == TYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

extern const struct backend cpu_backend;

#endif
