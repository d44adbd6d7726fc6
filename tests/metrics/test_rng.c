// Random numbers: the published vectors of Philox, streams that do not meet, and the shapes of the
// distributions.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "metrics/base/rng.h"

#define N 200000

// Known answers from the Random123 distribution (kat_vectors, philox4x32 10).
Test(rng, philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4];
        philox4x32(kat[i].counter, kat[i].key, out);
        for (int j = 0; j < 4; j++)
            cr_expect_eq(out[j], kat[i].out[j], "vector %zu word %d: %08x", i, j, out[j]);
    }
}

Test(rng, a_stream_is_its_coordinates)
{
    struct rng a, b;
    rng_init(&a, 7, RNG_TEST, 3, 4);
    uint64_t first[64];
    for (int i = 0; i < 64; i++)
        first[i] = rng_u64(&a);
    rng_init(&b, 7, RNG_TEST, 3, 4);
    for (int i = 0; i < 64; i++)
        cr_expect_eq(rng_u64(&b), first[i]);

    static const struct {
        uint64_t seed, a;
        enum rng_use use;
        uint32_t b;
    } other[] = {{8, 3, RNG_TEST, 4},
                 {7, 3, RNG_PROBE, 4},
                 {7, 2, RNG_TEST, 4},
                 {7, 3, RNG_TEST, 5},
                 {7 + (1ull << 32), 3, RNG_TEST, 4},
                 {7, 3 + (1ull << 32), RNG_TEST, 4}};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        rng_init(&b, other[k].seed, other[k].use, other[k].a, other[k].b);
        int same = 0;
        for (int i = 0; i < 64; i++)
            same += rng_u64(&b) == first[i];
        cr_expect_eq(same, 0, "coordinates %zu meet the first stream", k);
    }
}

// 32-bit numbers are words of consecutive blocks, in order; 64-bit ones are two of them.
Test(rng, numbers_follow_the_blocks)
{
    struct rng r, copy;
    rng_init(&r, 1, RNG_TEST, 2, 3);
    copy = r;
    for (uint32_t block = 0; block < 5; block++) {
        uint32_t counter[4] = {block, copy.counter[1], copy.counter[2], copy.counter[3]}, want[4];
        philox4x32(counter, copy.key, want);
        for (int j = 0; j < 4; j++)
            cr_expect_eq(rng_u32(&r), want[j]);
    }
    uint64_t hi = rng_u32(&copy), lo = rng_u32(&copy);
    rng_init(&r, 1, RNG_TEST, 2, 3);
    cr_expect_eq(rng_u64(&r), hi << 32 | lo);
}

Test(rng, uniform_moments_and_bins)
{
    struct rng r;
    rng_init(&r, 11, RNG_TEST, 0, 0);
    double sum = 0, squares = 0, chi = 0;
    int bin[100] = {0};
    for (int i = 0; i < N; i++) {
        double u = rng_uniform(&r);
        cr_assert(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        bin[(int)(u * 100)]++;
    }
    cr_expect_float_eq(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    cr_expect_float_eq(squares / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
    for (int i = 0; i < 100; i++)
        chi += (bin[i] - N / 100.0) * (bin[i] - N / 100.0) / (N / 100.0);
    cr_expect_lt(chi, 99 + 5 * sqrt(2 * 99), "chi-square %g", chi);
}

Test(rng, below_is_even_and_below)
{
    static const uint64_t bound[] = {1, 2, 3, 7, 10, 33};
    for (size_t k = 0; k < sizeof bound / sizeof *bound; k++) {
        struct rng r;
        rng_init(&r, 5, RNG_TEST, k, 0);
        int bin[33] = {0};
        double n = (double)bound[k], chi = 0;
        for (int i = 0; i < N; i++) {
            uint64_t v = rng_below(&r, bound[k]);
            cr_assert_lt(v, bound[k]);
            bin[v]++;
        }
        for (uint64_t i = 0; i < bound[k]; i++)
            chi += (bin[i] - N / n) * (bin[i] - N / n) / (N / n);
        cr_expect_leq(chi, n - 1 + 5 * sqrt(2 * (n - 1)), "bound %g: chi-square %g", n, chi);
    }
}

// With n = 3/4 of 2^64 a product without rejection gives one third of the range twice the weight.
Test(rng, below_rejects_what_would_be_uneven)
{
    struct rng r;
    rng_init(&r, 6, RNG_TEST, 0, 0);
    uint64_t n = 3ull << 62;
    int third[3] = {0}, last_bit = 0;
    for (int i = 0; i < N; i++) {
        uint64_t v = rng_below(&r, n);
        cr_assert_lt(v, n);
        third[v >> 62]++;
        last_bit += v % 3 == 0; // what the uneven map favours are remainders, not thirds
    }
    for (int i = 0; i < 3; i++)
        cr_expect_float_eq(third[i], N / 3.0, 5 * sqrt(N * 2.0 / 9));
    cr_expect_float_eq(last_bit, N / 3.0, 5 * sqrt(N * 2.0 / 9));
    cr_expect_eq(rng_below(&r, 1), 0);
}

Test(rng, normal_moments_and_tails)
{
    struct rng r;
    rng_init(&r, 12, RNG_TEST, 0, 0);
    double s1 = 0, s2 = 0, s3 = 0, s4 = 0;
    int beyond = 0;
    for (int i = 0; i < N; i++) {
        double v = rng_normal(&r);
        cr_assert(isfinite(v));
        s1 += v;
        s2 += v * v;
        s3 += v * v * v;
        s4 += v * v * v * v;
        beyond += fabs(v) > 1.959963985;
    }
    cr_expect_float_eq(s1 / N, 0, 5 * sqrt(1.0 / N));
    cr_expect_float_eq(s2 / N, 1, 5 * sqrt(2.0 / N));
    cr_expect_float_eq(s3 / N, 0, 5 * sqrt(15.0 / N));
    cr_expect_float_eq(s4 / N, 3, 5 * sqrt(96.0 / N));
    cr_expect_float_eq((double)beyond / N, 0.05, 5 * sqrt(0.05 * 0.95 / N));
}
