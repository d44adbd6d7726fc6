// Images from a source for a device that takes images from memory only: the host decodes, crops and
// resizes to bytes, on a pool of threads, and hands over each batch as a small set of images. The
// device does the rest of a view. For gpu/device.c.
#ifndef SSLTOP_GPU_VIEWS_STAGED_H
#define SSLTOP_GPU_VIEWS_STAGED_H

#include "gpu/backend.h"

int staged_new(struct device *d, struct pictures *source, int h, int w, const float *mean,
               const float *std, struct images **out, struct error *e);
void staged_free(struct images *s);

// As plan_load and plan_evaluate.
int staged_load(struct plan *p, struct images *s, const int64_t *index,
                const struct augment_view *const view[2], struct error *e);
int staged_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                    struct error *e);

// Before a forward pass: hand the oldest batch over, waiting for it if need be. 0 without one.
int staged_deliver(struct plan *p, struct error *e);
// Milliseconds that the last delivery waited.
double staged_waited(const struct images *s);

#endif
