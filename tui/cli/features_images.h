// What features in a file tell of the images that they are of, for `ssltop metrics --images`.
#ifndef SSLTOP_TUI_CLI_FEATURES_IMAGES_H
#define SSLTOP_TUI_CLI_FEATURES_IMAGES_H

#include "data/sets/dataset.h"
#include "metrics/base/error.h"
#include "metrics/npy.h"
#include "metrics/science/metric.h"
#include "train/run/surrogates.h"

struct features_images {
    struct dataset data;
    struct surrogates surrogates;
    int threads;
};

// A data set by its name, and its surrogates as a training on it has them.
int features_images_open(struct features_images *f, const char *spec, int threads, struct error *e);
void features_images_close(struct features_images *f); // takes a zeroed struct too

// METRIC_PIXEL_R2 and METRIC_PSEUDO10 to 100 of features whose rows are all training images, or all
// test images, in the order of the data; the others of `metric` stay. At most FEATURES_IMAGES_ROWS
// of them are asked, evenly spread.
enum { FEATURES_IMAGES_ROWS = 20000 };
int features_images_ask(const struct features_images *f, const struct npy *a,
                        double metric[METRIC_COUNT], struct error *e);

#endif
