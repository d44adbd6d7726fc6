// Live spectra spread over a run, for a reader that leaves them out when it reads the log: the
// first, the last, and as many between as are asked for, in the order of steps.
#ifndef SSLTOP_TUI_SAMPLER_H
#define SSLTOP_TUI_SAMPLER_H

#include <stddef.h>

#include "metrics/error.h"

struct sampler;
// At most n (at least 2) of the log as it is now. Frames that runlog_skip cannot leave out (of a
// log without marks) are not looked at.
int sampler_open(const char *path, int n, struct sampler **out, struct error *e);
// The next line, valid until the next call: 1, 0 = no more, -1 = error. A few milliseconds at most.
int sampler_next(struct sampler *s, const char **line, size_t *n, struct error *e);
void sampler_free(struct sampler *s); // NULL allowed

#endif
