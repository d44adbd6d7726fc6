// Ridge regression over all terms. Of many runs it foretells others better than a few chosen terms
// do, most of all between evaluations; of few runs it has too much to choose from.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/forecast/design.h"
#include "metrics/science/lapack.h"

// Of a column's variance. The largest leaves the mean.
static const double PENALTIES[] = {1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1, 100};

// Without a run, and without the runs of a fold.
static int fit(const struct design *d, double penalty, int without, int fold, double *room,
               double *b)
{
    int n = 1 + d->n_used, sides = 1, info = 0;
    const struct design_sums *two = fold == DESIGN_NOBODY ? NULL : &d->fold[fold], *one = NULL;
    if (without != DESIGN_NOBODY && (!two || without % DESIGN_FOLDS != fold))
        one = &d->sum[without];
    int at[1 + DESIGN_COLUMNS] = {0};
    for (int i = 1; i < n; i++)
        at[i] = 1 + d->used[i - 1];
    double *a = room, *y = a + (size_t)n * (size_t)n;
    if (design_equations(d, at, n, one, two, n, a, y) < 0)
        return -1;
    for (int i = 1; i < n; i++) {
        double *row = a + (size_t)i * (size_t)n;
        row[i] += penalty * fmax(row[i] - row[0] * row[0], 1e-9);
    }
    // Row-major lower is column-major upper.
    dpotrf_("U", &n, a, &n, &info, 1);
    if (info == 0)
        dpotrs_("U", &n, &sides, a, &n, y, &n, &info, 1);
    if (info)
        return -1;
    memset(b, 0, (1 + DESIGN_COLUMNS) * sizeof *b);
    for (int i = 0; i < n; i++)
        b[at[i]] = y[i];
    return 0;
}

// Sum of squares of accuracy errors over folds that were left out, without `run` from the
// beginning. Infinite: this cannot be fitted without some.
static double leave_out(const struct design *d, double penalty, int run, double *room)
{
    double sum = 0, b[1 + DESIGN_COLUMNS];
    for (int fold = 0; fold < DESIGN_FOLDS && fold < d->runs; fold++) {
        if (fit(d, penalty, run, fold, room, b) < 0)
            return INFINITY;
        for (int r = fold; r < d->runs; r += DESIGN_FOLDS)
            for (int64_t i = d->first[r]; r != run && i < d->first[r + 1]; i++) {
                const struct design_row *row = &d->row[i];
                double off = forecast_accuracy(design_logit(b, row->x)) - forecast_accuracy(row->y);
                sum += row->w * off * off;
            }
    }
    return sum;
}

static double choose(const struct design *d, int run, double *room)
{
    enum { N = sizeof PENALTIES / sizeof *PENALTIES };
    double best = PENALTIES[N - 1], least = INFINITY;
    for (int i = N - 1; i >= 0; i--) {
        double error = leave_out(d, PENALTIES[i], run, room);
        if (error < least) {
            least = error;
            best = PENALTIES[i];
        }
    }
    return best;
}

int design_ridge(const struct design *d, int without, double *b)
{
    size_t n = 1 + (size_t)d->n_used;
    double *room = malloc(n * (n + 1) * sizeof *room);
    int rc = room ? fit(d, choose(d, without, room), without, DESIGN_NOBODY, room, b) : -1;
    free(room);
    return rc;
}
