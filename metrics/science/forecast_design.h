// Evaluations as rows of a regression, and the choice of its terms. Private to forecast_fit.c.
#ifndef SSLTOP_METRICS_SCIENCE_FORECAST_DESIGN_H
#define SSLTOP_METRICS_SCIENCE_FORECAST_DESIGN_H

#include "metrics/science/forecast.h"

enum { DESIGN_NOBODY = -1 };                                           // left out
enum { DESIGN_COLUMNS = FORECAST_INPUTS * (FORECAST_INPUTS + 3) / 2 }; // inputs, their products

struct design_row {
    double x[FORECAST_INPUTS]; // centred and scaled
    double y, w;               // logit; weight: one over the rows of the run
    double share;              // of the run, NaN: not known
    double at, residual;       // when the run is left out: logit, and y less that
};

// Rows are what is known at an evaluation, or between two: just before each that has one before it.
enum design_rows { DESIGN_EXACT, DESIGN_BETWEEN };

// The normal equations of some rows, over all columns: column 0 is the constant.
struct design_sums {
    double a[1 + DESIGN_COLUMNS][1 + DESIGN_COLUMNS], y[1 + DESIGN_COLUMNS], weight;
};

// Rows are sorted by run: those of run r are row[first[r]] .. row[first[r + 1]].
struct design {
    int64_t n, *first;
    int runs;
    struct design_row *row;
    struct design_sums *sum, all;                         // of each run; of all
    double mean[FORECAST_INPUTS], scale[FORECAST_INPUTS]; // scale 0: the same everywhere, or not
                                                          // known everywhere
};

// A choice of terms; those without coefficients.
struct design_set {
    int n;
    struct forecast_term term[FORECAST_TERMS];
};

// `target(point)` is what is foretold, as a logit. d->n is the number of rows.
int design_init(struct design *d, const struct forecast_point *point, int64_t n, int runs,
                enum design_rows rows, double (*target)(const struct forecast_point *point),
                struct error *e);
void design_free(struct design *d); // after a failed init, too

// The terms that do best on runs left out one by one, without `run` from the beginning.
void design_choose(const struct design *d, int run, struct design_set *out);

// Coefficients b[1 + n] of the scaled terms, without a run; b[0] is the constant. -1: singular.
int design_fit(const struct design *d, const struct design_set *set, int without, double *b);
double design_logit(const struct design_set *set, const double *b, const double *x);

#endif
