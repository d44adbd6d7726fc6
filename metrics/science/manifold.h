// How features lie in their space, from the rows themselves: what a covariance cannot tell.
#ifndef SSLTOP_METRICS_SCIENCE_MANIFOLD_H
#define SSLTOP_METRICS_SCIENCE_MANIFOLD_H

#include <stdint.h>

#include "metrics/base/error.h"

enum { MANIFOLD_ROWS = 2048 }; // that TwoNN looks at: its pairs grow with the square

// Intrinsic dimension from the ratio of the distances to the second and the first neighbour (Facco,
// d'Errico, Rodriguez, Laio, Scientific Reports 2017): the line through the origin that fits -ln(1
// - F) on ln(ratio), F the empirical distribution, without the tenth of the largest ratios. Of n
// rows of d floats at most MANIFOLD_ROWS are looked at, evenly spread. Rows that coincide with
// their neighbour do not count. NaN for fewer than MANIFOLD_LEAST rows that do, or rows that are
// not finite.
enum { MANIFOLD_LEAST = 20 };
int manifold_twonn(const float *x, int64_t n, int d, int threads, double *out, struct error *e);

// How much n >= 2 rows of d >= 2 numbers cluster once they are divided by their lengths
// (Tsitsulin, Munkhoeva, Perozzi, 2023, definition 3.5): 0 as random directions do, 1 for one
// direction; rows spread more evenly than at random come below 0. `centred`: the mean of all is
// taken off first. Rows of zeros have no direction and add nothing. NaN for rows that are not
// finite, and where there is no direction at all.
int manifold_self_cluster(const float *x, int64_t n, int d, int centred, double *out,
                          struct error *e);

#endif
