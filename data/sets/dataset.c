// What all data sets share: mean and deviation of those without published constants, their labels,
// freeing.
#include "data/sets/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "metrics/base/rng.h"

// Mean and standard deviation of the training pixels, by channel, from exact integer sums.
static void measure(struct dataset *d)
{
    size_t plane = (size_t)d->height * (size_t)d->width;
    int64_t n = d->trained;
    for (int c = 0; c < d->channels; c++) {
        uint64_t count[256] = {0};
        for (int64_t i = 0; i < n; i++) {
            const uint8_t *p = dataset_image(d, SPLIT_TRAIN, i) + (size_t)c * plane;
            for (size_t j = 0; j < plane; j++)
                count[p[j]]++;
        }
        double total = (double)n * (double)plane, mean = 0, var = 0;
        for (int v = 0; v < 256; v++)
            mean += (double)count[v] * v / 255.0;
        mean /= total;
        for (int v = 0; v < 256; v++)
            var += (double)count[v] * (v / 255.0 - mean) * (v / 255.0 - mean);
        double std = sqrt(var / total);
        d->mean[c] = (float)mean;
        d->std[c] = std > 1e-6 ? (float)std : 1.0f; // a channel of one value has nothing to scale
    }
}

int dataset_measure(struct dataset *d, struct error *e)
{
    struct pictures *source = d->split[SPLIT_TRAIN].source;
    if (d->std[0] != 0.0f)
        return 0;
    if (source)
        return pictures_measure(source, d->threads, d->height, d->width, d->mean, d->std, e);
    measure(d);
    return 0;
}

void dataset_close(struct dataset *d)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        if (!d->split[s].source) // its labels are its own
            free(d->split[s].labels);
        free(d->split[s].images);
        pictures_free(d->split[s].source);
    }
    memset(d, 0, sizeof *d);
}

uint32_t dataset_crc(const struct dataset *d)
{
    const struct dataset_split *s = &d->split[SPLIT_TRAIN];
    if (s->source)
        return s->source->crc;
    return (uint32_t)crc32_z(0, s->images, (size_t)s->n * dataset_image_size(d));
}

void dataset_size(const struct dataset *d, enum split s, int64_t i, int *height, int *width)
{
    const struct pictures *source = d->split[s].source;
    *height = source ? source->size[i].height : d->height;
    *width = source ? source->size[i].width : d->width;
}

int64_t dataset_labelled(const struct dataset *d, enum split s, int64_t *first)
{
    const struct dataset_split *p = &d->split[s];
    *first = 0;
    if (!p->labels)
        return 0;
    while (*first < p->n && p->labels[*first] < 0)
        ++*first;
    int64_t n = 0;
    while (*first + n < p->n && p->labels[*first + n] >= 0)
        n++;
    return n;
}

void dataset_balance_share(struct dataset_balance *b, int64_t wanted, int classes)
{
    for (int c = 0; c < classes; c++)
        b->room[c] = wanted / classes + (c < wanted % classes);
}

int dataset_balance_take(struct dataset_balance *b, int64_t image)
{
    if (b->label[image] < 0)
        return 0;
    if (b->room[b->label[image]] < 1)
        return 0;
    b->room[b->label[image]]--;
    return 1;
}

int64_t *dataset_order(int64_t n, uint64_t seed, enum split split)
{
    struct rng r;
    int64_t *order = malloc((size_t)n * sizeof *order);
    if (!order)
        return NULL;
    rng_init(&r, seed, RNG_PROBE, split, 0);
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}

void dataset_tell(const struct dataset *d, FILE *to)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        struct pictures *source = d->split[s].source;
        int64_t n = source ? pictures_broken(source) : 0;
        if (source && source->notice)
            fprintf(to, "%s\n", source->notice);
        for (int64_t k = 0; k < n && k < PICTURES_BROKEN_KEPT; k++) {
            const char *text = pictures_sentence(source, k);
            fprintf(to, "broken, left out: %s\n", text ? text : "");
        }
        if (n > PICTURES_BROKEN_KEPT)
            fprintf(to, "broken, left out: %lld more\n", (long long)(n - PICTURES_BROKEN_KEPT));
    }
}
