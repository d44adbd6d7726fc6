// The pixel work of a view: from a uint8 image and the numbers of its augmentation to normalised
// floats (or bf16), as torchvision and PIL define it. One image on one thread; pixel_pool.h spreads
// a batch over several.
#ifndef SSLTOP_GPU_VIEWS_PIXELS_H
#define SSLTOP_GPU_VIEWS_PIXELS_H

#include <stdint.h>

#include "data/augment.h"
#include "data/resize.h"
#include "metrics/base/error.h"

// What goes in and what comes out. Images are c x h x w uint8, views c x out_h x out_w.
struct pixel_shape {
    int c;            // 1 (gray) or 3 (RGB)
    int h, w;         // of the image
    int out_h, out_w; // of the view
};

// Work memory of one thread for one shape: allocated once, so that a view allocates nothing.
// Every size 1 .. 4096, else an error.
struct pixel_scratch;
int pixel_scratch_new(const struct pixel_shape *shape, struct pixel_scratch **out, struct error *e);
void pixel_scratch_free(struct pixel_scratch *s);

// 0 when the crop box lies in an h x w image and the other numbers can be worked (sigma 0 .. 10,
// order a permutation, finite factors), else -1 with the reason. pixel_view must only be given what
// passes.
int pixel_view_check(const struct pixel_shape *shape, const struct augment_view *v,
                     struct error *e);

// The view of `image`: out[i] = (x - mean[channel]) / std[channel], x in [0, 1]; c x out_h x out_w
// values. A pure function of its arguments (the scratch keeps nothing): the same on any thread. The
// second form rounds to bf16, nearest even.
void pixel_view(struct pixel_scratch *s, const uint8_t *image, const struct augment_view *v,
                const float *mean, const float *std, float *out);
void pixel_view_bf16(struct pixel_scratch *s, const uint8_t *image, const struct augment_view *v,
                     const float *mean, const float *std, uint16_t *out);

// The same of any picture (of the shape's channels): its box b is what v's crop means; v's own is
// not looked at. bf16: out is uint16_t. Allocates for a box larger than any before; -1: out of
// memory.
int pixel_view_of(struct pixel_scratch *s, const struct picture *p, const struct box *b,
                  const struct augment_view *v, const float *mean, const float *std, int bf16,
                  void *out, struct error *e);
// Its crop and resize alone, to the nearest byte: planes of out_h x out_w, `plane` bytes apart.
int pixel_crop_of(struct pixel_scratch *s, const struct picture *p, const struct box *b,
                  size_t plane, uint8_t *out, struct error *e);

#endif
