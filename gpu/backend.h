// The table behind gpu/device.h: a kind of device is one row, its functions do what the public ones
// promise. A device or plan of a backend begins with the public part below.
#ifndef SSLTOP_GPU_BACKEND_H
#define SSLTOP_GPU_BACKEND_H

#include "gpu/device.h"

// Raise it with every change of the structs here or in device.h and net.h: a backend that was built
// for other structs is refused when it is loaded.
#define BACKEND_ABI 7u

struct backend {
    const char *kind;              // what --device says before the colon
    int (*count)(struct error *e); // how many there are; NULL: one
    int (*open)(const char *argument, int threads, struct device **out, struct error *e);
    void (*close)(struct device *d);
    int (*spectrum)(struct device *d, const struct moments *m, double *sigma, double *n,
                    struct error *e);
    // `changing`: the pixels are others at every load, which reads them before it returns or before
    // the forward pass that takes it begins.
    int (*images_new)(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
                      const float *mean, const float *std, int changing, struct images **out,
                      struct error *e);
    // NULL: the device takes images from memory only, and gpu/views/staged.c puts them there.
    int (*images_from)(struct device *d, struct pictures *source, int h, int w, const float *mean,
                       const float *std, struct images **out, struct error *e);
    void (*images_free)(struct images *s);
    int (*compile)(struct device *d, const struct net *net, const struct plan_options *o,
                   struct plan **out, struct error *e);
    void (*free)(struct plan *p);
    int (*put)(struct plan *p, const char *name, const float *v, size_t n, struct error *e);
    int (*get)(struct plan *p, const char *name, float *v, size_t n, struct error *e);
    int (*load)(struct plan *p, struct images *s, const int64_t *index,
                const struct augment_view *const view[2], struct error *e);
    int (*forward)(struct plan *p, struct error *e);
    int (*backward)(struct plan *p, const float *const dy[2],
                    struct error *e); // dy: NULL, or for a net without loss
    int (*update)(struct plan *p, const struct update *u, struct error *e);
    int (*ema)(struct plan *p, double tau, struct error *e);
    int (*features)(struct plan *p, int view, float *h, struct error *e);
    int (*moments)(struct plan *p, struct moments *m, struct error *e);
    int (*evaluate)(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                    struct error *e);
    int (*input)(struct plan *p, int view, const float *x, struct error *e);
    int (*output)(struct plan *p, int node, int view, int n, float *y, struct error *e);
    int (*input_gradient)(struct plan *p, int view, float *dx, struct error *e);
    int (*profile)(struct plan *p, struct plan_work *kind, int max, struct error *e); // or NULL
    // Make plan.scores those of the last forward, and times those of the last step that is over.
    // NULL: they always are.
    int (*settle)(struct plan *p, struct error *e);
};

struct device {
    const struct backend *backend;
    struct device_info info;
    struct nvml *sensors; // of a card: device.c's, NULL for none
    size_t held;          // bytes of its memory outside plans
};

struct images {
    const struct backend *backend;
    int staged; // one of gpu/views/staged.c's
};

struct plan {
    const struct backend *backend;
    struct plan_scores scores;
    struct plan_times times;
    char *algorithms;
    size_t memory;
    int batch;              // set by device_compile
    struct images *feeding; // staged images that batches come from, or NULL
    char notice[256];
};

extern const struct backend cpu_backend;

// The one symbol of a backend that is loaded (ssltop-cuda.so): its table, or NULL when it was built
// for another BACKEND_ABI.
#define BACKEND_SYMBOL "ssltop_backend"
typedef const struct backend *backend_entry(unsigned abi);
// The CUDA backend, loaded at the first call; NULL and why not.
const struct backend *backend_cuda(struct error *e);

#endif
