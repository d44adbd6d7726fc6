// What the images of one batch tell of one another by their features: regressions from all of them
// but one to that one. Everything is of one network, at one step, where moments of many steps
// (metrics/science/cross.h) are of as many networks.
#ifndef SSLTOP_METRICS_SCIENCE_FEWSHOT_H
#define SSLTOP_METRICS_SCIENCE_FEWSHOT_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"

// That are looked at: what so few tell depends on how many they are. Smaller batches wait for the
// next ones.
enum { FEWSHOT_IMAGES = 64 };

struct fewshot {
    int d, targets, clusters; // d 0: nothing is looked at
    int waiting;              // images of the steps before, fewer than FEWSHOT_IMAGES
    double *rows;             // FEWSHOT_IMAGES x d: features, standardised
    double *gram;             // FEWSHOT_IMAGES x FEWSHOT_IMAGES
    double *asked, *left; // FEWSHOT_IMAGES x (targets + clusters): numbers; what is left of them
    struct memory memory; // of all of them
};

// For features of d >= 1 numbers, images of which `targets` >= 1 numbers and one of `clusters`
// (0: none) are known. fewshot_free is needed after 0 only.
int fewshot_init(struct fewshot *f, int d, int targets, int clusters, struct error *e);
void fewshot_free(struct fewshot *f); // takes a zeroed struct too

struct fewshot_told {
    double r2;   // 1 - sum |t - foretold|^2 / sum |t - mean of the others|^2
    double top1; // share of images whose cluster was foretold
};
// After a step on n images: of the first FEWSHOT_IMAGES of them and of what has waited, of each the
// mean of two views: h[v] n x d features, t n x targets, cluster n, row major. Ridge regression on
// standardised features, each image foretold by all the others (leave one out, in closed form:
// Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. 7.64). NaN:
// images that wait, features that are not finite, targets that are all the same, no clusters.
// Allocates nothing.
struct fewshot_told fewshot_step(struct fewshot *f, const float *const h[2], const float *t,
                                 const int32_t *cluster, int64_t n);

#endif
