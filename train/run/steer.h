// Steering: what changes the course of a run, with its event. Every switch is on disk before the
// step from which it holds.
#ifndef SSLTOP_TRAIN_RUN_STEER_H
#define SSLTOP_TRAIN_RUN_STEER_H

#include "train/run/state.h"

void steer_name_mode(const struct trainer *tr, int64_t step, char *text, size_t size);
// Switch the schedule; multiply the rates from this step on. With their event, on disk before it
// returns. -1: refused; 1: done, but not on disk.
int steer_switch(struct trainer *tr, const struct schedule_switch *w, const char *by,
                 const char *text, struct error *e);
int steer_rate(struct trainer *tr, int64_t step, double factor, const char *by, const char *text,
               struct error *e);
// Where the run stands, for whoever asks.
void steer_status(struct trainer *tr);
// Events of what was planned for step t.
void steer_announce(struct trainer *tr);
// Rules over the metrics of step t, which has just been made.
void steer_guard(struct trainer *tr, const double value[GUARD_VALUES]);
// There is no way on from step t: stop, or pause until a person says stop, as --on-nan has it.
void steer_break(struct trainer *tr, const char *why);
// There is nothing left to train for: stop.
void steer_give_up(struct trainer *tr, const char *why);

#endif
