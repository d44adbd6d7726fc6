// Probe accuracy from what needs no labels: the spectrum, what the features still know of the
// image, the loss, the network and how far the run is, by a regression over evaluations of runs
// whose probe was measured (the paper's idea, Li, Efros, Pathak, ECCV 2022, sec. 5, with more to go
// by). Four laws: what the fast probe measures at an evaluation, what it would measure between
// two, what it will measure where the run ends, and what the linear probe will measure there.
#ifndef SSLTOP_METRICS_FORECAST_FORECAST_H
#define SSLTOP_METRICS_FORECAST_FORECAST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"

// What a forecast may be made from; a row of forecast_inputs each.
enum forecast_in {
    FORECAST_AUC,
    FORECAST_RANKME,     // ln
    FORECAST_RANKME_RAW, // ln
    FORECAST_TWONN,      // ln
    FORECAST_SELF_CLUSTER,
    FORECAST_SELF_CLUSTER_C,
    FORECAST_PIXEL_R2,
    FORECAST_PSEUDO10,
    FORECAST_PSEUDO30,
    FORECAST_PSEUDO100,
    FORECAST_FEWSHOT_R2, // means of the last few values
    FORECAST_FEWSHOT10,
    FORECAST_LIDAR, // ln
    FORECAST_LOSS,  // mean of the steps before
    FORECAST_WIDTH, // ln, of the network
    FORECAST_SHARE, // of the run that is done, 0 .. 1
    FORECAST_POOL,  // ln of the number of images
    FORECAST_ZSTD,  // of the newest step
    FORECAST_LIVE_AUC,
    FORECAST_LIVE_RANKME,     // ln
    FORECAST_LIVE_RANKME_RAW, // ln
    FORECAST_LIVE_PIXEL_R2,
    FORECAST_LIVE_LIDAR, // ln
    FORECAST_INPUTS
};
struct forecast_input_row {
    const char *key;    // in a calibration, and of a term in words
    const char *metric; // the metric that it is, by its key; NULL: none
    int is_log;
    // Where a metric is told of every step, the input that its live value is, which differs from
    // the exact one (augmented views, a network that moves); FORECAST_INPUTS: of evaluations alone.
    enum forecast_in live;
    // Laws that a fit offers it to. Where it is of few values (images of a run), needs what not
    // every run has (LiDAR's views) or is of a network of long ago (between evaluations: neighbours
    // and clusters of the last), other runs were foretold worse with it. The share of a run that is
    // done says nothing between evaluations, and before an eighth of a run is out of what was
    // fitted.
    int laws;
};
enum { FORECAST_EXACT_LAWS = 1, FORECAST_LIVE_LAW = 2, FORECAST_ALL_LAWS = 3 };
extern const struct forecast_input_row forecast_inputs[FORECAST_INPUTS];

// An input from a metric or from what it is the logarithm of. A pixel R2 below 0 says as much as 0:
// nothing; how far below depends on a few images that lie far out.
double forecast_input_of(enum forecast_in i, double value);
// The same of what is an input already.
double forecast_input_bounded(enum forecast_in i, double input);
// The input of that key, or -1.
int forecast_input_find(const char *key);
// The metric that input i is made of, or -1: it is none, or there is no such metric.
int forecast_metric(enum forecast_in i);

#define FORECAST_ENDS_FROM 0.1 // share of a run from which on its end is foretold

enum {
    FORECAST_TERMS = FORECAST_INPUTS * (FORECAST_INPUTS + 3) / 2, // inputs, squares, products
    FORECAST_KNOTS = 5,
    FORECAST_RUNS_LEAST = 8
};

// What is known of a network at a step; NaN: not known.
struct forecast_input {
    double v[FORECAST_INPUTS];
};
struct forecast_input forecast_nothing(void); // all NaN

// An evaluation with a measured probe.
struct forecast_point {
    int run; // index of its run, from 0
    struct forecast_input in;
    // Live values just before it, and exact - live at the last one, under the exact one's index;
    // NaN: none.
    double live[FORECAST_INPUTS], offset[FORECAST_INPUTS];
    int64_t correct, n; // of the probe
    double end;         // accuracy of the probe at the end of its run; NaN: not known
    double linear;      // of the linear probe there, on linear_n images; NaN: not known
    int64_t linear_n;
};

struct forecast_range {
    double lo, hi;
};

// logit accuracy = constant + sum over terms of coefficient x (input a - its centre) x (input b -
// its centre).
struct forecast_term {
    enum forecast_in a, b; // b FORECAST_INPUTS: a alone
    double coefficient;
};
// The interval: so far to both sides in the logit, where the forecast's logit is `at`; between
// knots on the line between them, beyond them as at the last.
struct forecast_knot {
    double at, size;
};
// An evaluation of a run that had no part in choice or fit: what was foretold of it, and what the
// probe measured. Accuracies.
struct forecast_left_out {
    double foretold, measured;
};
struct forecast_law {
    int terms;
    struct forecast_term term[FORECAST_TERMS];
    double constant, centre[FORECAST_INPUTS];
    struct forecast_range range[FORECAST_INPUTS]; // fitted on; lo > hi: this input is not looked at
    struct forecast_range accuracy;               // that was measured there
    int knots;
    struct forecast_knot knot[FORECAST_KNOTS];
    double r2, r2_left_out; // in sample; of runs left out
    // RMS errors in points, of runs left out: of all; where the probe is above 70 %; a quarter into
    // the run. NaN: there are none.
    double error_points, error_points_good, error_points_quarter;
    double covered; // share of the runs left out that the interval held; NaN: not told
    struct forecast_left_out *left_out; // n_left_out, owned; in files of version 3 that tell them
    int64_t n_left_out;
};

// A calibration: belongs to a data set, a family of networks and a method.
struct forecast {
    char data[256], arch[64], method[96];
    struct forecast_law now;        // from exact values
    struct forecast_law live;       // from live ones and those of the last evaluation
    struct forecast_law end;        // knots 0: there is none
    struct forecast_law linear;     // at the end; the same of this and of live
    double offset[FORECAST_INPUTS]; // usual exact - live value (median); 0: not known
    struct forecast_range zstd;     // that it was fitted on
    int64_t points;                 // evaluations
    int64_t collapsed; // those left out because the network was gone (in calibrations of before)
    int runs;
    char **run; // their names, `runs` of them, owned
};

// Fit `n` points of `runs` runs named `name`, those of a run in the order in which they were made.
// Every run weighs the same. Terms are added one by one, inputs and squares and products of those
// that are in, as long as each lowers the error on runs left out by 2 %; or all of them are taken,
// with a penalty that does best on groups of runs left out, where there are many runs and that is 3
// % better. The errors told are of runs that had no part in the choice of terms or penalty either:
// for each run they are chosen and fitted without it. The law `live` is of what is known just
// before each evaluation but the first of a run: live values, and exact ones that are as old as an
// evaluation can be. -1 with a sentence: fewer than FORECAST_RUNS_LEAST runs, numbers that are not
// finite; or when the data do not support a forecast (now.r2_left_out below FORECAST_R2_LEAST):
// then *out is filled but for its use, so that it can be reported, and *unsupported is 1.
// forecast_free in any case.
#define FORECAST_R2_LEAST 0.3
int forecast_fit(const struct forecast_point *point, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e);
void forecast_free(struct forecast *f); // takes a zeroed struct too

// What stands in for an exact value between evaluations, for a calibration without a law of live
// ones: the live one and an offset, halfway between that of the last evaluation (NaN: of none yet)
// and the usual one. Shares and AUC are at most 1; NaN without a live one. Of an input that is not
// live: `live`, which is the last exact one.
double forecast_stand_in(enum forecast_in i, double live, double offset, double usual);

// What it foretells. UNKNOWN: an input that the law uses is not finite, and value, lo, hi are NaN.
// EXTRAPOLATING: one is out of the range fitted on by over a tenth of it; nothing stands behind the
// numbers, which go to the log under that mark and are not shown to anybody.
enum forecast_state { FORECAST_OK, FORECAST_EXTRAPOLATING, FORECAST_UNKNOWN };
struct forecast_value {
    enum forecast_state state;
    double value, lo, hi; // accuracy 0 .. 1 and its 95 % interval
};
// `law`: one of f's.
struct forecast_value forecast_at(const struct forecast *f, const struct forecast_law *law,
                                  const struct forecast_input *in);

// As JSON, and back: a file from a stranger. Files of version 2 are read too.
int forecast_write(const struct forecast *f, FILE *out, struct error *e);
int forecast_read(const char *path, struct forecast *out, struct error *e);

// "auc", "auc^2", "auc x loss".
const char *forecast_term_text(const struct forecast_term *t, char *text, size_t size);

// --- the law, shared with its fit ---
double forecast_accuracy(double logit); // the law is linear in the logit
double forecast_interval(const struct forecast_law *law, double logit);

#endif
