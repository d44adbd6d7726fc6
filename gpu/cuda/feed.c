// Images on their way in. A data set lies on the card as bytes when it fits; else a batch's images
// go up with it. The host sends indices and augmentation numbers through pinned memory; the views
// are made on a stream of their own, beside the step that runs meanwhile. Events keep a slot's
// memory from being written while something may still read it: `uploaded` the host's side,
// `consumed` the card's.
#include <stdlib.h>
#include <string.h>

#include "gpu/views/pixels.h"
#include "gpu/cuda/reduce.h"

enum { RESIDENT_SHARE = 2 }; // at most this part of the card's free memory for images

// --- sets of images ---
struct cuda_images {
    struct images base;
    float gain[3], shift[3];
    uint8_t *resident; // all of them on the card, or NULL
    size_t held;       // bytes there
};

static size_t image_size(const struct cuda_images *s)
{
    return (size_t)s->base.c * (size_t)s->base.h * (size_t)s->base.w;
}

static cudaStream_t feed_of(const struct cuda_images *s)
{
    return ((const struct cuda_device *)s->base.device)->feed;
}

static int make_resident(struct cuda_images *s, size_t size, struct error *e)
{
    size_t free_now = 0, all = 0;
    void *card = NULL;
    if (cuda_ok(cudaMemGetInfo(&free_now, &all), "memory", e) < 0)
        return -1;
    if (size > free_now / RESIDENT_SHARE)
        return 0;
    cudaError_t rc = cudaMalloc(&card, size);
    if (rc == cudaErrorMemoryAllocation) { // it does not fit after all
        (void)cudaGetLastError();
        return 0;
    }
    if (cuda_ok(rc, "images", e) < 0)
        return -1;
    // On the stream that reads them: a plain cudaMemcpy returns when all has left the host, not
    // when all has arrived, and streams such as ours do not wait for it.
    cudaStream_t feed = feed_of(s);
    if (cuda_ok(cudaMemcpyAsync(card, s->base.pixels, size, cudaMemcpyHostToDevice, feed), "images",
                e) < 0 ||
        cuda_ok(cudaStreamSynchronize(feed), "images", e) < 0) {
        cudaFree(card);
        return -1;
    }
    s->resident = card;
    return 0;
}

int cuda_images_new(struct device *device, const struct images *described, int changing,
                    const struct images_kind *kind, struct images **out, struct error *e)
{
    struct cuda_images *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(e, "out of memory opening the images");
    s->base = *described;
    s->base.kind = kind;
    for (int i = 0; i < s->base.c; i++) {
        s->gain[i] = 1 / s->base.std[i];
        s->shift[i] = -s->base.mean[i] / s->base.std[i];
    }
    size_t size = (size_t)s->base.n * image_size(s);
    if (!device->planned && !changing && make_resident(s, size, e) < 0) {
        free(s);
        return -1;
    }
    if (s->resident ||
        (device->planned && !changing && size <= device->info.memory / RESIDENT_SHARE))
        s->held = size;
    device->held += s->held;
    *out = &s->base;
    return 0;
}

void cuda_images_free(struct images *images)
{
    struct cuda_images *s = (struct cuda_images *)images;
    s->base.device->held -= s->held;
    if (s->resident) { // batches of it may still be worked
        reduce_give_up((struct cuda_device *)s->base.device);
        cudaStreamSynchronize(feed_of(s));
        cudaFree(s->resident);
        (void)cudaGetLastError();
    }
    free(s);
}

// --- slots ---
static int slot_new(struct plan *p, struct slot *s, int staged, struct error *e)
{
    size_t n = (size_t)p->batch;
    s->index = cuda_pinned(p, n * sizeof *s->index, e);
    s->view = cuda_pinned(p, VIEWS * n * sizeof *s->view, e);
    s->index_card = cuda_take(p, n * sizeof *s->index, e);
    s->view_card = cuda_take(p, VIEWS * n * sizeof *s->view, e);
    s->out = staged ? cuda_take(p, plan_bytes(p->tensor[0]), e) : p->tensor[0]->data[0];
    if (!s->index || !s->view || !s->index_card || !s->view_card || !s->out)
        return -1;
    if (!p->device->planned) // an evaluation fills one view and sends both
        memset(s->view, 0, VIEWS * n * sizeof *s->view);
    cudaEvent_t *events[] = {&s->uploaded, &s->ready, &s->consumed};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (cuda_event(p, cudaEventDisableTiming, events[i], e) < 0)
            return -1;
    return 0;
}

int cuda_feed_init(struct plan *p, struct error *e)
{
    const struct tensor *t = p->tensor[0];
    struct cuda_augment a = {.c = t->c, .out_h = t->h, .out_w = t->w};
    for (int i = 0; i < DEPTH; i++)
        if (slot_new(p, &p->own->slot[i], 1, e) < 0)
            return -1;
    if (slot_new(p, &p->own->evaluation, 0, e) < 0)
        return -1;
    p->own->augment_blocks = 2 * card(p)->processors;
    if (p->own->augment_blocks > VIEWS * p->batch)
        p->own->augment_blocks = VIEWS * p->batch;
    a.blocks = p->own->augment_blocks;
    p->own->augment_work = cuda_take(p, cuda_augment_work(&a) * sizeof(float), e);
    return p->own->augment_work ? 0 : -1;
}

static int check(const struct images *s, const int64_t *index, int n, struct error *e)
{
    for (int i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= s->n)
            return error_set(e, "image %lld is not among the %lld", (long long)index[i],
                             (long long)s->n);
    return 0;
}

// Pinned memory for the images of a batch; made for the first set that is not resident, and anew
// for one of larger images (what was goes with the plan).
static int room_for_pixels(struct plan *p, struct slot *s, size_t size, struct error *e)
{
    if (size <= s->pixels_size)
        return 0;
    s->pixels_size = 0;
    s->pixels = cuda_pinned(p, size, e);
    s->pixels_card = s->pixels ? cuda_take(p, size, e) : NULL;
    if (!s->pixels_card)
        return -1;
    s->pixels_size = size;
    return 0;
}

static int send(void *card, const void *pinned, size_t size, cudaStream_t stream, struct error *e)
{
    return cuda_ok(cudaMemcpyAsync(card, pinned, size, cudaMemcpyHostToDevice, stream), "images",
                   e);
}

// Fill the slot's pinned memory and queue its way to the card. `view` of `views` x n.
static int upload(struct plan *p, struct slot *s, const struct cuda_images *images,
                  const int64_t *index, int n, struct error *e)
{
    cudaStream_t feed = card(p)->feed;
    size_t image = image_size(images);
    for (int i = 0; i < n; i++)
        s->index[i] = images->resident ? index[i] : i;
    if (!images->resident) {
        if (room_for_pixels(p, s, (size_t)p->batch * image, e) < 0)
            return -1;
        for (int i = 0; i < n; i++)
            memcpy(s->pixels + (size_t)i * image, images->base.pixels + (size_t)index[i] * image,
                   image);
        if (send(s->pixels_card, s->pixels, (size_t)n * image, feed, e) < 0)
            return -1;
    }
    if (send(s->index_card, s->index, (size_t)n * sizeof *s->index, feed, e) < 0 ||
        send(s->view_card, s->view, VIEWS * (size_t)p->batch * sizeof *s->view, feed, e) < 0 ||
        cuda_ok(cudaEventRecord(s->uploaded, feed), "images", e) < 0)
        return -1;
    s->was_uploaded = 1;
    return 0;
}

static int work(struct plan *p, struct slot *s, const struct cuda_images *images, int views, int n,
                struct error *e)
{
    const struct tensor *t = p->tensor[0];
    struct cuda_augment a = {.type = t->type,
                             .views = views,
                             .batch = n,
                             .c = t->c,
                             .h = images->base.h,
                             .w = images->base.w,
                             .out_h = t->h,
                             .out_w = t->w,
                             .pixels = images->resident ? images->resident : s->pixels_card,
                             .index = s->index_card,
                             .view = s->view_card,
                             .work = p->own->augment_work,
                             .out = s->out,
                             .blocks = p->own->augment_blocks};
    memcpy(a.gain, images->gain, sizeof a.gain);
    memcpy(a.shift, images->shift, sizeof a.shift);
    if (cuda_ok(cuda_augment(&a, card(p)->feed), "views", e) < 0)
        return -1;
    return cuda_ok(cudaEventRecord(s->ready, card(p)->feed), "views", e);
}

// The host may write the slot's pinned memory once the last upload from it is over.
static int wait_uploaded(struct plan *p, const struct slot *s, struct error *e)
{
    return s->was_uploaded ? reduce_wait_event(p, s->uploaded, "images", e) : 0;
}

int cuda_load(struct plan *p, struct images *images, const int64_t *index,
              const struct augment_view *const view[2], struct error *e)
{
    const struct cuda_images *s = (const struct cuda_images *)images;
    struct slot *slot = &p->own->slot[p->own->loaded % DEPTH];
    if (check(images, index, p->batch, e) < 0)
        return -1;
    if (p->own->loaded - p->own->taken >= DEPTH)
        return error_set(e, "%d batches are queued already", DEPTH);
    struct pixel_shape shape = {images->c, images->h, images->w, p->tensor[0]->h, p->tensor[0]->w};
    for (int v = 0; v < VIEWS; v++)
        for (int i = 0; i < p->batch; i++)
            if (pixel_view_check(&shape, &view[v][i], e) < 0)
                return -1;
    if (wait_uploaded(p, slot, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        memcpy(slot->view + (size_t)v * (size_t)p->batch, view[v],
               (size_t)p->batch * sizeof *slot->view);
    if (slot->was_consumed &&
        cuda_ok(cudaStreamWaitEvent(card(p)->feed, slot->consumed, 0), "views", e) < 0)
        return -1;
    if (upload(p, slot, s, index, p->batch, e) < 0 || work(p, slot, s, VIEWS, p->batch, e) < 0)
        return -1;
    p->own->loaded++;
    return 0;
}

int cuda_feed_take(struct plan *p, struct error *e)
{
    cudaStream_t s = card(p)->main;
    const struct tensor *t = p->tensor[0];
    if (p->own->loaded == p->own->taken)
        return error_set(e, "no batch is queued");
    struct slot *slot = &p->own->slot[p->own->taken++ % DEPTH];
    if (cuda_ok(cudaStreamWaitEvent(s, slot->ready, 0), "views", e) < 0 ||
        cuda_ok(cudaMemcpyAsync(t->data[0], slot->out, plan_bytes(t), cudaMemcpyDeviceToDevice, s),
                "views", e) < 0 ||
        cuda_ok(cudaEventRecord(slot->consumed, s), "views", e) < 0)
        return -1;
    slot->was_consumed = 1;
    return 0;
}

int cuda_feed_evaluate(struct plan *p, struct images *images, const int64_t *index, int n,
                       struct error *e)
{
    const struct cuda_images *s = (const struct cuda_images *)images;
    struct slot *slot = &p->own->evaluation;
    cudaStream_t feed = card(p)->feed, main = card(p)->main;
    if (check(images, index, n, e) < 0 || wait_uploaded(p, slot, e) < 0)
        return -1;
    for (int i = 0; i < p->batch; i++)
        augment_identity(images->h, images->w, &slot->view[i]);
    // The views go straight into the network's input, once the step before has let go of it.
    if (cuda_ok(cudaEventRecord(p->own->handed, main), "views", e) < 0 ||
        cuda_ok(cudaStreamWaitEvent(feed, p->own->handed, 0), "views", e) < 0 ||
        upload(p, slot, s, index, n, e) < 0 || work(p, slot, s, 1, n, e) < 0)
        return -1;
    return cuda_ok(cudaStreamWaitEvent(main, slot->ready, 0), "views", e);
}
