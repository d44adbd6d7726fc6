// The viewer's own view of a run's schedule: which mode held and will hold at any step. The past is
// what the records say; the future is what was planned at the start with every switch since applied
// to it, by the same pure functions that the trainer draws its batches with.
#ifndef SSLTOP_TUI_MODEL_SCHEDULE_VIEW_H
#define SSLTOP_TUI_MODEL_SCHEDULE_VIEW_H

#include <stdint.h>

#include "metrics/log/record.h"
#include "train/schedule/schedule.h"
#include "tui/feed/history.h"

struct schedule_view {
    int known; // `run` is valid
    struct schedule run;
};

// Zeroed is unknown.
void schedule_view_free(struct schedule_view *c);
// Every record goes through here after history_add.
void schedule_view_add(struct schedule_view *c, const struct history *h, const struct record *r);

// Mode of step t, MODE_NONE unknown.
enum mode schedule_view_mode(const struct schedule_view *c, const struct history *h, int64_t t);
// The next planned switch after step t: 1 and its step and mode, or 0.
int schedule_view_next(const struct schedule_view *c, int64_t t, int64_t *step, enum mode *mode);
// First step of the next chunk after t (of K over T), or T.
int64_t schedule_view_border(const struct schedule_view *c, int chunks, int64_t t);

// What `mode` would do from step t on, as a phrase: "chunk 6/20, 3 000 images, 2.6 passes left in
// it".
void schedule_view_what_if(const struct schedule_view *c, enum mode mode, int64_t t, char *text,
                           size_t size);

#endif
