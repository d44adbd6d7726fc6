// What a set of images asks of any features: where each image lies among its data set's principal
// components, and in which clusters. One half of the images teaches a ridge regression, the other
// half is what it is scored on.
#ifndef SSLTOP_METRICS_SCIENCE_QUESTIONS_H
#define SSLTOP_METRICS_SCIENCE_QUESTIONS_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"
#include "metrics/science/surrogate.h"

enum { QUESTIONS_LEAST = 2 * SURROGATE_ROWS }; // images; with fewer nothing is asked

struct questions {
    int64_t n;                     // images; 0: nothing is asked
    int targets;                   // numbers of a row of t
    int clusters[SURROGATE_KINDS]; // 0: too few images for these, or the surrogate has none
    int64_t *row[2]; // images of each half, drawn: neighbours in a data set may be alike
    double *t[2];    // row by row
    int32_t *cluster[SURROGATE_KINDS][2];
    struct memory memory;
};

// From n small images in the order of the features that will be asked. questions_free is needed
// after 0 only.
int questions_init(struct questions *q, const struct surrogate *s, const float *small, int64_t n,
                   struct error *e);
void questions_free(struct questions *q); // takes a zeroed struct too

struct answers {
    double pixel_r2, lambda;        // lambda: the penalty that was chosen for it
    double pseudo[SURROGATE_KINDS]; // shares of right clusters
};
// Features x: n x d floats, row major, finite. What is not asked is NaN.
int questions_ask(const struct questions *q, const float *x, int d, int threads,
                  struct answers *out, struct error *e);

#endif
