// The table behind gpu/device.h: a kind of device is one row of the registry and one of these. What
// is the same on every device stands in gpu/dispatch.c (checks of what is asked) and gpu/compile.c
// (from a network to lists of operations); a function here is only given what has been checked.
#ifndef SSLTOP_GPU_BACKEND_H
#define SSLTOP_GPU_BACKEND_H

#include "gpu/device.h"

// Raise it with every change of the structs here or in device.h, net.h, plan.h and ranks/ranks.h: a
// backend that was built for other structs is refused when it is loaded.
#define BACKEND_ABI 11u

struct tensor;
struct stage_kind;
struct op;
struct op_list;

// Which of a parameter's arrays: its value, and where it is trained its momentum and its gradient.
enum array { ARRAY_VALUE, ARRAY_MOMENTUM, ARRAY_GRADIENT };

struct backend {
    int (*count)(struct error *e); // how many there are; NULL: one
    int (*open)(const char *argument, int threads, struct device **out, struct error *e);
    void (*close)(struct device *d);
    int (*spectrum)(struct device *d, const struct moments *m, double *sigma, double *raw,
                    double *n, struct error *e);

    // A set of images that is `described` but for its kind. `changing`: the pixels are others at
    // every load, which reads them before it returns or before the forward pass that takes it
    // begins.
    int (*images)(struct device *d, const struct images *described, int changing,
                  struct images **out, struct error *e);
    int decodes; // takes images from a source too; else gpu/views/staged.c puts them into memory

    // --- compiling: by gpu/compile.c, of which a backend that is loaded has its own copy ---
    int (*compile)(struct device *d, const struct net *net, const struct plan_options *o,
                   struct plan **out, struct error *e);
    void (*release)(struct plan *p);
    // The device's memory, and what its nodes do (gpu/plan.h).
    int together;     // one operation works both views, whose tensors lie one behind the other
    const char *what; // that recorded choices are bound to, besides precision
    const struct stage_kind *node[NODE_KINDS];
    // The plan's own part, and in `prefix` all but the choices that could change a bit: "v3-isa7".
    int (*begin)(struct plan *p, char *prefix, size_t size, struct error *e);
    // Memory that goes with the plan.
    void *(*take)(struct plan *p, size_t size, struct error *e);
    // How the output of node `d` lies, and its memory (plan_place).
    int (*tensor)(struct plan *p, struct tensor *t, const struct node *d, int lend,
                  struct error *e);
    // An operation: out = a + b, of the size of its stage's output.
    int (*sum)(struct plan *p, const struct op *op, struct error *e);
    // Append the value of the loss to the forward pass, and its gradients to a backward list.
    int (*loss_value)(struct plan *p, int view, struct op_list *list, struct error *e);
    int (*loss_gradient)(struct plan *p, int view, struct op_list *list, struct error *e);
    int (*end)(struct plan *p, struct error *e); // after the last operation
    void (*free)(struct plan *p);                // what of the own part is not owned by the plan

    // --- parameters: the i-th of the network ---
    int (*put)(struct plan *p, int i, enum array which, const float *v, struct error *e);
    int (*get)(struct plan *p, int i, enum array which, float *v, struct error *e);

    // --- a step; `direct`: the input has been set, no batch is taken ---
    int (*forward)(struct plan *p, int direct, struct error *e);
    int (*backward)(struct plan *p, struct error *e);
    int (*update)(struct plan *p, const struct update *u, struct error *e);
    int (*ema)(struct plan *p, double tau, struct error *e);
    int (*features)(struct plan *p, int view, float *h, struct error *e);
    int (*moments)(struct plan *p, struct moments *m, struct error *e); // m NULL: not rank 0
    int (*profile)(struct plan *p, struct plan_work *kind, int max, struct error *e); // or NULL
    // Make plan.scores those of the last forward, and times those of the last step that is over.
    // NULL: they always are.
    int (*settle)(struct plan *p, struct error *e);

    // --- whole tensors: one view's `data` of a tensor, row major outside ---
    int (*bring)(struct plan *p, const struct tensor *t, void *data, const float *x,
                 struct error *e);
    // The first n images. `late`: of the backward pass, not of the forward pass.
    int (*fetch)(struct plan *p, const struct tensor *t, const void *data, int n, int late,
                 float *y, struct error *e);
};

struct device {
    const struct backend *backend;
    struct device_info info;
    struct nvml *sensors; // of a card: device.c's, NULL for none
    size_t held;          // bytes of its memory outside plans
    int planned;          // only what it would need is known: nothing runs
};

// A set of images; its kind knows how they come into a plan.
struct images_kind {
    int (*load)(struct plan *p, struct images *s, const int64_t *index,
                const struct augment_view *const view[2], struct error *e);
    // h NULL: nobody wants the features, only what plan->bn_batch says.
    int (*evaluate)(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                    struct error *e);
    // Before a forward pass of a plan that was loaded from here; NULL: there is nothing to do.
    int (*deliver)(struct plan *p, struct images *s, struct error *e);
    void (*free)(struct images *s);
};

struct images {
    const struct images_kind *kind;
    struct device *device;
    const uint8_t *pixels;   // n x c x h x w, or NULL: from `source`, and h x w are those of views
    struct pictures *source; // or NULL
    int64_t n;
    int c, h, w;
    float mean[3], std[3];
};

#endif
