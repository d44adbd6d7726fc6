// Images made so small that what is left is what their pixels say at a glance: at most 16 x 16 a
// channel, averages over areas. What metrics/science/surrogate.h asks features for.
#ifndef SSLTOP_DATA_SETS_MINIATURE_H
#define SSLTOP_DATA_SETS_MINIATURE_H

#include <stdint.h>

#include "data/resize.h"
#include "data/sets/dataset.h"
#include "metrics/base/error.h"

enum { MINIATURE_SIDE = 16 };

// Numbers of one: channels x height x width, a side of it MINIATURE_SIDE or the images' own where
// that is less. *height and *width may be NULL.
int miniature_size(const struct dataset *d, int *height, int *width);

// Of images index[0 .. n - 1] of a split into out (n x miniature_size, pixels in [0, 1], planes).
// An image that is read when it is needed is looked at as an evaluation looks at it
// (pictures_centre). At most `threads` of them (0: all cores) decode; what comes out does not
// depend on how many. -1: images can't be read.
int miniature_take(const struct dataset *d, enum split split, const int64_t *index, int64_t n,
                   int threads, float *out, struct error *e);

// Averages of the box of a picture over height x width equal areas, a channel after the other.
// Pixels at an edge count by the share of them that lies in an area. Sides are at most
// MINIATURE_SIDE.
void miniature_shrink(const struct picture *p, const struct box *b, int height, int width,
                      float *out);

#endif
