// The course of a run: which mode held and will hold at any step. The past is what the records say;
// the future is the recorded plan with every switch since applied to it, by the same pure functions
// that the trainer draws its batches with.
#ifndef SSLTOP_TUI_MODEL_COURSE_H
#define SSLTOP_TUI_MODEL_COURSE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "train/schedule/schedule.h"
#include "tui/feed/history.h"

struct course {
    int known; // facts and plan are valid
    struct schedule plan;
};

// Zeroed is unknown.
void course_free(struct course *c);
// Every record goes through here after history_add.
void course_add(struct course *c, const struct history *h, const struct record *r);

// Mode of step t (enum mode), -1 unknown.
int course_mode(const struct course *c, const struct history *h, int64_t t);
// The next planned switch after step t: 1 and its step and mode, or 0.
int course_next(const struct course *c, int64_t t, int64_t *step, int *mode);
// First step of the next chunk after t (of K over T), or T.
int64_t course_border(const struct course *c, int chunks, int64_t t);

// What `mode` would do from step t on, as a phrase: "chunk 6/20, 3 000 images, 2.6 passes left in
// it".
void course_what_if(const struct course *c, int mode, int64_t t, char *text, size_t size);

#endif
