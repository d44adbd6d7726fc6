// The trainer between two steps: what the loop, the commands and the records share. Private to
// train/.
#ifndef SSLTOP_TRAIN_RUN_STATE_H
#define SSLTOP_TRAIN_RUN_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/science/alignment.h"
#include "train/run/evaluate.h"
#include "train/run/loader.h"
#include "train/run/start.h"
#include "train/run/live_forecast.h"
#include "train/wire/publisher.h"
#include "train/schedule/rates.h"
#include "train/store/rundir.h"
#include "train/run/setup.h"
#include "metrics/base/signals.h"

enum { ANNOUNCED = 8 };

struct trainer {
    struct start start;
    struct setup setup;
    struct rundir dir;
    struct publisher *publisher;
    struct loader loader;
    struct evaluation evaluation;
    struct live_forecast forecast;
    char calibration[4096];         // its file, "" for none
    struct error calibration_error; // of files that were passed over
    struct rates rates;
    struct moments live;
    double *sigma;
    struct alignment alignment;
    float *z[2]; // projections of the two views, pairs.rows x dim
    int headless;
    struct signals *signals;

    // Where it is.
    int64_t begin, t, end; // first step of this process, the next step, the step after its last
    int queued;            // batches that are with the device already: of t, t+1, ...
    int64_t pause_at;      // no step from this one on is made; -1: none
    int broken;            // something is not finite: there is no way on
    int over;              // asked to end
    int signal;            // by this signal
    char why[200];         // end record: what made it end, "" for its length
    int64_t announced[ANNOUNCED]; // steps of switches whose event is written already
    int n_announced;
    int64_t told_broken[SPLIT_COUNT];   // images
    int told_notice[SPLIT_COUNT];       // what was passed over
    int64_t last_eval, last_checkpoint; // steps, -1
    int64_t start_step; // its checkpoint is what a repetition starts from; -1: initial weights
    int64_t eval_every; // may grow
    double last_metric[METRIC_COUNT]; // of the newest spectrum, for the guard

    // Time.
    double begun, t_offset; // clock at the start of this process, seconds of earlier lives
    double begun_training;  // clock after the first evaluation
    double eval_seconds;    // spent in periodic evaluations so far
    double paused_seconds;
    double speed_clock[2]; // two marks about a second apart: images a second are counted since the
                           // older
    int64_t speed_step[2];
    double sensed;  // clock of the last record of the card's sensors
    double printed; // clock of the last line, headless
};

// --- report.c: records ---
struct step_result {
    struct plan_scores scores;
    double metric[METRIC_COUNT];
    int has_spectrum;
    double n; // n_eff
    double lr, lr_pred, spectrum_ms;
};
void report_run(struct trainer *tr, struct record *out);
void report_step(struct trainer *tr, const struct step_result *r);
// Formats `text`. `sync`: on disk before it returns, or a warning (not an error). 0: it is on disk
// as far as asked.
int report_event(struct trainer *tr, int64_t step, const char *what, const char *by,
                 const char *from, const char *to, int sync, const char *text, ...)
    __attribute__((format(printf, 8, 9)));
void report_warning(struct trainer *tr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Images that have turned out to be broken since the last call; the first time also what was
// passed over.
void report_broken(struct trainer *tr);
void report_checkpoint(struct trainer *tr, int64_t step, const char *file);
void report_end(struct trainer *tr, const char *reason);
void report_status(struct trainer *tr);

// --- commands.c ---
// Work off what was asked; while paused, wait for more.
void commands_handle(struct trainer *tr);

// --- steer.c: changes, what was planned, guard ---
int is_paused(const struct trainer *tr);
void steer_name_mode(const struct trainer *tr, int64_t step, char *text, size_t size);
// Switch the schedule; multiply the rates from this step on. With their event, on disk before it
// returns. -1: refused; 1: done, but not on disk.
int steer_switch(struct trainer *tr, const struct schedule_switch *w, const char *by,
                 const char *text, struct error *e);
int steer_rate(struct trainer *tr, int64_t step, double factor, const char *by, const char *text,
               struct error *e);
// Events of what was planned for step t, or was done there in the run that is repeated.
void steer_announce(struct trainer *tr);
// Rules over the metrics of step t, which has just been made.
void steer_guard(struct trainer *tr, const double metric[METRIC_COUNT]);
// There is no way on from step t: stop, or pause until a person says stop, as --on-nan has it.
void steer_break(struct trainer *tr, const char *why);

// --- loop.c ---
// Evaluate and write a checkpoint before step t. The checkpoint: 0, -1 with the reason (told
// already), -2 not finite: then the run is broken.
void loop_evaluate(struct trainer *tr, int periodic);
int loop_checkpoint(struct trainer *tr, struct error *e);
// The state that a borrowed beginning has, written before there is a log.
int loop_first_checkpoint(struct trainer *tr, struct error *e);
// Train until the end; final evaluation, checkpoint and end record included. Returns the exit code;
// an error (1) is in `e`.
int loop_run(struct trainer *tr, struct error *e);

#endif
