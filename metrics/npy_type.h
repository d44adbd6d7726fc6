// The numbers of arrays from elsewhere: which types there are, how they are spelled, and how they
// become doubles.
#ifndef SSLTOP_METRICS_NPY_TYPE_H
#define SSLTOP_METRICS_NPY_TYPE_H

#include <stddef.h>
#include <stdint.h>

enum npy_type {
    NPY_F16,
    NPY_BF16,
    NPY_F32,
    NPY_F64,
    NPY_I8,
    NPY_U8, // and truth
    NPY_I16,
    NPY_U16,
    NPY_I32,
    NPY_U32,
    NPY_I64, // beyond 2^53 rounded
    NPY_U64,
    NPY_TYPES
};

size_t npy_type_size(enum npy_type type); // bytes

// NumPy's word for it: "<f4", "|u1", ">i8". NumPy has no bfloat16: what ml_dtypes saves, as JAX and
// PyTorch do, has the word "<V2", two bytes of nothing. 1; 0: none of ours. *swapped: its bytes are
// in the other order than this machine's.
int npy_type_find(const char *word, enum npy_type *type, int *swapped);

// n numbers at p, which need not be aligned, as doubles.
void npy_type_read(enum npy_type type, const unsigned char *p, int swapped, int64_t n, double *out);

#endif
