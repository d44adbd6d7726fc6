// The table of data sets, and opening one by what a person typed: NAME or NAME:ARGUMENT.
#include "data/sets/dataset_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/cifar.h"
#include "data/sets/idx.h"
#include "data/sets/images.h"
#include "data/sets/pack.h"
#include "data/sets/stl.h"
#include "data/sets/synthetic.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"

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
     "JPEG, PNG and WebP of any size",
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
    char usage[64];
    text[0] = '\0';
    for (const struct dataset_kind *k = dataset_table; k->name; k++) {
        dataset_usage(k, usage, sizeof usage);
        text_item(text, size, ", ", "%s", usage);
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
    int rc = k->open(argument ? path_home(argument).s : NULL, seed, out, e);
    if (rc == 0) {
        snprintf(out->name, sizeof out->name, "%s", spec);
        if (!out->trained)
            out->trained = out->split[SPLIT_TRAIN].n;
    }
    if (rc != 0)
        dataset_close(out);
    return rc;
}
