// A run as the screen would have seen it, made of numbers that are the same everywhere: what the
// screen tests draw.
#ifndef SSLTOP_TESTS_KIT_SCENE_H
#define SSLTOP_TESTS_KIT_SCENE_H

#include "metrics/log/runlog.h"
#include "tui/model/view.h"

struct test_scene {
    struct history h;
    struct schedule_view schedule;
    struct view_state v;
    struct scene s;
    int probes;                // records carry forecast and measured probe accuracy
    int projects;              // they have the spectrum of z, once in 64 steps
    double auc;                // added to the AUC of every step
    struct runlog_writer *log; // gets every record too, a frame every ten steps; NULL: none
};

// A scene without a record. Aborts the test without memory.
void scene_init(struct test_scene *t);
void scene_free(struct test_scene *t);
void scene_add(struct test_scene *t, const struct record *r);

// `steps` steps of a run of 4680, planned as hybrid, and switched by hand to multi-epoch at step
// 860 and back to continual at step 1100 (if it gets so far), with evaluations, checkpoints and
// some steps without a spectrum.
void scene_train(struct test_scene *t, int steps);
// An event.
void scene_event(struct test_scene *t, int64_t step, const char *what, const char *by,
                 const char *from, const char *to, const char *text);

// What the committed screens of every view show: 1284 steps, probes measured, a mark.
void scene_usual(struct test_scene *t);
// The sizes of these, and what their files are called: PREFIX + VIEW-WxH, "-ascii" behind it.
extern const int scene_size[3][2]; // lines, columns
const char *scene_name(const char *prefix, const struct view_state *v, const int size[2]);

// Loads and memory of a machine of four cores.
void scene_machine(struct test_scene *t);

// The screen at this size as text; free() it.
char *scene_text(struct test_scene *t, int h, int w);
char *scene_drawn(const struct scene *s, int h, int w);
// It is tests/screens/NAME.txt. SSLTOP_SCREENS=write: make it so.
void scene_expect(const struct scene *s, const char *name, int h, int w);
char *scene_committed(const char *name); // that text; free() it

#endif
