// A file in memory that others may change. Where it has become shorter, or its disk fails, touching
// a mapping raises SIGBUS; a copy from here is an error with the file's name instead.
#ifndef SSLTOP_DATA_PHOTOS_MAPPED_H
#define SSLTOP_DATA_PHOTOS_MAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

struct mapped {
    const uint8_t *at; // n bytes, read-only, shared with the page cache
    size_t n;
    int fd;
    char *path;
};

// Map the first n > 0 bytes of an open file. The descriptor stays the caller's; `path` is for
// messages. After an error, and after {.fd = -1}, mapped_close has nothing left to do wrong.
int mapped_open(struct mapped *m, int fd, size_t n, const char *path, struct error *e);
void mapped_close(struct mapped *m);

// n bytes from `at` on; they must lie within the mapping. Any number of threads may copy at once.
int mapped_copy(const struct mapped *m, uint64_t at, void *to, size_t n, struct error *e);

#endif
