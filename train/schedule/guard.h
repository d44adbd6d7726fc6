// Guard: rules over metrics that act while nobody watches: 'auc > 0.85 for 200 steps: continual'. A
// pure state machine: the trainer feeds it a step's values and does what the rules that fire ask
// for.
#ifndef SSLTOP_TRAIN_SCHEDULE_GUARD_H
#define SSLTOP_TRAIN_SCHEDULE_GUARD_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/metric.h"
#include "metrics/log/mode.h"

#define GUARD_MAX 16 // rules

// What a rule can look at: the metrics by their id, then these.
enum { GUARD_FORECAST = METRIC_COUNT, GUARD_BEST_AGE, GUARD_VALUES };
struct guard_value_row {
    const char *key; // "forecast"
    const char *doc;
};
extern const struct guard_value_row guard_value_table[GUARD_VALUES - METRIC_COUNT];

enum guard_op { GUARD_ABOVE, GUARD_BELOW, GUARD_AT_LEAST, GUARD_AT_MOST }; // > < >= <=
enum guard_action { GUARD_MODE, GUARD_PAUSE, GUARD_STOP, GUARD_LR, GUARD_ACTION_COUNT };

struct guard_action_row {
    const char *name; // "pause"
    const char *argument;
    const char *doc;
};
extern const struct guard_action_row guard_action_table[GUARD_ACTION_COUNT];

struct guard_rule {
    int metric; // enum metric_id, or one of the values behind them
    enum guard_op op;
    double bound;
    int64_t steps; // in a row that the condition must hold, >= 1
    enum guard_action action;
    enum mode mode; // of GUARD_MODE, else MODE_NONE
    double factor;  // of GUARD_LR
    char text[200]; // as written, for the event
    // State:
    int64_t held; // steps in a row that the condition has held so far
    int fired;    // and it has acted: not again before the condition has been false
};

struct guard {
    struct guard_rule rule[GUARD_MAX];
    int n;
};

// VALUE OP NUMBER [for N steps]: ACTION, several separated by ';'. "" is no rules. ACTION is a
// mode, pause, stop or "lr 0.5x". The sentence names the rule that can't be read, and what is
// expected there.
int guard_parse(struct guard *g, const char *text, struct error *e);

// The values of one more step (metrics of the newest spectrum, where a step has none of its own;
// NaN makes a condition false). fired[GUARD_MAX] gets the rules that fire now, in the order of the
// text. Returns how many.
int guard_step(struct guard *g, const double value[GUARD_VALUES], int *fired);

// The state of the rules as one short word for a checkpoint, and back. -1 when it is not the state
// of that many rules.
#define GUARD_STATE 512
void guard_export(const struct guard *g, char text[GUARD_STATE]);
int guard_import(struct guard *g, const char *text, struct error *e);

#endif
