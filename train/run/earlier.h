// What the log of a run says about how it was steered: enough to go on with it or to repeat it.
#ifndef SSLTOP_TRAIN_RUN_EARLIER_H
#define SSLTOP_TRAIN_RUN_EARLIER_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "train/schedule/rates.h"
#include "train/schedule/schedule.h"

struct earlier_event {
    int64_t step;
    struct record_event event;
};

struct earlier {
    struct record run; // its `run` line
    int has_run;
    struct earlier_event *event; // all events but warnings, in the order of the log
    size_t n, cap;
    int64_t last_step; // last step recorded since the run was last resumed, -1 for none
    double last_t;     // seconds, of the last step record
    int64_t end_step;  // of the last `end`, when nothing came after it; -1
    char end_reason[16];
    int64_t *evaluated; // steps of eval records
    size_t n_evaluated, cap_evaluated;
};

// Read the log of a run folder. A damaged log gives what it has; one without a `run` line is
// refused.
int earlier_read(const char *dir, struct earlier *out, struct error *e);
void earlier_free(struct earlier *p); // takes a zeroed struct too

// Apply every switch and rate change that a key, a script or a guard made and that holds from step
// `from` or later. What was planned is in the schedule already.
int earlier_apply(const struct earlier *p, int64_t from, struct schedule *s, struct rates *r,
                  struct error *e);

// The last event of this kind at this step, or NULL. `by` NULL: by anybody.
const struct record_event *earlier_find(const struct earlier *p, int64_t step, const char *what,
                                        const char *by);
int earlier_evaluated(const struct earlier *p, int64_t step);

#endif
