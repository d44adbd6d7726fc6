// Data sets as rows of one table: a name, how to open it, what it is. Images are uint8, N x C x H x
// W.
#ifndef SSLTOP_DATA_DATASET_H
#define SSLTOP_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/error.h"

enum split { SPLIT_TRAIN, SPLIT_TEST, SPLIT_COUNT };

struct dataset_split {
    int64_t n;
    uint8_t *images; // n * channels * height * width, NCHW
    int32_t *labels; // n class indices, or NULL where the set has none
};

struct dataset {
    char name[256];              // as given: "fashion-mnist", "idx:/path", "synthetic:8192"
    int channels, height, width; // channels 1 or 3
    int classes;                 // 0 without labels
    struct dataset_split split[SPLIT_COUNT];
    float mean[3], std[3]; // per channel, of pixels scaled to [0,1]; published constants of a known
                           // set, else of the training images
};

struct dataset_kind {
    const char *name;     // before the colon
    const char *argument; // "DIR"; "[N]" when it may be left out; or NULL
    const char *doc;      // one line for --help and the manual
    int (*open)(const char *argument, uint64_t seed, struct dataset *out, struct error *e);
};
extern const struct dataset_kind dataset_table[]; // ends with a NULL name

// `spec` is NAME or NAME:ARGUMENT. Files are checked before anything is allocated by their word: an
// error says path, byte offset where there is one, and what was expected.
int dataset_open(const char *spec, uint64_t seed, struct dataset *out, struct error *e);
void dataset_close(struct dataset *d);

static inline size_t dataset_image_size(const struct dataset *d)
{
    return (size_t)d->channels * (size_t)d->height * (size_t)d->width;
}
static inline const uint8_t *dataset_image(const struct dataset *d, enum split s, int64_t i)
{
    return d->split[s].images + (size_t)i * dataset_image_size(d);
}

#endif
