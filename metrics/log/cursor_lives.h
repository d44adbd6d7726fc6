// Private to cursor.c: a run that was resumed did some steps twice, and the last record of a step
// wins. In a first reading of a log it is noted where the run went back; in a second one it is then
// known of every line whether it counts.
#ifndef SSLTOP_METRICS_LOG_CURSOR_LIVES_H
#define SSLTOP_METRICS_LOG_CURSOR_LIVES_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record_head.h"
#include "metrics/log/runlog.h"

// The log keeps the order of lines of a kind only, so each kind has its own; so have evaluations,
// which another's training may have worked out some steps after those that they are of.
enum { CURSOR_EVALS = RUNLOG_KINDS, CURSOR_TRACKS };
struct cursor_lives {
    int known; // the first reading is over
    struct cursor_turns {
        struct cursor_turn *turn; // in the order of lines
        size_t n, cap, at;
        int64_t line, last; // lines read so far, and the place in the run of the last
    } of[CURSOR_TRACKS];
};

void cursor_lives_free(struct cursor_lives *l); // zeroed is empty
// First reading, line after line; -1 without memory. Then close it.
int cursor_lives_note(struct cursor_lives *l, const struct record_head *head, const char *line,
                      size_t n, struct error *e);
void cursor_lives_close(struct cursor_lives *l);
// Second reading, the same lines: does this one count?
int cursor_lives_count(struct cursor_lives *l, const struct record_head *head);

#endif
