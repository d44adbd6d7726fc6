// What a run keeps of its networks: checkpoints as they fall due, and the best one so far.
#ifndef SSLTOP_TRAIN_RUN_KEEP_H
#define SSLTOP_TRAIN_RUN_KEEP_H

#include "train/run/state.h"

// The run folder, wherever it was moved to: to be asked before anything is written there. -1: it
// can't be found; RUNDIR_LOST.
int keep_find(struct trainer *tr, struct error *e);

// The state before step t as a file of this name in the run folder, NULL: as ckpt-STEP. Tells
// nobody. -1, or -2: not finite.
int keep_write(struct trainer *tr, const char *name, struct error *e);

// After an evaluation before step t that counts: best.safetensors becomes this network if it is the
// best so far.
void keep_best(struct trainer *tr, int is_best);

// What was best by the step where the run begins, and whether that is kept. For a run that is about
// to begin. -1: its checkpoint says so in words that can't be read.
int keep_resume(struct trainer *tr, struct error *e);

// Another course from `step` on: checkpoints after it go.
void keep_forget_after(struct trainer *tr, int64_t step);

#endif
