// How well frozen features tell classes apart: a closed-form ridge classifier (fast), multinomial
// logistic regression (the linear probe), and nearest neighbours. All are fitted on the training
// set and scored on the test set, never the reverse; each allocates what it needs and frees it.
// From the first call on OpenBLAS computes with one thread: threads here are OpenMP's.
#ifndef SSLTOP_METRICS_SCIENCE_PROBE_H
#define SSLTOP_METRICS_SCIENCE_PROBE_H

#include <stdint.h>

#include "metrics/base/error.h"

struct probe_set {
    int64_t n;
    const float *x;       // n x d, row major
    const int32_t *label; // n, each 0 .. classes - 1
};

struct probe_data {
    int d, classes; // both at least 1 and 2
    struct probe_set train, test;
};

enum { PROBE_TOP = 5, PROBE_TOP_CLASSES = 10 }; // top-5 says something from 10 classes up

struct probe_score {
    int64_t n;       // scored
    int64_t correct; // the class that fits best is the right one
    int64_t top5;    // the right one is among the best five; -1 below PROBE_TOP_CLASSES classes
};

// Share of correct ones and its 95 % interval by Wilson's score, from the number scored (n >= 1).
struct probe_share {
    double share, lo, hi;
};
struct probe_share probe_interval(int64_t correct, int64_t n);

// Refuses sizes that cannot be, labels outside their range and features that are not finite.
int probe_check(const struct probe_data *p, struct error *e);

// Ridge regression of one-hot classes on features standardised by the training set. Its penalty is
// the one of a grid that scores best on every fifth training row, which are held out for that; then
// all rows are fitted. lambda (NULL allowed): the penalty, in units of a feature's variance.
int probe_ridge(const struct probe_data *p, int threads, struct probe_score *out, double *lambda,
                struct error *e);

// Multinomial logistic regression on standardised features: sum of cross entropies + 1/2 |W|^2 (the
// intercepts are free), which is scikit-learn's LogisticRegression at its default C = 1. L-BFGS
// along the principal directions until no element of the mean gradient exceeds PROBE_GRADIENT.
#define PROBE_GRADIENT 1e-5
struct probe_fit {
    int iterations, converged;
    double loss, gradient; // mean objective at the end, largest element of its gradient
};
int probe_linear(const struct probe_data *p, int threads, struct probe_score *out,
                 struct probe_fit *fit, struct error *e);

// Nearest training rows by cosine similarity s (k at most all), voting with weight exp(s /
// temperature), or with one vote each (temperature 0; a tie goes to the nearer ones). Several rules
// cost one search. Row for row the same with any number of threads.
struct probe_rule {
    int k;
    double temperature;
};
extern const struct probe_rule probe_knn_weighted; // k = 200, 0.1 (Wu et al., CVPR 2018)
extern const struct probe_rule probe_knn_plain;    // k = 20
int probe_knn(const struct probe_data *p, const struct probe_rule *rule, int rules, int threads,
              struct probe_score *out, struct error *e);

// --- shared by the probes; private to probe*.c ---
struct probe_scale {
    double *mean, *factor; // (x - mean) * factor is standardised; factor 0 for a constant feature
};
// From the moments of the rows to be fitted.
struct moments;
void probe_scale_take(struct probe_scale *s, const struct moments *m);
// Fill out (n x d) with standardised rows.
void probe_standardise(const struct probe_scale *s, const float *x, int64_t n, int d, double *out);
// Score one row: values[classes], higher fits better; equal ones rank by class.
void probe_count(struct probe_score *score, const double *values, int classes, int label);
void probe_score_add(struct probe_score *to, const struct probe_score *from);
void probe_score_init(struct probe_score *s, int classes);

#endif
