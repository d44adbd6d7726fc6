// Minimisation of a smooth function by L-BFGS (Nocedal, Wright, Numerical Optimization, 2006, alg.
// 7.5).
#ifndef SSLTOP_METRICS_SCIENCE_LBFGS_H
#define SSLTOP_METRICS_SCIENCE_LBFGS_H

#include <stddef.h>

#include "metrics/base/error.h"

struct lbfgs {
    // Value at x (n numbers) and its gradient. NaN and infinity are steps too far.
    double (*fn)(void *context, const double *x, double *gradient);
    void *context;
    double gradient; // stop when no element of the gradient exceeds this
    int iterations;  // at most
    // Out:
    int made, converged;
    double value, largest; // at the end: of the function, of the gradient
};

// From x to the minimum, in place. Not to converge is no error; -1: out of memory, or the value at
// the start is not finite.
int lbfgs_minimise(struct lbfgs *l, double *x, size_t n, struct error *e);

#endif
