// What is due between two steps: evaluations, checkpoints, and what a repeated run did by hand.
#ifndef SSLTOP_TRAIN_RUN_DUTIES_H
#define SSLTOP_TRAIN_RUN_DUTIES_H

#include "train/run/state.h"

// Evaluate before step t. `periodic`: because it was due, whether or not it was asked for as well;
// then it counts towards the share of the time that evaluations may have, and is broken off where a
// signal has come: -1, and the step that it is before is not to be made, for a run that goes on has
// it then.
int duties_evaluate(struct trainer *tr, int periodic);
int duties_evaluation_is_due(const struct trainer *tr);

// Write a checkpoint before step t. 0; -1 with the reason (told already), -2 not finite: then the
// run is broken.
int duties_checkpoint(struct trainer *tr, struct error *e);
int duties_checkpoint_is_due(const struct trainer *tr);
// The state that a borrowed beginning has, written before there is a log.
int duties_first_checkpoint(struct trainer *tr, struct error *e);

// What the card's sensors say, and how long each rank took, about once a second.
void duties_sense(struct trainer *tr);

// Tell of images that have turned out to be broken since the last call; the first time also what
// was passed over.
void duties_tell_broken(struct trainer *tr);

// In a repeated run: what was done by hand before step t then, and its events.
void duties_repeat(struct trainer *tr);

// Now and then: whether the run folder is where it was. One that is removed, or another trainer's,
// ends the run.
void duties_look_after_folder(struct trainer *tr);

#endif
