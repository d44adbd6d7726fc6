// What the log of a run says about how it was steered: enough to go on with it or to repeat it.
#ifndef SSLTOP_TRAIN_PAST_H
#define SSLTOP_TRAIN_PAST_H

#include <stdint.h>

#include "metrics/error.h"
#include "metrics/record.h"
#include "train/route.h"
#include "train/schedule.h"

struct past_event {
    int64_t step;
    struct record_event event;
};

struct past {
    struct record run; // its `run` line
    int has_run;
    struct past_event *event; // all events but warnings, in the order of the log
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
int past_read(const char *dir, struct past *out, struct error *e);
void past_free(struct past *p); // takes a zeroed struct too

// Apply every switch and rate change that a key, a script or a guard made and that holds from step
// `from` or later. What the plan itself did is in the plan already.
int past_apply(const struct past *p, int64_t from, struct schedule *s, struct rates *r,
               struct error *e);

// The last event of this kind at this step, or NULL. `by` NULL: by anybody.
const struct record_event *past_find(const struct past *p, int64_t step, const char *what,
                                     const char *by);
int past_evaluated(const struct past *p, int64_t step);

#endif
