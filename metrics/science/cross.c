// The parallel form of Welford's update (Chan, Golub, LeVeque, 1983) for products of two things; a
// Cholesky factor of the features' correlations says the rest.
#include "metrics/science/cross.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/lapack.h"
#include "metrics/science/probe.h"

enum { BLOCK = 256, LEAST = 2 }; // LEAST: images a degree of freedom
#define TINY 1e-240              // as in spectrum.c: no denormals

int cross_init(struct cross *c, int d, int targets, struct error *e)
{
    memset(c, 0, sizeof *c);
    if (d < 1 || d > SPECTRUM_D_MAX || targets < 1)
        return error_set(e, "moments of %d features with %d numbers cannot be", d, targets);
    size_t n = (size_t)d, k = (size_t)targets;
    c->d = d;
    c->targets = targets;
    c->lambda = CROSS_LAMBDA;
    c->mean = calloc(n, sizeof *c->mean);
    c->target = calloc(k, sizeof *c->target);
    c->product = calloc(n * k, sizeof *c->product);
    c->rows = calloc((BLOCK + 1) * n, sizeof *c->rows);
    c->told = calloc((BLOCK + 1) * k, sizeof *c->told);
    c->a = calloc(n * n, sizeof *c->a);
    c->w = calloc(n * k, sizeof *c->w);
    c->scale = calloc(2 * n, sizeof *c->scale);
    if (c->mean && c->target && c->product && c->rows && c->told && c->a && c->w && c->scale)
        return 0;
    cross_free(c);
    return error_set(e, "out of memory for moments of %d features", d);
}

void cross_free(struct cross *c)
{
    free(c->mean);
    free(c->target);
    free(c->product);
    free(c->rows);
    free(c->told);
    free(c->a);
    free(c->w);
    free(c->scale);
    memset(c, 0, sizeof *c);
}

void cross_reset(struct cross *c)
{
    size_t n = (size_t)c->d, k = (size_t)c->targets;
    c->weight = c->weight2 = c->total = 0;
    memset(c->mean, 0, n * sizeof *c->mean);
    memset(c->target, 0, k * sizeof *c->target);
    memset(c->product, 0, n * k * sizeof *c->product);
}

void cross_age(struct cross *c, int64_t samples)
{
    double factor = exp2(-(double)samples / ((double)MOMENTS_HALF_LIFE * c->d));
    size_t n = (size_t)c->d * (size_t)c->targets;
    c->weight *= factor;
    c->weight2 *= factor * factor;
    c->total *= factor;
    for (size_t i = 0; i < n; i++) {
        double v = c->product[i] * factor;
        c->product[i] = fabs(v) < TINY ? 0 : v;
    }
}

// Centre n rows of `width` numbers on their own mean. Row n becomes the way from `mean` to it,
// which `mean` goes a share of, times `scale`.
static void centre(double *rows, int n, int width, double *mean, double share, double scale)
{
    size_t m = (size_t)width;
    double *shift = rows + (size_t)n * m;
    memset(shift, 0, m * sizeof *shift);
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            shift[j] += rows[(size_t)i * m + j];
    for (size_t j = 0; j < m; j++)
        shift[j] /= n;
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            rows[(size_t)i * m + j] -= shift[j];
    for (size_t j = 0; j < m; j++) {
        double way = shift[j] - mean[j];
        mean[j] += share * way;
        shift[j] = scale * way;
    }
}

static void add_block(struct cross *c, const float *h, const float *t, int n)
{
    int d = c->d, k = c->targets;
    double sum = c->weight + n, share = n / sum, scale = sqrt(c->weight * share);
    for (size_t i = 0; i < (size_t)n * (size_t)d; i++)
        c->rows[i] = h[i];
    for (size_t i = 0; i < (size_t)n * (size_t)k; i++)
        c->told[i] = t[i];
    centre(c->rows, n, d, c->mean, share, scale);
    centre(c->told, n, k, c->target, share, scale);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d, k, n + 1, 1, c->rows, d, c->told, k, 1,
                c->product, k);
    c->total += cblas_ddot((n + 1) * k, c->told, 1, c->told, 1);
    c->weight = sum;
    c->weight2 += n;
}

void cross_add(struct cross *c, const float *h, const float *t, int64_t n)
{
    for (int64_t at = 0; at < n; at += BLOCK)
        add_block(c, h + at * c->d, t + at * c->targets, n - at < BLOCK ? (int)(n - at) : BLOCK);
}

// The factor of the correlations with the penalty on their diagonal.
static int factor(struct cross *c, const struct moments *m)
{
    size_t d = (size_t)c->d;
    int info = 0;
    struct probe_scale scale = {c->scale, c->scale + d};
    probe_scale_take(&scale, m);
    const double *f = scale.factor;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++)
            c->a[i * d + j] = m->scatter[i * d + j] * f[i] * f[j] / m->weight;
        c->a[i * d + i] += c->lambda;
    }
    // Row-major lower is column-major upper.
    dpotrf_("U", &c->d, c->a, &c->d, &info, 1);
    return info ? -1 : 0;
}

// What the targets' regressions explain of c->total / c->weight.
static double explained(struct cross *c)
{
    size_t d = (size_t)c->d, k = (size_t)c->targets;
    const double *f = c->scale + d;
    int info = 0;
    double sum = 0;
    for (size_t t = 0; t < k; t++)
        for (size_t j = 0; j < d; j++)
            c->w[t * d + j] = c->product[j * k + t] * f[j] / c->weight;
    dpotrs_("U", &c->d, &c->targets, c->a, &c->d, c->w, &c->d, &info, 1);
    for (size_t t = 0; t < k; t++)
        for (size_t j = 0; j < d; j++) {
            double w = c->w[t * d + j];
            sum += w * (c->product[j * k + t] * f[j] / c->weight + c->lambda * w);
        }
    return info ? NAN : sum;
}

// Trace of C (C + lambda)^-1: as many features as the penalty leaves free.
static double freedom(struct cross *c)
{
    size_t d = (size_t)c->d;
    int info = 0;
    double sum = 0;
    dtrtri_("U", "N", &c->d, c->a, &c->d, &info, 1, 1);
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            sum += c->a[i * d + j] * c->a[i * d + j];
    return info ? NAN : c->d - c->lambda * sum;
}

// The residual of all there is, from that in sample; then what a regression on `fitted` images adds
// to it by its own uncertainty.
double cross_r2(struct cross *c, const struct moments *m, int views, double fitted)
{
    double images = c->weight * c->weight / c->weight2 / views;
    if (m->d != c->d || !(c->weight > 0) || !(c->total > 0) || !(images > 2) ||
        !isfinite(c->total) || factor(c, m) < 0)
        return NAN;
    double r2 = explained(c) / (c->total / c->weight), used = freedom(c);
    if (!isfinite(r2) || !(images - 1 > LEAST * used) || !(fitted - 1 > used))
        return NAN;
    double residual = (1 - r2) * (images - 1) / (images - 1 - used);
    return 1 - residual * (1 + (isinf(fitted) ? 0 : used / (fitted - 1 - used)));
}
