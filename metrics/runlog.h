// The log of a run: JSON lines in independent zstd frames with checksums, so that `zstdcat` reads it, a killed
// run loses at most what was not yet flushed, and a damaged file gives all its whole frames.
#ifndef SSLTOP_METRICS_RUNLOG_H
#define SSLTOP_METRICS_RUNLOG_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/error.h"

// --- writing (one thread) ---
struct runlog_writer;

// Create a new file (fails if it exists), or open an existing one cut after its last whole frame for
// appending; `lines` gets the number of whole lines kept (may be NULL).
int runlog_create(const char *path, struct runlog_writer **out, struct error *e);
int runlog_append(const char *path, struct runlog_writer **out, int64_t *lines, struct error *e);

// Buffer a line (no newline in it). Never touches the disk.
int runlog_write(struct runlog_writer *w, const char *line, size_t len, struct error *e);

// Compress what is buffered into one frame and write it; `sync`: fdatasync too. On failure (disk full) the
// file is cut back to its last whole frame, the lines stay buffered (up to 64 MB, then the oldest whole
// batch is dropped and counted) and a later flush tries again. 0, or -1 with the reason.
int runlog_flush(struct runlog_writer *w, int sync, struct error *e);
int64_t runlog_dropped(const struct runlog_writer *w); // lines given up so far
int64_t runlog_lines(const struct runlog_writer *w);   // lines accepted (kept ones included), buffered ones too
size_t runlog_pending(const struct runlog_writer *w);  // bytes not yet on disk

// Flush and close; frees in any case. -1 if the last flush failed.
int runlog_close(struct runlog_writer *w, struct error *e);

// --- reading ---
struct runlog_reader;
int runlog_open(const char *path, struct runlog_reader **out, struct error *e);

// The next line, valid until the next call: 1 = a line, 0 = no more now (a file still growing may have more
// on a later call), -1 = a read error. A frame that fails its checksum is skipped; see runlog_lost.
int runlog_next(struct runlog_reader *r, const char **line, size_t *len, struct error *e);

// What is missing, as a sentence ("the last 3 210 bytes are not a whole frame"), or NULL when nothing is.
const char *runlog_lost(const struct runlog_reader *r);
void runlog_reader_free(struct runlog_reader *r);

#endif
