// Data sets as rows of one table: a name, how to open it, what it is. Images are uint8, N x C x H x
// W.
#ifndef SSLTOP_DATA_SETS_DATASET_H
#define SSLTOP_DATA_SETS_DATASET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "data/photos/pictures.h"
#include "metrics/base/error.h"

enum split { SPLIT_TRAIN, SPLIT_TEST, SPLIT_COUNT };

struct dataset_split {
    int64_t n;
    uint8_t *images; // n * channels * height * width, NCHW; NULL where there is a source
    int32_t *labels; // n class indices, -1 for an image without one; NULL where the set has none
    struct pictures *source; // images of any size that are read when they are needed; or NULL
};

struct dataset {
    char name[256];              // as given: "fashion-mnist", "idx:/path", "synthetic:8192"
    int channels, height, width; // channels 1 or 3; of views, where images have any size
    int side, threads; // asked for by the caller, for such sets; 0: the set's own, all cores
    int classes;       // 0 without labels
    struct dataset_split split[SPLIT_COUNT];
    int64_t trained; // training images that are trained on, the first ones; those behind them only
                     // have labels, for the probe. 0 while opening: all
    float mean[3], std[3]; // per channel, of pixels scaled to [0,1]; published constants of a known
                           // set, else of the training images
};

// A set that was opened without them (dataset_open_unmeasured): its mean and deviation.
int dataset_measure(struct dataset *d, struct error *e);
void dataset_close(struct dataset *d);

// Of the training images: two sets with the same number are the same, as far as one can tell
// without reading every image.
uint32_t dataset_crc(const struct dataset *d);

// The size of an image before it becomes a view.
void dataset_size(const struct dataset *d, enum split s, int64_t i, int *height, int *width);

// The images of a split that have labels: n of them from `first` on. 0 where there are none.
int64_t dataset_labelled(const struct dataset *d, enum split s, int64_t *first);

static inline size_t dataset_image_size(const struct dataset *d)
{
    return (size_t)d->channels * (size_t)d->height * (size_t)d->width;
}
static inline const uint8_t *dataset_image(const struct dataset *d, enum split s, int64_t i)
{
    return d->split[s].images + (size_t)i * dataset_image_size(d);
}

// --- as many images of each class, for a probe that does not take all ---

// Takes images while their class has room.
struct dataset_balance {
    const int32_t *label; // of the images; below 0: it has none and is never taken
    int64_t *room;        // of each class
};

// Share `wanted` among the classes; the first ones get what does not divide.
void dataset_balance_share(struct dataset_balance *b, int64_t wanted, int classes);
// Whether this image is taken.
int dataset_balance_take(struct dataset_balance *b, int64_t image);

// What of its photographs was passed over, and those that turned out to be broken, a line each.
void dataset_tell(const struct dataset *d, FILE *to);

// The indices 0 .. n - 1 of a split in an order of the seed, to be freed. NULL without memory.
int64_t *dataset_order(int64_t n, uint64_t seed, enum split split);

#endif
