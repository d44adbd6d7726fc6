// Room in the address space, which `ulimit -v` and the queues of clusters limit. There are
// libraries that ask for memory for ever, and some that do not look whether they got it: so who
// calls them asks first whether it is there.
#ifndef SSLTOP_METRICS_BASE_ROOM_H
#define SSLTOP_METRICS_BASE_ROOM_H

#include <stddef.h>

#include "metrics/base/error.h"

// -1: so many bytes more can't be had just now, with a sentence that says what wants them: "the
// linear algebra library".
int room_check(size_t bytes, const char *what, struct error *e);

// Whether there is a limit that a process comes to before its memory is full: on its address space,
// or on what all may promise themselves.
int room_is_limited(void);

#endif
