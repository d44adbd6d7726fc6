// Evaluations while training: un-augmented images, the network in evaluation mode. The exact
// spectrum needs no labels; where a set has them, a probe measures what the features are worth.
// Labels are read here and nowhere else in training.
#ifndef SSLTOP_TRAIN_RUN_EVALUATE_H
#define SSLTOP_TRAIN_RUN_EVALUATE_H

#include <stdint.h>

#include "gpu/views/kept.h"
#include "metrics/base/error.h"
#include "metrics/base/memory.h"
#include "metrics/log/record.h"
#include "metrics/science/questions.h"
#include "metrics/science/spectrum.h"
#include "train/ranks/team.h"
#include "train/run/setup.h"

enum {
    EVALUATION_VIEWS = 10,   // q (metrics/science/lidar.h)
    EVALUATION_PICTURES = 2, // images of LiDAR, for each of the d numbers,
    EVALUATION_MOST = 512    // and at most
};

struct evaluation {
    int64_t n;      // images of the exact spectrum, the same at every evaluation
    int64_t *index; // n of them, then those that only the probe and the surrogates need
    int64_t n_all;
    float *features; // n_all x d
    struct moments moments;
    double *sigma, *raw;        // raw: not centred
    struct questions questions; // of all n_all images
    double lambda;              // penalty of the newest pixel R2; NaN: none
    // LiDAR's: EVALUATION_VIEWS views of some of the n images, and their features.
    struct kept_views views;
    int has_views; // they are made, or cannot be of these images
    int64_t *view_index;
    float *view_x;
    // The probe; n_train 0: none.
    struct images *test; // of the test split
    int64_t n_train, n_test;
    int64_t *row;        // n_train: where in `features`
    int64_t *test_index; // n_test
    float *train_x, *test_x;
    int32_t *train_label, *test_label;
    struct team_end end;
    struct memory memory;
};

// --probe and --probe-images say whether and with how many images to probe: as many of each class,
// chosen by the seed, from all labelled training images (--subset limits training, not the probe),
// first from those of the spectrum; two fifths as many test images. Surrogates are asked of all of
// these training images, of as many where there is no probe.
int evaluation_init(struct evaluation *v, const struct setup *s, struct error *e);
void evaluation_free(struct evaluation *v); // takes a zeroed struct too

// Measure now, before step `step`. Both records are filled (`spectrum` borrows v->sigma: no
// record_free). Changes nothing that training sees: running statistics of batch norms, which it
// does not take, become those of views under the weights as they are. TEAM_BROKEN_OFF: because
// v->end said so.
int evaluation_run(struct evaluation *v, struct setup *s, int64_t step, struct record *eval,
                   struct record *spectrum, struct error *e);
// What the ranks other than 0 do while it measures: their part of the forward passes.
int evaluation_help(struct evaluation *v, struct setup *s, struct error *e);

#endif
