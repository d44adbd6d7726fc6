// Which gradients ranks add together, and when: a few large buckets, each of gradients that are
// ready one after the other in the last backward list. A bucket goes out when its last one is,
// while the rest of the list still runs. How it goes is the device's.
#ifndef SSLTOP_GPU_BUCKETS_H
#define SSLTOP_GPU_BUCKETS_H

#include "gpu/plan.h"
#include "gpu/ranks/ranks.h"

enum { BUCKETS = RANKS_CHANNELS - RANKS_GRADIENT };

struct bucket {
    int first, n;  // of buckets.param
    int after;     // so many operations of the last backward list, and all is there
    size_t length; // numbers
};

struct buckets {
    int *param, n; // the trained parameters, by index, in the order in which they are ready
    struct bucket bucket[BUCKETS];
    int n_bucket;
    size_t largest; // numbers of the largest parameter
};

// After all lists are built, of which `list` is the last. size: numbers that the gradient of a
// parameter has on the device.
int buckets_init(struct plan *p, struct buckets *b, size_t (*size)(const struct plan *p, int param),
                 struct error *e);

// How a device adds them. poll: `sent` buckets are on their way; or NULL.
struct buckets_way {
    int (*send)(struct plan *p, int bucket, struct error *e);
    int (*poll)(struct plan *p, int sent, struct error *e);
    int (*finish)(struct plan *p, struct error *e);
};
// The last backward list with its buckets on the way, and their end.
int buckets_run(struct plan *p, const struct op_list *list, const struct buckets *b,
                const struct buckets_way *way, struct error *e);

#endif
