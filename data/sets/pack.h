// Images that were decoded and made small once, in one file: what an epoch over JPEG files costs
// most is paid before. Written by `ssltop pack`, read as a data set.
//
// The file, all numbers little-endian: struct pack_head; then for each image in order a struct
// pack_record and its pixels (height x width x 3 bytes, RGB); then struct pack_entry for every
// image that is not broken, those of the training split first; then the names of the classes, each
// with its NUL.
#ifndef SSLTOP_DATA_SETS_PACK_H
#define SSLTOP_DATA_SETS_PACK_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "data/parallel.h"
#include "metrics/base/error.h"

#define PACK_MAGIC  "SSLTOPPK"
#define PACK_RECORD 0x474d4950u // "PIMG"
enum { PACK_VERSION = 1, PACK_SIDE_MAX = 4096, PACK_THREADS_MAX = PARALLEL_MAX };

struct pack_head {
    char magic[8];
    uint32_t version;
    uint32_t size;                    // shorter side of what is larger
    uint32_t source_crc[SPLIT_COUNT]; // of what it was made from
    int64_t planned[SPLIT_COUNT];     // images of it
    int64_t n[SPLIT_COUNT];           // entries; from here on zeros until all is written
    uint64_t index_at, index_bytes;   // entries and class names
    uint32_t index_crc;
    int32_t classes;
    float mean[3], std[3]; // of the training images' middles
    uint32_t crc;          // of all above
    uint32_t zero;
};

struct pack_record {
    uint32_t magic;
    int32_t height, width; // 0: broken, no pixels follow
    int32_t label;         // -1: none
    uint32_t crc;          // of the pixels
};

struct pack_entry {
    uint64_t at; // of its pixels
    int32_t height, width, label;
    uint32_t zero;
};

// An open function of the data set table (data/sets/dataset.h). Sizes, places and names are checked
// here; pixels are not read. A file that cannot be read later on, or has become shorter, is an
// error of whoever reads it.
int pack_open(const char *path, uint64_t seed, struct dataset *out, struct error *e);

struct pack_progress {
    int64_t done, n, broken, resumed; // images; `resumed` of `done` were there already
    uint64_t bytes;                   // written
};

struct pack_options {
    const char *path; // of the result
    int size;         // shorter sides above it become it
    int threads;      // up to PACK_THREADS_MAX; 0: all cores
    // Called after every image, also those that are there already, and while one takes long ten
    // times a second; on the caller's thread. Not 0: stop; what is there stays for the next time.
    int (*tell)(void *context, const struct pack_progress *p);
    void *context;
};

// Pack an open images:DIR into PATH. Works in PATH.part (metrics/base/file.h), which a later call
// for the same images and size goes on with, and renames at the end; what is there already must be
// of such a call, what is at PATH a file or nothing. -1: an error; 1: stopped. Broken images are
// left out; more than 1 % stop with a list. Those that an earlier call left out are tried again:
// they count in this one.
int pack_write(struct dataset *d, const struct pack_options *o, struct pack_progress *out,
               struct error *e);

#endif
