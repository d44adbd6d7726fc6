// The best network so far: which evaluation was it, and how many came since that were no better. A
// measured probe counts; where none is measured, what is foretold. A pure state machine, fed by
// evaluations, which lets nothing stop by itself (train/schedule/guard.h can).
#ifndef SSLTOP_TRAIN_SCHEDULE_BEST_H
#define SSLTOP_TRAIN_SCHEDULE_BEST_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

enum best_by { BEST_BY_NONE, BEST_BY_FORECAST, BEST_BY_PROBE };
extern const char *const best_by_name[]; // "", "forecast", "probe"

struct best {
    enum best_by by;
    double value; // accuracy, 0 to 1
    int64_t step; // of the evaluation that found it; -1: none yet
    int64_t age;  // evaluations since
    int64_t last; // step of the newest evaluation, -1
};
void best_init(struct best *b);

// An evaluation before `step` measured `probe`, or foretold `forecast` (NaN: it did not). From the
// first measured one on only those count. An evaluation of the same step as the last, in a run that
// goes on, is the same one again. 1: this is the best so far, 0: it is not.
int best_add(struct best *b, int64_t step, double probe, double forecast);

// "nothing gained for 3 evaluations, since step 400": "" while the newest is the best, or there is
// none.
void best_says(const struct best *b, char *text, size_t size);

// As one short word for a checkpoint, and back; "" is none yet. -1: it is no such word.
#define BEST_STATE 128
void best_export(const struct best *b, char text[BEST_STATE]);
int best_import(struct best *b, const char *text, struct error *e);

#endif
