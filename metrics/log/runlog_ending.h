// Private to runlog*.c: the index and the seek table with which a log ends, gathered while it is
// written, and read back.
#ifndef SSLTOP_METRICS_LOG_RUNLOG_ENDING_H
#define SSLTOP_METRICS_LOG_RUNLOG_ENDING_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/runlog.h"

// The frames of lines of a log in order, `end` the offset behind the last. Zeroed is empty.
struct runlog_ending {
    struct runlog_frame *frame;
    size_t n, cap;
    int broken; // memory was short: there will be no index
};
void runlog_ending_add(struct runlog_ending *ending, const struct runlog_frame *f);
void runlog_ending_free(struct runlog_ending *ending);

// Index and seek table of a file whose last frame ends at `end`, malloc'd; NULL when there is none
// to write: no frames, too many, or no memory.
unsigned char *runlog_ending_bytes(const struct runlog_ending *ending, int64_t end, size_t *n);

// Read them from a file: 1 = `ending` holds the frames, 0 = the file has none that can be believed,
// -1 = error.
int runlog_ending_read(int fd, struct runlog_ending *ending, struct error *e);

// Lines in a text (empty ones do not count).
int64_t runlog_count(const char *text, size_t n);

#endif
