// Probe accuracy from what needs no labels: AUC, its square, the loss and the width of the network,
// by a regression over evaluations of runs whose probe was measured (the paper's idea, Li, Efros,
// Pathak, ECCV 2022, sec. 5, with the bend that under-trained networks ask for).
#ifndef SSLTOP_METRICS_SCIENCE_FORECAST_H
#define SSLTOP_METRICS_SCIENCE_FORECAST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"

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

// What is known of a network at a step.
struct forecast_input {
    double auc, loss; // exact AUC or what stands in for it; mean loss of the steps before
    double zstd;      // of the newest step, NaN: not known; it has no term, but a range
    int width;        // of the network
};

// An evaluation with a measured probe.
struct forecast_point {
    int run; // index of its run, from 0
    struct forecast_input in;
    double live, offset; // live AUC just before it, and exact - live at the last one; NaN: none
    int64_t correct, n;  // of the probe
};

struct forecast_range {
    double lo, hi;
};

// A calibration: belongs to a data set, a family of networks and a method.
struct forecast {
    char data[256], arch[64], method[96];
    int used[FORECAST_TERMS];             // terms kept; the constant always
    double coefficient[FORECAST_TERMS];   // of logit accuracy; 0 for terms that are not used
    double offset;                        // usual exact - live AUC (median)
    double r2, r2_left_out, error_points; // in sample; of runs left out; their RMS error, in points
    // The same error from live AUCs, as it is shown between evaluations, and the 95 % quantile of
    // its residuals in the logit: the interval.
    double error_points_live, quantile;
    struct forecast_range auc, loss, zstd, width, accuracy; // that it was fitted on
    int64_t points, collapsed; // evaluations; those left out because the network was gone
    int runs;
    char **run; // their names, `runs` of them, owned
};

// Fit `n` points of `runs` runs named `name`. Every run weighs the same. Of all sets of terms (the
// square only with AUC itself) the smallest wins whose error on runs left out is within 2 % of the
// least. The errors told are of runs that had no part in that choice either: for each run terms are
// chosen and fitted without it. -1 with a sentence: fewer than FORECAST_RUNS_LEAST runs, numbers
// that are not finite; or when the data do not support a forecast (r2_left_out below
// FORECAST_R2_LEAST): then *out is filled but for its use, so that it can be reported, and
// *unsupported is 1. forecast_free in any case.
#define FORECAST_R2_LEAST 0.3
int forecast_fit(const struct forecast_point *point, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e);
void forecast_free(struct forecast *f); // takes a zeroed struct too

// AUC that stands in for an exact one between evaluations: the live one and an offset, halfway
// between that of the last evaluation (NaN: of none yet) and the usual one. At most 1; NaN without
// a live one.
double forecast_stand_in(double live, double offset, double usual);

// What it foretells. UNKNOWN: AUC or loss is not finite, and value, lo, hi are NaN. EXTRAPOLATING:
// an input is out of the range fitted on by over a tenth of it, or AUC at all above it; nothing
// stands behind the numbers, which go to the log under that mark and are not shown to anybody.
enum forecast_state { FORECAST_OK, FORECAST_EXTRAPOLATING, FORECAST_UNKNOWN };
struct forecast_value {
    enum forecast_state state;
    double value, lo, hi; // accuracy 0 .. 1 and its 95 % interval
};
struct forecast_value forecast_at(const struct forecast *f, const struct forecast_input *in);

// As JSON, and back: a file from a stranger.
int forecast_write(const struct forecast *f, FILE *out, struct error *e);
int forecast_read(const char *path, struct forecast *out, struct error *e);

// --- the law, shared with its fit ---
double forecast_accuracy(double logit); // the law is linear in the logit
// x[FORECAST_TERMS]; the square is of AUC less `centre`.
void forecast_terms(double auc, double loss, double width, double centre, double *x);
double forecast_sum(const double *coefficient, const double *x);

#endif
