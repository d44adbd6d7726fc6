// What a spectrum (and the step around it) says, as rows of one table. A row makes the log field,
// the export column, the plot axis, the help text and the manual entry; a new metric is a new row.
#ifndef SSLTOP_METRICS_SCIENCE_METRIC_H
#define SSLTOP_METRICS_SCIENCE_METRIC_H

#include <stddef.h>

#include "metrics/science/surrogate.h"

// The condition number ends here: beyond it a Gram matrix in double cannot tell. A value of this is
// "this or more".
#define METRIC_COND_MAX 1e7

enum metric_id {
    METRIC_AUC,
    METRIC_RANKME,
    METRIC_ALPHA,
    METRIC_PR,
    METRIC_STABLE_RANK,
    METRIC_NUM_RANK,
    METRIC_COND,
    METRIC_SPREAD,
    METRIC_ZSTD,
    METRIC_ALIGNMENT,
    METRIC_UNIFORMITY,
    METRIC_LOSS,
    METRIC_RANKME_RAW,
    METRIC_TWONN,
    METRIC_SELF_CLUSTER,
    METRIC_SELF_CLUSTER_C,
    METRIC_PIXEL_R2,
    METRIC_PSEUDO10, // SURROGATE_KINDS of them
    METRIC_PSEUDO30,
    METRIC_PSEUDO100,
    METRIC_LIDAR,
    METRIC_FEWSHOT_R2,
    METRIC_FEWSHOT10,
    METRIC_OF_H, // those before are of the features, these of the projections
    METRIC_Z_AUC = METRIC_OF_H,
    METRIC_Z_RANKME,
    METRIC_COUNT
};

// What a metric may look at. A field that is not known is NaN (or NULL); metrics that need it are
// NaN. A spectrum with a value that is not finite or negative is not known. A spectrum of zeros
// (constant features) counts as fully collapsed: AUC 1, ranks 1 (numerical rank 0), condition
// METRIC_COND_MAX, spread 0, alpha NaN.
struct metric_input {
    const double *sigma; // singular values, d of them, descending, >= 0; NULL if unknown
    const double *raw;   // the same of features that are not centred; NULL if unknown
    int d;
    double n;         // samples behind sigma (lambda = sigma^2 / n); for the live spectrum n_eff
    double mean_norm; // Euclidean norm of the mean feature
    double zstd;      // see METRIC_ZSTD
    double alignment, uniformity; // metrics/science/alignment.h
    double loss;
    double twonn, self_cluster, self_cluster_c; // metrics/science/manifold.h
    double pixel_r2;                            // metrics/science/questions.h, or live: cross.h
    double pseudo[SURROGATE_KINDS];             // questions.h
    double lidar;                               // metrics/science/lidar.h
    double fewshot_r2, fewshot10;               // metrics/science/fewshot.h
    const double *z; // singular values of the projections, centred; NULL if unknown
    int z_d;
};

// Of which nothing is known.
struct metric_input metric_unknown(void);

// What a metric is made from, as bits.
enum metric_need {
    METRIC_NEEDS_SPECTRUM = 1,    // sigma, d
    METRIC_NEEDS_FEATURES = 2,    // n, mean_norm: more than singular values tell
    METRIC_NEEDS_PAIRS = 4,       // alignment, uniformity: projections of both views of images
    METRIC_NEEDS_SCORES = 8,      // zstd, loss: what every training step gives
    METRIC_NEEDS_IMAGES = 16,     // pixel_r2, pseudo: what was looked at
    METRIC_NEEDS_EVALUATION = 32, // what no single step gives
    METRIC_NEEDS_RAW = 64,        // raw, d
    METRIC_NEEDS_ROWS = 128,      // twonn, self_cluster: the features themselves
    METRIC_NEEDS_Z = 256,         // z: once in a number of steps (metrics/science/paced.h)
    METRIC_NEEDS_VIEWS = 512,     // lidar: features of both views of images; as rarely
    METRIC_NEEDS_BATCH = 1024     // fewshot: a training step of FEWSHOT_IMAGES images
};
enum { METRIC_NEEDS_COUNT = 11 };

struct metric {
    const char *key;    // log field and CSV column: [a-z_0-9]+, behind "z." from METRIC_OF_H on
    const char *title;  // on the screen
    const char *unit;   // "" for none
    double lo, hi;      // the range it can have; INFINITY where unbounded. Ranks: hi = NAN means d
                        // (RankMe's 1e-7 may carry it just beyond). Loss: unbounded
                        // here, its range is the method's (train/methods/method.h)
    unsigned needs;     // of enum metric_need
    int better;         // +1 higher is healthier, -1 lower is healthier, 0 neither
    const char *source; // paper and equation
    const char *doc;    // one line
    double (*fn)(const struct metric_input *); // pure; NaN when an input is missing
};

extern const struct metric metric_table[METRIC_COUNT];

// The row with this key, or -1.
int metric_find(const char *key);

// Whether all that metric m needs is among `have`.
int metric_is_given(int m, unsigned have);

// Whether it is left out of a line where it does not exist, instead of being null there.
int metric_is_optional(int m);

// Rows a feature below which a spectrum reads as more collapsed than it is, and whether metric m of
// so few (of n rows, d features) does: what is not corrected for it.
enum { METRIC_ROWS = 10 };
int metric_is_biased(int m, double n, int d);

// What it needs in words, "a and b", into text[size]; returns text.
const char *metric_needs(int m, char *text, size_t size);

// Fill out[METRIC_COUNT] from `in`.
void metric_all(const struct metric_input *in, double out[METRIC_COUNT]);

#endif
