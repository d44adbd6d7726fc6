// Steps of the client on their way into the log: each one's scalars, and features as often as there
// is time to measure them, the newest first.
#ifndef SSLTOP_TRAIN_RECORDER_STEPS_H
#define SSLTOP_TRAIN_RECORDER_STEPS_H

#include "train/recorder/recording.h"

// Whatever is in the ring, and whatever was measured. A step's record waits for its measurement
// until a few newer steps are there; then it goes without. The first one begins log and folder.
int steps_take(struct recorder *r, struct error *e);

// The client's ring from now on (a memfd, the caller's), in place of the one before.
int steps_ring(struct recorder *r, int memory, struct error *e);

// Before something is written of what comes after these steps: all of them go into the log,
// measured where that takes no longer than so many milliseconds (-1: however long). STEPS_SOON is
// what a sentence waits for the step before it, STEPS_LAST what the end waits where others take the
// processors: the client waits for it, too.
enum { STEPS_SOON = 300, STEPS_LAST = 5000 };
void steps_settle(struct recorder *r, int ms);

// A warning of the client, or of what it sent: before the first step there is no log, and a few
// wait for it.
void steps_warning(struct recorder *r, const char *text);

#endif
