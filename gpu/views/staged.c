// The two crops of an image lie one below the other in one image of the small set, so that a device
// that works both views from one image can. Its rounding to bytes is PIL's own.
#include "gpu/views/staged.h"

#include <stdlib.h>

#include "gpu/plan.h"
#include "gpu/views/pixel_pool.h"
#include "metrics/base/clock.h"

enum { POLITE = 5, CHANNELS = 3, THREADS_MAX = 256 };

struct staged {
    struct images base;
    int batch;                       // 0: no memory yet
    struct pixel_pool *pool, *plain; // training; evaluation
    uint8_t *pixels, *whole;         // batches of pairs, one of single images
    struct images *pairs, *single;   // the device's names for them
    int64_t *index;
    struct augment_view *view[PIXEL_POOL_DEPTH][VIEWS];
    int64_t loaded, taken;
};

static void staged_free(struct images *images)
{
    struct staged *s = (struct staged *)images;
    pixel_pool_free(s->pool);
    pixel_pool_free(s->plain);
    if (s->pairs)
        s->pairs->kind->free(s->pairs);
    if (s->single)
        s->single->kind->free(s->single);
    free(s->pixels);
    free(s->whole);
    free(s->index);
    for (int k = 0; k < PIXEL_POOL_DEPTH; k++)
        for (int v = 0; v < VIEWS; v++)
            free(s->view[k][v]);
    free(s);
}

static int open_pool(struct staged *s, struct pixel_pool **out, struct error *e)
{
    struct pixel_shape shape = {CHANNELS, s->base.h, s->base.w, s->base.h, s->base.w};
    int threads = s->base.device->info.threads;
    threads = threads < 1 ? 1 : threads < THREADS_MAX ? threads : THREADS_MAX;
    if (pixel_pool_new(&shape, threads, POLITE, s->batch, out, e) < 0)
        return -1;
    return pixel_pool_source(*out, s->base.source, e);
}

// The device's name for n images of this memory, which change at every load.
static int name_images(struct staged *s, const uint8_t *pixels, int n, int h, struct images **out,
                       struct error *e)
{
    struct device *d = s->base.device;
    struct images of = s->base;
    of.source = NULL;
    of.pixels = pixels;
    of.n = n;
    of.h = h;
    return d->backend->images(d, &of, 1, out, e);
}

// Memory for the batches of a plan: once.
static int make_room(struct staged *s, int batch, struct error *e)
{
    if (s->batch)
        return s->batch == batch ? 0 : error_set(e, "batches of %d and of %d", s->batch, batch);
    size_t n = (size_t)batch, view = (size_t)CHANNELS * (size_t)s->base.h * (size_t)s->base.w;
    s->batch = batch;
    s->pixels = calloc(n * PIXEL_POOL_DEPTH, VIEWS * view);
    s->whole = calloc(n, view);
    s->index = malloc(n * sizeof *s->index);
    int ok = s->pixels && s->whole && s->index;
    for (int k = 0; k < PIXEL_POOL_DEPTH; k++)
        for (int v = 0; v < VIEWS; v++) {
            s->view[k][v] = malloc(n * sizeof *s->view[k][v]);
            ok = ok && s->view[k][v];
        }
    if (!ok)
        return error_memory(e, "batches of %d images", batch);
    if (name_images(s, s->pixels, batch * PIXEL_POOL_DEPTH, VIEWS * s->base.h, &s->pairs, e) < 0 ||
        name_images(s, s->whole, batch, s->base.h, &s->single, e) < 0)
        return -1;
    return open_pool(s, &s->pool, e) < 0 || open_pool(s, &s->plain, e) < 0 ? -1 : 0;
}

static int staged_load(struct plan *p, struct images *images, const int64_t *index,
                       const struct augment_view *const view[2], struct error *e)
{
    struct staged *s = (struct staged *)images;
    if (p->feeding && p->feeding != images)
        return error_set(e, "a plan takes its batches from one set of images that are read");
    if (make_room(s, p->batch, e) < 0)
        return -1;
    int slot = (int)(s->loaded % PIXEL_POOL_DEPTH);
    size_t plane = (size_t)s->base.h * (size_t)s->base.w;
    uint8_t *to = s->pixels + (size_t)slot * (size_t)s->batch * CHANNELS * VIEWS * plane;
    struct pixel_job job = {.mean = s->base.mean,
                            .std = s->base.std,
                            .batch = s->batch,
                            .index = index,
                            .view = {view[0], view[1]},
                            .out = {to, to + plane},
                            .crops = 1,
                            .plane = VIEWS * plane};
    if (pixel_pool_submit(s->pool, &job, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        for (int i = 0; i < s->batch; i++) {
            struct augment_view *a = &s->view[slot][v][i];
            *a = view[v][i];
            a->top = v * s->base.h;
            a->left = 0;
            a->height = s->base.h;
            a->width = s->base.w;
        }
    s->loaded++;
    p->feeding = images;
    return 0;
}

static int staged_deliver(struct plan *p, struct images *images, struct error *e)
{
    struct staged *s = (struct staged *)images;
    if (s->loaded == s->taken)
        return 0;
    double since = clock_seconds();
    int slot = (int)(s->taken++ % PIXEL_POOL_DEPTH);
    if (pixel_pool_wait(s->pool, e) < 0)
        return -1;
    p->waited = 1e3 * (clock_seconds() - since);
    const struct augment_view *const view[VIEWS] = {s->view[slot][0], s->view[slot][1]};
    for (int i = 0; i < s->batch; i++)
        s->index[i] = (int64_t)slot * s->batch + i;
    return s->pairs->kind->load(p, s->pairs, s->index, view, e);
}

static int staged_evaluate(struct plan *p, struct images *images, const int64_t *index, int n,
                           float *h, struct error *e)
{
    struct staged *s = (struct staged *)images;
    if (make_room(s, p->batch, e) < 0)
        return -1;
    struct pixel_job job = {.mean = s->base.mean,
                            .std = s->base.std,
                            .batch = n,
                            .index = index,
                            .out = {s->whole, NULL},
                            .crops = 1,
                            .plane = (size_t)s->base.h * (size_t)s->base.w};
    if (pixel_pool_submit(s->plain, &job, e) < 0 || pixel_pool_wait(s->plain, e) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        s->index[i] = i;
    return s->single->kind->evaluate(p, s->single, s->index, n, h, e);
}

int staged_new(const struct images *described, struct images **out, struct error *e)
{
    static const struct images_kind kind = {.load = staged_load,
                                            .evaluate = staged_evaluate,
                                            .deliver = staged_deliver,
                                            .free = staged_free};
    struct staged *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory opening the images");
    s->base = *described;
    s->base.kind = &kind;
    *out = &s->base;
    return 0;
}
