// Views of some images, made once and kept as images of their own: what looks at the same views at
// every evaluation gives them to plan_evaluate like any others.
#ifndef SSLTOP_GPU_VIEWS_KEPT_H
#define SSLTOP_GPU_VIEWS_KEPT_H

#include "data/augment.h"
#include "data/sets/dataset.h"
#include "gpu/device.h"

#define KEPT_BYTES ((size_t)128 << 20) // of pixels, at most

struct kept_views {
    int64_t n;             // images; 0: there are none
    int each;              // views of each
    uint8_t *pixels;       // n x each x channels x height x width, to the nearest of 256 levels
    struct images *images; // of them: view k of image i is number i x each + k
};

// `each` views of n training images (index[i] of the set), as `recipe` and `seed` draw them; of
// fewer images, the first, where the pixels of n do not fit into KEPT_BYTES. A recipe that changes
// nothing: there are none. `threads` work on them meanwhile. kept_views_free in any case.
int kept_views_new(struct device *d, const struct dataset *data,
                   const struct augment_recipe *recipe, uint64_t seed, const int64_t *index,
                   int64_t n, int each, int threads, struct kept_views *out, struct error *e);
void kept_views_free(struct kept_views *v); // takes a zeroed struct too

#endif
