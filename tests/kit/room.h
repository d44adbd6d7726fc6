// Logs that a test writes, the replay of them under a clock that it holds, and who sits before it.
#ifndef SSLTOP_TESTS_KIT_ROOM_H
#define SSLTOP_TESTS_KIT_ROOM_H

#include "tui/hands/actions.h"
#include "tui/feed/playback.h"

enum { ROOM_LOGS = 4 };

struct room {
    char dir[64], path[ROOM_LOGS][96];
    struct playback *play;
    struct view_state v;
    struct ui ui;
    double now;
    int sent; // commands to a trainer, of which there is none
};

void room_init(struct room *m);
void room_free(struct room *m);
// Log i: steps, with probes measured or not, with this added to AUC (tests/kit/scene.h).
void room_log(struct room *m, int i, int steps, int probes, double auc);
// Replay the first n logs, read to their end.
void room_open(struct room *m, int n);
void room_usual(struct room *m); // room_init, and one of 1,284 steps with probes, open
void room_tick(struct room *m, double seconds);
unsigned room_key(struct room *m, uint32_t k); // what it asks for (UI_...)
void room_type(struct room *m, const char *text);
struct scene room_scene(struct room *m);       // what is to be drawn now
char *room_text(struct room *m, int h, int w); // drawn; free() it

#endif
