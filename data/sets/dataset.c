// The table of data sets, and what all of them share: parsing NAME:ARGUMENT, the mean and deviation
// of sets without published constants, freeing.
#include "data/sets/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/sets/cifar.h"
#include "data/sets/idx.h"
#include "data/sets/images.h"
#include "data/sets/pack.h"
#include "data/sets/stl.h"
#include "data/sets/synthetic.h"
#include "metrics/base/path.h"
#include "metrics/base/rng.h"

const struct dataset_kind dataset_table[] = {
    {"fashion-mnist", NULL, "Fashion-MNIST of Debian's package dataset-fashion-mnist",
     idx_open_fashion_mnist},
    {"idx", "DIR", "folder with the four MNIST file names, plain or .gz", idx_open},
    {"cifar10", "DIR", "CIFAR-10, the binary version: data_batch_1.bin to 5, test_batch.bin",
     cifar10_open},
    {"cifar100", "DIR", "CIFAR-100, the binary version, fine labels: train.bin, test.bin",
     cifar100_open},
    {"stl10", "DIR",
     "STL-10, the binary version: trains on the unlabelled images, probes on the rest", stl10_open},
    {"images", "DIR",
     "train/ and val/ or test/ (or training/, valid/, validation/, testing/) with a folder per "
     "class: "
     "JPEG and PNG of any size",
     images_open},
    {"pack", "FILE", "what the command pack made of images:DIR", pack_open},
    {"synthetic", "[N[:SIDE]]",
     "drawn from the seed: N training images (8192), N/8 for the test; with SIDE in colour",
     synthetic_open},
    {NULL, NULL, NULL, NULL},
};

void dataset_usage(const struct dataset_kind *k, char *text, size_t size)
{
    const char *argument = k->argument ? k->argument : "";
    int optional = *argument == '[';
    snprintf(text, size, "%s%s%s%s", k->name, optional ? "[" : "", *argument ? ":" : "",
             argument + optional);
}

// "fashion-mnist, idx:DIR, synthetic[:N[:SIDE]]"
static void list_names(char *text, size_t size)
{
    text[0] = '\0';
    for (const struct dataset_kind *k = dataset_table; k->name; k++) {
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%s", at ? ", " : "");
        at = strlen(text);
        dataset_usage(k, text + at, size - at);
    }
}

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

const struct dataset_kind *dataset_kind(const char *spec)
{
    size_t len = strcspn(spec, ":");
    for (const struct dataset_kind *k = dataset_table; k->name; k++)
        if (strlen(k->name) == len && strncmp(k->name, spec, len) == 0)
            return k;
    return NULL;
}

int dataset_open(const char *spec, uint64_t seed, struct dataset *out, struct error *e)
{
    return dataset_open_sized(spec, seed, 0, 0, out, e);
}

int dataset_open_sized(const char *spec, uint64_t seed, int side, int threads, struct dataset *out,
                       struct error *e)
{
    int rc = dataset_open_unmeasured(spec, seed, side, threads, out, e);
    if (rc == 0 && dataset_measure(out, e) < 0) {
        dataset_close(out);
        return -1;
    }
    return rc;
}

int dataset_open_unmeasured(const char *spec, uint64_t seed, int side, int threads,
                            struct dataset *out, struct error *e)
{
    memset(out, 0, sizeof *out);
    out->side = side;
    out->threads = threads;
    char names[256];
    list_names(names, sizeof names);
    const char *colon = strchr(spec, ':');
    const struct dataset_kind *k = dataset_kind(spec);
    if (!k)
        return error_set(e, "unknown data set '%.100s'; there are: %s", spec, names);
    if (strlen(spec) >= sizeof out->name)
        return error_set(e, "data set '%.100s...' has a name longer than %zu bytes", spec,
                         sizeof out->name - 1);
    const char *argument = colon ? colon + 1 : NULL;
    if (argument && !k->argument)
        return error_set(e, "data set '%.100s': %s takes no argument", spec, k->name);
    if (k->argument && (argument ? !argument[0] : k->argument[0] != '['))
        return error_set(e, "data set '%s' needs an argument; there are: %s", k->name, names);

    // The shell leaves a ~ behind the colon to us.
    const char *home = argument && strncmp(argument, "~/", 2) == 0 ? getenv("HOME") : NULL;
    int rc = k->open(home ? path_of("%s%s", home, argument + 1).s : argument, seed, out, e);
    if (rc == 0) {
        snprintf(out->name, sizeof out->name, "%s", spec);
        if (!out->trained)
            out->trained = out->split[SPLIT_TRAIN].n;
    }
    if (rc != 0)
        dataset_close(out);
    return rc;
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
