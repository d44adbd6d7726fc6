// The spectrum of rows that are too wide for one at every step: projections, four times as wide as
// the features, cost 16 times their moments and 64 times their eigenvalues. So rows are taken at
// some of the steps, and every step works on a few columns of the covariance as it was. What comes
// out follows from the number of steps alone, not from the time that anything took.
#ifndef SSLTOP_METRICS_SCIENCE_PACED_H
#define SSLTOP_METRICS_SCIENCE_PACED_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/spectrum.h"

enum {
    PACED_D = 4096,      // numbers of a row, at most
    PACED_COLUMNS = 8,   // reduced at a step: a spectrum takes ceil(d / 8) steps
    PACED_SPARE = 64,    // rows are taken at one of ceil(d / 64) steps
    PACED_HALF_LIFE = 4, // of what is known, in rows for each of the d numbers
    PACED_LEAST = 2      // rows for each number before there is a first spectrum
};
enum { PACED_TOLD = 2, PACED_STATE = 6 + PACED_TOLD };

struct paced {
    int d;               // 0: rows of so many numbers are not looked at
    struct moments live; // of the rows
    int64_t step;        // steps so far
    int left;            // columns to be reduced; 0: nothing is under way
    double scale, n_eff; // of what is under way: sigma = sqrt(eigenvalue scale)
    double *a;           // its lower triangle, row major, d x d; of it left x left still counts
    double *diagonal, *beside, *work; // d, d, (PACED_COLUMNS + 1) d
    // Of pairs of rows, two views of one image: the scatter of each about the mean of the two,
    // lower triangle; room for differences and for a factor. NULL: rows are alone.
    double *within, *pair;
    struct memory memory;
    double told[PACED_TOLD]; // what the caller made of the last spectrum, kept for it; -1: nothing
};

// For rows of d >= 1 numbers. More than PACED_D: d stays 0 and nothing is done.
int paced_init(struct paced *p, int d, struct error *e);
// For pairs of them: what comes out are the square roots of the eigenvalues of LiDAR's matrix
// (metrics/science/lidar.h).
int paced_init_pairs(struct paced *p, int d, struct error *e);
void paced_free(struct paced *p);  // takes a zeroed struct too
void paced_reset(struct paced *p); // as after paced_init

// Whether rows are wanted at this step.
int paced_wants(const struct paced *p);
// Let what is known age by `rows` rows, which are about to be added.
void paced_age(struct paced *p, int64_t rows);
// n x d floats, row major. Rows that are not finite reset everything at the next spectrum.
int paced_add(struct paced *p, const float *x, int64_t n, struct error *e);
// The same of n pairs: x[v] the rows of view v.
int paced_add_pairs(struct paced *p, const float *const x[2], int64_t n, struct error *e);
// The end of the step. 1: sigma[d] (descending, >= 0) and *n (n_eff, its rows) are those of the
// rows taken until ceil(d / PACED_COLUMNS) steps ago. 0: there is none yet. -1: LAPACK finds none.
int paced_step(struct paced *p, double *sigma, double *n, struct error *e);

// All of it as numbers, and back: what was exported goes on to the same bits. matrix: paced_lines x
// (d + 1) of them, finite where all rows were. -1: that is none.
int paced_lines(const struct paced *p);
void paced_export(const struct paced *p, double *matrix, double state[PACED_STATE]);
int paced_import(struct paced *p, const double *matrix, const double state[PACED_STATE]);

#endif
