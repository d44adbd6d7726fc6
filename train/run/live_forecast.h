// What the probe of a run is expected to measure, now and at its end, step by step and without
// labels: a calibration (metrics/forecast/forecast.h), live metrics corrected by what the last
// exact ones said, the loss of the last steps, and how far the run is.
#ifndef SSLTOP_TRAIN_RUN_LIVE_FORECAST_H
#define SSLTOP_TRAIN_RUN_LIVE_FORECAST_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/forecast/forecast.h"
#include "metrics/log/record.h"

enum {
    LIVE_FORECAST_STEPS = 100, // whose losses are averaged
    // Values of few images, which vary, of a network that moves: as many as foretold best.
    LIVE_FORECAST_FEWSHOT_R2 = 2,
    LIVE_FORECAST_FEWSHOT = 4
};

struct live_forecast {
    struct forecast calibration;
    int calibrated;
    int width;             // of the network, 0: not known
    int64_t steps, images; // of the run, 0: not known
    int64_t warm;          // from this step on the live spectrum has samples enough to be compared
    struct {
        int64_t step; // -1: none
        double loss;
    } ring[LIVE_FORECAST_STEPS];
    double fewshot_r2[LIVE_FORECAST_FEWSHOT], fewshot10[LIVE_FORECAST_FEWSHOT]; // the newest first
    int metric[FORECAST_INPUTS]; // what each input is made of, -1: no metric
    // offset: exact - live at the last evaluation since `warm`.
    double live[FORECAST_INPUTS], exact[FORECAST_INPUTS], offset[FORECAST_INPUTS];
    double zstd;   // of the newest step
    int untrained; // the last evaluation was before the first step: it says nothing of a later one
};

// A spectrum is compared from this many samples per feature on: below, its AUC reads too high.
enum { LIVE_FORECAST_SAMPLES = 16 };

struct live_forecast_facts {
    int width;             // of the network, 0: not known
    int d;                 // numbers of a feature
    int64_t samples;       // a step, of both views
    int64_t steps, images; // of the run; 0 or less: not known
};
// Without a calibration until live_forecast_calibrate.
void live_forecast_init(struct live_forecast *o, const struct live_forecast_facts *facts);
void live_forecast_free(struct live_forecast *o); // takes a zeroed struct too

// Take the calibration that `word` names: a file; or "auto": the first in data/calibration beside
// the program, ../share/ssltop/calibration beside it and $PREFIX/share/ssltop/calibration (or only
// in the folder $SSLTOP_CALIBRATION) that is of this data set, network and method. Its path in
// path[size], "" when there is none. A file that cannot be used is -1; with "auto" it is passed
// over and the sentence is in `e`.
int live_forecast_calibrate(struct live_forecast *o, const char *word, const char *data,
                            const char *arch, const char *method, char *path, size_t size,
                            struct error *e);

// The run goes on: a step was made, or an evaluation before `step` (metric[METRIC_COUNT]; NaN: not
// measured).
void live_forecast_step(struct live_forecast *o, int64_t step, const double *metric);
void live_forecast_eval(struct live_forecast *o, int64_t step, const double *metric);

// What is known when so many steps are made, of metrics the last exact values.
struct forecast_input live_forecast_input(const struct live_forecast *o, int64_t made);

// The mean loss of the LIVE_FORECAST_STEPS steps before `step`; NaN when there is none.
double live_forecast_loss(const struct live_forecast *o, int64_t step);

// What it foretells of the network that an evaluation before `step` has just looked at.
struct forecast_value live_forecast_exact(const struct live_forecast *o, int64_t step);

// Fill the forecast fields of the record of the newest step.
void live_forecast_fill(const struct live_forecast *o, struct record_step *out, int64_t step);

// Catch up with what the log in run folder `dir` of a resumed run says of the steps before `step`.
int live_forecast_replay(struct live_forecast *o, const char *dir, int64_t step, struct error *e);

#endif
