// What the client says of its training at the start, and the run record that is made of it.
#ifndef SSLTOP_TRAIN_RECORDER_GREETING_H
#define SSLTOP_TRAIN_RECORDER_GREETING_H

#include "train/recorder/recording.h"

// Hear the first message of the client. -1: it is none, of another version, or it asks for what
// cannot be.
int greeting_hear(struct recorder *r, struct error *e);

// The run's record, once it is known how large features are and that `batch` images a step came (0:
// not known). Borrows from `r`.
int greeting_record(struct recorder *r, int batch, struct record *out, struct error *e);

#endif
