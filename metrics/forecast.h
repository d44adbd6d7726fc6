// Probe accuracy from what needs no labels: AUC, its square, the loss and the width of the network,
// by a regression over evaluations of runs whose probe was measured (the paper's idea, Li, Efros,
// Pathak, ECCV 2022, sec. 5, with the bend that under-trained networks ask for).
#ifndef SSLTOP_METRICS_FORECAST_H
#define SSLTOP_METRICS_FORECAST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/error.h"

enum forecast_term {
    FORECAST_CONSTANT,
    FORECAST_AUC,
    FORECAST_AUC2,
    FORECAST_LOSS,
    FORECAST_WIDTH, // ln of it
    FORECAST_TERMS
};
extern const char *const forecast_term_key[FORECAST_TERMS];

enum { FORECAST_RUNS_LEAST = 8 };

struct forecast_point {
    int run;            // index of its run, from 0
    double auc, loss;   // exact AUC; mean loss of the steps before
    int width;          // of the network
    int64_t correct, n; // of the probe
};

struct forecast_range {
    double lo, hi;
};

// A calibration: belongs to a data set, a family of networks and a method.
struct forecast {
    char data[256], arch[64], method[64];
    int used[FORECAST_TERMS];             // terms kept; the constant always
    double coefficient[FORECAST_TERMS];   // of logit accuracy; 0 for terms that are not used
    double quantile;                      // of leave-one-run-out residuals of the logit, 95 %
    double r2, r2_left_out, error_points; // in sample; of runs left out; their RMS error, in points
    struct forecast_range auc, loss, width, accuracy; // that it was fitted on
    int64_t points;
    int runs;
    char **run; // their names, `runs` of them, owned
};

// Fit `n` points of `runs` runs named `name`. Every run weighs the same. Of all sets of terms (the
// square only with AUC itself) the smallest wins whose error on runs left out is within 2 % of the
// least. -1 with a sentence: fewer than FORECAST_RUNS_LEAST runs, numbers that are not finite; or
// when the data do not support a forecast (what is left out is foretold no better than by the
// mean): then *out is filled but for its use, so that it can be reported, and *unsupported is 1.
// forecast_free in any case.
int forecast_fit(const struct forecast_point *point, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e);
void forecast_free(struct forecast *f); // takes a zeroed struct too

// What it foretells. UNKNOWN: an input is not finite, and value, lo, hi are NaN. EXTRAPOLATING: one
// is out of the range fitted on by over a tenth of it; nothing stands behind the numbers, which go
// to the log under that mark and are not shown to anybody.
enum forecast_state { FORECAST_OK, FORECAST_EXTRAPOLATING, FORECAST_UNKNOWN };
struct forecast_value {
    enum forecast_state state;
    double value, lo, hi; // accuracy 0 .. 1 and its 95 % interval
};
struct forecast_value forecast_at(const struct forecast *f, double auc, double loss, int width);

// As JSON, and back: a file from a stranger.
int forecast_write(const struct forecast *f, FILE *out, struct error *e);
int forecast_read(const char *path, struct forecast *out, struct error *e);

#endif
