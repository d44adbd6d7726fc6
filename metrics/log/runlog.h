// The log of a run: JSON lines in independent zstd frames with checksums, so that `zstdcat` reads
// it, a killed run loses at most what was not yet flushed, and a damaged file gives all its whole
// frames. A frame holds whole lines of one kind, so that scalars can be read without decoding
// spectra: a flush writes a mark (a skippable frame that says what follows) and a frame for each
// kind that it has. A log that was closed ends with an index and the seek table of the zstd
// seekable format; without them it is read by its marks (metrics/log/cursor.h). man/ssltop-log.5
// defines all of it.
#ifndef SSLTOP_METRICS_LOG_RUNLOG_H
#define SSLTOP_METRICS_LOG_RUNLOG_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record_head.h"

#define RUNLOG_LINE_MAX    (16 << 20) // bytes of a line, newline included
#define RUNLOG_PENDING_MAX (64 << 20) // bytes that wait for a disk with room
#define RUNLOG_CONTENT_MAX (64 << 20) // bytes of lines in a frame that the reader accepts

enum runlog_kind {
    RUNLOG_OTHER,   // unknown: may hold any lines (frames of other writers)
    RUNLOG_SCALARS, // all lines but spectra
    RUNLOG_LIVE,    // live spectra
    RUNLOG_EXACT,   // exact spectra
    RUNLOG_Z,       // spectra of projections
    RUNLOG_KINDS
};
extern const char *const runlog_kind_name[RUNLOG_KINDS];
enum runlog_kind runlog_kind_of(const struct record_head *head); // of a line; a stranger's: scalars

struct runlog_frame {
    int64_t offset;   // in the file
    uint32_t size;    // bytes in the file
    uint32_t content; // bytes of lines; of a frame that was not decoded: at most
    enum runlog_kind kind;
    int64_t first_step; // of the first line that has a step; -1: unknown, or none has
    int64_t lines;      // -1: unknown
    int64_t live;       // live spectra among them; -1: unknown
    int damaged;        // it was read, and is
};

// --- writing (one thread) ---
struct runlog_writer;

// Create a new file (fails if it exists), or open an existing one cut after its last whole frame
// for appending (a trailing index goes too); `lines` gets the number of whole lines kept (may be
// NULL). A file that is not empty and holds nothing of a log is refused and left alone.
int runlog_create(const char *path, struct runlog_writer **out, struct error *e);
// A new log in an open, empty file, which stays open; it may be read and written at any place.
int runlog_create_in(int fd, struct runlog_writer **out, struct error *e);
int runlog_append(const char *path, struct runlog_writer **out, int64_t *lines, struct error *e);

// Buffer a line (not empty, no newline in it, shorter than RUNLOG_LINE_MAX). Never touches the
// disk.
int runlog_write(struct runlog_writer *w, const char *line, size_t len, struct error *e);

// Compress what is buffered, a frame a kind (a long backlog: in parts of a megabyte), and write it;
// lines of a kind keep their order. `sync`: fdatasync too. On failure (disk full) the file is cut
// back to its last whole frame, the lines stay buffered (up to RUNLOG_PENDING_MAX, then the oldest
// quarter is dropped and counted) and a later flush tries again. 0, or -1 with the reason. Where a
// file size limit can be (RLIMIT_FSIZE), the process must ignore SIGXFSZ.
int runlog_flush(struct runlog_writer *w, int sync, struct error *e);
// Whether this path leads to the file that is written still; 1 where that can't be told.
int runlog_is_at(const struct runlog_writer *w, const char *path);
int64_t runlog_dropped(const struct runlog_writer *w); // lines given up so far

// Lines accepted: those kept by runlog_append, those in the file, buffered and dropped ones.
int64_t runlog_lines(const struct runlog_writer *w);
int64_t runlog_stored(const struct runlog_writer *w); // of these, what a reader finds now
size_t runlog_pending(const struct runlog_writer *w); // bytes not yet on disk

// Flush, write index and seek table (synced) and close; frees in any case. -1 if the last flush
// failed; a file without index and table is whole. NULL allowed.
int runlog_close(struct runlog_writer *w, struct error *e);

#endif
