// The surrogate of the data of a run, and what it says of single training images.
#ifndef SSLTOP_TRAIN_RUN_SURROGATES_H
#define SSLTOP_TRAIN_RUN_SURROGATES_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"
#include "metrics/base/memory.h"
#include "metrics/science/questions.h"
#include "metrics/science/surrogate.h"

enum {
    SURROGATES_SAMPLE = 20000, // training images behind it, at most
    SURROGATES_PHOTOS = 5000   // where each has to be decoded
};

struct surrogates {
    struct memory memory;
    struct surrogate s; // of 0 targets: nothing is asked
    const struct dataset *data;
    int threads;
    float *told;          // of every training image, once it was asked: s.targets each
    signed char *cluster; // and which of the first kind's clusters it is in; -1: not known
    float *small;         // SURROGATES_AT_ONCE small images
};
enum { SURROGATES_AT_ONCE = 256 };

// Of the training images of `d`, which must stay: read from `path`, where there is such a file and
// it is for them ("" where there cannot be one); else made from a sample of them, evenly spread
// over an order that does not depend on the run's seed. At most `threads` (0: all cores) decode.
// -1: out of memory, or images can't be read. surrogates_free in any case.
int surrogates_open(struct surrogates *o, const struct dataset *d, uint32_t crc, const char *path,
                    int threads, struct error *e);
void surrogates_free(struct surrogates *o); // takes a zeroed struct too

// Coordinates of n training images (n x s.targets) and which of the first kind's clusters they are
// in (n; 0 where there are none). An image is looked at when it is first asked for.
int surrogates_tell(struct surrogates *o, const int64_t *index, int64_t n, float *out,
                    int32_t *cluster, struct error *e);

// What these images of a split ask of their features. Nothing, where there is no surrogate.
int surrogates_questions(const struct surrogates *o, enum split split, const int64_t *index,
                         int64_t n, struct questions *out, struct error *e);

#endif
