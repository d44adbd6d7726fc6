// A type is a row: its word behind the byte order, its size, its loop.
#include "metrics/npy_type.h"

#include <string.h>

// IEEE 754 binary16: its exponent and fraction, where a float has them, are 2^-112 times too small.
static float half(uint16_t h)
{
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13;
    float v;
    if (bits >= 0x0f800000)
        bits |= 0x7f800000; // infinity and NaN
    memcpy(&v, &bits, sizeof v);
    if (bits < 0x0f800000)
        v *= 0x1p112f;
    return h >> 15 ? -v : v;
}

static float single(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// The upper half of a float.
static float brain(uint16_t h)
{
    return single((uint32_t)h << 16);
}

static double wide(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

#define SWAP_8(v)  (v)
#define SWAP_16(v) __builtin_bswap16(v)
#define SWAP_32(v) __builtin_bswap32(v)
#define SWAP_64(v) __builtin_bswap64(v)

// Files give no alignment: memcpy.
#define READ(name, bits, value)                                                                    \
    static void read_##name(const unsigned char *p, int swapped, int64_t n, double *out)           \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++, p += (bits) / 8) {                                         \
            uint##bits##_t v;                                                                      \
            memcpy(&v, p, sizeof v);                                                               \
            if (swapped)                                                                           \
                v = SWAP_##bits(v);                                                                \
            out[i] = (double)(value);                                                              \
        }                                                                                          \
    }
READ(f16, 16, half(v))
READ(bf16, 16, brain(v))
READ(f32, 32, single(v))
READ(f64, 64, wide(v))
READ(i8, 8, (int8_t)v)
READ(u8, 8, v)
READ(i16, 16, (int16_t)v)
READ(u16, 16, v)
READ(i32, 32, (int32_t)v)
READ(u32, 32, v)
READ(i64, 64, (int64_t)v)
READ(u64, 64, v)

static const struct {
    char word[2][3];
    size_t size;
    void (*read)(const unsigned char *p, int swapped, int64_t n, double *out);
} type_table[NPY_TYPES] = {
    [NPY_F16] = {{"f2"}, 2, read_f16}, [NPY_BF16] = {{"V2"}, 2, read_bf16},
    [NPY_F32] = {{"f4"}, 4, read_f32}, [NPY_F64] = {{"f8"}, 8, read_f64},
    [NPY_I8] = {{"i1"}, 1, read_i8},   [NPY_U8] = {{"u1", "b1"}, 1, read_u8},
    [NPY_I16] = {{"i2"}, 2, read_i16}, [NPY_U16] = {{"u2"}, 2, read_u16},
    [NPY_I32] = {{"i4"}, 4, read_i32}, [NPY_U32] = {{"u4"}, 4, read_u32},
    [NPY_I64] = {{"i8"}, 8, read_i64}, [NPY_U64] = {{"u8"}, 8, read_u64},
};

size_t npy_type_size(enum npy_type type)
{
    return type_table[type].size;
}

int npy_type_find(const char *word, enum npy_type *type, int *swapped)
{
    if (!*word || !strchr("<>=|", *word))
        return 0;
    for (int i = 0; i < NPY_TYPES; i++)
        for (int k = 0; k < 2; k++)
            if (*type_table[i].word[k] && strcmp(word + 1, type_table[i].word[k]) == 0) {
                *type = (enum npy_type)i;
                *swapped = *word == '>';
                return 1;
            }
    return 0;
}

void npy_type_read(enum npy_type type, const unsigned char *p, int swapped, int64_t n, double *out)
{
    type_table[type].read(p, swapped, n, out);
}
