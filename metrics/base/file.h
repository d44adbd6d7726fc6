// An output: a file that appears under its name when it is whole, and the one place where the
// program writes one. What is written goes into a file without a name beside it, or where the file
// system has no such into PATH.part, PATH.part1, ..., the first that is not there; until it is
// finished the old file stays as it is, and a failure leaves nothing behind.
//
//     struct file out;
//     if (file_create(&out, path, FILE_DURABLE, e) < 0)
//         return -1;
//     int rc = write_something(out.stream, e);
//     return file_finish(&out, rc, e);
//
// A link is followed and stays. A device, a pipe with a name and "-" (standard output) are written
// as they are, at once; a folder is refused, and a socket. A file that is replaced keeps its mode,
// and must be one that may be written; where nothing can take its place (it is mounted alone, or in
// a folder of others) it is written over in the end. The program has to ignore SIGXFSZ.
#ifndef SSLTOP_METRICS_BASE_FILE_H
#define SSLTOP_METRICS_BASE_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"
#include "metrics/base/path.h"

enum {
    FILE_DURABLE = 1, // on the disk when it is finished, with its name
    FILE_PRIVATE = 2, // a new one is its owner's only
    FILE_NEW = 4,     // never over what is there, whenever that came
    FILE_RESUME = 8,  // in PATH.part, with what is in there, which one process at a time works on;
                      // the caller looks whose that is; a failure leaves it; only over a file
    FILE_ANYWHERE = 16, // its descriptor is written and read at any place: for a device, a pipe or
                        // standard output it is made in a scratch file first
};

struct file {
    FILE *stream; // to be written; with FILE_RESUME its descriptor may be read and written
    // private
    struct path path, part; // where the links lead; "": without a name, or written as it is
    unsigned flags;
    int as_it_is;
    int target, made; // what a scratch file is copied to when it is made, or -1
};

int file_create(struct file *f, const char *path, unsigned flags, struct error *e);

// All that was written so far is on the disk. For who has to do something before the file has its
// name.
int file_sync(struct file *f, struct error *e);

// -1, and that it can't be written, by errno: for who writes to the stream.
int file_failed(const struct file *f, struct error *e);

// Ends it in any case. rc 0: give it its name; otherwise what was written goes. rc, or -1: what was
// written is not there (disk full, file too large, ...).
int file_finish(struct file *f, int rc, struct error *e);

// -1: `out` and `in` are one file, however they are spelled. For a command to ask before
// file_create, once for everything that it reads. "-" is standard output, or input.
int file_distinct(const char *out, const char *in, struct error *e);

// -1: these two outputs would be one file, which need not be there yet.
int file_apart(const char *a, const char *b, struct error *e);

// Whether an output of this name is a file of this name in the end: no device, pipe or descriptor.
int file_is_plain(const char *path);

// Whether what is written goes to standard output: what else is to be said belongs to standard
// error then.
int file_is_standard(const char *path);

// n bytes of an open file at offset `at`, read or written whatever signals come between. How many
// they were: all n, or fewer, and errno says why (0: the file ends there).
size_t file_read_at(int fd, void *to, size_t n, uint64_t at);
size_t file_write_at(int fd, const void *from, size_t n, uint64_t at);

// A file without a name for what is needed in the meantime only, and the folder where it lies:
// $TMPDIR, else /tmp. Its descriptor, to be written and read, or -1.
int file_scratch(void);
const char *file_scratch_folder(void);

#endif
