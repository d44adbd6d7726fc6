// Learning rate and moving average of a step: pure functions of options, length, step, and of the
// factors by which a person, a script or the guard multiplied the rates meanwhile.
#ifndef SSLTOP_TRAIN_SCHEDULE_RATES_H
#define SSLTOP_TRAIN_SCHEDULE_RATES_H

#include <stdint.h>

#include "gpu/device.h"
#include "metrics/log/record.h"
#include "train/options/options.h"

// Steps of warm-up of a run of `steps` steps, `epoch` of them an epoch.
double rates_warmup(const struct options *o, int64_t epoch, int64_t steps);

// The update of step t, 0 <= t < steps, for resolved options (method_resolve). `factor` is that of
// rates_at. A rate rises in a line from 0 during the warm-up and falls along half a cosine; that of
// the predictor stays where fix_pred_lr says so.
void rates_update(const struct options *o, int64_t epoch, int64_t steps, int64_t t, double factor,
                  struct update *out);

// tau of the moving average that follows the update of step t; -1 when there is no target network.
double rates_tau(const struct options *o, int64_t steps, int64_t t);

// --- factors ---
struct rates_entry {
    int64_t from; // first step
    double factor;
};
struct rates {
    struct rates_entry *entry; // in increasing order of `from`
    int n, cap;
};
void rates_free(struct rates *r); // takes a zeroed struct, which is also the start: factor 1
double rates_at(const struct rates *r, int64_t step);
// From this step on, until the next entry; an entry at the same step is replaced.
int rates_set(struct rates *r, int64_t from, double factor, struct error *e);
// What checkpoints keep: "120:0.5,300:0.25"; malloc'd, NULL when memory is short.
char *rates_text(const struct rates *r);
int rates_parse(struct rates *r, const char *text, struct error *e);
// What an event of this step tells of the rates, if it does.
int rates_event(struct rates *r, const struct record_event *v, int64_t step, struct error *e);

#endif
