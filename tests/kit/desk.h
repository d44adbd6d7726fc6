// Somebody at the keyboard before a scene, and a trainer that takes down what it is told.
#ifndef SSLTOP_TESTS_KIT_DESK_H
#define SSLTOP_TESTS_KIT_DESK_H

#include "tests/kit/scene.h"
#include "tui/hands/actions.h"

struct sent {
    int n, refuse;
    struct command_call last;
};

struct desk {
    struct test_scene t;
    struct sent sent;
    struct ui ui;
};

// A scene of so many steps; scene_free(&d->t) ends it.
void desk_open(struct desk *d, int steps);
// What the last of these keys asks for (UI_...).
unsigned desk_type(struct desk *d, const char *text);

#endif
