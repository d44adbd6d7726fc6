// Images drawn in memory: an open function of the data set table (data/sets/dataset.h), for tests
// and for machines without data.
#ifndef SSLTOP_DATA_SETS_SYNTHETIC_H
#define SSLTOP_DATA_SETS_SYNTHETIC_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"

// `argument`: number of training images (8 .. 4194304), NULL for 8192; an eighth as many test
// images. 1 x 28 x 28, or 3 x SIDE x SIDE where it goes on with ":SIDE"; ten classes of about equal
// size. A pure function of (argument, seed); image i is the same for every N.
int synthetic_open(const char *argument, uint64_t seed, struct dataset *out, struct error *e);

#endif
