// Records of the trainer, as lines for log and watchers, and the lines of a headless run.
#ifndef SSLTOP_TRAIN_RUN_REPORT_H
#define SSLTOP_TRAIN_RUN_REPORT_H

#include "train/run/state.h"

// What a step gave.
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

#endif
