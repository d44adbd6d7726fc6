// How much of some numbers of an image its features tell, while they train: moments of both
// together, kept beside those of the features (metrics/science/spectrum.h) and weighted alike, and
// a ridge regression from them at any moment.
#ifndef SSLTOP_METRICS_SCIENCE_CROSS_H
#define SSLTOP_METRICS_SCIENCE_CROSS_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/spectrum.h"

#define CROSS_LAMBDA 1e-3 // before an evaluation has chosen another

// What is not private is the whole state: a checkpoint stores exactly that.
struct cross {
    double weight, weight2; // as of moments
    double total;           // sum of w |t - mean|^2
    double lambda;          // penalty, in units of a standardised feature's variance
    double *mean;           // d: of the features
    double *target;         // targets: means
    double *product;        // d x targets: sum of w (h - mean)(t - mean)^T
    int d, targets;
    double *rows, *told;   // private: a block, centred, and its targets
    double *a, *w, *scale; // private: d x d, targets x d, 2 d
};

// d as of moments_init, targets >= 1. Zeroed but for lambda. cross_free is needed after 0 only.
int cross_init(struct cross *c, int d, int targets, struct error *e);
void cross_free(struct cross *c);  // takes a zeroed struct too
void cross_reset(struct cross *c); // but lambda

// As moments_age, for so many samples that are about to be added.
void cross_age(struct cross *c, int64_t samples);

// Add n samples of weight one: n x d features and n x targets numbers, row major. Allocates
// nothing.
void cross_add(struct cross *c, const float *h, const float *t, int64_t n);

// 1 - sum |t - predicted|^2 / sum |t - mean|^2 of a ridge regression on the features standardised,
// as one that is fitted on `fitted` images (INFINITY: all there could be) would have it on others:
// what an evaluation measures. From the in-sample value, adjusted by the degrees of freedom that
// the penalty leaves (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed.,
// sec. 3.4.1), for `views` samples of each image, which tell what one does. m are moments of the
// same features. NaN for too few samples, targets that are all the same, or moments that are not
// finite.
double cross_r2(struct cross *c, const struct moments *m, int views, double fitted);

#endif
