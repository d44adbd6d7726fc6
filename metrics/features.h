// Features in a file: their moments in one pass on all cores, and what the spectrum says of them.
// Files with at least as many rows as features may be larger than memory (about three d x d doubles
// stay, and 128 MB at most for threads); of fewer rows all stay (n x d and two n x n doubles).
#ifndef SSLTOP_METRICS_FEATURES_H
#define SSLTOP_METRICS_FEATURES_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/metric.h"
#include "metrics/npy.h"
#include "metrics/science/spectrum.h"

// Moments of the rows of a two-dimensional array; l2: each row over its length first (rows of
// zeros stay). At most `threads` of them; 0: all this process may use. m must be fresh and of a->d
// dimensions. They are those of the numbers by 2^power: 0 unless squares of the largest of them
// leave the range of doubles (above 1e120, below 1e-90), which costs a second pass. Refuses arrays
// with numbers that are not finite: the sentence says how many and where the first is.
int features_moments(const struct npy *a, int l2, int threads, struct moments *m, int *power,
                     struct error *e);

struct features_report {
    int64_t n; // rows; 0 when the file held singular values
    int d;
    size_t behind; // bytes of the file behind the array, which were not read
    int again;     // another array begins there
    int whole;     // singular values that were whole numbers, as labels are
    int untyped;   // its numbers were two bytes of no type: read as bfloat16
    double *sigma; // descending, malloc'd; infinite where beyond the doubles
    double mean_norm;
    double metric[METRIC_COUNT];
};

// Whether there are fewer than METRIC_ROWS rows a feature.
int features_few(const struct features_report *r);

// Open and measure an array: npy_open says what `path` may be. One dimension is taken as singular
// values (sorted here).
int features_measure(const char *path, int l2, int threads, struct features_report *out,
                     struct error *e);
// The same of an array that is open; the sentence goes on behind its name.
int features_measure_array(const struct npy *a, int l2, int threads, struct features_report *out,
                           struct error *e);
void features_report_free(struct features_report *r);

#endif
