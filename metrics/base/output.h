// Lines for who may have stopped reading: a pager at its first page, a terminal that is held, a
// connection that hangs. A training neither stands still for them nor goes deaf.
#ifndef SSLTOP_METRICS_BASE_OUTPUT_H
#define SSLTOP_METRICS_BASE_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

// Write n bytes to a standard stream (1 or 2), and wait for its reader for a second at most; once
// that was in vain not at all, until it reads again. 0; -1: errno, EAGAIN where it does not read:
// then what it did not take is left out. Whole lines are not mixed with those of other threads.
int output_write(int fd, const char *text, size_t n);

// One line with the time in front to `fd` (-1: nowhere), and to stderr too when `echo`: for
// trainer.log, which a person reads when a training went wrong while nobody looked. Safe from any
// thread; a failing write is nobody's trouble.
void output_log(int fd, int echo, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// output_write from a stream: text in memory.
struct output {
    FILE *f; // NULL: no memory, and nothing is to be written
    char *text;
    size_t n;
};
FILE *output_begin(struct output *o); // o->f
int output_end(struct output *o, int fd);

// -1: something of what was written to the stream so far is not there; errno, or 0 where the reason
// is not known. stdio forgets it when it was not the last write that failed: then one more byte is
// tried, most likely in vain.
int output_flush(FILE *f);

#endif
