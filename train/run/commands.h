// Commands of keys, scripts and signals.
#ifndef SSLTOP_TRAIN_RUN_COMMANDS_H
#define SSLTOP_TRAIN_RUN_COMMANDS_H

#include "train/run/state.h"

// Work off what was asked; while paused, wait for more.
void commands_handle(struct trainer *tr);

#endif
