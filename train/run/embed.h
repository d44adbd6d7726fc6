// Features of whole data sets from a checkpoint: evaluation mode, un-augmented, in data order.
#ifndef SSLTOP_TRAIN_RUN_EMBED_H
#define SSLTOP_TRAIN_RUN_EMBED_H

#include <stddef.h>
#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"
#include "metrics/science/probe.h"

struct embed;

struct embed_options {
    const char *data;   // NULL: the set that was trained on
    const char *device; // NULL: the one that trained
    int threads;        // 0: all this process may use
};

// A checkpoint that ssltop wrote (it names its network), and the data.
int embed_open(const char *checkpoint, const struct embed_options *o, struct embed **out,
               struct error *e);
void embed_close(struct embed *m); // NULL allowed

int embed_d(const struct embed *m); // numbers of a feature
int embed_threads(const struct embed *m);
const struct dataset *embed_data(const struct embed *m);
int64_t embed_step(const struct embed *m); // of the checkpoint

// Features of images at .. at + n - 1 of a split, n x d floats.
int embed_features(struct embed *m, enum split split, int64_t at, int64_t n, float *out,
                   struct error *e);

// RUN (a name under `runs`, or a path) or a checkpoint's path: the path of a checkpoint. `which`
// one of a run: "last" (or NULL), "best", or its step; of a path it says nothing.
int embed_find(const char *runs, const char *word, const char *which, char *path, size_t size,
               struct error *e);
// Whether a word can say which.
int embed_check_which(const char *which, struct error *e);

// Everything that `ssltop probe` says.
struct embed_scores {
    int64_t n_train, n_test;
    struct probe_score linear, ridge, near, plain; // plain: k = 20, one vote each
    struct probe_fit fit;
    double lambda; // of ridge
};
// Fitted on `images` training images, as many of each class, or on all that have labels (0); all
// test images that have labels are scored. `say` (NULL allowed) hears what comes next.
int embed_probe(struct embed *m, int64_t images, void (*say)(const char *what),
                struct embed_scores *out, struct error *e);

#endif
