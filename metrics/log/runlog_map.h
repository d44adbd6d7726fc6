// A log as a list of its frames: which kind of lines each holds and from which step on, taken from
// the index at the end or, without one, from the marks between the frames. Nothing is decoded until
// it is asked for, so that a long log is open at once and any spectrum is a few milliseconds away.
#ifndef SSLTOP_METRICS_LOG_RUNLOG_MAP_H
#define SSLTOP_METRICS_LOG_RUNLOG_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "metrics/log/runlog.h"

struct runlog_map;
int runlog_map_open(const char *path, struct runlog_map **out, struct error *e);
void runlog_map_free(struct runlog_map *m); // NULL allowed

// Look for frames that came since: how many, or -1. Those known before stay what they were.
int64_t runlog_map_update(struct runlog_map *m, struct error *e);

size_t runlog_map_count(const struct runlog_map *m);
const struct runlog_frame *runlog_map_frame(const struct runlog_map *m, size_t i);
int runlog_map_indexed(const struct runlog_map *m); // whether the file had a good index

// The lines of frame i, each with its newline, valid until the next call with this map: 1, 0 = the
// frame is damaged (and counts as lost from now on), -1 = error.
int runlog_map_read(struct runlog_map *m, size_t i, const char **lines, size_t *n, struct error *e);

// The line of the newest spectrum of a source at or before `step`, as a run that was resumed sees
// it (the last record of a step wins). Valid until the next call; 1, 0 = there is none, -1 = error.
int runlog_map_spectrum(struct runlog_map *m, int64_t step, enum spectrum_source source,
                        const char **line, size_t *n, struct error *e);

// What is missing, as runlog_lost says it; of frames only once they were read. NULL: nothing known.
const char *runlog_map_lost(struct runlog_map *m);

#endif
