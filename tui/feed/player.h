// The place of a replay: where it stands, whether it plays and how fast. Pure: the clock is an
// argument, nothing is read and nothing is drawn.
#ifndef SSLTOP_TUI_FEED_PLAYER_H
#define SSLTOP_TUI_FEED_PLAYER_H

#include <stdint.h>

#include "metrics/base/error.h"

// When each step of a run was made, in seconds of play: the seconds of the run without its long
// pauses. Memory is bounded: past TIMELINE_MAX points every second one goes, and what lies between
// two is a straight line.
enum { TIMELINE_MAX = 1 << 17 };
struct timeline {
    int64_t width; // steps a point
    double *at;    // of step i * width
    int64_t n, cap;
    int64_t last;           // newest step, -1 none
    double last_t, at_last; // of that step: seconds of the run, and of play
};
void timeline_free(struct timeline *l); // zeroed is empty
// Step records in the order of the log; a repeated step takes back what came after it. No step
// takes longer than timeline_gap seconds of play, so that a night's pause is none. -1: out of
// memory.
extern const double timeline_gap;
int timeline_add(struct timeline *l, int64_t step, double t, struct error *e);
double timeline_seconds(const struct timeline *l, int64_t step); // clamped; 0 when empty
int64_t timeline_step(const struct timeline *l, double seconds); // made by then, at least 0
double timeline_length(const struct timeline *l);

struct player_speed {
    double factor;
    const char *name, *ascii;
};
extern const struct player_speed player_speed_table[]; // slow to fast
extern const int player_speed_count;

struct player {
    int64_t step; // -1: the newest, also when more come
    double at;    // seconds of play; of no meaning at the newest
    double clock; // of the last tick
    int playing, speed;
};
void player_init(struct player *p, double now);
// Let the time until now pass. Behind the last step it stands still at the newest.
void player_tick(struct player *p, const struct timeline *l, double now);
// Go to a step; -1, or one not before the last: the newest.
void player_seek(struct player *p, const struct timeline *l, int64_t step);
// Play or stand still; from the newest step it plays from the beginning.
void player_toggle(struct player *p, const struct timeline *l);
void player_change_speed(struct player *p, int by); // rows of the table, clamped

#endif
