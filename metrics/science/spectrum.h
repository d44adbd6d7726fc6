// The singular value spectrum of features, from their mean and covariance kept in double.
// Live: exponentially weighted over the training batches. Exact: every sample with weight one.
// Singular values are those of the centred n x d feature matrix (Li, Efros, Pathak, ECCV 2022, sec.
// 3).
#ifndef SSLTOP_METRICS_SCIENCE_SPECTRUM_H
#define SSLTOP_METRICS_SCIENCE_SPECTRUM_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"

#define SPECTRUM_D_MAX 32768 // dimensions

// Weighted moments of d-dimensional samples. `weight` = sum of w, `weight2` = sum of w^2, both with
// the decay applied: n_eff = weight^2 / weight2. `mean` is d doubles; `scatter` is d x d doubles,
// row major, lower triangle (row >= column) valid: sum of w (x - mean)(x - mean)^T. Dividing by
// `weight` corrects the start-up bias. The four fields are the whole state: a checkpoint stores
// exactly them.
struct moments {
    int d;
    double weight, weight2;
    double *mean;
    double *scatter;
    double *work; // private: rows centred for the rank-k update, work_rows x d
    size_t work_rows;
    struct memory memory;
};

// 1 <= d <= 32768. Zeroed. Freed with moments_free (which takes a zeroed struct too). From here on
// OpenBLAS computes with one thread in this process: its pool and OpenMP's fight over the cores.
int moments_init(struct moments *m, int d, struct error *e);
void moments_free(struct moments *m);
void moments_reset(struct moments *m);

// Let all that was seen so far weigh `factor` (0..1] as much: 2^(-samples / half-life).
void moments_decay(struct moments *m, double factor);

// The same for so many samples that are about to be added to a live spectrum, whose half-life is
// MOMENTS_HALF_LIFE samples a feature.
enum { MOMENTS_HALF_LIFE = 8 };
void moments_age(struct moments *m, int64_t samples);

// Add n samples of weight one: n x d floats, row major, rows `stride` floats apart. Not-finite
// input makes the moments not-finite (the caller sees it in the spectrum) until moments_reset.
// Allocates nothing; -1 only for n or stride that cannot be, before anything is changed.
int moments_add(struct moments *m, const float *x, int64_t n, size_t stride, struct error *e);

// The same for n >= 1 rows in double that the caller lends, row major, d apart: (n + 1) x d, the
// last row free. They are overwritten.
void moments_take(struct moments *m, double *rows, int n);

// Join the samples behind `other` (of the same d) to those behind m, as if they had been added.
void moments_merge(struct moments *m, const struct moments *other);

// Workspace for eigenvalues of d x d; allocate once, reuse.
struct spectrum_solver;
int spectrum_solver_new(int d, struct spectrum_solver **out, struct error *e);
void spectrum_solver_free(struct spectrum_solver *s);

// sigma[d], descending, >= 0: sqrt(eigenvalue of scatter/weight * n_eff). `n` gets n_eff. LAPACK
// dsyevd, eigenvalues only; negative eigenvalues from rounding become 0. What lies below 1e-8 of
// sigma[0] is rounding. -1 when the moments are not finite or without samples, or of another d than
// the solver: then nothing is written.
int spectrum_from_moments(struct spectrum_solver *s, const struct moments *m, double *sigma,
                          double *n, struct error *e);

// The same, and into raw[d] the singular values of the features as they are, not centred: what
// others publish ranks of. Both from one reduction to tridiagonal form.
int spectrum_both(struct spectrum_solver *s, const struct moments *m, double *sigma, double *raw,
                  double *n, struct error *e);

// Eigenvalues of a symmetric matrix, ascending, into w, and eigenvectors, rows of length one, in
// its place: d x d, row major, its lower triangle.
int spectrum_vectors(int d, double *a, double *w, struct error *e);

// Euclidean norm of m->mean.
double moments_mean_norm(const struct moments *m);

#endif
