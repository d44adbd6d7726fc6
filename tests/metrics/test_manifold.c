// TwoNN, self-clustering and both RankMes against their papers' formulas
// (tests/fixtures/manifold.py), and on manifolds of known dimension.
#include "metrics/science/manifold.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/npy.h"
#include "metrics/science/metric.h"
#include "metrics/science/spectrum.h"

#define DIR "tests/fixtures/manifold/"
enum { N = 400, D = 12 };

static double twonn(const float *x, int64_t n, int d)
{
    double v;
    struct error e = {""};
    cr_assert(manifold_twonn(x, n, d, 2, &v, &e) == 0, "%s", e.text);
    return v;
}

static double cluster(const float *x, int64_t n, int d, int centred)
{
    double v;
    struct error e = {""};
    cr_assert(manifold_self_cluster(x, n, d, centred, &v, &e) == 0, "%s", e.text);
    return v;
}

Test(manifold, agrees_with_the_papers)
{
    static float x[N * D];
    static double y[N * D];
    double want[5], sigma[D], raw[D];
    struct npy a;
    struct moments m;
    struct spectrum_solver *solver;
    struct error e = {""};
    struct metric_input in = metric_unknown();
    FILE *f = fopen(DIR "expected.txt", "r");
    cr_assert_not_null(f);
    for (int i = 0; i < 5; i++)
        cr_assert(fscanf(f, "%lf", &want[i]) == 1);
    fclose(f);
    cr_assert(npy_open(DIR "features.npy", &a, &e) == 0 && a.n == N && a.d == D, "%s", e.text);
    npy_rows(&a, 0, N, y);
    npy_close(&a);
    for (int i = 0; i < N * D; i++)
        x[i] = (float)y[i];
    cr_expect(fabs(twonn(x, N, D) - want[0]) < 1e-6 * want[0], "%.12g, %.12g", twonn(x, N, D),
              want[0]);
    cr_expect(fabs(cluster(x, N, D, 0) - want[1]) < 1e-6);
    cr_expect(fabs(cluster(x, N, D, 1) - want[2]) < 1e-6);
    cr_assert(moments_init(&m, D, &e) == 0 && spectrum_solver_new(D, &solver, &e) == 0);
    cr_assert(moments_add(&m, x, N, D, &e) == 0);
    cr_assert(spectrum_both(solver, &m, sigma, raw, &in.n, &e) == 0, "%s", e.text);
    in.sigma = sigma;
    in.raw = raw;
    in.d = D;
    cr_expect(fabs(metric_table[METRIC_RANKME_RAW].fn(&in) - want[3]) < 1e-6);
    cr_expect(fabs(metric_table[METRIC_RANKME].fn(&in) - want[4]) < 1e-6);
    spectrum_solver_free(solver);
    moments_free(&m);
}

// Points of a unit cube of `k` dimensions, turned into d; or on the sphere around it.
static float *points(int n, int d, int k, int sphere)
{
    struct rng r;
    float *x = calloc((size_t)n * (size_t)d, sizeof *x);
    double *axis = malloc((size_t)k * (size_t)d * sizeof *axis);
    cr_assert(x && axis);
    rng_init(&r, 4, RNG_TEST, (uint64_t)k, 0);
    for (int i = 0; i < k * d; i++)
        axis[i] = rng_normal(&r);
    for (int i = 0; i < n; i++) {
        double at[16], square = 0;
        for (int j = 0; j < k; j++) {
            at[j] = sphere ? rng_normal(&r) : rng_uniform(&r);
            square += at[j] * at[j];
        }
        for (int j = 0; j < k; j++)
            for (int c = 0; c < d; c++)
                x[i * d + c] += (float)(at[j] / (sphere ? sqrt(square) : 1) * axis[j * d + c]);
    }
    free(axis);
    return x;
}

Test(manifold, known_dimensions)
{
    static const struct {
        int k, sphere, dimension;
    } known[] = {{1, 0, 1}, {2, 0, 2}, {4, 0, 4}, {3, 1, 2}, {5, 1, 4}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        float *x = points(MANIFOLD_ROWS, 24, known[i].k, known[i].sphere);
        double v = twonn(x, MANIFOLD_ROWS, 24);
        cr_expect(fabs(v - known[i].dimension) < 0.12 * known[i].dimension, "%g, it is %d", v,
                  known[i].dimension);
        free(x);
    }
}

// Far from the origin and tiny, as collapsed features are: distances are differences of rows.
Test(manifold, collapsed_rows_keep_their_dimension)
{
    enum { SOME = 600, WIDE = 8 };
    float *x = points(SOME, WIDE, 2, 0);
    double before = twonn(x, SOME, WIDE);
    for (int i = 0; i < SOME * WIDE; i++)
        x[i] = ldexpf(x[i], -40);
    cr_expect(fabs(twonn(x, SOME, WIDE) - before) < 1e-9 * before);
    // Each row twice: a neighbour that coincides says nothing.
    static float twice[2 * SOME * WIDE];
    memcpy(twice, x, sizeof twice / 2);
    memcpy(twice + SOME * WIDE, x, sizeof twice / 2);
    cr_expect(isnan(twonn(twice, 2 * SOME, WIDE)));
    free(x);
}

Test(manifold, self_clustering_at_its_ends)
{
    static float one[50 * 6], turned[50 * 6], axes[6 * 6], random[3000 * 6];
    struct rng r;
    rng_init(&r, 9, RNG_TEST, 0, 0);
    for (int i = 0; i < 50; i++)
        for (int j = 0; j < 6; j++) {
            one[i * 6 + j] = (float)((j + 1) * (1 + i % 7));
            turned[i * 6 + j] = i % 2 ? one[i * 6 + j] : -one[i * 6 + j];
        }
    for (int i = 0; i < 6; i++)
        axes[i * 6 + i] = 3;
    for (int i = 0; i < 3000 * 6; i++)
        random[i] = (float)rng_normal(&r);
    cr_expect(fabs(cluster(one, 50, 6, 0) - 1) < 1e-12);
    cr_expect(fabs(cluster(turned, 50, 6, 0) - 1) < 1e-12); // a line, whichever way
    cr_expect(fabs(cluster(axes, 6, 6, 0) + 1.0 / 5) < 1e-12);
    cr_expect(fabs(cluster(random, 3000, 6, 0)) < 0.01);
    // Around a far mean: one direction, but for the mean random ones.
    for (int i = 0; i < 3000 * 6; i++)
        random[i] += 100;
    cr_expect(cluster(random, 3000, 6, 0) > 0.99);
    cr_expect(fabs(cluster(random, 3000, 6, 1)) < 0.01);
}

Test(manifold, what_cannot_be_told_is_nan)
{
    static float x[64 * 3];
    cr_expect(isnan(twonn(x, 64, 3)) && isnan(cluster(x, 64, 3, 0)));
    for (int i = 0; i < 64 * 3; i++)
        x[i] = (float)(i * i % 97);
    cr_expect(isnan(twonn(x, MANIFOLD_LEAST - 1, 3)) && isfinite(twonn(x, 64, 3)));
    cr_expect(isnan(cluster(x, 1, 3, 0)) && isnan(cluster(x, 64, 1, 0)));
    x[100] = INFINITY;
    cr_expect(isnan(twonn(x, 64, 3)) && isnan(cluster(x, 64, 3, 0)) && isnan(cluster(x, 64, 3, 1)));
}

// Both spectra of one reduction are those of two decompositions, wherever the mean lies.
Test(manifold, both_spectra_of_one_reduction)
{
    enum { WIDE = 37, ROWS = 300 };
    static const double far[] = {0, 1e-3, 1, 1e4};
    static float x[ROWS * WIDE];
    double sigma[WIDE], raw[WIDE], want[WIDE], n, n_raw;
    struct moments m;
    struct spectrum_solver *solver;
    struct error e = {""};
    struct rng r;
    cr_assert(moments_init(&m, WIDE, &e) == 0 && spectrum_solver_new(WIDE, &solver, &e) == 0);
    for (int k = 0; k < 4; k++) {
        rng_init(&r, 3, RNG_TEST, 0, 0);
        for (int i = 0; i < ROWS * WIDE; i++)
            x[i] = (float)(rng_normal(&r) * pow(0.8, i % WIDE) + far[k] * (i % WIDE % 5 - 1));
        moments_reset(&m);
        cr_assert(moments_add(&m, x, ROWS, WIDE, &e) == 0);
        cr_assert(spectrum_both(solver, &m, sigma, raw, &n, &e) == 0, "%s", e.text);
        cr_assert(spectrum_from_moments(solver, &m, want, &n_raw, &e) == 0 && n == n_raw);
        for (int i = 0; i < WIDE; i++)
            cr_expect(fabs(sigma[i] - want[i]) < 1e-9 * want[0], "centred %d: %g %g", i, sigma[i],
                      want[i]);
        for (int i = 0; i < WIDE; i++)
            for (int j = 0; j <= i; j++)
                m.scatter[i * WIDE + j] += m.weight * m.mean[i] * m.mean[j];
        cr_assert(spectrum_from_moments(solver, &m, want, &n_raw, &e) == 0);
        for (int i = 0; i < WIDE; i++)
            cr_expect(fabs(raw[i] - want[i]) < 2e-8 * want[0], "raw %d: %g %g", i, raw[i], want[i]);
    }
    spectrum_solver_free(solver);
    moments_free(&m);
}
