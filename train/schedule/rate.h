// Learning rate and moving average of a step: pure functions of options, length and step.
#ifndef SSLTOP_TRAIN_SCHEDULE_RATE_H
#define SSLTOP_TRAIN_SCHEDULE_RATE_H

#include <stdint.h>

#include "gpu/device.h"
#include "train/options/options.h"

// Steps of warm-up of a run of `steps` steps, `epoch` of them an epoch.
double rate_warmup(const struct options *o, int64_t epoch, int64_t steps);

// The update of step t, 0 <= t < steps, for resolved options (method_resolve). `factor` is what a
// person at the keyboard made of the rate. A rate rises in a line from 0 during the warm-up and
// falls along half a cosine; that of the predictor stays where fix_pred_lr says so.
void rate_update(const struct options *o, int64_t epoch, int64_t steps, int64_t t, double factor,
                 struct update *out);

// tau of the moving average that follows the update of step t; -1 when there is no target network.
double rate_tau(const struct options *o, int64_t steps, int64_t t);

#endif
