// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): a keyed mixing of a counter. The key of a stream is mixed from (seed, use), the counter
// holds (block, a, b), so a stream is 2^34 numbers.
#include "metrics/base/rng.h"

#include <math.h>

#define MUL0  0xD2511F53u
#define MUL1  0xCD9E8D57u
#define WEYL0 0x9E3779B9u // golden ratio
#define WEYL1 0xBB67AE85u // sqrt(3) - 1

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)MUL0 * x0, p1 = (uint64_t)MUL1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += WEYL0;
        k1 += WEYL1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

void rng_init(struct rng *r, uint64_t seed, enum rng_use use, uint64_t a, uint32_t b)
{
    uint32_t k[4];
    const uint32_t s[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t c[4] = {(uint32_t)use, 0, 0, 0};
    philox4x32(c, s, k);
    r->key[0] = k[0];
    r->key[1] = k[1];
    r->counter[0] = 0;
    r->counter[1] = (uint32_t)a;
    r->counter[2] = (uint32_t)(a >> 32);
    r->counter[3] = b;
    r->have = 0;
}

uint32_t rng_u32(struct rng *r)
{
    if (r->have == 0) {
        philox4x32(r->counter, r->key, r->out);
        r->counter[0]++;
        r->have = 4;
    }
    return r->out[4 - r->have--];
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t hi = rng_u32(r);
    return hi << 32 | rng_u32(r);
}

double rng_uniform(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

// The high half of a 128-bit product falls evenly on [0, n) once the first (2^64 mod n) low halves
// are thrown back (Lemire, "Fast random integer generation in an interval", 2019).
uint64_t rng_below(struct rng *r, uint64_t n)
{
    if (n <= 1)
        return 0;
    uint64_t threshold = (0 - n) % n;
    for (;;) {
        unsigned __int128 m = (unsigned __int128)rng_u64(r) * n;
        if ((uint64_t)m >= threshold)
            return (uint64_t)(m >> 64);
    }
}

double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_uniform(r); // (0, 1]: the logarithm is finite
    double v = rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}
