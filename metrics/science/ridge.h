// Ridge regressions of any number of targets on the same features: what is expensive, the scatter
// of the features and its factors, is made once for all.
#ifndef SSLTOP_METRICS_SCIENCE_RIDGE_H
#define SSLTOP_METRICS_SCIENCE_RIDGE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/probe.h"

enum { RIDGE_FITTED, RIDGE_SCORED, RIDGE_SETS };

struct ridge_rows {
    int64_t n;
    const float *x;     // d numbers a row
    const int64_t *row; // which n rows of x, in this order; NULL: the first ones
};

// Classes (one-hot) or numbers. Every target chooses its own penalty of a grid: the one that is
// best on every fifth fitted row, which are held out for that; of equals the largest. Then all
// rows are fitted. Penalties are in units of a standardised feature's variance.
struct ridge_target {
    int columns;                      // classes, or numbers a row
    const int32_t *label[RIDGE_SETS]; // a class a row; NULL: numbers
    const double *y[RIDGE_SETS];      // n x columns
    // Results.
    double lambda;
    struct probe_score score; // of classes
    double r2; // of numbers: 1 - sum |y - predicted|^2 / sum |y - mean|^2 over the rows scored;
               // below 0: worse than their mean. NaN where they are all the same
};

// Features are standardised by the rows that are fitted; one that is constant is left out, and of a
// scored row none counts for more deviations than a fitted one could have, sqrt(n). At least
// one row of each set, finite features, labels in range: the caller has seen to that.
int ridge_run(const struct ridge_rows set[RIDGE_SETS], int d, struct ridge_target *target,
              int targets, int threads, struct error *e);

#endif
