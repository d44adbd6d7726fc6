// What images of a batch tell of one another, against regressions that are made anew for each of
// them without it.
#include "metrics/science/fewshot.h"

#include <cblas.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/lapack.h"

enum { N = FEWSHOT_IMAGES, D = 7, T = 3, C = 4, W = T + C };
#define PENALTY 0.1

struct batch {
    float h[2][N * D], t[N * T];
    int32_t cluster[N];
};

static void draw(struct batch *b, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        double hidden[D];
        for (int j = 0; j < D; j++) {
            hidden[j] = rng_normal(&r);
            for (int v = 0; v < 2; v++)
                b->h[v][i * D + j] =
                    (float)(3 * j + pow(2, j % 5) * (hidden[j] + rng_normal(&r) / 4));
        }
        for (int k = 0; k < T; k++)
            b->t[i * T + k] = (float)(1 + 2 * hidden[k] - hidden[k + 3] + rng_normal(&r) / 2);
        b->cluster[i] = (hidden[0] > 0) + 2 * (hidden[1] > 0);
    }
}

static struct fewshot_told told(const struct batch *b, int d, int clusters, int64_t n)
{
    struct fewshot f;
    struct error e = {""};
    cr_assert(fewshot_init(&f, d, T, clusters, &e) == 0, "%s", e.text);
    struct fewshot_told out =
        fewshot_step(&f, (const float *const[]){b->h[0], b->h[1]}, b->t, b->cluster, n);
    fewshot_free(&f);
    return out;
}

// Weights of a ridge regression on rows without row `out`, which it then foretells.
static void foretell(double x[N][D], double y[N][W], int out, double foretold[W])
{
    double mx[D] = {0}, my[W] = {0}, a[D * D] = {0}, w[W * D] = {0};
    const int d = D, n = W;
    int info = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < D && i != out; j++)
            mx[j] += x[i][j] / (N - 1);
        for (int k = 0; k < W && i != out; k++)
            my[k] += y[i][k] / (N - 1);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D && i != out; j++) {
            for (int m = 0; m < D; m++)
                a[j * D + m] += (x[i][j] - mx[j]) * (x[i][m] - mx[m]);
            for (int k = 0; k < W; k++)
                w[k * D + j] += (x[i][j] - mx[j]) * (y[i][k] - my[k]);
        }
    for (int j = 0; j < D; j++)
        a[j * D + j] += PENALTY * D;
    dpotrf_("U", &d, a, &d, &info, 1);
    dpotrs_("U", &d, &n, a, &d, w, &d, &info, 1);
    cr_assert(info == 0);
    for (int k = 0; k < W; k++) {
        foretold[k] = my[k];
        for (int j = 0; j < D; j++)
            foretold[k] += w[k * D + j] * (x[out][j] - mx[j]);
    }
}

Test(fewshot, each_is_foretold_by_the_others)
{
    static struct batch b;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        double x[N][D], y[N][W], left = 0, total = 0;
        int right = 0;
        draw(&b, seed);
        for (int j = 0; j < D; j++) {
            double mean = 0, square = 0;
            for (int i = 0; i < N; i++)
                mean += (x[i][j] = ((double)b.h[0][i * D + j] + b.h[1][i * D + j]) / 2) / N;
            for (int i = 0; i < N; i++)
                square += pow(x[i][j] - mean, 2) / N;
            for (int i = 0; i < N; i++)
                x[i][j] /= sqrt(square);
        }
        for (int i = 0; i < N; i++)
            for (int k = 0; k < W; k++)
                y[i][k] = k < T ? b.t[i * T + k] : b.cluster[i] == k - T;
        for (int i = 0; i < N; i++) {
            double foretold[W];
            int best = T;
            foretell(x, y, i, foretold);
            for (int k = 0; k < T; k++) {
                double others = 0;
                for (int m = 0; m < N; m++)
                    others += m == i ? 0 : y[m][k] / (N - 1);
                left += pow(y[i][k] - foretold[k], 2);
                total += pow(y[i][k] - others, 2);
            }
            for (int k = T + 1; k < W; k++)
                best = foretold[k] > foretold[best] ? k : best;
            right += best - T == b.cluster[i];
        }
        struct fewshot_told got = told(&b, D, C, N);
        cr_expect_float_eq(got.r2, 1 - left / total, 1e-9, "seed %d: %.12g, not %.12g", (int)seed,
                           got.r2, 1 - left / total);
        cr_expect_eq(got.top1, (double)right / N, "seed %d", (int)seed);
        cr_expect(got.r2 > 0.3 && got.r2 < 1 && got.top1 > 0.4);
    }
}

// The same of features of any scale and place; of more images it is the first ones.
Test(fewshot, scale_and_place_do_not_count)
{
    static struct batch a, b;
    draw(&a, 7);
    for (int i = 0; i < N * D; i++)
        for (int v = 0; v < 2; v++)
            b.h[v][i] = 1000 * a.h[v][i] - 50;
    memcpy(b.t, a.t, sizeof a.t);
    memcpy(b.cluster, a.cluster, sizeof a.cluster);
    cr_expect_float_eq(told(&a, D, C, N).r2, told(&b, D, C, N).r2, 1e-4);
    cr_expect_eq(told(&a, D, C, N).r2, told(&a, D, C, 1000).r2);
    cr_expect_eq(told(&a, D, 0, N).r2, told(&a, D, C, N).r2, "clusters are beside it");
}

// Images of small batches wait for others: what is told is of the first ones, and of none twice.
Test(fewshot, small_batches_wait_for_others)
{
    enum { SMALL = 24 };
    static struct batch b;
    struct fewshot f;
    struct error e = {""};
    draw(&b, 5);
    cr_assert(fewshot_init(&f, D, T, C, &e) == 0, "%s", e.text);
    for (int round = 0; round < 2; round++)
        for (int at = 0; at < N; at += SMALL) {
            int n = N - at < SMALL ? N - at : SMALL;
            const float *const h[2] = {b.h[0] + (size_t)at * D, b.h[1] + (size_t)at * D};
            struct fewshot_told got = fewshot_step(&f, h, b.t + (size_t)at * T, b.cluster + at, n);
            if (at + n < N)
                cr_expect(isnan(got.r2) && isnan(got.top1) && f.waiting == at + n);
            else
                cr_expect(got.r2 == told(&b, D, C, N).r2 && got.top1 == told(&b, D, C, N).top1 &&
                          f.waiting == 0);
        }
    fewshot_free(&f);
}

// Constant features tell what the mean tells: nothing.
Test(fewshot, collapsed_features_tell_nothing)
{
    static struct batch b;
    draw(&b, 3);
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < N * D; i++)
            b.h[v][i] = (float)(i % D);
    cr_expect_float_eq(told(&b, D, C, N).r2, 0, 1e-12);
    cr_expect(told(&b, D, C, N).top1 <= 0.5);
}

Test(fewshot, what_cannot_be_told_is_nan)
{
    static struct batch b;
    draw(&b, 3);
    cr_expect(isnan(told(&b, D, C, N - 1).r2), "they wait");
    cr_expect(isnan(told(&b, D, 0, N).top1), "no clusters");
    b.h[1][5] = NAN;
    cr_expect(isnan(told(&b, D, C, N).r2) && isnan(told(&b, D, C, N).top1));
    b.h[1][5] = INFINITY;
    cr_expect(isnan(told(&b, D, C, N).r2) && isnan(told(&b, D, C, N).top1));
    draw(&b, 3);
    for (int i = 0; i < N * T; i++)
        b.t[i] = 1;
    cr_expect(isnan(told(&b, D, C, N).r2), "all images are alike");
}
