// The loop: commands, batch, step, spectrum, records.
#ifndef SSLTOP_TRAIN_RUN_LOOP_H
#define SSLTOP_TRAIN_RUN_LOOP_H

#include "train/run/state.h"

// Train until the end; final evaluation, checkpoint and end record included. Returns the exit code;
// an error (1) is in `e`.
int loop_run(struct trainer *tr, struct error *e);

#endif
