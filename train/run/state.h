// The trainer between two steps: what the loop, the commands and the records share. Private to
// train/run.
#ifndef SSLTOP_TRAIN_RUN_STATE_H
#define SSLTOP_TRAIN_RUN_STATE_H

#include <stdint.h>

#include "metrics/science/alignment.h"
#include "train/ranks/team.h"
#include "train/run/evaluate.h"
#include "train/run/live_images.h"
#include "metrics/science/views.h"
#include "train/run/loader.h"
#include "train/run/start.h"
#include "train/run/report.h"
#include "train/schedule/rates.h"
#include "train/store/rundir.h"
#include "train/run/setup.h"
#include "metrics/base/signals.h"

enum { ANNOUNCED = 8 };

struct trainer {
    struct ranks *ranks; // that train together, this one is rank 0; NULL: alone
    struct team team;
    struct start start;
    struct setup setup;
    struct rundir dir;
    struct report report;
    struct loader loader;
    struct evaluation evaluation;
    char calibration[4096];         // its file, "" for none
    struct error calibration_error; // of files that were passed over
    struct rates rates;
    struct moments live;
    struct live_images live_images;
    struct memory memory; // of these arrays
    double *sigma, *raw;  // of the live spectrum; raw: not centred
    struct alignment alignment;
    float *z[2]; // projections of the two views, alignment.rows x dim
    struct views views;
    float *h[2]; // features of the two views, B x d, where no surrogate has them; NULL: it has
    struct signals *signals;

    // Where it is.
    int64_t t;                    // the next step
    int queued;                   // batches that are with the device already: of t, t+1, ...
    int64_t pause_at;             // no step from this one on is made; -1: none
    int broken;                   // something is not finite: there is no way on
    int over;                     // asked to end
    int signal;                   // by this signal
    int heard;                    // a signal that another rank has told of; 0: none
    char why[200];                // end record: what made it end, "" for its length
    int64_t announced[ANNOUNCED]; // steps of switches whose event is written already
    int n_announced;
    int64_t told_broken[SPLIT_COUNT];   // images
    int told_notice[SPLIT_COUNT];       // what was passed over
    int64_t last_eval, last_checkpoint; // steps, -1
    int64_t start_step; // its checkpoint is what a repetition starts from; -1: initial weights
    int64_t eval_every; // may grow
    double last_value[GUARD_VALUES]; // metrics of the newest spectrum and the rest, for the guard
    int64_t best_kept;               // the step that best.safetensors holds, -1: there is none

    // Time.
    double update_ms;      // of the last update
    double begun_training; // clock after the first evaluation
    double eval_seconds;   // spent in periodic evaluations so far
    double paused_seconds;
    double sensed, told_ranks; // clocks of the last record of the card's sensors, and of ranks
    double found;              // clock of the last look after the run folder
};

// No step is made until somebody asks for one.
static inline int state_is_paused(const struct trainer *tr)
{
    return tr->broken || (tr->pause_at == tr->t && tr->queued == 0);
}

#endif
