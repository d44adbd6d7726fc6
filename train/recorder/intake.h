// Features that somebody else's training hands over, to the metrics of its step: what the trainer
// does with its own after a forward pass.
#ifndef SSLTOP_TRAIN_RECORDER_INTAKE_H
#define SSLTOP_TRAIN_RECORDER_INTAKE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/alignment.h"
#include "metrics/science/spectrum.h"
#include "train/client/link.h"
#include "metrics/science/views.h"
#include "train/run/report.h"

// Rows that were looked at: n x d of a known type, whole and aligned.
struct intake_rows {
    const void *at; // NULL: not handed over
    enum link_type type;
    int64_t n;
    int d;
};

enum { INTAKE_H, INTAKE_Z }; // places that metrics are made of
enum { INTAKE_D = 8192 };    // numbers of a feature that a spectrum at every step can be made of

struct intake {
    int d; // of h; 0 before the first
    struct moments live;
    struct spectrum_solver *solver;
    double *sigma; // centred, then not
    struct alignment alignment;
    float *z[2]; // its rows
    struct views views;
    int z_d;              // numbers of a projection; 0 before the first
    float *h[LINK_VIEWS]; // features that are looked at for them
    float *rows;          // of one view, converted
    size_t room;          // numbers
};

// Takes a zeroed struct, which is also the start.
void intake_free(struct intake *k);

// n numbers of them from `first` on, as floats.
void intake_convert(const struct intake_rows *x, size_t first, size_t n, float *to);

// The features of a step, by place and view. Fills metrics, n, sigma (lent until the next call) and
// the milliseconds of the spectrum in `r`, whose loss is there; NaN for what cannot be made of what
// was handed over. -1: these features cannot be (another d than before, not finite: told once by
// the caller), and the step has no metrics but its loss.
int intake_step(struct intake *k, const struct intake_rows rows[LINK_PLACES][LINK_VIEWS],
                struct step_result *r, struct error *e);

#endif
