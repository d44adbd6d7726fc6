// Threads that make the views of coming batches beside the training step. A queue of two: submit
// the next batch, work on the one before, wait for the oldest. The result does not depend on the
// number of threads. Do not fork while a pool lives.
#ifndef SSLTOP_GPU_VIEWS_PIXEL_POOL_H
#define SSLTOP_GPU_VIEWS_PIXEL_POOL_H

#include <stdint.h>

#include "data/augment.h"
#include "data/photos/pictures.h"
#include "gpu/views/pixels.h"
#include "metrics/base/error.h"

#define PIXEL_POOL_DEPTH 2 // batches that may be queued (or done and not yet waited for)

// A batch: view v of image index[i] is worked by view[v][i] into row i of out[v], i < batch.
// index, view, mean and std are copied by submit; pixels and out must stay until the batch was
// waited for.
struct pixel_job {
    const uint8_t *pixels;   // n x c x h x w; not looked at by a pool with a source
    int64_t n;               // images in `pixels`; every index is checked against it
    const float *mean, *std; // c of each, of pixels in [0, 1]
    int batch;               // 1 .. max_batch of the pool
    const int64_t *index;    // batch of them
    // batch numbers a view; NULL: the image itself, resized if the view's size differs
    const struct augment_view *view[2];
    // batch x c x out_h x out_w: float, or uint16_t when bf16; out[1] NULL: one view only
    void *out[2];
    int bf16;
    // Of a pool with a source: only crop and resize, the rest of a view is made elsewhere. out is
    // uint8_t, and a view's planes lie `plane` bytes apart, images c times that.
    int crops;
    size_t plane;
};

struct pixel_pool;

// `threads` workers (1 .. 256), each `nice` levels politer than the caller (0 .. 19, as far as the
// system grants it), for images and views of this shape and batches of at most max_batch images.
// Workers take no signals.
int pixel_pool_new(const struct pixel_shape *shape, int threads, int nice, int max_batch,
                   struct pixel_pool **out, struct error *e);

// From here on images come from this source (3 channels, any size), which must stay; the pool's
// shape is that of its views on both sides. A view's crop box is in pixels of its image; without
// numbers a view is the image's middle (pictures_centre). Before the first batch only.
int pixel_pool_source(struct pixel_pool *p, struct pictures *source, struct error *e);

// Queue a batch; work begins at once. -1 when two are queued already or the job cannot be worked
// (index or crop box outside, batch too large); nothing is queued then. Allocates nothing.
int pixel_pool_submit(struct pixel_pool *p, const struct pixel_job *job, struct error *e);

// The one thread that made the pool calls submit, wait, queued and free.

// Wait until the oldest queued batch is in its `out`, and forget it. The caller works too instead
// of only waiting. -1 when nothing is queued, or when images could not be read (more of them are
// broken than a source allows): then the batch is forgotten all the same.
int pixel_pool_wait(struct pixel_pool *p, struct error *e);

// Batches queued and not yet waited for: 0 .. PIXEL_POOL_DEPTH.
int pixel_pool_queued(const struct pixel_pool *p);

// Stops the workers after the few views each is at and joins them; queued batches stay unfinished.
// NULL is fine.
void pixel_pool_free(struct pixel_pool *p);

#endif
