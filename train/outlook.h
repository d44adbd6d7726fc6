// What the probe of a run is expected to reach, step by step and without labels: a calibration
// (metrics/forecast.h), the AUC of the live spectrum corrected by what the last exact one said, and
// the loss of the last steps.
#ifndef SSLTOP_TRAIN_OUTLOOK_H
#define SSLTOP_TRAIN_OUTLOOK_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/error.h"
#include "metrics/forecast.h"
#include "metrics/record.h"

enum { OUTLOOK_STEPS = 100 }; // whose losses are averaged

struct outlook {
    struct forecast calibration;
    int calibrated;
    int width;
    int64_t warm; // from this step on the live spectrum has samples enough to be compared
    struct {
        int64_t step; // -1: none
        double loss;
    } ring[OUTLOOK_STEPS];
    double live, exact, offset; // AUC; offset: exact - live at the last evaluation since `warm`
    double zstd;                // of the newest step
};

// A spectrum is compared from this many samples per feature on: below, its AUC reads too high.
enum { OUTLOOK_SAMPLES = 16 };

// `samples` a step (both views), features d. Without a calibration until outlook_calibrate.
void outlook_init(struct outlook *o, int width, int d, int64_t samples);
void outlook_free(struct outlook *o); // takes a zeroed struct too

// Take the calibration that `word` names: a file; or "auto": the first in data/calibration beside
// the program, ../share/ssltop/calibration beside it and $PREFIX/share/ssltop/calibration (or only
// in the folder $SSLTOP_CALIBRATION) that is of this data set, network and method. Its path in
// path[size], "" when there is none. A file that cannot be used is -1; with "auto" it is passed
// over and the sentence is in `e`.
int outlook_calibrate(struct outlook *o, const char *word, const char *data, const char *arch,
                      const char *method, char *path, size_t size, struct error *e);

// The run goes on: a step was made (metric[METRIC_COUNT]; AUC NaN: no spectrum), an exact AUC
// before `step` was measured.
void outlook_step(struct outlook *o, int64_t step, const double *metric);
void outlook_eval(struct outlook *o, int64_t step, double auc);

// The mean loss of the OUTLOOK_STEPS steps before `step`; NaN when there is none.
double outlook_loss(const struct outlook *o, int64_t step);

// Fill the forecast fields of the record of the newest step.
void outlook_fill(const struct outlook *o, struct record_step *out, int64_t step);

// Catch up with what the log in run folder `dir` of a resumed run says of the steps before `step`.
int outlook_replay(struct outlook *o, const char *dir, int64_t step, struct error *e);

#endif
