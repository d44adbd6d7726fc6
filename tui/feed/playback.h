// A replay as a whole: the logs of one or several runs, the clock, and what the screen shows of
// them at its place. The place is the cursor of the view state: whoever moves the cursor moves the
// replay, and the replay moves the cursor.
#ifndef SSLTOP_TUI_FEED_PLAYBACK_H
#define SSLTOP_TUI_FEED_PLAYBACK_H

#include "metrics/base/error.h"
#include "tui/feed/player.h"
#include "tui/model/view.h"

struct playback;

// `name`: what the runs are called on the screen. `n` 1 .. PLAYBACK_RUNS. Seconds of `now` are
// those of playback_tick. -1: a log cannot be read, or nothing of it.
int playback_open(const char *const *log_path, const char *const *name, int n, double now,
                  struct playback **out, struct error *e);
void playback_free(struct playback *p); // NULL allowed

// Lower *timeout_ms to when pump must run again.
void playback_poll(struct playback *p, int *timeout_ms);
// Read on in the logs, for some milliseconds: 1 = something came, 0, or -1 = error.
int playback_pump(struct playback *p, double now, struct error *e);
// Let the time pass, and tell the view state the place and how it plays.
void playback_tick(struct playback *p, struct view_state *v, double now);
// What is to be drawn now; valid until the next call.
void playback_scene(struct playback *p, struct view_state *v, struct scene *out);

// The run that one-run views show, and its whole history.
const struct history *playback_history(const struct playback *p);
const char *playback_lost(struct playback *p); // of all logs, NULL: nothing

// Keys.
void playback_toggle(struct playback *p);
void playback_speed(struct playback *p, int by);
void playback_choose(struct playback *p, int by);

#endif
