// What a plan is made of, on every device: tensors and the gradients of a pool, stages (nodes after
// fusion) and the operations that they add to the lists of a step, and all that the plan owns.
// gpu/compile.c makes it; a device brings what its nodes do. NULL or -1: an error, with the reason.
#ifndef SSLTOP_GPU_PLAN_H
#define SSLTOP_GPU_PLAN_H

#include "gpu/backend.h"

// Which views an operation works: 0, 1, or BOTH on a device that works them together.
enum { VIEWS = 2, BOTH = VIEWS };

// --- tensors ---
// A gradient buffer of the pool. It has one owner while the backward list is built: the tensor that
// it was given to, or the stage that works on it.
struct grad {
    void *data;
    size_t size;
    int used;
};

// What a node gives.
struct tensor {
    int c, h, w;
    int rows;              // c numbers an image, f32 in any precision
    int type;              // enum precision
    size_t elements;       // of a view, or of both where they lie together; with padding
    void *data[VIEWS];     // where each view begins
    struct layout *layout; // what else the device wants to know of it
    int wants_grad;
    struct grad *lent;    // of a frozen node: this memory is shared, its content does not last
    struct grad *grad[2]; // while the backward list is built: what has been added so far
    int n_grad;
};

// --- operations ---
typedef int op_run(struct plan *p, const struct op *op, struct error *e);

struct op {
    op_run *run;
    struct stage *stage;
    int view;
    void *a, *b, *out;   // gradients in and out of a backward operation
    struct call *call;   // what else the device gives it
    const char *name;    // what it does, where the stage's kind does not say it all
    double flops, bytes; // for a profile
};
struct op_list {
    struct op *op;
    int n, cap;
};

// --- stages ---
struct stage {
    const struct stage_kind *kind;
    const struct node *node; // the first of those fused
    struct tensor *in, *in2, *out;
    int relu;   // of a batch norm: one comes last
    int worked; // operations of the last backward list before and with its own
};

// What a device does where a kind of node stands. A pass adds one operation, or those of its
// add_ function.
struct stage_kind {
    const char *name;
    size_t size; // of its struct, which begins with struct stage; 0: no more than that
    int (*init)(struct plan *p, struct stage *s, struct error *e); // or NULL
    op_run *forward, *backward;
    op_run *evaluate; // NULL: as forward
    int (*add_forward)(struct plan *p, struct stage *s, int view, struct op_list *list,
                       struct error *e);
    // From the gradient of the output, dy, to that of the input, dx (NULL: nobody wants it).
    int (*add_backward)(struct plan *p, struct stage *s, int view, struct grad *dy, struct grad *dx,
                        struct op_list *list, struct error *e);
    void (*cost)(const struct plan *p, struct op *op); // flops and bytes; or NULL
};

struct plan {
    const struct backend *backend;
    struct device *device;
    struct own *own;     // the device's own part
    struct net net;      // a copy
    int batch, type;     // type: enum precision
    int feature_d;       // width of the features, 0 without
    struct ranks *ranks; // that compute the step together; NULL: this one alone
    int whole;           // images that statistics and the loss are over: B, or all ranks' together

    // What compile made of the network.
    struct tensor **tensor; // by node; NULL where fusion left none
    struct stage **stage;   // in order of the forward pass
    int n_stage;
    struct op_list forward[VIEWS], backward[VIEWS], evaluate; // together: the first of each
    void *seed[VIEWS];           // where the gradient of the last node goes, without a loss
    void *input_gradient[VIEWS]; // NULL: not asked for
    struct grad *grad[64];       // the pool
    int n_grad;
    char *algorithms;     // what was chosen so far: the prefix, a letter a choice
    const char *recorded; // while compiling: the same of an earlier run, or NULL
    size_t room;          // of `algorithms`
    struct owned *owned;
    int n_owned, cap_owned;
    size_t memory; // bytes held
    char notice[256];

    // Of the last step.
    struct plan_scores scores;
    struct plan_times times;
    double waited;          // ms for staged images
    double met;             // seconds of the host's waiting for other ranks before it began
    struct images *feeding; // what has to be delivered before a forward pass, or NULL
    int direct;             // bit a view: plan_input has set it
    int bn_batch;           // while plan_update_bn runs: which batch, from 1 on; else 0
};

// How far running statistics go towards those of a batch: PyTorch's default, or all the way to the
// average of the batches so far.
static inline double plan_bn_share(const struct plan *p)
{
    return p->bn_batch ? 1.0 / p->bn_batch : 0.1;
}

// --- what a plan owns ---
// The object is the plan's from here on; when that fails it is released at once.
int plan_own(struct plan *p, void (*release)(void *), void *object, struct error *e);
void *plan_heap(struct plan *p, size_t size, struct error *e); // zeroed
// All of it, the newest first, and the plan itself.
void plan_release(struct plan *p);

// --- operations ---
struct op *plan_op(struct op_list *list, struct stage *s, int view, op_run *run, struct error *e);
int plan_run(struct plan *p, const struct op_list *list, struct error *e); // all, in order
// How many views: 1 or 2.
int plan_views(const struct op *op);

// --- tensors and gradients ---
size_t plan_element(int type);             // bytes
size_t plan_bytes(const struct tensor *t); // of a gradient
// Memory of t->elements, or a buffer lent from the pool (one for both views) that the compiler
// takes back.
int plan_place(struct plan *p, struct tensor *t, int lend, struct error *e);
// Lists run in the order in which they are built, so a buffer released while building is free for
// what is built later. Take one; give it to a tensor (ownership passes); let go; and the sum of
// what the stage's output has gathered (ownership passes to the caller).
struct grad *plan_grad_take(struct plan *p, size_t size, struct error *e);
int plan_grad_give(struct tensor *t, struct grad *g, struct error *e);
void plan_grad_release(struct grad *g);
struct grad *plan_grad_of(struct plan *p, struct stage *s, int view, struct op_list *list,
                          struct error *e);

// --- names ---
// The letter recorded for the next choice, 0 without a record; -1: the record is too short.
int plan_recorded(const struct plan *p, struct error *e);
int plan_choose(struct plan *p, char letter, struct error *e); // remember it
// The index of a node's parameter.
int plan_param(const struct plan *p, const struct node *d, enum param_kind kind);

#endif
