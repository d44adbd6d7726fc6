// Files that are nothing but records of one size, without a header: what CIFAR and STL-10 are made
// of.
#ifndef SSLTOP_DATA_SETS_FIXED_FILE_H
#define SSLTOP_DATA_SETS_FIXED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

struct fixed_file {
    int fd;
    size_t record;  // bytes
    int64_t n, at;  // records in the file; the next one to be read
    char path[256]; // for messages: its last bytes if it is longer
};

// DIR/NAME, a regular file of one record or more and nothing behind the last one, else an error.
int fixed_file_open(struct fixed_file *b, const char *dir, const char *name, size_t record,
                    struct error *e);
// The next n records into `to`.
int fixed_file_read(struct fixed_file *b, void *to, int64_t n, struct error *e);
void fixed_file_close(struct fixed_file *b);

#endif
