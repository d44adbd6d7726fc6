// As many images of each class, for a probe that does not take all.
#ifndef SSLTOP_DATA_SETS_BALANCE_H
#define SSLTOP_DATA_SETS_BALANCE_H

#include <stdint.h>

#include "data/sets/dataset.h"

// Takes images while their class has room.
struct balance {
    const int32_t *label; // of the images; below 0: it has none and is never taken
    int64_t *room;        // of each class
};

// Share `wanted` among the classes; the first ones get what does not divide.
void balance_share(struct balance *b, int64_t wanted, int classes);
// Whether this image is taken.
int balance_take(struct balance *b, int64_t image);

// The indices 0 .. n - 1 of a split in an order of the seed, to be freed. NULL without memory.
int64_t *balance_order(int64_t n, uint64_t seed, enum split split);

#endif
