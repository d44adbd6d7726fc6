// Knuth's linear congruence; its high bits.
#include "tests/kit/numbers.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t bytes)
{
    void *v = aligned_alloc(64, (bytes + 63) / 64 * 64);
    cr_assert(v, "out of memory");
    return v;
}

static uint64_t next(uint64_t *seed)
{
    return *seed = *seed * 6364136223846793005u + 1442695040888963407u;
}

float *numbers_f32(size_t n, uint64_t seed)
{
    float *v = room(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(int32_t)(next(&seed) >> 32) / 0x1p31f;
    return v;
}

uint16_t *numbers_bf16(size_t n, uint64_t seed)
{
    uint16_t *v = room(n * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        float f = (float)((int)(next(&seed) >> 56) - 128) / 128;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        v[i] = (uint16_t)(u >> 16);
    }
    return v;
}

float numbers_widened(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
