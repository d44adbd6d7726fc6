// Crop and resize as PIL does: a triangle filter that widens where it shrinks the image (bilinear
// with antialias). From bytes to planes of floats, so that nothing is rounded in between.
#ifndef SSLTOP_DATA_RESIZE_H
#define SSLTOP_DATA_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

// Pixels where they lie. Value of channel c at (y, x): pixel[y * row + x * step + c * plane].
struct picture {
    const uint8_t *pixel;
    int channels; // 1 or 3
    int height, width;
    size_t row, plane; // bytes
    int step;          // bytes: 1 (planes) or 3 (interleaved)
};

// A part of a picture, in its pixels; edges may lie between them. Only pixels that it touches
// count.
struct box {
    double top, left, height, width;
};

// Work memory of one thread for pictures of so many channels and results of this size.
struct resizer;
int resizer_new(int channels, int out_h, int out_w, struct resizer **out, struct error *e);
void resizer_free(struct resizer *r);

// Memory for every box of pictures up to this size, now.
int resizer_reserve(struct resizer *r, int height, int width, struct error *e);

// out[channels][out_h][out_w] = gain times the box of the picture, which must lie in it with a side
// above 0. Allocates when a box is larger than any before; -1: out of memory.
int resizer_run(struct resizer *r, const struct picture *p, const struct box *b, float gain,
                float *out, struct error *e);

// The same for once, of a picture in colour, into bytes: out[out_h][out_w][3], rounded.
int resizer_bytes(const struct picture *p, const struct box *b, int out_h, int out_w, uint8_t *out,
                  struct error *e);

#endif
