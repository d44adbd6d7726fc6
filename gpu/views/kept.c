// The pool that makes the views of training steps makes these too, a batch at a time: normalised
// floats, which go back to bytes.
#include "gpu/views/kept.h"

#include <math.h>
#include <stdlib.h>

#include "gpu/views/pixel_pool.h"

enum { BATCH = 64 };
// Steps that no training makes: their views are not those of any of its own.
static const int64_t NO_STEP = INT64_C(1) << 40;

struct work {
    const struct dataset *data;
    const struct augment_recipe *recipe;
    uint64_t seed;
    struct pixel_pool *pool;
    int64_t index[BATCH];
    struct augment_view view[BATCH];
    float *made; // BATCH views
};

static void draw(struct work *w, int64_t image, int k, int i)
{
    const struct dataset *d = w->data;
    int h, width, side = d->height < d->width ? d->height : d->width;
    dataset_size(d, SPLIT_TRAIN, image, &h, &width);
    w->index[i] = image;
    augment_draw(w->recipe, w->seed, NO_STEP + k / 2, image, k % 2, d->channels, h, width, side,
                 &w->view[i]);
}

// n of them, drawn already, into `to`.
static int make(struct work *w, int n, uint8_t *to, struct error *e)
{
    const struct dataset *d = w->data;
    const struct dataset_split *s = &d->split[SPLIT_TRAIN];
    size_t plane = (size_t)d->height * (size_t)d->width;
    struct pixel_job job = {.pixels = s->images,
                            .n = s->n,
                            .mean = d->mean,
                            .std = d->std,
                            .batch = n,
                            .index = w->index,
                            .view = {w->view, NULL},
                            .out = {w->made, NULL}};
    if (pixel_pool_submit(w->pool, &job, e) < 0 || pixel_pool_wait(w->pool, e) < 0)
        return -1;
    for (size_t i = 0; i < (size_t)n * (size_t)d->channels * plane; i++) {
        size_t c = i / plane % (size_t)d->channels;
        float x = 255 * (w->made[i] * d->std[c] + d->mean[c]);
        to[i] = (uint8_t)lrintf(x < 0 ? 0 : x > 255 ? 255 : x);
    }
    return 0;
}

static int make_all(struct work *w, const int64_t *index, struct kept_views *v, struct error *e)
{
    size_t image = dataset_image_size(w->data);
    int64_t all = v->n * v->each;
    for (int64_t at = 0; at < all; at += BATCH) {
        int some = all - at < BATCH ? (int)(all - at) : BATCH;
        for (int i = 0; i < some; i++)
            draw(w, index[(at + i) / v->each], (int)((at + i) % v->each), i);
        if (make(w, some, v->pixels + (size_t)at * image, e) < 0)
            return -1;
    }
    return 0;
}

int kept_views_new(struct device *d, const struct dataset *data,
                   const struct augment_recipe *recipe, uint64_t seed, const int64_t *index,
                   int64_t n, int each, int threads, struct kept_views *out, struct error *e)
{
    *out = (struct kept_views){0};
    size_t image = dataset_image_size(data);
    int64_t most = (int64_t)(KEPT_BYTES / (image * (size_t)each));
    if (!recipe->enabled || n < 1 || most < 1)
        return 0;
    out->n = n < most ? n : most;
    out->each = each;
    struct work w = {.data = data, .recipe = recipe, .seed = seed};
    struct pixel_shape shape = {data->channels, data->height, data->width, data->height,
                                data->width};
    struct pictures *source = data->split[SPLIT_TRAIN].source;
    w.made = malloc(BATCH * image * sizeof *w.made);
    out->pixels = malloc((size_t)(out->n * each) * image);
    int rc = w.made && out->pixels
                 ? pixel_pool_new(&shape, threads, 0, BATCH, &w.pool, e)
                 : error_memory(e, "%d views of %lld images", each, (long long)out->n);
    if (rc == 0 && source)
        rc = pixel_pool_source(w.pool, source, e);
    if (rc == 0)
        rc = make_all(&w, index, out, e);
    pixel_pool_free(w.pool);
    free(w.made);
    if (rc == 0)
        rc = images_new(d, out->pixels, out->n * each, data->channels, data->height, data->width,
                        data->mean, data->std, &out->images, e);
    return rc;
}

void kept_views_free(struct kept_views *v)
{
    images_free(v->images);
    free(v->pixels);
    *v = (struct kept_views){0};
}
