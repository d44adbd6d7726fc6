// One log in a folder of its own, a test's: its bytes, and logs of numbered lines that tell what is
// missing of them. All of it fails the test when it cannot.
#ifndef SSLTOP_TESTS_KIT_LOGFILE_H
#define SSLTOP_TESTS_KIT_LOGFILE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/log/cursor.h"
#include "metrics/log/runlog.h"

extern char logfile_folder[64], logfile_path[96];
void logfile_open(void); // .init and .fini of a suite
void logfile_close(void);

uint64_t logfile_next(uint64_t *state); // random numbers, always the same
void *logfile_need(size_t n);           // zeroed

struct bytes {
    unsigned char *p;
    size_t n;
};
struct bytes logfile_slurp(void); // the whole file; free p
void logfile_spill(const void *p, size_t n);
size_t logfile_size(void);

// --- logs of numbered lines ---
const char *lines_text(int i); // good for the next three calls
struct runlog_writer *lines_create(void);
void lines_put(struct runlog_writer *w, int i);
void lines_flush(struct runlog_writer *w, int sync);
void lines_finish(struct runlog_writer *w); // index, seek table, closed
struct cursor *lines_reader(void);
// 1 and the number of the line, or 0. A line that nobody wrote fails the test.
int lines_get(struct cursor *r, int *i);
// Read on: lines from .. to - 1 and no more.
void lines_expect(struct cursor *r, int from, int to);
// The file has these lines; whole: and nothing of it is lost.
void lines_expect_file(int from, int to, int whole);

// A log of `frames` frames; frame k holds k % 4 + 1 lines and ends at end[k]. Behind the last stand
// the index, up to index_end, and the seek table.
struct lines_sample {
    int frames, lines;
    size_t end[64], index_end;
    int line_end[64];
};
struct lines_sample lines_sample(int frames);

#endif
