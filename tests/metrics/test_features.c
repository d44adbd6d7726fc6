// What `ssltop metrics` says of files of features: against numpy's singular values in double, at
// every scale a double has, and on features that are all but constant.
#include "metrics/features.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR "tests/fixtures/npy/"

Test(features, agree_with_numpy)
{
    FILE *f = fopen(DIR "expected.txt", "r");
    cr_assert_not_null(f);
    char name[64], path[128];
    double want[6];
    int files = 0;
    while (fscanf(f, "%63s %lf %lf %lf %lf %lf %lf", name, want, want + 1, want + 2, want + 3,
                  want + 4, want + 5) == 7) {
        static const enum metric_id id[] = {METRIC_AUC, METRIC_RANKME, METRIC_PR,
                                            METRIC_STABLE_RANK, METRIC_ALPHA};
        for (int threads = 1; threads <= 3; threads += 2) {
            struct features_report r;
            struct error e = {""};
            snprintf(path, sizeof path, DIR "%s.npy", name);
            cr_assert(features_measure(path, 0, threads, &r, &e) == 0, "%s", e.text);
            for (int i = 0; i < 5; i++) {
                double got = r.metric[id[i]];
                if (i == 4 && strstr(name, "cond8"))
                    continue; // beyond what alpha promises
                cr_assert((isnan(got) && isnan(want[i])) ||
                              fabs(got - want[i]) <= 1e-5 * fabs(want[i]),
                          "%s: %s is %.17g, numpy says %.17g", name, metric_table[id[i]].key, got,
                          want[i]);
            }
            cr_assert(fabs(r.mean_norm - want[5]) <= 1e-9 * (1 + want[5]), "%s", name);
            if (strcmp(name, "f64-cond5") == 0)
                cr_assert(fabs(r.metric[METRIC_COND] / 1e5 - 1) < 1e-5, "%.17g",
                          r.metric[METRIC_COND]);
            features_report_free(&r);
        }
        files++;
    }
    fclose(f);
    cr_assert(files >= 12, "%d", files);
}

Test(features, one_dimension_is_singular_values)
{
    struct features_report r;
    struct error e = {""};
    cr_assert(features_measure(DIR "f64-values.npy", 0, 1, &r, &e) == 0, "%s", e.text);
    cr_assert(r.n == 0 && r.d == 4 && r.sigma[0] == 4 && r.sigma[3] == 0.5);
    cr_assert(fabs(r.metric[METRIC_AUC] - (4 + 6 + 7 + 7.5) / 7.5 / 4) < 1e-15);
    cr_assert(isnan(r.metric[METRIC_SPREAD]));
    features_report_free(&r);
}

Test(features, bad_numbers_are_counted)
{
    struct features_report r;
    struct error e = {""};
    for (int threads = 1; threads < 3; threads++) {
        cr_assert(features_measure(DIR "f32-nan.npy", 0, threads, &r, &e) == -1);
        cr_assert(strstr(e.text, "2 of 2328 numbers") && strstr(e.text, "row 3, column 5"), "%s",
                  e.text);
    }
}

// Of singular values there are no rows and columns to tell.
Test(features, a_bad_singular_value_has_a_number)
{
    struct features_report r;
    struct error e = {""};
    unsigned char bytes[4096];
    char path[64];
    double bad[2] = {NAN, INFINITY};
    FILE *f = fopen(DIR "f64-values.npy", "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    cr_assert(f && n > sizeof bad && n < sizeof bytes);
    fclose(f);
    memcpy(bytes + n - sizeof bad, bad, sizeof bad);
    snprintf(path, sizeof path, "/tmp/ssltop-bad-%d.npy", (int)getpid());
    f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    cr_assert(features_measure(path, 0, 1, &r, &e) == -1);
    cr_assert(strstr(e.text, "2 of 4 numbers") && strstr(e.text, "the first is number 2 (from 0)"),
              "%s", e.text);
    unlink(path);
}

// Rows of length one: the same as numpy's on rows divided by their lengths.
Test(features, l2)
{
    struct npy_writer *w;
    struct error e = {""};
    struct features_report a, b;
    float x[40 * 6];
    char path[64];
    uint64_t state = 3;
    for (int i = 0; i < 240; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(state >> 40) / (float)(1 << 24) + 0.1f;
    }
    snprintf(path, sizeof path, "/tmp/ssltop-l2-%d.npy", (int)getpid());
    cr_assert(npy_create(path, 40, 6, &w, &e) == 0 && npy_write(w, x, 240, &e) == 0 &&
              npy_finish(w, &e) == 0);
    cr_assert(features_measure(path, 1, 2, &a, &e) == 0, "%s", e.text);
    for (int i = 0; i < 40; i++) {
        double square = 0;
        for (int j = 0; j < 6; j++)
            square += (double)x[i * 6 + j] * x[i * 6 + j];
        for (int j = 0; j < 6; j++)
            x[i * 6 + j] = (float)(x[i * 6 + j] / sqrt(square));
    }
    cr_assert(npy_create(path, 40, 6, &w, &e) == 0 && npy_write(w, x, 240, &e) == 0 &&
              npy_finish(w, &e) == 0);
    cr_assert(features_measure(path, 0, 2, &b, &e) == 0, "%s", e.text);
    cr_assert(fabs(a.metric[METRIC_AUC] - b.metric[METRIC_AUC]) < 1e-6);
    cr_assert(fabs(a.mean_norm - b.mean_norm) < 1e-6 && a.mean_norm < 1);
    features_report_free(&a);
    features_report_free(&b);
    unlink(path);
}

// A small file that says 32768 features must not cost the memory of their covariance.
Test(features, few_rows_of_many_features)
{
    struct npy_writer *w;
    struct error e = {""};
    struct features_report r;
    static float x[3 * SPECTRUM_D_MAX];
    char path[64];
    for (int i = 0; i < 3; i++)
        x[i * SPECTRUM_D_MAX + i] = 2;
    snprintf(path, sizeof path, "/tmp/ssltop-few-%d.npy", (int)getpid());
    cr_assert(npy_create(path, 3, SPECTRUM_D_MAX, &w, &e) == 0 &&
              npy_write(w, x, 3 * SPECTRUM_D_MAX, &e) == 0 && npy_finish(w, &e) == 0);
    cr_assert(features_measure(path, 0, 2, &r, &e) == 0, "%s", e.text);
    cr_assert(r.d == SPECTRUM_D_MAX && fabs(r.sigma[0] - 2) < 1e-12 &&
              fabs(r.sigma[1] - 2) < 1e-12 && r.sigma[2] == 0);
    features_report_free(&r);
    unlink(path);
}

// Features whose spectrum falls geometrically and has a wanted AUC: columns of a Hadamard matrix
// are orthogonal and, but for the first, of mean zero. The values are those of the paper's six
// ResNet-18 on 1 to 100 % of ImageNet (its equation 2 on its published spectra).
Test(features, have_the_published_auc)
{
    enum { N = 1024, D = 512 };
    static const double published[] = {0.6098, 0.7480, 0.8449, 0.8787, 0.8714, 0.8578};
    static float x[N * D];
    char path[64];
    snprintf(path, sizeof path, "/tmp/ssltop-auc-%d.npy", (int)getpid());
    for (size_t k = 0; k < sizeof published / sizeof *published; k++) {
        double lo = 1e-3, hi = 1 - 1e-9; // of the ratio
        for (int i = 0; i < 100; i++) {
            double q = (lo + hi) / 2, qd = pow(q, D);
            double auc = (D - q * (1 - qd) / (1 - q)) / (D * (1 - qd));
            *(auc < published[k] ? &hi : &lo) = q;
        }
        for (int i = 0; i < N; i++)
            for (int j = 0; j < D; j++)
                x[i * D + j] =
                    (float)(3 + (__builtin_popcount((unsigned)(i & (j + 1))) & 1 ? -1 : 1) *
                                    pow(lo, j));
        struct npy_writer *w;
        struct features_report r;
        struct error e = {""};
        cr_assert(npy_create(path, N, D, &w, &e) == 0 && npy_write(w, x, N * D, &e) == 0 &&
                  npy_finish(w, &e) == 0);
        cr_assert(features_measure(path, 0, 2, &r, &e) == 0, "%s", e.text);
        cr_assert(fabs(r.metric[METRIC_AUC] - published[k]) < 1e-5, "%.6f for %.4f",
                  r.metric[METRIC_AUC], published[k]);
        features_report_free(&r);
    }
    unlink(path);
}

// --- scale ---

// A file of n x d doubles; its path lasts until the next one.
static const char *put(const double *x, int n, int d)
{
    static char path[64];
    char header[128];
    size_t count = (size_t)n * (size_t)d;
    snprintf(path, sizeof path, "/tmp/ssltop-features-%d.npy", (int)getpid());
    int len = snprintf(header, sizeof header,
                       "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }\n", n, d);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite("\x93NUMPY\1\0", 1, 8, f) == 8 && fputc(len, f) == len &&
              fputc(0, f) == 0 && fwrite(header, 1, (size_t)len, f) == (size_t)len &&
              fwrite(x, sizeof *x, count, f) == count && fclose(f) == 0);
    return path;
}

static struct features_report measured(const char *path, int l2)
{
    struct features_report r;
    struct error e = {""};
    cr_assert(features_measure(path, l2, 2, &r, &e) == 0, "%s", e.text);
    return r;
}

// Numbers around 1.5 in directions of falling spread.
static void fill(double *x, int n, int d)
{
    uint64_t state = 7;
    for (int i = 0; i < n * d; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = 1.5 + ((double)(state >> 11) * 0x1p-53 - 0.5) / (1 + i % d);
    }
}

// A power of two in all numbers is the same power in sigma and mean, and none in a metric.
static void every_scale(int n, int d, int l2)
{
    static const int power[] = {-1020, -900, -560, -548, -416, -400, -300, 0,
                                300,   400,  515,  520,  700,  900,  1000, 1018};
    double *x = calloc((size_t)(n * d), sizeof *x), *y = calloc((size_t)(n * d), sizeof *y);
    cr_assert(x && y);
    fill(x, n, d);
    struct features_report want = measured(put(x, n, d), l2);
    for (size_t k = 0; k < sizeof power / sizeof *power; k++) {
        for (int i = 0; i < n * d; i++)
            y[i] = ldexp(x[i], power[k]);
        struct features_report got = measured(put(y, n, d), l2);
        for (int id = 0; id <= METRIC_SPREAD; id++)
            cr_assert(fabs(got.metric[id] - want.metric[id]) <= 1e-9 * fabs(want.metric[id]) ||
                          (isnan(got.metric[id]) && isnan(want.metric[id])),
                      "%d x %d, 2^%d: %s is %.17g, not %.17g", n, d, power[k], metric_table[id].key,
                      got.metric[id], want.metric[id]);
        int back = l2 ? 0 : power[k];
        cr_assert(fabs(got.mean_norm / ldexp(want.mean_norm, back) - 1) < 1e-12, "%.17g",
                  got.mean_norm);
        cr_assert(fabs(got.sigma[0] / ldexp(want.sigma[0], back) - 1) < 1e-9, "%.17g",
                  got.sigma[0]);
        features_report_free(&got);
    }
    features_report_free(&want);
    unlink(put(x, 1, 1));
    free(x);
    free(y);
}

Test(features, of_any_scale)
{
    every_scale(700, 8, 0); // in blocks
    every_scale(5, 8, 0);   // fewer rows than features
    every_scale(700, 8, 1);
    every_scale(5, 8, 1);
}

// Where even the results are no doubles any more the metrics still are.
Test(features, largest_and_least_of_doubles)
{
    double x[6] = {DBL_MAX, -DBL_MAX, DBL_MAX, DBL_MAX / 2, -DBL_MAX, DBL_MAX};
    struct features_report r = measured(put(x, 3, 2), 0);
    cr_assert(isfinite(r.metric[METRIC_AUC]) && isfinite(r.metric[METRIC_SPREAD]));
    features_report_free(&r);
    for (int i = 0; i < 6; i++)
        x[i] = DBL_TRUE_MIN * (i * i % 5);
    r = measured(put(x, 3, 2), 0);
    cr_assert(r.metric[METRIC_AUC] < 1 && r.sigma[0] > 0 && r.metric[METRIC_SPREAD] > 0);
    features_report_free(&r);
    unlink(put(x, 1, 1));
}

// --- constant features ---

static void is_collapsed(const struct features_report *r, const char *what)
{
    cr_assert(r->metric[METRIC_AUC] == 1 && r->metric[METRIC_NUM_RANK] == 0 &&
                  r->metric[METRIC_SPREAD] == 0 && r->sigma[0] == 0,
              "%s: AUC %.17g, sigma_1 %g, mean %g", what, r->metric[METRIC_AUC], r->sigma[0],
              r->mean_norm);
}

Test(features, equal_rows_are_constant)
{
    enum { D = 64 };
    static const int rows[] = {2, 3, 40, 63, 64, 4096, 5000, 60000};
    double *x = calloc((size_t)60000 * D, sizeof *x), row[D];
    cr_assert_not_null(x);
    fill(row, 1, D);
    for (int i = 0; i < 60000 * D; i++)
        x[i] = row[i % D];
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        for (int l2 = 0; l2 < 2; l2++) {
            struct features_report r = measured(put(x, rows[k], D), l2);
            is_collapsed(&r, l2 ? "rows of length one" : "rows");
            features_report_free(&r);
        }
    for (int i = 0; i < 60000; i++) // equal but for their lengths: the same once divided by them
        for (int j = 0; j < D; j++)
            x[i * D + j] = row[j] * (1 + i % 1000);
    struct features_report r = measured(put(x, 60000, D), 1);
    is_collapsed(&r, "rows of many lengths");
    features_report_free(&r);
    unlink(put(row, 1, 1));
    free(x);
}

// One feature that never changes, far out, says nothing and hides nothing.
Test(features, a_constant_among_others)
{
    enum { D = 8 };
    static const int rows[] = {6, 500, 6000};
    static double x[6000 * D];
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        int n = rows[k];
        fill(x, n, D);
        for (int i = 0; i < n; i++)
            x[i * D + 3] = 0;
        struct features_report want = measured(put(x, n, D), 0);
        for (int i = 0; i < n; i++)
            x[i * D + 3] = 1e17 / 3;
        struct features_report got = measured(put(x, n, D), 0);
        for (int j = 0; j < D; j++)
            cr_assert(fabs(got.sigma[j] - want.sigma[j]) <= 1e-12 * want.sigma[0],
                      "%d rows: sigma %d is %.17g, not %.17g", n, j, got.sigma[j], want.sigma[j]);
        features_report_free(&want);
        features_report_free(&got);
    }
    unlink(put(x, 1, 1));
}

// Rounding is relative to the mean: a spread that is far below it still counts.
Test(features, far_from_the_origin)
{
    enum { D = 8 };
    static const int rows[] = {6, 500, 6000};
    static double x[6000 * D], y[6000 * D];
    fill(x, 6000, D);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        int n = rows[k];
        for (int i = 0; i < n * D; i++)
            x[i] = round(x[i] * 0x1p20) * 0x1p-20;
        for (int i = 0; i < n * D; i++) // exact
            y[i] = x[i] + 0x1p30;
        struct features_report want = measured(put(x, n, D), 0), got = measured(put(y, n, D), 0);
        for (int id = 0; id < METRIC_SPREAD; id++)
            cr_assert(fabs(got.metric[id] - want.metric[id]) <= 1e-4 * fabs(want.metric[id]) ||
                          (n < D && (id == METRIC_COND || id == METRIC_ALPHA)),
                      "%d rows: %s is %.17g, not %.17g", n, metric_table[id].key, got.metric[id],
                      want.metric[id]);
        features_report_free(&want);
        features_report_free(&got);
    }
    unlink(put(x, 1, 1));
}
