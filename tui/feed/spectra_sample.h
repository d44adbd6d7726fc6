// Live spectra spread over a run, for a reader that leaves them out when it reads the log: the
// first, the last, and as many between as are asked for, in the order of steps.
#ifndef SSLTOP_TUI_FEED_SPECTRA_SAMPLE_H
#define SSLTOP_TUI_FEED_SPECTRA_SAMPLE_H

#include <stddef.h>

#include "metrics/base/error.h"

struct spectra_sample;
// At most n (at least 2) of the log as it is now. Frames that runlog_skip cannot leave out (of a
// log without marks) are not looked at.
int spectra_sample_open(const char *path, int n, struct spectra_sample **out, struct error *e);
// The next line, valid until the next call: 1, 0 = no more, -1 = error. A few milliseconds at most.
int spectra_sample_next(struct spectra_sample *s, const char **line, size_t *n, struct error *e);
void spectra_sample_free(struct spectra_sample *s); // NULL allowed

#endif
