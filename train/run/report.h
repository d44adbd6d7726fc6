// Records of a run, as lines for log and watchers, and the lines of one that nobody watches. What a
// trainer of ours and the recorder of somebody else's share: it knows no network and no device.
#ifndef SSLTOP_TRAIN_RUN_REPORT_H
#define SSLTOP_TRAIN_RUN_REPORT_H

#include <stdint.h>

#include "metrics/log/record.h"
#include "train/run/live_forecast.h"
#include "train/schedule/best.h"
#include "train/wire/publisher.h"

struct report {
    struct publisher *publisher;
    const char *dir; // run folder
    int log_fd;      // of trainer.log, -1: none
    int headless;    // tell it on stdout too
    int batch;       // images a step
    struct live_forecast forecast;
    double foretold;  // by the newest step, NaN: nothing that is shown
    struct best best; // evaluation so far
    int64_t begin, end,
        steps; // first step of this process, the step after its last, T (-1: unknown)

    double begun, t_offset; // clock at the start of this process, seconds of earlier lives
    double speed_clock[2];  // two marks about a second apart: images a second are counted since the
                            // older
    int64_t speed_step[2];
    double printed; // clock of the last line
};

// What a step gave.
struct step_result {
    double metric[METRIC_COUNT];
    int has_spectrum;
    double *sigma; // d of them; lent
    int d;
    double n;        // n_eff
    int said;        // of what views_step can say (metrics/science/views.h)
    const double *z; // singular values of the projections, z_d of them; lent, where it is said
    int z_d;
    double z_n;
    enum mode mode;
    int chunk; // -1: none
    double lr, lr_pred;
    double ms[PHASE_COUNT];
    int64_t dropped;              // steps before it that were not recorded; -1: does not apply
    const struct record_own *own; // NULL: none
};
// Whether it is this step that says what metric m is now.
int step_result_says(const struct step_result *r, int m);
void report_step(struct report *p, int64_t step, const struct step_result *r);
// An evaluation, whose metrics and probe are known: what follows from them is filled in. `counts`:
// it can be the best so far, else it only says which is. 1: it is.
int report_eval(struct report *p, struct record *eval, struct record *spectrum, int counts);
// The speed is counted anew from this step on: after a pause.
void report_speed(struct report *p, int64_t step, double now);
// Formats `text`. `sync`: on disk before it returns, or a warning (not an error). 0: it is on disk
// as far as asked.
int report_event(struct report *p, int64_t step, const char *what, const char *by, const char *from,
                 const char *to, int sync, const char *text, ...)
    __attribute__((format(printf, 8, 9)));
void report_warning(struct report *p, int64_t step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void report_checkpoint(struct report *p, int64_t step, const char *file);
// `why`: "" for nothing but the reason.
void report_end(struct report *p, int64_t step, const char *reason, const char *why);
// What `status` is answered from. `why` there is no way on, or "".
void report_status(struct report *p, int64_t step, int paused, enum mode mode, const char *why);

#endif
