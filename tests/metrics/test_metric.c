// Metrics against closed forms: isotropic, rank one, k equal of d, geometric and power-law spectra.
#include "metrics/science/metric.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/spectrum.h"

#define NEAR(a, b, tol)                                                                            \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        cr_assert(fabs(a_ - b_) <= (tol), "%s = %.17g, expected %.17g", #a, a_, b_);               \
    } while (0)

#define D_MAX 2048

static double value(enum metric_id id, const double *sigma, int d)
{
    struct metric_input in = {
        .sigma = sigma, .d = d, .n = 100, .mean_norm = 2, .zstd = 0.5, .loss = -0.25};
    if (id == METRIC_PR) // of so many rows that it needs no correction
        in.n = NAN;
    return metric_table[id].fn(&in);
}

static void equal(double *sigma, int d, int k, double s)
{
    for (int i = 0; i < d; i++)
        sigma[i] = i < k ? s : 0;
}

// Uniform in (0, 1), the same everywhere.
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return ((double)(z >> 11) + 0.5) / 9007199254740992.0;
}

Test(metric, isotropic)
{
    static const int dims[] = {1, 2, 3, 64, 128, 512, 2048};
    static double s[D_MAX];
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        int d = dims[i];
        equal(s, d, d, 3.7);
        NEAR(value(METRIC_AUC, s, d), (d + 1) / (2.0 * d), 1e-12);
        cr_assert(value(METRIC_AUC, s, d) >= (d + 1) / (2.0 * d));
        NEAR(value(METRIC_RANKME, s, d) / d, 1, 2e-3);
        NEAR(value(METRIC_PR, s, d), d, 1e-9);
        NEAR(value(METRIC_STABLE_RANK, s, d), d, 1e-9);
        cr_assert_eq((int)value(METRIC_NUM_RANK, s, d), d);
        NEAR(value(METRIC_COND, s, d), 1, 0);
        NEAR(value(METRIC_SPREAD, s, d), 3.7 * sqrt(d / 100.0) / 2, 1e-12);
    }
}

Test(metric, rank_one)
{
    static const int dims[] = {2, 3, 64, 512};
    static double s[D_MAX];
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        int d = dims[i];
        equal(s, d, 1, 5);
        NEAR(value(METRIC_AUC, s, d), 1, 0);
        NEAR(value(METRIC_RANKME, s, d), 1, 1e-3);
        NEAR(value(METRIC_PR, s, d), 1, 0);
        NEAR(value(METRIC_STABLE_RANK, s, d), 1, 0);
        cr_assert_eq((int)value(METRIC_NUM_RANK, s, d), 1);
        NEAR(value(METRIC_COND, s, d), METRIC_COND_MAX, 0);
        cr_assert(isnan(value(METRIC_ALPHA, s, d)));
    }
}

// k equal values of d: the area is (sum_{j <= k} j/k + d - k) / d.
Test(metric, k_equal_of_d)
{
    static double s[D_MAX];
    for (int d = 16; d <= 512; d *= 2)
        for (int k = 1; k < d; k = k * 3 / 2 + 1) {
            equal(s, d, k, 0.01);
            NEAR(value(METRIC_AUC, s, d), ((k + 1) / 2.0 + d - k) / d, 1e-12);
            NEAR(value(METRIC_RANKME, s, d) / k, 1, 1e-3);
            NEAR(value(METRIC_PR, s, d), k, 1e-9);
            NEAR(value(METRIC_STABLE_RANK, s, d), k, 1e-9);
            cr_assert_eq((int)value(METRIC_NUM_RANK, s, d), k);
        }
}

// sigma_i = q^(i-1): sum_{i <= j} = (1 - q^j) / (1 - q), so AUC = (d - q (1 - q^d) / (1 - q)) / (d
// (1 - q^d)).
Test(metric, geometric)
{
    static const double ratios[] = {0.5, 0.9, 0.97, 0.999};
    static double s[D_MAX];
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++)
        for (int d = 2; d <= D_MAX; d *= 4) {
            double q = ratios[r], qd = pow(q, d), q2 = q * q;
            for (int i = 0; i < d; i++)
                s[i] = pow(q, i);
            NEAR(value(METRIC_AUC, s, d), (d - q * (1 - qd) / (1 - q)) / (d * (1 - qd)), 1e-10);
            double energy = (1 - pow(q2, d)) / (1 - q2),
                   fourth = (1 - pow(q2, 2 * d)) / (1 - q2 * q2);
            NEAR(value(METRIC_STABLE_RANK, s, d) / energy, 1, 1e-10);
            NEAR(value(METRIC_PR, s, d) / (energy * energy / fourth), 1, 1e-10);
            double cond = pow(q, 1 - d);
            NEAR(value(METRIC_COND, s, d) / fmin(cond, METRIC_COND_MAX), 1, 1e-9);
            int rank = 0;
            while (rank < d && pow(q, rank) > 1e-4)
                rank++;
            cr_assert_eq((int)value(METRIC_NUM_RANK, s, d), rank);
        }
}

// RankMe as its paper writes it, in another order of operations.
Test(metric, rankme_formula)
{
    static double s[300];
    uint64_t state = 5;
    for (int seed = 0; seed < 50; seed++) {
        int d = 2 + seed * 5;
        double sum = 0, entropy = 0;
        for (int i = 0; i < d; i++)
            sum += s[i] = exp(8 * uniform(&state) * (d - i) / d);
        for (int i = 0; i < d; i++)
            entropy += -(s[i] / sum + 1e-7) * log(s[i] / sum + 1e-7);
        NEAR(value(METRIC_RANKME, s, d) / exp(entropy), 1, 1e-12);
    }
}

Test(metric, power_law_gives_its_exponent)
{
    static double s[D_MAX];
    for (double a = -0.5; a <= 3; a += 0.25)
        for (int d = 3; d <= D_MAX; d = d * 2 + 1) {
            for (int i = 0; i < d; i++)
                s[i] = 17 * pow(i + 1, -a / 2); // lambda = i^-a
            NEAR(value(METRIC_ALPHA, s, d), a, 1e-9);
        }
    // What lies outside the range of i has no say.
    for (int i = 0; i < 512; i++)
        s[i] = i < 9 ? 1000 : i < 128 ? pow(i + 1, -0.5) : 1e-9;
    NEAR(value(METRIC_ALPHA, s, 512), 1, 1e-9);
    s[0] = s[1] = 1;
    cr_assert(isnan(value(METRIC_ALPHA, s, 2)));
}

Test(metric, zeros_are_collapse)
{
    static double s[64];
    NEAR(value(METRIC_AUC, s, 64), 1, 0);
    NEAR(value(METRIC_RANKME, s, 64), 1, 1e-3);
    NEAR(value(METRIC_PR, s, 64), 1, 0);
    NEAR(value(METRIC_STABLE_RANK, s, 64), 1, 0);
    NEAR(value(METRIC_NUM_RANK, s, 64), 0, 0);
    NEAR(value(METRIC_COND, s, 64), METRIC_COND_MAX, 0);
    NEAR(value(METRIC_SPREAD, s, 64), 0, 0);
    cr_assert(isnan(value(METRIC_ALPHA, s, 64)));
}

Test(metric, missing_input_is_nan)
{
    double bad[3][3] = {{3, NAN, 1}, {INFINITY, 2, 1}, {3, 2, -1}}, good[3] = {3, 2, 1};
    for (int id = 0; id <= METRIC_SPREAD; id++) {
        cr_assert(isnan(value((enum metric_id)id, NULL, 3)), "%s", metric_table[id].key);
        cr_assert(isnan(value((enum metric_id)id, good, 0)), "%s", metric_table[id].key);
        for (int i = 0; i < 3; i++)
            cr_assert(isnan(value((enum metric_id)id, bad[i], 3)), "%s", metric_table[id].key);
        cr_assert(isfinite(value((enum metric_id)id, good, 3)), "%s", metric_table[id].key);
    }
    struct metric_input in = {
        .sigma = good, .d = 3, .n = NAN, .mean_norm = 1, .zstd = NAN, .loss = NAN};
    double all[METRIC_COUNT];
    metric_all(&in, all);
    cr_assert(isnan(all[METRIC_SPREAD]) && isnan(all[METRIC_ZSTD]) && isnan(all[METRIC_LOSS]));
    cr_assert(isfinite(all[METRIC_AUC]));
    in = (struct metric_input){
        .sigma = good, .d = 3, .n = 9, .mean_norm = NAN, .zstd = 0.5, .loss = -1};
    metric_all(&in, all);
    cr_assert(isnan(all[METRIC_SPREAD]));
    NEAR(all[METRIC_ZSTD], 0.5, 0);
    NEAR(all[METRIC_LOSS], -1, 0);
}

// What a row says it needs is what its function looks at: with no more it has a value, without any
// one of them it has none.
Test(metric, needs)
{
    double good[3] = {3, 2, 1};
    for (int m = 0; m < METRIC_COUNT; m++)
        for (unsigned have = 0; have < 1u << METRIC_NEEDS_COUNT; have++) {
            int features = have & METRIC_NEEDS_FEATURES, pairs = have & METRIC_NEEDS_PAIRS,
                scores = have & METRIC_NEEDS_SCORES, images = have & METRIC_NEEDS_IMAGES,
                asked = images && have & METRIC_NEEDS_EVALUATION;
            struct metric_input in = metric_unknown();
            in.sigma = have & METRIC_NEEDS_SPECTRUM ? good : NULL;
            in.d = 3;
            in.n = features ? 9 : NAN;
            in.mean_norm = features ? 1 : NAN;
            in.zstd = scores ? 0.5 : NAN;
            in.alignment = pairs ? 1 : NAN;
            in.uniformity = pairs ? -1 : NAN;
            in.loss = scores ? -0.5 : NAN;
            in.raw = have & METRIC_NEEDS_RAW ? good : NULL;
            in.twonn = have & METRIC_NEEDS_ROWS ? 5 : NAN;
            in.self_cluster = in.self_cluster_c = have & METRIC_NEEDS_ROWS ? 0.1 : NAN;
            in.pixel_r2 = images ? 0.5 : NAN;
            in.z = have & METRIC_NEEDS_Z ? good : NULL;
            in.z_d = 3;
            in.lidar = have & METRIC_NEEDS_VIEWS ? 2 : NAN;
            in.fewshot_r2 = in.fewshot10 = have & METRIC_NEEDS_BATCH ? 0.5 : NAN;
            for (int k = 0; k < SURROGATE_KINDS; k++)
                in.pseudo[k] = asked ? 0.5 : NAN;
            cr_expect(isfinite(metric_table[m].fn(&in)) == metric_is_given(m, have), "%s of %u",
                      metric_table[m].key, have);
        }
    char text[100], small[4];
    cr_expect_str_eq(metric_needs(METRIC_SPREAD, text, sizeof text),
                     "a spectrum and the mean of the features");
    cr_expect_str_eq(metric_needs(METRIC_SPREAD, small, sizeof small), "a s");
}

// Any spectrum: inside its range, blind to scale (spread apart), AUC higher when the head grows.
Test(metric, ranges_and_scale)
{
    static double s[256], t[256];
    uint64_t state = 11;
    for (int seed = 0; seed < 300; seed++) {
        int d = 1 + (int)(uniform(&state) * 255);
        double steep = 20 * uniform(&state);
        for (int i = 0; i < d; i++)
            s[i] = exp(-steep * i / d) * (1 - 1e-9 * i);
        // Powers of two scale without rounding; their squares would leave the range of doubles.
        static const double scales[] = {0x1p-700, 0x1p-30, 0x1p40, 0x1p700};
        for (int k = 0; k < 4; k++) {
            for (int i = 0; i < d; i++)
                t[i] = s[i] * scales[k];
            for (int id = 0; id < METRIC_SPREAD; id++) {
                const struct metric *m = &metric_table[id];
                double v = value((enum metric_id)id, s, d), hi = isnan(m->hi) ? d * 1.002 : m->hi;
                if (id == METRIC_ALPHA && isnan(v))
                    continue;
                cr_assert(v >= m->lo - 1e-6 && v <= hi, "%s = %g of d = %d", m->key, v, d);
                double w = value((enum metric_id)id, t, d);
                NEAR(w / v, 1, 1e-12);
            }
        }
        double before = value(METRIC_AUC, s, d);
        s[0] *= 2;
        cr_assert(value(METRIC_AUC, s, d) >= before);
    }
}

// The same formulas as the features'.
Test(metric, of_projections)
{
    static double s[64];
    for (int i = 0; i < 64; i++)
        s[i] = exp(-0.1 * i);
    struct metric_input in = metric_unknown();
    double out[METRIC_COUNT];
    in.z = s;
    in.z_d = 64;
    metric_all(&in, out);
    cr_assert(isnan(out[METRIC_AUC]) && isnan(out[METRIC_RANKME]));
    cr_assert_eq(out[METRIC_Z_AUC], value(METRIC_AUC, s, 64));
    cr_assert_eq(out[METRIC_Z_RANKME], value(METRIC_RANKME, s, 64));
}

// Normal rows with eigenvalues that are known: half of the directions have the share `low` of the
// others' variance. On average over draws no bias is left, however few rows.
Test(metric, participation_of_few_rows)
{
    enum { D = 64, DRAWS = 60 };
    static const double lows[] = {1, 0.2, 0};
    static float x[4 * D * D];
    static double sigma[D];
    struct moments m;
    struct spectrum_solver *s;
    struct error e;
    cr_assert(moments_init(&m, D, &e) == 0 && spectrum_solver_new(D, &s, &e) == 0);
    for (size_t k = 0; k < sizeof lows / sizeof *lows; k++)
        for (int n = D / 2; n <= 4 * D; n *= 2) {
            double low = lows[k], sum = 0, plain = 0;
            double want = D * (1 + low) * (1 + low) / (2 * (1 + low * low));
            for (int draw = 0; draw < DRAWS; draw++) {
                struct rng r;
                rng_init(&r, 21, RNG_TEST, (uint64_t)draw, (uint32_t)n);
                for (int i = 0; i < n * D; i++)
                    x[i] = (float)(rng_normal(&r) * (i % 2 ? sqrt(low) : 1));
                moments_reset(&m);
                struct metric_input in = metric_unknown();
                cr_assert(moments_add(&m, x, n, D, &e) == 0);
                cr_assert(spectrum_from_moments(s, &m, sigma, &in.n, &e) == 0, "%s", e.text);
                in.sigma = sigma;
                in.d = D;
                sum += metric_table[METRIC_PR].fn(&in) / DRAWS;
                in.n = NAN;
                plain += metric_table[METRIC_PR].fn(&in) / DRAWS;
            }
            cr_expect(fabs(sum / want - 1) < 0.05, "%d rows, low %g: %g, not %g", n, low, sum,
                      want);
            cr_expect(plain < 0.95 * want, "without the correction: %g of %g", plain, want);
        }
    moments_free(&m);
    spectrum_solver_free(s);
}

Test(metric, bias)
{
    cr_expect(metric_is_biased(METRIC_AUC, 99, 10) && !metric_is_biased(METRIC_AUC, 100, 10));
    cr_expect(metric_is_biased(METRIC_RANKME_RAW, 1, 10) && metric_is_biased(METRIC_Z_AUC, 9, 1));
    cr_expect(!metric_is_biased(METRIC_PR, 1, 10) && !metric_is_biased(METRIC_LOSS, 1, 10));
    cr_expect(!metric_is_biased(METRIC_AUC, NAN, 10), "of which nobody knows");
}

Test(metric, table)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric *m = &metric_table[i];
        cr_assert(m->key && m->title && m->unit && m->source && m->doc && m->fn);
        cr_assert(strlen(m->key) > 0 && strlen(m->doc) > 0 && strlen(m->source) > 0);
        cr_assert(m->needs > 0 && m->needs < 1u << METRIC_NEEDS_COUNT);
        cr_assert_eq(strncmp(m->key, "z.", 2) == 0, i >= METRIC_OF_H);
        for (const char *c = m->key + (i >= METRIC_OF_H ? 2 : 0); *c; c++)
            cr_assert(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        cr_assert_eq(metric_find(m->key), i);
        cr_assert(m->better >= -1 && m->better <= 1);
        cr_assert(isnan(m->hi) || m->lo < m->hi);
    }
    cr_assert_eq(metric_find("nonsense"), -1);
    cr_assert_eq(metric_find(""), -1);
}
