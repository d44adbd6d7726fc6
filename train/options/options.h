// The options of `train`. A new option is a field here and a row in options_table.c.
#ifndef SSLTOP_TRAIN_OPTIONS_OPTIONS_H
#define SSLTOP_TRAIN_OPTIONS_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"
#include "train/options/option.h"

// Values; 0 or "" where "auto"/"not given" is meant (options_resolve fills what depends on data and
// device).
struct options {
    char data[OPTION_TEXT];     // fashion-mnist
    char arch[64];              // resnet18
    char stem[16];              // auto (cifar below 64 pixels, else imagenet), cifar, imagenet
    int width;                  // 0: by device (16 CPU, 64 GPU)
    char method[32];            // simsiam
    char schedule[OPTION_TEXT]; // multi-epoch
    int64_t epochs;             // 10
    int batch;                  // 0: by device (128 / 512)
    double lr, wd, momentum;    // lr, wd -1: by method, as fix_pred_lr
    int fix_pred_lr;
    char optimizer[16];    // auto (by method), sgd, lars
    double warmup;         // epochs; -1: by method
    double tau;            // of the target network; -1: by method
    char tau_schedule[16]; // constant, cosine
    int zero_init;
    char precision[8]; // auto, f32, bf16
    char device[32];   // auto
    uint64_t seed;
    int threads;   // 0: all this process may use
    int64_t steps; // T; 0: epochs * floor(N/B)
    int64_t stop_at;
    char subset[32];                // "20%" or a number of images; "" all
    int chunks;                     // 0: default of schedule.h
    int dim, pred_dim, proj_layers; // 0: by method
    int predictor, stop_gradient;
    int sync_bn;
    char augment[32];              // auto: by method
    int image_size;                // side of views of images of any size; 0: 224
    char normalize[256];           // "auto" or "MEAN[,..]/STD[,..]"
    int64_t eval_every;            // steps; 0: one epoch
    double eval_share;             // of the time, 0 .. 1
    char probe[8];                 // on, off
    char surrogates[8];            // on, off
    int64_t probe_images;          // training images of the probe; two fifths as many are scored
    char calibration[OPTION_TEXT]; // auto, off, or a file
    int64_t eval_images;           // of the exact spectrum; 0: 16 d
    int64_t checkpoint_every;      // steps; 0: one epoch
    int keep;                      // 3
    char guard[OPTION_TEXT];       // rules, ';' between several
    int inexact;
    // Below: what to do, not how to train; never written to config.ini.
    char init[OPTION_TEXT], resume[OPTION_TEXT], rerun[OPTION_TEXT];
    int64_t from; // -1: last checkpoint
    char name[128], runs[OPTION_TEXT], config[OPTION_TEXT], recipe[64];
    char on_nan[8]; // auto, stop, pause
    int headless, dry_run, print_config;
    int ranks; // processes that train together, 0 or 1: alone. No row: the launcher says it
};

extern const struct option_row options_table[]; // ends with a NULL name
extern const size_t options_count;              // at most OPTIONS_MAX
enum { OPTIONS_MAX = 256 };

void options_default(struct options *o);

// argv[1..argc-1] after the command word, and `more` (another table's options, or NULL) among them.
// --recipe is read first (train/options/recipe.h), then --config FILE, then the command line wins;
// what only the recipe says gives way to a method that has no use for it. `given` (options_count
// bytes, or NULL) says which rows were set. 0, -1, or OPTION_HELP: then nothing else is looked at.
int options_parse(struct options *o, const struct option_set *more, int argc, char **argv,
                  unsigned char *given, struct error *e);

// One option from text (configuration file, recorded config): UTF-8 without control characters.
int options_set(struct options *o, const char *name, const char *value, struct error *e);

// A configuration file (inih). Sections are for the eye. Rows set are marked in `given` (NULL
// allowed).
int options_read_file(struct options *o, const char *path, unsigned char *given, struct error *e);

// The i-th data set, as option_row.values: "idx:DIR".
int options_dataset(int i, char *text, size_t size);

// The OPTION_CONFIG rows as such a file: what would start this run again. Reads back as the same
// values; comments say what "auto" means. Whether it could be written is to be asked of `f`.
void options_write_file(const struct options *o, FILE *f);

// Copy the OPTION_CONFIG rows of `over` that `given` marks (a resumed run: its record, and these on
// top).
void options_merge(struct options *o, const struct options *over, const unsigned char *given);

// The OPTION_CONFIG rows as a JSON object of strings (malloc'd), and back. Unknown keys are
// refused: a run must not be repeated without an option that it had.
char *options_to_json(const struct options *o);
int options_from_json(struct options *o, const char *json, struct error *e);

// --subset: number of images of `total` ("" all, "20%" rounded down, or a count), at least 1.
int options_subset(const struct options *o, int64_t total, int64_t *n, struct error *e);
// --normalize: 1 and `channels` numbers of each when given, 0 for auto, -1.
int options_normalize(const struct options *o, int channels, float *mean, float *std,
                      struct error *e);
// Say these numbers, to the last bit, where it says auto.
void options_keep_normalize(struct options *o, int channels, const float *mean, const float *std);

#endif
