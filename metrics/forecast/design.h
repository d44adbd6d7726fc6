// Evaluations as rows of a regression on the logit of accuracy, and two ways to fit it. Private to
// forecast_fit.c.
#ifndef SSLTOP_METRICS_FORECAST_DESIGN_H
#define SSLTOP_METRICS_FORECAST_DESIGN_H

#include "metrics/forecast/forecast.h"

enum { DESIGN_NOBODY = -1 };              // left out
enum { DESIGN_COLUMNS = FORECAST_TERMS }; // inputs, then their squares and products
enum { DESIGN_FOLDS = 10 };               // groups of runs that a penalty is chosen by

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
    struct design_sums *sum, *fold, all;                  // of each run, of each fold; of all
    double mean[FORECAST_INPUTS], scale[FORECAST_INPUTS]; // scale 0: not looked at; the same
                                                          // everywhere, or not known everywhere
    int used[DESIGN_COLUMNS], n_used;                     // columns of inputs that are looked at
};

// `target(point)` is what is foretold, as a logit. d->n is the number of rows.
int design_init(struct design *d, const struct forecast_point *point, int64_t n, int runs,
                enum design_rows rows, double (*target)(const struct forecast_point *point),
                struct error *e);
void design_free(struct design *d); // after a failed init, too

// Columns: inputs, then squares and products. Of a term, which one; its inputs, without
// coefficient.
int design_column(const struct forecast_term *t);
struct forecast_term design_term(int column);

// The normal equations of n columns of the sums (0: the constant), less those of `one` and of `two`
// (or NULL), over their weight: a (rows of `side` numbers, symmetric) and y. -1: nothing is left.
int design_equations(const struct design *d, const int *column, int n,
                     const struct design_sums *one, const struct design_sums *two, int side,
                     double *a, double *y);
// Coefficients b[1 + DESIGN_COLUMNS] of the scaled columns from all runs but `without`; b[0] is the
// constant. What is chosen is chosen without it, too. -1: it cannot be fitted.
typedef int design_fitter(const struct design *d, int without, double *b);
design_fitter design_stepwise, // a few terms, chosen one by one (design_stepwise.c)
    design_ridge;              // all of them, held down by a penalty (design_ridge.c)
double design_logit(const double *b, const double *x);

#endif
