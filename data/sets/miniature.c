// Averages over areas, as every camera makes them: no filter that rings, nothing left out.
#include "data/sets/miniature.h"

#include <math.h>
#include <stdlib.h>

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

// The pixels from .. to - 1 of a side of `size` that lie in part k of n of `length` from `begin`:
// the first and the last one with a share of themselves, those between them wholly.
struct part {
    int from, to;
    double first, last, whole; // shares; their sum
};

// How much of pixel i lies between lo and hi.
static double share(double lo, double hi, int i)
{
    return fmin(i + 1, hi) - fmax(i, lo);
}

static struct part part_of(double begin, double length, int k, int n, int size)
{
    double lo = begin + length * k / n, hi = begin + length * (k + 1) / n;
    struct part p = {.from = (int)floor(lo), .to = (int)ceil(hi)};
    p.from = p.from < 0 ? 0 : p.from > size - 1 ? size - 1 : p.from;
    p.to = p.to > size ? size : p.to <= p.from ? p.from + 1 : p.to;
    p.first = share(lo, hi, p.from);
    p.last = share(lo, hi, p.to - 1);
    for (int i = p.from; i < p.to; i++)
        p.whole += share(lo, hi, i);
    return p;
}

static double part_share(const struct part *p, int i)
{
    return i == p->from ? p->first : i == p->to - 1 ? p->last : 1;
}

// What lies in each part of a row of pixels.
static void sum_row(const uint8_t *row, size_t step, const struct part *part, int n, double *line)
{
    for (int k = 0; k < n; k++) {
        const struct part *p = &part[k];
        double sum = p->first * row[(size_t)p->from * step];
        for (int j = p->from + 1; j < p->to - 1; j++)
            sum += row[(size_t)j * step];
        if (p->to - 1 > p->from)
            sum += p->last * row[(size_t)(p->to - 1) * step];
        line[k] = sum;
    }
}

void miniature_shrink(const struct picture *p, const struct box *b, int height, int width,
                      float *out)
{
    struct part x[MINIATURE_SIDE];
    for (int k = 0; k < width; k++)
        x[k] = part_of(b->left, b->width, k, width, p->width);
    for (int c = 0; c < p->channels; c++) {
        double line[MINIATURE_SIDE]; // of row `at`: two parts may share it
        int at = -1;
        for (int k = 0; k < height; k++, out += width) {
            struct part y = part_of(b->top, b->height, k, height, p->height);
            double sum[MINIATURE_SIDE] = {0};
            for (int i = y.from; i < y.to; i++) {
                const uint8_t *row = p->pixel + (size_t)i * p->row + (size_t)c * p->plane;
                if (i != at)
                    sum_row(row, (size_t)p->step, x, width, line);
                at = i;
                for (int j = 0; j < width; j++)
                    sum[j] += part_share(&y, i) * line[j];
            }
            for (int j = 0; j < width; j++)
                out[j] = (float)(sum[j] / (y.whole * x[j].whole) / 255);
        }
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
};

static int take_share(void *context, int64_t k, struct error *e)
{
    const struct taking *t = context;
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
    return parallel_run(threads, n < SHARES ? n : SHARES, take_share, &t, e);
}
