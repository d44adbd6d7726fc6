// Exact spectra: un-augmented training images, the network in evaluation mode.
#ifndef SSLTOP_TRAIN_EVALUATE_H
#define SSLTOP_TRAIN_EVALUATE_H

#include <stdint.h>

#include "metrics/error.h"
#include "metrics/record.h"
#include "metrics/spectrum.h"
#include "train/setup.h"

struct evaluation {
    int64_t n;      // images, the same at every evaluation
    int64_t *index; // which
    float *features;
    struct moments moments;
    double *sigma;
};

int evaluation_init(struct evaluation *v, const struct setup *s, struct error *e);
void evaluation_free(struct evaluation *v); // takes a zeroed struct too

// Measure now, before step `step`. Both records are filled (`spectrum` borrows v->sigma: no
// record_free). Changes nothing that training sees.
int evaluation_run(struct evaluation *v, struct setup *s, int64_t step, struct record *eval,
                   struct record *spectrum, struct error *e);

#endif
