// A file as memory, whatever it comes through: a regular file is mapped as it lies; a pipe, or
// standard input, is copied into a file without a name first ($TMPDIR, else /tmp), for what is read
// twice must be there twice. Whoever shortens the file meanwhile kills the reader (SIGBUS), as with
// every mapping.
#ifndef SSLTOP_METRICS_MAPPING_H
#define SSLTOP_METRICS_MAPPING_H

#include <stddef.h>

#include "metrics/base/error.h"

struct mapping {
    unsigned char *data; // NULL: none
    size_t size;
};

// "-": standard input. Devices, folders and empty files are refused; the sentence goes on behind
// the name of the file: "is empty". Needs mapping_close only after 0.
int mapping_open(struct mapping *m, const char *path, struct error *e);

// What `fill` writes to the descriptor of a file without a name.
int mapping_make(struct mapping *m, int (*fill)(void *context, int fd, struct error *e),
                 void *context, struct error *e);

// All n bytes, for a `fill`. -1: the disk is full, or worse.
int mapping_put(int fd, const void *bytes, size_t n, struct error *e);

void mapping_close(struct mapping *m); // takes a zeroed struct too

#endif
