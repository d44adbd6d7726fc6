// The safetensors file format: a length, a JSON header, then the tensors' bytes end to end. Read as
// a file from a stranger: everything is checked against the file's size before it is used.
#ifndef SSLTOP_TRAIN_STORE_SAFETENSORS_H
#define SSLTOP_TRAIN_STORE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"

enum dtype { DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16, DTYPE_I64, DTYPE_OTHER };

#define SAFETENSORS_DIMS 8

struct tensor {
    char *name; // at most 256 bytes
    enum dtype dtype;
    int ndim; // 0: one number
    int64_t dim[SAFETENSORS_DIMS];
    uint64_t count;         // product of dim
    uint64_t offset, bytes; // inside the data part
};

// --- reading ---
struct safetensors;
int safetensors_open(const char *path, struct safetensors **out, struct error *e);
void safetensors_close(struct safetensors *f); // NULL allowed

size_t safetensors_count(const struct safetensors *f);
const struct tensor *safetensors_at(const struct safetensors *f,
                                    size_t i); // in the order of the data
const struct tensor *safetensors_find(const struct safetensors *f, const char *name); // or NULL
const char *safetensors_dtype(const struct safetensors *f, const struct tensor *t); // as it stands
// A value of __metadata__, or NULL; lives as long as `f`.
const char *safetensors_meta(const struct safetensors *f, const char *key);

// All numbers of a tensor, row major; `n` must be its count. F32, F64, F16, BF16 to float (F64 is
// rounded); F64 and F32 to double. Any other type is refused.
int safetensors_floats(struct safetensors *f, const struct tensor *t, float *out, size_t n,
                       struct error *e);
int safetensors_doubles(struct safetensors *f, const struct tensor *t, double *out, size_t n,
                        struct error *e);

// --- writing ---
struct tensor_source {
    char name[128];
    enum dtype dtype; // F32, F64 or I64
    int ndim;
    int64_t dim[SAFETENSORS_DIMS];
    const void *data; // its bytes, or NULL: asked for through `fetch`
    const void *tag;  // for `fetch`
};
struct metadata {
    const char *key, *value; // value UTF-8
};
// Write header and tensors to `f`, which is at its start; wide types come first so that all are
// aligned. `fetch` fills `bytes` bytes of a source without data; what it returns below 0 is
// returned. Neither flushes to disk nor closes.
int safetensors_write(FILE *f, const struct tensor_source *source, size_t n,
                      const struct metadata *meta, size_t n_meta,
                      int (*fetch)(void *context, const struct tensor_source *s, void *out,
                                   size_t bytes, struct error *e),
                      void *context, struct error *e);

#endif
