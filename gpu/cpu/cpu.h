// What the rooms of the CPU device share: a plan is a list of stages (nodes after fusion), each of
// which adds its work to the lists that a step runs through: forward and backward of both views,
// evaluation, and the refresh of weight copies.
#ifndef SSLTOP_GPU_CPU_CPU_H
#define SSLTOP_GPU_CPU_CPU_H

#include <dnnl.h>

#include "gpu/backend.h"
#include "gpu/cpu/arena.h"
#include "gpu/cpu/kernels.h"
#include "gpu/views/pixel_pool.h"

enum { VIEWS = 2 };

struct cpu_images {
    struct images base;
    const uint8_t *pixels;
    int64_t n;
    int c, h, w;
    float mean[3], std[3];
    struct pictures *source;         // then there are no pixels, and h x w are those of views
    struct pictures_reader **reader; // one a thread of the device, for evaluation
    int readers;
};

struct cpu_device {
    struct device base;
    const struct kernels *kernels;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    struct spectrum_solver *solver;
    int solver_d;
};

// --- tensors ---
enum layout {
    LAYOUT_PLAIN,   // n x c x h x w: the network's input, as the first convolution likes it
    LAYOUT_BLOCKED, // n x ceil(c/B) x h x w x B, padding channels zero
    LAYOUT_ROWS     // n x c
};

// A gradient buffer of the pool. It has one owner while the backward list is built: the tensor that
// it was given to, or the stage that works on it.
struct grad {
    void *data;
    size_t size;
    int used;
};

// What a node gives, for both views.
struct tensor {
    int c, h, w;
    enum layout layout;
    int type;        // TYPE_F32 or TYPE_BF16
    size_t elements; // with padding
    // The same memory twice: for computing, the padding channels are channels like any other
    // (oneDNN's fast code wants whole blocks, and zeros stay zeros); for tensors that come in or go
    // out they are padding.
    dnnl_memory_desc_t md, outer_md;
    void *data[VIEWS];
    dnnl_memory_t memory[VIEWS];
    int wants_grad;
    struct grad *lent;    // of a frozen node: this memory is shared, its content does not last
    struct grad *grad[2]; // while the backward list is built: what has been added so far
    int n_grad;
};

// --- operations ---
struct cpu_plan;
struct stage;
struct op {
    int (*run)(struct cpu_plan *p, const struct op *op); // NULL: a oneDNN primitive
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[10];
    int n_arg;
    struct stage *stage;
    int view;
    void *a, *b, *out; // gradients in and out of a backward operation
};
struct owned;
struct op_list {
    struct op *op;
    int n, cap;
};

// --- parameters ---
// A trained tensor: master copy, momentum and one gradient a view, f32, in one layout (`md`, with
// its padding). A frozen one has the master copy only.
struct trained {
    const struct param *param;
    dnnl_memory_desc_t md, outer_md; // as a tensor's
    size_t elements;
    float *w, *v, *g[VIEWS];
};
enum { REFRESH_TRAINED, REFRESH_FROZEN, REFRESHES };

// --- where images come in ---
enum { SLOT_EVALUATE = PIXEL_POOL_DEPTH, SLOTS };
struct feed {
    struct pixel_pool *pool; // made for the first set of images
    struct pixel_shape shape;
    struct pictures *source;        // of what is queued, or NULL
    struct pixel_scratch **scratch; // one a thread, for evaluation
    dnnl_memory_desc_t md;          // of the staging memory: row major, the plan's type
    void *staged[SLOTS][VIEWS];
    dnnl_memory_t memory[SLOTS][VIEWS];
    dnnl_primitive_t ingest; // from there to the input tensor
    int64_t loaded, taken;   // batches
    int direct;              // bit a view: plan_input has set it
};

// --- stages ---
struct stage_kind {
    const char *name;
    // Append this stage's work on one view. evaluate NULL: as forward.
    int (*forward)(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                   struct error *e);
    int (*evaluate)(struct cpu_plan *p, struct stage *s, struct op_list *list, struct error *e);
    int (*backward)(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                    struct error *e);
};
struct stage {
    const struct stage_kind *kind;
    const struct node *node; // the first of those fused
    struct tensor *in, *in2, *out;
};

struct cpu_plan {
    struct plan base;
    struct cpu_device *device;
    const struct kernels *k;
    struct net net; // own copy
    int batch, type, threads;
    struct arena arena;

    // What compile made of the network.
    struct tensor **tensor; // by node; NULL where fusion left none
    struct stage **stage;   // in order of the forward pass
    int n_stage;
    struct op_list forward[VIEWS], loss, backward[VIEWS], evaluate, refresh[REFRESHES];
    char *choice;         // a letter for each convolution pass: what was chosen
    const char *recorded; // while compiling: what an earlier run chose, or NULL
    int n_choice, cap_choice;
    struct owned *owned; // oneDNN objects and heap memory to destroy with the plan
    int n_owned, cap_owned;
    dnnl_memory_t *scratch; // views of the one scratchpad that all primitives share
    int n_scratch, cap_scratch;
    size_t scratch_size;
    void *scratch_data;    // it, once placed
    struct grad *grad[64]; // the pool
    int n_grad;

    // Parameters, by their index in net.param.
    struct trained *trained; // .param NULL for running statistics
    float **running;         // NULL for trained ones
    int stale;               // master weights have changed: run `refresh` before the next pass

    // Work of the stages.
    double *partial;          // batch norm sums
    struct cpu_loss *loss_is; // loss.c's
    int feature_d;            // width of the features, rows of f32
    struct grad *seed[VIEWS]; // where backward_from puts the gradient of the last node
    void *input_gradient[VIEWS];

    struct feed feed; // where images come in (feed.c)
};

// Stages: create, one file each (conv.c linear.c norm.c pointwise.c).
struct stage *conv_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                         struct tensor *out, struct error *e);
struct stage *linear_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                           struct tensor *out, struct error *e);
struct stage *norm_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                         struct tensor *add, int relu, struct tensor *out, struct error *e);
struct stage *maxpool_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                            struct tensor *out, struct error *e);
struct stage *gap_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                        struct tensor *out, struct error *e);
struct stage *relu_stage(struct cpu_plan *p, const struct node *node, struct tensor *in,
                         struct tensor *out, struct error *e);
struct stage *add_stage(struct cpu_plan *p, const struct node *node, struct tensor *a,
                        struct tensor *b, struct tensor *out, struct error *e);
struct stage *input_stage(struct cpu_plan *p, struct tensor *out, struct error *e);

// Of a net with a loss: append its value (first), and its gradients to the outputs of a view.
int cpu_loss_value(struct cpu_plan *p, struct op_list *list, struct error *e);
int cpu_loss_gradient(struct cpu_plan *p, int view, struct op_list *list, struct error *e);

// Remember the algorithm of the next convolution pass (plan.c).
int plan_choice(struct cpu_plan *p, char letter, struct error *e);

static inline size_t type_size(int type)
{
    return type == TYPE_BF16 ? 2 : 4;
}
// Channels of a blocked tensor, whole blocks.
static inline int padded(const struct cpu_plan *p, int c)
{
    return (c + p->k->block - 1) / p->k->block * p->k->block;
}
static inline dnnl_data_type_t type_dnnl(int type)
{
    return type == TYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

#endif
