// Private to runlog*.c: the frames of a log, found one after the other whatever happened to the
// file, and the marks and the index that say what is in them.
#ifndef SSLTOP_METRICS_LOG_RUNLOG_FRAMES_H
#define SSLTOP_METRICS_LOG_RUNLOG_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <zstd.h>

#include "metrics/base/error.h"
#include "metrics/log/runlog.h"

// Skippable frames of our own. A mark stands before the frames of one flush:
//   magic (4), size of what follows (4), for each frame: what it holds (12), CRC-32 of these (4).
// The index stands at the end, before the seek table:
//   magic (4), size of what follows (4), version (4), number of frames with lines (4), for each:
//   what it holds (12), CRC-32 (4) of all from the version on and of the seek table behind it.
// What a frame holds: 7 bytes first step (all ones: none), 1 byte kind, 4 bytes number of lines.
#define RUNLOG_MARK  0x184d2a53u
#define RUNLOG_INDEX 0x184d2a54u
enum { RUNLOG_INDEX_VERSION = 1, RUNLOG_HOLDS = 12, RUNLOG_MARK_MAX = 8 };

struct runlog_holds {
    enum runlog_kind kind;
    int64_t first_step; // -1: none of the lines has a step
    int64_t lines;      // -1: unknown
};
static inline int64_t runlog_live(enum runlog_kind kind, int64_t lines) // live spectra among them
{
    return kind == RUNLOG_OTHER ? -1 : kind == RUNLOG_LIVE ? lines : 0;
}
unsigned char *runlog_put_holds(unsigned char *p, const struct runlog_holds *h);
struct runlog_holds runlog_get_holds(const unsigned char *p);

// A mark for n frames into `out` (room for RUNLOG_MARK_MAX of them: RUNLOG_MARK_BYTES); its size.
enum { RUNLOG_MARK_BYTES = 8 + RUNLOG_MARK_MAX * RUNLOG_HOLDS + 4 };
size_t runlog_put_mark(unsigned char *out, const struct runlog_holds *h, size_t n);

// A scan of a file: from `whole` on to the next frame of lines that is good.
struct runlog_scan {
    int fd;
    int plain;          // no frames at all: the lines as they are, which zstd -d made of a log
    int large;          // a frame was more than is read at once
    unsigned skip;      // kinds (bits 1 << kind) whose frames are not decoded
    int64_t limit;      // size of the file when the scan began: what ends before it was written
                        // whole, and so was all before that
    int64_t whole;      // offset behind the last good frame of lines
    int64_t size;       // of the file, and
    struct timespec at; // its time, when the last scan ended without a frame; size -1: scan anew
    unsigned char *in;  // bytes [base, base + in_n) of the file
    int64_t base;
    size_t in_n, in_cap;
    char *out; // lines of the last good frame if it was decoded: out_n bytes
    size_t out_n, out_cap;
    ZSTD_DCtx *zstd;
    int64_t effort;
    int64_t places, damaged; // gaps between good frames: how many, and their bytes
    int64_t tail;            // bytes behind `whole` that are no frame (yet)
    int given_up;
    struct runlog_holds promised[RUNLOG_MARK_MAX]; // by the mark before: the next frames, the first
    size_t n_promised, at_promised;                // of which must begin at
    int64_t promised_at;
    struct runlog_frame found; // the last good frame
    int decoded;               // its lines are in `out`
};

// Opens the file. scan_close takes a zeroed one too (and then nothing is closed).
int runlog_scan_open(struct runlog_scan *s, const char *path, struct error *e);
void runlog_scan_close(struct runlog_scan *s);
// 1 = `found` is the next frame, 0 = none now (a growing file may have more later), -1 = error.
int runlog_scan_next(struct runlog_scan *s, struct error *e);
// Decode a frame that was found before: 1 = its lines are in `out`, 0 = it is damaged (and counted
// as lost), -1 = error.
int runlog_scan_read(struct runlog_scan *s, const struct runlog_frame *f, struct error *e);
// What is missing of what was scanned, as a sentence without a full stop in `text`; NULL: nothing.
const char *runlog_scan_lost(const struct runlog_scan *s, char *text, size_t size);

#endif
