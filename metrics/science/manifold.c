// Neighbours by blocks of products, then by differences: near collapse a distance is a small
// difference of large squares. Clustering by the d x d products, which have the norm of the n x n
// ones.
#include "metrics/science/manifold.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"

enum { BLOCK = 128, CANDIDATES = 6 };
#define KEPT 0.9 // of the ratios

// ---------------------------------------------------------------- TwoNN

struct near {
    double far; // squared distance, but for rounding
    int row;
};

// Keep the nearest few, the nearest first.
static void offer(struct near *best, double far, int row)
{
    if (!(far < best[CANDIDATES - 1].far))
        return;
    int at = CANDIDATES - 1;
    for (; at > 0 && far < best[at - 1].far; at--)
        best[at] = best[at - 1];
    best[at] = (struct near){far, row};
}

static double distance(const double *a, const double *b, int d)
{
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sqrt(sum);
}

// The ratio of row i's second distance to its first; NaN where the first is none. Of those that
// products take for the nearest the distances are formed again.
static double ratio(const double *rows, int i, const struct near *best, int d)
{
    double first = INFINITY, second = INFINITY;
    for (int k = 0; k < CANDIDATES; k++) {
        if (best[k].row < 0)
            break;
        double r =
            distance(rows + (size_t)i * (size_t)d, rows + (size_t)best[k].row * (size_t)d, d);
        second = r < first ? first : r < second ? r : second;
        first = r < first ? r : first;
    }
    return first > 0 && isfinite(second) ? second / first : NAN;
}

static void ratios_of_block(const double *rows, const double *squares, int n, int d, int at,
                            double *product, double *out)
{
    int some = n - at < BLOCK ? n - at : BLOCK;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, some, n, d, -2,
                rows + (size_t)at * (size_t)d, d, rows, d, 0, product, n);
    for (int i = 0; i < some; i++) {
        struct near best[CANDIDATES];
        const double *p = product + (size_t)i * (size_t)n;
        for (int k = 0; k < CANDIDATES; k++)
            best[k] = (struct near){INFINITY, -1};
        for (int j = 0; j < n; j++)
            if (j != at + i)
                offer(best, p[j] + squares[j], j);
        out[at + i] = ratio(rows, at + i, best, d);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The slope through the origin.
static double slope(double *mu, int n)
{
    double xx = 0, xy = 0;
    qsort(mu, (size_t)n, sizeof *mu, ascending);
    int kept = (int)(KEPT * n);
    for (int i = 0; i < kept; i++) {
        double x = log(mu[i]), y = -log(1 - (i + 1.0) / n);
        xx += x * x;
        xy += x * y;
    }
    return xx > 0 ? xy / xx : NAN;
}

// Evenly spread rows in double, from their mean. 0: something is not finite.
static int take_rows(const float *x, int64_t n, int d, double *rows, int some)
{
    size_t wide = (size_t)d;
    double odd = 0, *mean = rows + (size_t)some * wide;
    memset(mean, 0, wide * sizeof *mean);
    for (int i = 0; i < some; i++) {
        const float *from = x + (size_t)((__int128)i * n / some) * wide;
        for (size_t j = 0; j < wide; j++) {
            rows[(size_t)i * wide + j] = from[j];
            mean[j] += from[j] / (double)some;
            odd += 0 * from[j];
        }
    }
    for (int i = 0; i < some && odd == 0; i++)
        for (size_t j = 0; j < wide; j++)
            rows[(size_t)i * wide + j] -= mean[j];
    return odd == 0;
}

int manifold_twonn(const float *x, int64_t n, int d, int threads, double *out, struct error *e)
{
    int some = n < MANIFOLD_ROWS ? (int)n : MANIFOLD_ROWS, counted = 0, failed = 0;
    *out = NAN;
    if (some < MANIFOLD_LEAST || d < 1)
        return 0;
    FREED_BY(memory_free) struct memory m = {0};
    double *rows = memory_take(&m, ((size_t)some + 1) * (size_t)d, sizeof *rows);
    double *squares = memory_take(&m, (size_t)some, sizeof *squares);
    double *mu = memory_take(&m, (size_t)some, sizeof *mu);
    if (m.failed)
        return error_memory(e, "the neighbours of %d rows", some);
    if (!take_rows(x, n, d, rows, some))
        return 0;
    for (int i = 0; i < some; i++)
        squares[i] =
            cblas_ddot(d, rows + (size_t)i * (size_t)d, 1, rows + (size_t)i * (size_t)d, 1);
#pragma omp parallel num_threads(threads)
    {
        double *product = malloc(BLOCK * (size_t)some * sizeof *product);
#pragma omp for schedule(static)
        for (int at = 0; at < some; at += BLOCK)
            if (product)
                ratios_of_block(rows, squares, some, d, at, product, mu);
#pragma omp critical
        failed |= !product;
        free(product);
    }
    if (failed)
        return error_memory(e, "the neighbours of %d rows", some);
    for (int i = 0; i < some; i++)
        if (isfinite(mu[i]))
            mu[counted++] = mu[i];
    if (counted >= MANIFOLD_LEAST)
        *out = slope(mu, counted);
    return 0;
}

// ---------------------------------------------------------------- self-clustering

// Rows of length one, `count` of them from `at` on, into out. How many have a direction; -1: one is
// not finite.
static int directions(const float *x, int64_t at, int count, int d, const double *mean, double *out)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        const float *row = x + (size_t)(at + i) * (size_t)d;
        double *to = out + (size_t)i * (size_t)d, top = 0, square = 0;
        for (int j = 0; j < d; j++) {
            to[j] = row[j] - (mean ? mean[j] : 0);
            if (!isfinite(to[j]))
                return -1;
            top = fmax(top, fabs(to[j]));
        }
        for (int j = 0; j < d && top > 0; j++)
            square += (to[j] / top) * (to[j] / top);
        for (int j = 0; j < d && top > 0; j++)
            to[j] = to[j] / top / sqrt(square);
        found += top > 0;
    }
    return found;
}

static void mean_of(const float *x, int64_t n, int d, double *mean)
{
    memset(mean, 0, (size_t)d * sizeof *mean);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            mean[j] += x[i * d + j];
    for (int j = 0; j < d; j++)
        mean[j] /= (double)n;
}

// Sum of the squares of all products of two rows with each other.
static double squared_norm(const double *gram, int d)
{
    double sum = 0;
    for (int i = 0; i < d; i++)
        for (int j = 0; j <= i; j++) {
            double g = gram[(size_t)i * (size_t)d + (size_t)j];
            sum += (i == j ? 1 : 2) * g * g;
        }
    return sum;
}

int manifold_self_cluster(const float *x, int64_t n, int d, int centred, double *out,
                          struct error *e)
{
    size_t wide = (size_t)d;
    *out = NAN;
    if (n < 2 || d < 2)
        return 0;
    FREED_BY(memory_free) struct memory m = {0};
    double *mean = centred ? memory_take(&m, wide, sizeof *mean) : NULL;
    double *gram = memory_take(&m, wide * wide, sizeof *gram);
    double *rows = memory_take(&m, BLOCK * wide, sizeof *rows);
    int64_t found = 0;
    if (m.failed)
        return error_memory(e, "products of %d features", d);
    if (centred)
        mean_of(x, n, d, mean);
    for (int64_t at = 0; found >= 0 && at < n; at += BLOCK) {
        int some = (int)(n - at < BLOCK ? n - at : BLOCK);
        int more = directions(x, at, some, d, mean, rows);
        found = more < 0 ? -1 : found + more;
        if (more > 0)
            cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, d, some, 1, rows, d, 1, gram, d);
    }
    if (found > 1) {
        double all = (double)found * (double)found;
        double random = (double)found + (double)found * (double)(found - 1) / d;
        *out = (squared_norm(gram, d) - random) / (all - random);
    }
    return 0;
}
