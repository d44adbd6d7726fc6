// The next batches on their way to the device: which images, and the numbers of their views.
#ifndef SSLTOP_TRAIN_RUN_LOADER_H
#define SSLTOP_TRAIN_RUN_LOADER_H

#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"
#include "train/run/setup.h"

struct loader {
    struct memory memory;
    int64_t *position, *index;
    struct augment_view *view[2];
    FILE *trace; // NULL: none is asked for
};

// With SSLTOP_TRACE=FILE in the environment each batch is written to FILE.RANK: step, mode, chunk,
// and the CRC-32 of the positions of all its images. One that is drawn anew has another line.
int loader_init(struct loader *l, const struct setup *s, struct error *e);
void loader_free(struct loader *l); // takes a zeroed struct too

// Queue the batch of this step: a pure function of (seed, plan, step).
int loader_queue(struct loader *l, struct setup *s, int64_t step, struct error *e);

#endif
