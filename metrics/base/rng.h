// Counter-based random numbers (Philox 4x32-10; Salmon et al., SC 2011): any number can be asked
// for by its coordinates, so that a view, a permutation or a weight needs no hidden state.
#ifndef SSLTOP_METRICS_BASE_RNG_H
#define SSLTOP_METRICS_BASE_RNG_H

#include <stdint.h>

// What the numbers are for; keeps the streams of different uses apart.
enum rng_use {
    RNG_ORDER,
    RNG_SEGMENT,
    RNG_AUGMENT,
    RNG_INIT,
    RNG_SYNTHETIC,
    RNG_PROBE,
    RNG_TEST,
    RNG_SURROGATE
};

struct rng {
    uint32_t key[2], counter[4];
    uint32_t out[4];
    int have; // numbers of `out` not yet used
};

// The stream at coordinates (seed, use, a, b). Two streams with any coordinate different are
// independent.
void rng_init(struct rng *r, uint64_t seed, enum rng_use use, uint64_t a, uint32_t b);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
double rng_uniform(struct rng *r);             // [0, 1), 53 bits
uint64_t rng_below(struct rng *r, uint64_t n); // [0, n), unbiased, n >= 1
double rng_normal(struct rng *r); // standard normal (Box-Muller, both halves used is not promised)

// The raw block function, for tests against the published vectors.
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
