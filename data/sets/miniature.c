// Averages over areas, as every camera makes them: no filter that rings, nothing left out.
#include "data/sets/miniature.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "data/parallel.h"

enum { SHARES = 32 };

static int smaller(int side)
{
    return side < MINIATURE_SIDE ? side : MINIATURE_SIDE;
}

int miniature_size(const struct dataset *d, int *height, int *width)
{
    int h = smaller(d->height), w = smaller(d->width);
    if (height)
        *height = h;
    if (width)
        *width = w;
    return d->channels * h * w;
}

// The pixels from .. to - 1 of a side of `size` that lie in part k of n of `length` from `begin`.
struct part {
    int from, to;
    double lo, hi;
};

static struct part part_of(double begin, double length, int k, int n, int size)
{
    struct part p = {.lo = begin + length * k / n, .hi = begin + length * (k + 1) / n};
    p.from = (int)floor(p.lo);
    p.to = (int)ceil(p.hi);
    p.from = p.from < 0 ? 0 : p.from > size - 1 ? size - 1 : p.from;
    p.to = p.to > size ? size : p.to <= p.from ? p.from + 1 : p.to;
    return p;
}

// How much of pixel i lies in a part.
static double share(const struct part *p, int i)
{
    return fmin(i + 1, p->hi) - fmax(i, p->lo);
}

static double area(const struct picture *p, int c, const struct part *y, const struct part *x)
{
    double sum = 0, weight = 0;
    for (int i = y->from; i < y->to; i++) {
        const uint8_t *row = p->pixel + (size_t)i * p->row + (size_t)c * p->plane;
        double line = 0, width = 0;
        for (int j = x->from; j < x->to; j++) {
            double w = share(x, j);
            line += w * row[(size_t)j * (size_t)p->step];
            width += w;
        }
        double h = share(y, i);
        sum += h * line;
        weight += h * width;
    }
    return sum / weight / 255;
}

void miniature_shrink(const struct picture *p, const struct box *b, int height, int width,
                      float *out)
{
    struct part x[MINIATURE_SIDE];
    for (int k = 0; k < width; k++)
        x[k] = part_of(b->left, b->width, k, width, p->width);
    for (int c = 0; c < p->channels; c++)
        for (int k = 0; k < height; k++) {
            struct part y = part_of(b->top, b->height, k, height, p->height);
            for (int j = 0; j < width; j++)
                *out++ = (float)area(p, c, &y, &x[j]);
        }
}

static void take_plain(const struct dataset *d, enum split split, int64_t i, float *out)
{
    int h, w;
    miniature_size(d, &h, &w);
    struct picture p = {.pixel = dataset_image(d, split, i),
                        .channels = d->channels,
                        .height = d->height,
                        .width = d->width,
                        .row = (size_t)d->width,
                        .plane = (size_t)d->height * (size_t)d->width,
                        .step = 1};
    miniature_shrink(&p, &(struct box){0, 0, d->height, d->width}, h, w, out);
}

// ---------------------------------------------------------------- images that are read

struct taking {
    const struct dataset *d;
    struct pictures *source;
    const int64_t *index;
    int64_t n;
    float *out;
    pthread_mutex_t lock;
    int failed;
    struct error why;
};

static int take_share(const struct taking *t, int64_t k, struct error *e)
{
    struct pictures_reader *reader;
    int h, w, size = miniature_size(t->d, &h, &w);
    int rc = pictures_reader_new(t->source, &reader, e);
    for (int64_t i = k; rc == 0 && i < t->n; i += SHARES) {
        struct picture picture;
        struct box crop, box;
        pictures_centre(t->source, t->index[i], t->d->height, t->d->width, &crop);
        rc = pictures_read(reader, t->index[i], &crop, 1, h, w, &picture, &box, e);
        if (rc == 0)
            miniature_shrink(&picture, &box, h, w, t->out + (size_t)i * (size_t)size);
    }
    pictures_reader_free(reader);
    return rc;
}

static void work_share(void *context, int64_t k)
{
    struct taking *t = context;
    struct error why = {""};
    if (take_share(t, k, &why) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    if (!t->failed)
        t->why = why;
    t->failed = 1;
    pthread_mutex_unlock(&t->lock);
}

int miniature_take(const struct dataset *d, enum split split, const int64_t *index, int64_t n,
                   int threads, float *out, struct error *e)
{
    struct taking t = {
        .d = d, .source = d->split[split].source, .index = index, .n = n, .out = out};
    if (!t.source) {
        size_t size = (size_t)miniature_size(d, NULL, NULL);
        for (int64_t i = 0; i < n; i++)
            take_plain(d, split, index[i], out + (size_t)i * size);
        return 0;
    }
    pthread_mutex_init(&t.lock, NULL);
    parallel_run(threads, n < SHARES ? n : SHARES, work_share, &t);
    pthread_mutex_destroy(&t.lock);
    return t.failed ? error_set(e, "%s", t.why.text) : 0;
}
