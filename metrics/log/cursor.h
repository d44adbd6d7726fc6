// The one way to read a log: a place among its lines that moves over those that are wanted. Frames
// that hold nothing of that are not decoded; with the index at the end of a log, or the marks
// between its frames, that is most of a long one. A log that grows is followed.
#ifndef SSLTOP_METRICS_LOG_CURSOR_H
#define SSLTOP_METRICS_LOG_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "metrics/log/record_head.h"
#include "metrics/log/runlog.h"

struct cursor;
int cursor_open(const char *path, struct cursor **out, struct error *e);
void cursor_free(struct cursor *c); // NULL allowed

#define CURSOR_CURVES (1u << RUNLOG_SCALARS | 1u << RUNLOG_EXACT | 1u << RUNLOG_Z) // all but live
struct cursor_range {
    int64_t from, to; // steps, both included
};
// What is wanted of a log. Zeroed: every line as it stands.
struct cursor_wanted {
    unsigned kinds;                   // bits 1 << enum runlog_kind; 0: all
    enum record_type type;            // RECORD_UNKNOWN: any
    const struct cursor_range *range; // NULL: all; a `run` record is in any
    // Of steps, spectra and evaluations only what the newest life of the run says: not those that
    // it went back before. The log is read twice, up to where it ends the first time.
    int newest;
    // First all but the live spectra that are there, then at most so many of these, evenly over
    // the run, and the last, then every line that comes. 0: no such order.
    int spectra;
};
// Begin anew with this.
void cursor_want(struct cursor *c, const struct cursor_wanted *wanted);

// The next line without its newline (never empty), valid until the next call with this cursor: 1,
// 0 = no more now, -1 = error: it can't be read, or is of a version that this program doesn't know.
int cursor_next(struct cursor *c, const char **line, size_t *n, struct error *e);
// The same as a record, to be freed in any case; what is no record is counted and passed over.
int cursor_record(struct cursor *c, struct record *r, struct error *e);
// The line of the last of these calls, and its head.
const char *cursor_line(const struct cursor *c, size_t *n);
const struct record_head *cursor_head(const struct cursor *c);

// The newest record of this kind (RUNLOG_SCALARS: a step) at or before `step`, as the newest life
// of the run has it, wherever the cursor stands: 1 and it is to be freed, 0 = there is none, -1.
int cursor_find(struct cursor *c, enum runlog_kind kind, int64_t step, struct record *r,
                struct error *e);

// Lines that were given or left out so far: place in the count of runlog_lines.
int64_t cursor_passed(const struct cursor *c);
int64_t cursor_strangers(const struct cursor *c); // of these, lines that are no records
int cursor_has_curves(const struct cursor *c);    // with `spectra`: it is at those, or behind

// The frames that were found so far, and whether the log has a good index. cursor_look finds those
// that came since, without decoding: how many, or -1.
const struct runlog_frame *cursor_frames(const struct cursor *c, size_t *n);
int cursor_indexed(const struct cursor *c);
int64_t cursor_look(struct cursor *c, struct error *e);

// What is missing of what was read so far, as a sentence without a full stop ("the last 3210 bytes
// are not a whole frame"), valid until the next call; NULL: nothing.
const char *cursor_lost(struct cursor *c);

#endif
