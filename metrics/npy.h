// NumPy's .npy files (format versions 1.0 to 3.0), memory-mapped: an array of one or two dimensions
// of floats or integers, C or Fortran order, either byte order; and the arrays of .npz files. Read
// as a file from a stranger: the header is checked against the file's size before anything is
// touched.
#ifndef SSLTOP_METRICS_NPY_H
#define SSLTOP_METRICS_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/mapping.h"
#include "metrics/npy_type.h"

#define NPY_MAGIC "\x93NUMPY"

struct npy {
    enum npy_type type;
    int swapped;  // bytes are in the other order than this machine's
    int fortran;  // column after column
    int ndim;     // 1 or 2
    int64_t n, d; // rows and columns; d is 1 for one dimension
    const unsigned char *data;
    size_t behind;       // bytes behind the array, which are not read
    int again;           // they begin as another array
    int untyped;         // NumPy's word was "V2", which says two bytes: taken as bfloat16
    struct mapping file; // private
};

// A file, "FILE.npz:NAME" for one of several arrays, "-" for standard input. Refuses with a
// sentence: another magic or version, a header that is none, a type that is no real number (objects
// and structures by name), no or more than two dimensions, and sizes that the file does not have.
// Needs npy_close only after 0.
int npy_open(const char *path, struct npy *out, struct error *e);

// The same of numbers that lie somewhere in a file of another format: n x d of them, C order and
// this machine's bytes, from byte `offset` on.
int npy_open_at(const char *path, uint64_t offset, enum npy_type type, int64_t n, int64_t d,
                struct npy *out, struct error *e);

void npy_close(struct npy *a); // takes a zeroed struct too

// The path as a person reads it: "standard input" for "-".
const char *npy_name(const char *path);

// Rows at .. at + n - 1 as doubles, n x d row major, into out.
void npy_rows(const struct npy *a, int64_t at, int64_t n, double *out);

// Give back the memory of these rows' pages: they will not be needed again. Without effect in
// Fortran order.
void npy_forget(const struct npy *a, int64_t at, int64_t n);

// --- writing ---
struct npy_writer;

// A new file of n rows of d floats (f32), or with d 0 of n integers (i4), C order. An existing file
// is replaced only when all has been written: until npy_finish it has a temporary name beside.
int npy_create(const char *path, int64_t n, int64_t d, struct npy_writer **out, struct error *e);
int npy_write(struct npy_writer *w, const void *items, size_t count, struct error *e);
// All of it is on the disk, and has only to get its name: for who writes several that belong
// together.
int npy_sync(struct npy_writer *w, struct error *e);
// -1 when less or more was written than announced, or the disk is full: then nothing is left.
// Frees the writer in any case.
int npy_finish(struct npy_writer *w, struct error *e);
void npy_abandon(struct npy_writer *w); // remove and free; NULL allowed

#endif
