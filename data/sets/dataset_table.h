// Data sets as rows of one table: a name, how to open it, what it is.
#ifndef SSLTOP_DATA_SETS_DATASET_TABLE_H
#define SSLTOP_DATA_SETS_DATASET_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "data/sets/dataset.h"

struct dataset_kind {
    const char *name;     // before the colon
    const char *argument; // "DIR"; "[N]" when it may be left out; or NULL
    const char *doc;      // one line for --help and the manual
    int (*open)(const char *argument, uint64_t seed, struct dataset *out, struct error *e);
};
extern const struct dataset_kind dataset_table[]; // ends with a NULL name

// What a person types for it: "idx:DIR", "synthetic[:N[:SIDE]]".
void dataset_usage(const struct dataset_kind *k, char *text, size_t size);

// The row that `spec` (NAME or NAME:ARGUMENT) begins with, or NULL.
const struct dataset_kind *dataset_kind(const char *spec);

// `spec` is NAME or NAME:ARGUMENT. Files are checked before anything is allocated by their word: an
// error says path, byte offset where there is one, and what was expected.
int dataset_open(const char *spec, uint64_t seed, struct dataset *out, struct error *e);
// Views of side x side (0: the set's own) where images have any size, and at most so many threads
// (0: all cores) to look at them; other sets take no notice. What comes out does not depend on the
// threads.
int dataset_open_sized(const char *spec, uint64_t seed, int side, int threads, struct dataset *out,
                       struct error *e);
// The same without mean and deviation where they are not published, and these afterwards: they take
// a look at hundreds of images.
int dataset_open_unmeasured(const char *spec, uint64_t seed, int side, int threads,
                            struct dataset *out, struct error *e);

#endif
