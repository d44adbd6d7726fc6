// LiDAR against its paper's formula (tests/fixtures/lidar.py), on features whose directions are
// known, and worked over steps.
#include "metrics/science/lidar.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/npy.h"
#include "metrics/science/metric.h"
#include "metrics/science/paced.h"
#include "metrics/science/spectrum.h"

#define DIR "tests/fixtures/lidar/"

static double lidar(const float *x, int64_t n, int q, int d)
{
    double v;
    struct error e = {""};
    cr_assert(lidar_measure(x, n, q, d, &v, &e) == 0, "%s", e.text);
    return v;
}

Test(lidar, agrees_with_the_paper)
{
    enum { N = 60, Q = 10, D = 12 };
    static double y[N * Q * D];
    static float x[N * Q * D];
    double many, two;
    struct npy a;
    struct error e = {""};
    FILE *f = fopen(DIR "expected.txt", "r");
    cr_assert_not_null(f);
    cr_assert(fscanf(f, "%lf %lf", &many, &two) == 2);
    fclose(f);
    cr_assert(npy_open(DIR "features.npy", &a, &e) == 0 && a.n == N * Q && a.d == D, "%s", e.text);
    npy_rows(&a, 0, N * Q, y);
    npy_close(&a);
    for (int i = 0; i < N * Q * D; i++)
        x[i] = (float)y[i];
    cr_expect(fabs(lidar(x, N, Q, D) - many) < 1e-6, "%.12g, %.12g", lidar(x, N, Q, D), many);
    cr_expect(fabs(lidar(x, N * Q / 2, 2, D) - two) < 1e-6);
}

// Images differ in `k` directions, views of one in `m` others, ten times as much.
static float *features(int n, int q, int d, int k, int m)
{
    struct rng r;
    float *x = malloc((size_t)n * (size_t)q * (size_t)d * sizeof *x);
    double *image = malloc((size_t)k * sizeof *image);
    cr_assert(x && image);
    rng_init(&r, 9, RNG_TEST, (uint64_t)k, (uint32_t)m);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < k; j++)
            image[j] = rng_normal(&r);
        for (int v = 0; v < q; v++)
            for (int j = 0; j < d; j++)
                x[((size_t)i * (size_t)q + (size_t)v) * (size_t)d + (size_t)j] =
                    (float)((j < k       ? image[j]
                             : j < k + m ? 10 * rng_normal(&r)
                                         : 0) +
                            0.01 * rng_normal(&r));
    }
    free(image);
    return x;
}

// Participation ratio of the covariance, which can't tell one from the other.
static double spread_over(const float *x, int64_t n, int d)
{
    struct moments m;
    struct spectrum_solver *s;
    struct error e;
    struct metric_input in = metric_unknown();
    double *sigma = malloc((size_t)d * sizeof *sigma), out[METRIC_COUNT];
    cr_assert(moments_init(&m, d, &e) == 0 && spectrum_solver_new(d, &s, &e) == 0);
    cr_assert(moments_add(&m, x, n, (size_t)d, &e) == 0);
    cr_assert(spectrum_from_moments(s, &m, sigma, &in.n, &e) == 0);
    in.sigma = sigma;
    in.d = d;
    metric_all(&in, out);
    moments_free(&m);
    spectrum_solver_free(s);
    free(sigma);
    return out[METRIC_PR];
}

Test(lidar, counts_what_tells_images_apart)
{
    enum { N = 2000, D = 24 };
    static const int known[][2] = {{1, 3}, {4, 7}, {8, 2}, {12, 12}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int k = known[i][0], m = known[i][1];
        float *x = features(N, 2, D, k, m);
        double v = lidar(x, N, 2, D), all = spread_over(x, 2 * N, D);
        cr_expect(v > 0.97 * k && v < 1.08 * k + 0.1, "%g of %d", v, k);
        cr_expect(fabs(all - m) < 0.1 * m + 0.1, "the covariance has %g of %d", all, m);
        free(x);
    }
}

// Neither a scale nor a shift of all, nor more views.
Test(lidar, has_no_scale)
{
    enum { N = 300, D = 16, Q = 6 };
    float *x = features(N, Q, D, 5, 6);
    double v = lidar(x, N, Q, D);
    for (int i = 0; i < N * Q * D; i++)
        x[i] = 0x1p-20F * x[i];
    cr_expect_float_eq(lidar(x, N, Q, D), v, 1e-9);
    for (int i = 0; i < N * Q * D; i++)
        x[i] = 0x1p30F * x[i] + (float)(i % D);
    cr_expect_float_eq(lidar(x, N, Q, D), v, 0.02);
    free(x);
}

Test(lidar, what_cannot_be)
{
    struct error e;
    double v;
    float same[8] = {1, 2, 1, 2, 3, 4, 3, 4}, odd[8] = {1, 2, NAN, 2, 3, 4, 5, 6};
    cr_expect(isnan(lidar(same, 2, 2, 2)), "views that do not differ");
    cr_expect(isnan(lidar(odd, 2, 2, 2)));
    cr_expect(isnan(lidar(odd, 1, 2, 2)), "one image");
    cr_expect_eq(lidar_measure(same, 4, 1, 2, &v, &e), -1);
    double zeros[3] = {0, -1e-9, 0}, one[3] = {7, -1e-3, 0}, bad[3] = {1, INFINITY, 0};
    cr_expect(isnan(lidar_rank(zeros, 3)) && isnan(lidar_rank(bad, 3)));
    cr_expect_float_eq(lidar_rank(one, 3), 1, 1e-5);
}

// The pairs of a training, a few columns of the matrix at a step.
Test(lidar, worked_over_steps)
{
    enum { N = 400, D = 40, AT_ONCE = 100 };
    float *x = features(N, 2, D, 5, 8);
    static float view[2][N * D];
    double value[D], n;
    struct paced p, q;
    struct error e = {""};
    for (int i = 0; i < N; i++)
        for (int v = 0; v < 2; v++)
            memcpy(view[v] + (size_t)i * D, x + ((size_t)i * 2 + (size_t)v) * D, D * sizeof(float));
    cr_assert(paced_init_pairs(&p, D, &e) == 0 && paced_init_pairs(&q, D, &e) == 0);
    for (int at = 0; at < N; at += AT_ONCE) {
        const float *const rows[2] = {view[0] + (size_t)at * D, view[1] + (size_t)at * D};
        cr_assert_eq(paced_add_pairs(&p, rows, AT_ONCE, &e), 0);
    }
    for (int t = 0; t < D / PACED_COLUMNS - 1; t++)
        cr_assert_eq(paced_step(&p, value, &n, &e), 0);
    double *matrix = calloc((size_t)paced_lines(&p) * (D + 1), sizeof *matrix), state[PACED_STATE];
    paced_export(&p, matrix, state);
    cr_assert_eq(paced_import(&q, matrix, state), 0);
    cr_assert_eq(paced_step(&p, value, &n, &e), 1);
    for (int i = 0; i < D; i++)
        value[i] *= value[i];
    cr_expect_float_eq(lidar_rank(value, D), lidar(x, N, 2, D), 1e-6);
    cr_expect_float_eq(n, 2 * N, 1e-9);
    double again[D];
    const float *const rows[2] = {view[0], view[1]};
    cr_assert(paced_step(&q, again, &n, &e) == 1 && fabs(again[0] * again[0] - value[0]) < 1e-9);
    for (int t = 0, rc = 0; rc == 0; t++) { // both go on alike
        paced_age(&p, 20);
        paced_age(&q, 20);
        cr_assert(paced_add_pairs(&p, rows, 10, &e) == 0 && paced_add_pairs(&q, rows, 10, &e) == 0);
        rc = paced_step(&p, value, &n, &e);
        cr_assert_eq(paced_step(&q, again, &n, &e), rc);
        cr_assert(!rc || memcmp(value, again, sizeof value) == 0);
    }
    free(matrix);
    free(x);
    paced_free(&p);
    paced_free(&q);
}
