// The next batches on their way to the device: which images, and the numbers of their views.
#ifndef SSLTOP_TRAIN_RUN_LOADER_H
#define SSLTOP_TRAIN_RUN_LOADER_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "train/run/setup.h"

struct loader {
    int64_t *position, *index;
    struct augment_view *view[2];
};

int loader_init(struct loader *l, const struct setup *s, struct error *e);
void loader_free(struct loader *l); // takes a zeroed struct too

// Queue the batch of this step: a pure function of (seed, plan, step).
int loader_queue(struct loader *l, struct setup *s, int64_t step, struct error *e);

#endif
