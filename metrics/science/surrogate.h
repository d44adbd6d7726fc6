// What features can be asked without labels: coordinates of their images on principal components of
// the pixels, and clusters of those. Both are computed once for a data set, from small images, and
// say nothing of a network.
#ifndef SSLTOP_METRICS_SCIENCE_SURROGATE_H
#define SSLTOP_METRICS_SCIENCE_SURROGATE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"

enum {
    SURROGATE_TARGETS = 20,    // leading components that features are to tell
    SURROGATE_COMPONENTS = 50, // leading ones that are clustered
    SURROGATE_KINDS = 3,       // ways to cluster them
    SURROGATE_CLUSTERS = 100,  // of the finest
    SURROGATE_ROWS = 10        // images a cluster at least, of a sample and of an evaluation
};
extern const int surrogate_clusters[SURROGATE_KINDS]; // 10, 30, 100

struct surrogate {
    int pixels;     // numbers of a small image
    int components; // of them kept: up to SURROGATE_COMPONENTS; 0: images of one kind
    int targets;    // the first ones of them, up to SURROGATE_TARGETS
    int clusters[SURROGATE_KINDS]; // 0: the sample was too small for these
    double *mean;                  // pixels
    double *component; // components x pixels, orthonormal, that of the most variance first
    double *variance;  // of the sample along each, over its number
    double *centre[SURROGATE_KINDS]; // clusters x components
    struct memory memory;
};

// From n >= 2 small images (n x pixels): principal components, and k-means (Lloyd, from centres
// that are drawn far from each other: Arthur, Vassilvitskii, 2007). The same images in the same
// order give the same to the last bit. Directions with less than 1e-10 of the first one's variance
// are none. surrogate_free is needed after 0 only.
int surrogate_fit(struct surrogate *s, const float *small, int64_t n, int pixels, struct error *e);
void surrogate_free(struct surrogate *s); // takes a zeroed struct too

// Room for one of these sizes, to be filled from a file. -1 also when they cannot be.
int surrogate_init(struct surrogate *s, int pixels, int components,
                   const int clusters[SURROGATE_KINDS], struct error *e);

// Coordinates of n small images on the first `count` components into out (n x count).
int surrogate_project(const struct surrogate *s, const float *small, int64_t n, int count,
                      double *out, struct error *e);

// The nearest centre of each of n rows of coordinates (n x components); of equals the first.
void surrogate_assign(const struct surrogate *s, int kind, const double *coordinates, int64_t n,
                      int32_t *cluster);

#endif
