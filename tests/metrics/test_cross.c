// The live R2 against a regression that is made of all rows at once, and against what new rows say.
#include "metrics/science/cross.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/ridge.h"

enum { D = 12, T = 5 };

// Features, and numbers of which they tell a part.
static void draw(float *h, float *t, int n, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (int i = 0; i < n; i++) {
        double hidden[D];
        for (int j = 0; j < D; j++) {
            hidden[j] = rng_normal(&r);
            h[i * D + j] = (float)(3 * j + pow(2, j % 5) * hidden[j]);
        }
        for (int k = 0; k < T; k++)
            t[i * T + k] = (float)(1 + 2 * hidden[k] - hidden[k + 3] + rng_normal(&r));
    }
}

static void add(struct cross *c, struct moments *m, const float *h, const float *t, int n)
{
    struct error e = {""};
    cross_age(c, n);
    moments_age(m, n);
    cross_add(c, h, t, n);
    cr_assert(moments_add(m, h, n, D, &e) == 0);
}

static void begin(struct cross *c, struct moments *m)
{
    struct error e = {""};
    cr_assert(cross_init(c, D, T, &e) == 0 && moments_init(m, D, &e) == 0, "%s", e.text);
}

// Without age, in blocks of any size: sums over all pairs.
Test(cross, products_are_those_of_all_rows)
{
    enum { N = 700 };
    static float h[N * D], t[N * T];
    struct cross c;
    struct error e = {""};
    draw(h, t, N, 1);
    cr_assert(cross_init(&c, D, T, &e) == 0);
    for (int at = 0, n; at < N; at += n) {
        n = at ? 333 : 34;
        cross_add(&c, h + at * D, t + at * T, n);
    }
    double mean_h[D] = {0}, mean_t[T] = {0}, total = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < D; j++)
            mean_h[j] += h[i * D + j] / (double)N;
        for (int k = 0; k < T; k++)
            mean_t[k] += t[i * T + k] / (double)N;
    }
    for (int k = 0; k < T; k++)
        for (int j = 0; j < D; j++) {
            double sum = 0;
            for (int i = 0; i < N; i++)
                sum += (h[i * D + j] - mean_h[j]) * (t[i * T + k] - mean_t[k]);
            cr_assert(fabs(c.product[j * T + k] - sum) < 1e-9 * N, "%d %d", j, k);
        }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < T; k++)
            total += (t[i * T + k] - mean_t[k]) * (t[i * T + k] - mean_t[k]);
    cr_assert(fabs(c.total - total) < 1e-9 * total && c.weight == N);
    cross_free(&c);
}

// The regression that has seen the last rows, judged by others: what the live value promises.
Test(cross, r2_is_what_new_rows_give)
{
    enum { STEPS = 60, B = 50, NEW = 20000 };
    static float h[NEW * D], t[NEW * T], seen_h[STEPS * B * D], seen_t[STEPS * B * T];
    static double y[2][NEW * T];
    struct cross c;
    struct moments m;
    struct error e = {""};
    begin(&c, &m);
    draw(seen_h, seen_t, STEPS * B, 2);
    draw(h, t, NEW, 3);
    for (int s = 0; s < STEPS; s++)
        add(&c, &m, seen_h + s * B * D, seen_t + s * B * T, B);
    for (int i = 0; i < NEW * T; i++) {
        y[0][i] = i < STEPS * B * T ? seen_t[i] : 0;
        y[1][i] = t[i];
    }
    struct ridge_rows set[] = {{STEPS * B, seen_h, NULL}, {NEW, h, NULL}};
    struct ridge_target target = {.columns = T, .y = {y[0], y[1]}};
    cr_assert(ridge_run(set, D, &target, 1, 1, &e) == 0, "%s", e.text);
    double live = cross_r2(&c, &m, 1, INFINITY);
    // 270 samples weigh in: the estimate itself is uncertain to about 0.02.
    cr_expect(fabs(live - target.r2) < 0.04, "live %g, new rows %g", live, target.r2);
    cross_free(&c);
    moments_free(&m);
}

// On average over many draws of few rows there is no bias left, where the plain one reads too high.
Test(cross, the_optimism_of_few_rows_is_taken_off)
{
    enum { DRAWS = 200, N = 60 };
    static float h[N * D], t[N * T];
    double sum = 0, many = 0;
    struct cross c;
    struct moments m;
    struct error e = {""};
    for (int k = 0; k < DRAWS; k++) {
        begin(&c, &m);
        draw(h, t, N, 10 + (uint64_t)k);
        cross_add(&c, h, t, N);
        cr_assert(moments_add(&m, h, N, D, &e) == 0);
        sum += cross_r2(&c, &m, 1, INFINITY) / DRAWS;
        cross_free(&c);
        moments_free(&m);
    }
    begin(&c, &m);
    for (int k = 0; k < DRAWS; k++) {
        draw(h, t, N, 1000 + (uint64_t)k);
        cross_add(&c, h, t, N);
        cr_assert(moments_add(&m, h, N, D, &e) == 0);
    }
    many = cross_r2(&c, &m, 1, INFINITY);
    cross_free(&c);
    moments_free(&m);
    cr_expect(fabs(sum - many) < 0.01, "mean of few rows %g, many rows %g", sum, many);
}

// A regression on few rows, judged by others: its own uncertainty is foretold.
Test(cross, what_few_fitted_rows_lose)
{
    enum { DRAWS = 100, FITTED = 40, NEW = 400, MANY = 4000 };
    static float h[MANY * D], t[MANY * T], other_h[NEW * D], other_t[NEW * T];
    static double y[2][NEW * T];
    struct cross c;
    struct moments m;
    struct error e = {""};
    double sum = 0;
    for (int k = 0; k < DRAWS; k++) {
        draw(h, t, FITTED, 20 + (uint64_t)k);
        draw(other_h, other_t, NEW, 2000 + (uint64_t)k);
        for (int i = 0; i < NEW * T; i++) {
            y[0][i] = i < FITTED * T ? t[i] : 0;
            y[1][i] = other_t[i];
        }
        struct ridge_rows set[] = {{FITTED, h, NULL}, {NEW, other_h, NULL}};
        struct ridge_target target = {.columns = T, .y = {y[0], y[1]}};
        cr_assert(ridge_run(set, D, &target, 1, 1, &e) == 0, "%s", e.text);
        sum += target.r2 / DRAWS;
    }
    begin(&c, &m);
    draw(h, t, MANY, 7);
    cross_add(&c, h, t, MANY);
    cr_assert(moments_add(&m, h, MANY, D, &e) == 0);
    double told = cross_r2(&c, &m, 1, FITTED), all = cross_r2(&c, &m, 1, INFINITY);
    cr_expect(fabs(told - sum) < 0.03 && all - sum > 0.05, "%g, measured %g, of all %g", told, sum,
              all);
    cross_free(&c);
    moments_free(&m);
}

// Both views of an image are one image: a second look at the same rows changes nothing.
Test(cross, views_that_are_the_same_count_once)
{
    enum { N = 80 };
    static float h[N * D], t[N * T];
    struct cross c;
    struct moments m;
    struct error e = {""};
    draw(h, t, N, 5);
    double r2[2];
    for (int views = 1; views <= 2; views++) {
        begin(&c, &m);
        for (int v = 0; v < views; v++) {
            cross_add(&c, h, t, N);
            cr_assert(moments_add(&m, h, N, D, &e) == 0);
        }
        r2[views - 1] = cross_r2(&c, &m, views, INFINITY);
        cross_free(&c);
        moments_free(&m);
    }
    cr_expect(fabs(r2[0] - r2[1]) < 1e-9, "%.12g %.12g", r2[0], r2[1]);
}

Test(cross, what_cannot_be_told_is_nan)
{
    static float h[64 * D], t[64 * T];
    struct cross c;
    struct moments m;
    struct error e = {""};
    begin(&c, &m);
    cr_assert(isnan(cross_r2(&c, &m, 2, INFINITY)));
    draw(h, t, 64, 6);
    add(&c, &m, h, t, 8); // fewer than features
    cr_assert(isnan(cross_r2(&c, &m, 1, INFINITY)));
    memset(t, 0, sizeof t);
    cross_reset(&c);
    moments_reset(&m);
    add(&c, &m, h, t, 64); // nothing to tell
    cr_assert(isnan(cross_r2(&c, &m, 1, INFINITY)));
    draw(h, t, 64, 6);
    h[5] = NAN;
    add(&c, &m, h, t, 64);
    cr_assert(isnan(cross_r2(&c, &m, 1, INFINITY)));
    cross_free(&c);
    moments_free(&m);
    cr_assert(cross_init(&c, 0, T, &e) == -1 && cross_init(&c, D, 0, &e) == -1);
}

// A feature that died has no part in it, and takes no degree of freedom.
Test(cross, constant_features_take_nothing)
{
    enum { N = 100 };
    static float h[N * D], t[N * T], wide[N * (D + 3)];
    struct cross c, w;
    struct moments m, n;
    struct error e = {""};
    draw(h, t, N, 8);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D + 3; j++)
            wide[i * (D + 3) + j] = j < D ? h[i * D + j] : 4;
    begin(&c, &m);
    cr_assert(cross_init(&w, D + 3, T, &e) == 0 && moments_init(&n, D + 3, &e) == 0);
    cross_add(&c, h, t, N);
    cross_add(&w, wide, t, N);
    cr_assert(moments_add(&m, h, N, D, &e) == 0 && moments_add(&n, wide, N, D + 3, &e) == 0);
    double a = cross_r2(&c, &m, 1, INFINITY), b = cross_r2(&w, &n, 1, INFINITY);
    cr_expect(fabs(a - b) < 1e-9, "%.12g %.12g", a, b);
    cross_free(&c);
    cross_free(&w);
    moments_free(&m);
    moments_free(&n);
}
