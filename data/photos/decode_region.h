// What the decoders of the formats are asked by data/photos/decode.c. Private to it.
#ifndef SSLTOP_DATA_PHOTOS_DECODE_REGION_H
#define SSLTOP_DATA_PHOTOS_DECODE_REGION_H

#include "data/photos/decode_head.h"

// A part of a stored image in its pixels, wanted at 1 / shrink of its size. The edges of what is
// given may lie outside of it (blocks), never inside.
struct region {
    int top, left, height, width;
    int shrink; // 1, 2, 4, 8, ...
};

// Pixels that a decoder has made: RGB, interleaved. (0, 0) of it is (top, left) of the stored image
// divided by `shrink`.
struct decoded {
    int height, width;
    int top, left, shrink;
    uint8_t *pixel; // height * width * 3, in `room` bytes
    size_t room;
};

// What was just said is about this machine and not about the file.
static inline int decode_unable(int set)
{
    return set < 0 ? DECODE_UNABLE : 0;
}

// Room for height x width pixels. Bounded by the caller: sizes were checked.
int decoded_room(struct decoded *d, int height, int width, struct error *e);

int decode_jpeg(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
                struct decoded *out, struct error *e);
int decode_png(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
               struct decoded *out, struct error *e);
int decode_webp(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
                struct decoded *out, struct error *e);

#endif
