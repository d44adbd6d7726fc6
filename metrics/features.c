// One pass over a mapped array. Each thread has moments of its own over every other block of rows,
// converted to double, centred and multiplied while they are in its cache; at the end the moments
// are joined (Chan, Golub, LeVeque, 1983).
#include "metrics/features.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/cores.h"
#include "metrics/science/blas.h"

enum { BLOCK_BYTES = 4 << 20, BLOCK_LEAST = 256, BLOCK_MOST = 4096 };
static const size_t MEMORY = 128u << 20; // for all threads together

// Squares of numbers up to the larger one, added up, stay below the largest double; of numbers that
// go up to the smaller one at least, what matters of their squares stays above the least. Files
// outside are taken by a power of two of their numbers, which rounds nothing. No f32 is outside.
#define SAFE_LARGE 0x1p400
#define SAFE_SMALL 0x1p-300

struct worker {
    struct moments m;
    double *rows;
    int64_t bad, first; // numbers that are not finite; position of the first, -1
    double top;         // the largest |x|
};

static int block_of(int d)
{
    size_t rows = BLOCK_BYTES / ((size_t)d * sizeof(double));
    return rows < BLOCK_LEAST ? BLOCK_LEAST : rows > BLOCK_MOST ? BLOCK_MOST : (int)rows;
}

static void normalise(double *rows, int64_t n, int d)
{
    for (double *row = rows; n > 0; n--, row += d) {
        double top = 0, square = 0;
        for (int j = 0; j < d; j++)
            top = fmax(top, fabs(row[j]));
        if (top == 0)
            continue;
        for (int j = 0; j < d; j++)
            square += (row[j] / top) * (row[j] / top);
        for (int j = 0; j < d; j++)
            row[j] = row[j] / top / sqrt(square);
    }
}

// Count what is not finite among `count` numbers, of which the first is number `at` of the array,
// and look for the largest.
static int64_t inspect(struct worker *w, int64_t at, int64_t count)
{
    double odd = 0, top = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = fabs(w->rows[i]);
        odd += 0 * x; // NaN for every number that is not finite
        top = x > top ? x : top;
    }
    w->top = top > w->top ? top : w->top;
    if (odd == 0)
        return 0;
    int64_t bad = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(w->rows[i]) && !bad++ && (w->first < 0 || at + i < w->first))
            w->first = at + i;
    w->bad += bad;
    return bad;
}

// The power of two that numbers up to `top` are to be multiplied by. That of the least double has
// no inverse among doubles: near it is enough.
static int safe_power(double top)
{
    if (!(top > 0) || !isfinite(top) || (top >= SAFE_SMALL && top <= SAFE_LARGE))
        return 0;
    int power = -ilogb(top);
    return power > 1000 ? 1000 : power;
}

static void multiply(double *x, int64_t count, int power)
{
    double factor = ldexp(1, power);
    for (int64_t i = 0; power && i < count; i++)
        x[i] *= factor;
}

static void worker_run(struct worker *w, const struct npy *a, int l2, int power, int me,
                       int threads)
{
    int64_t block = block_of((int)a->d);
    for (int64_t at = me * block; at < a->n; at += threads * block) {
        int64_t n = a->n - at < block ? a->n - at : block;
        npy_rows(a, at, n, w->rows);
        npy_forget(a, at, n);
        if (inspect(w, at * a->d, n * a->d))
            continue;
        if (l2)
            normalise(w->rows, n, (int)a->d);
        multiply(w->rows, n * a->d, power);
        moments_take(&w->m, w->rows, (int)n);
    }
}

static int worker_init(struct worker *w, int d, struct error *e)
{
    w->first = -1;
    w->rows = malloc((size_t)(block_of(d) + 1) * (size_t)d * sizeof *w->rows);
    if (!w->rows)
        return error_memory(e, "rows of %d features", d);
    return moments_init(&w->m, d, e);
}

// What a thread needs must leave room for the others.
static int fit_threads(const struct npy *a, int threads)
{
    size_t d = (size_t)a->d;
    size_t each = (d * d + (size_t)(block_of((int)d) + BLOCK_LEAST + 2) * d) * sizeof(double);
    int64_t blocks = (a->n + block_of((int)d) - 1) / block_of((int)d);
    if ((size_t)threads > MEMORY / each)
        threads = (int)(MEMORY / each);
    if (threads > blocks)
        threads = (int)blocks;
    return threads < 1 ? 1 : threads;
}

static int say_bad(const struct npy *a, int64_t bad, int64_t first, struct error *e)
{
    long long count = bad, all = a->n * a->d, at = first;
    if (a->ndim == 1)
        return error_set(e,
                         "%lld of %lld numbers are NaN or infinite, the first is number %lld "
                         "(from 0)",
                         count, all, at);
    return error_set(e,
                     "%lld of %lld numbers are NaN or infinite, the first in row %lld, column "
                     "%lld (from 0)",
                     count, all, at / a->d, at % a->d);
}

// One pass: moments of the numbers by 2^power, and in *top the largest of the file.
static int one_pass(const struct npy *a, int l2, int power, int threads, struct moments *m,
                    double *top, struct error *e)
{
    struct worker *w = calloc((size_t)threads, sizeof *w);
    int rc = w ? blas_begin(threads, e) : error_memory(e, "%d threads", threads);
    for (int t = 0; t < threads && rc == 0; t++)
        rc = worker_init(&w[t], m->d, e);
    if (rc == 0) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int t = 0; t < threads; t++)
            worker_run(&w[t], a, l2, power, t, threads);
        int64_t bad = 0, first = -1;
        for (int t = 0; t < threads; t++) {
            bad += w[t].bad;
            if (w[t].first >= 0 && (first < 0 || w[t].first < first))
                first = w[t].first;
            *top = fmax(*top, w[t].top);
            moments_merge(m, &w[t].m);
        }
        if (bad)
            rc = say_bad(a, bad, first, e);
    }
    for (int t = 0; t < threads && w; t++) {
        free(w[t].rows);
        moments_free(&w[t].m);
    }
    free(w);
    return rc;
}

// A second pass only where the first one finds out that squares leave the doubles. Rows of length
// one have no scale.
int features_moments(const struct npy *a, int l2, int threads, struct moments *m, int *power,
                     struct error *e)
{
    double top = 0;
    *power = 0;
    if (a->d != m->d)
        return error_set(e, "%lld features do not fit moments of %d", (long long)a->d, m->d);
    threads = fit_threads(a, threads > 0 ? threads : cores_usable());
    int rc = one_pass(a, l2, 0, threads, m, &top, e);
    if (rc < 0 || l2 || !(*power = safe_power(top)))
        return rc;
    moments_reset(m);
    return one_pass(a, 0, *power, threads, m, &top, e);
}

// ---------------------------------------------------------------- a file

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static int take_values(const struct npy *a, double *sigma, struct error *e)
{
    int64_t bad = 0, first = -1;
    npy_rows(a, 0, a->n, sigma);
    for (int64_t i = 0; i < a->n; i++)
        if (!isfinite(sigma[i]) && !bad++)
            first = i;
    if (bad)
        return say_bad(a, bad, first, e);
    for (int64_t i = 0; i < a->n; i++)
        if (sigma[i] < 0)
            return error_set(e,
                             "one dimension is taken as singular values, but number %lld is "
                             "negative",
                             (long long)i);
    qsort(sigma, (size_t)a->n, sizeof *sigma, descending);
    return 0;
}

static int solve(const struct moments *m, double *sigma, double *n, struct error *e)
{
    struct spectrum_solver *solver = NULL;
    int rc = spectrum_solver_new(m->d, &solver, e);
    if (rc == 0)
        rc = spectrum_from_moments(solver, m, sigma, n, e);
    spectrum_solver_free(solver);
    return rc;
}

// The spectrum and the mean as they are taken, by 2^power of the file's.
struct taken {
    double n;
    int power;
};

// Whether a feature is the same in all rows: what it deviates is what rounding makes of its mean,
// at most half a unit for each number of a sum, twice over where the means of blocks are joined.
static int is_constant(double squares, int64_t n, int64_t summed, double mean)
{
    double least = DBL_EPSILON * (double)summed * fabs(mean);
    return squares <= (double)n * least * least;
}

static void drop_constants(struct moments *m, int64_t n)
{
    size_t d = (size_t)m->d;
    int64_t summed = n < block_of(m->d) ? n : block_of(m->d);
    for (size_t j = 0; j < d; j++) {
        if (!is_constant(m->scatter[j * d + j], n, summed, m->mean[j]))
            continue;
        memset(m->scatter + j * d, 0, (j + 1) * sizeof *m->scatter);
        for (size_t i = j; i < d; i++)
            m->scatter[i * d + j] = 0;
    }
}

static int take_many(const struct npy *a, int l2, int threads, struct features_report *r,
                     struct taken *t, struct error *e)
{
    struct moments m = {0};
    int rc = moments_init(&m, r->d, e);
    if (rc == 0)
        rc = features_moments(a, l2, threads, &m, &t->power, e);
    if (rc == 0) {
        drop_constants(&m, a->n);
        rc = solve(&m, r->sigma, &t->n, e);
    }
    if (rc == 0)
        r->mean_norm = moments_mean_norm(&m);
    moments_free(&m);
    return rc;
}

// Centre the rows, constants to zeros; the mean into row n, sums of squares into row n + 1.
static void centre(double *rows, int n, int d)
{
    double *mean = rows + (size_t)n * (size_t)d, *squares = mean + d;
    memset(mean, 0, 2 * (size_t)d * sizeof *mean);
    for (int i = 0; i < n; i++)
        cblas_daxpy(d, 1.0 / n, rows + (size_t)i * (size_t)d, 1, mean, 1);
    for (int i = 0; i < n; i++) {
        double *row = rows + (size_t)i * (size_t)d;
        cblas_daxpy(d, -1, mean, 1, row, 1);
        for (int j = 0; j < d; j++)
            squares[j] += row[j] * row[j];
    }
    for (int j = 0; j < d; j++)
        for (int i = 0; i < n && is_constant(squares[j], n, n, mean[j]); i++)
            rows[(size_t)i * (size_t)d + (size_t)j] = 0;
}

// Fewer rows than features: the products of the rows with each other have the same singular values,
// and take no more memory than the file justifies.
static int take_few(const struct npy *a, int l2, struct features_report *r, struct taken *t,
                    struct error *e)
{
    int rows = (int)a->n;
    struct worker w = {.first = -1};
    struct moments gram = {0};
    int rc = moments_init(&gram, rows, e);
    w.rows = malloc(((size_t)rows + 2) * (size_t)r->d * sizeof *w.rows);
    if (!w.rows)
        rc = error_memory(e, "%d rows", rows);
    if (rc == 0) {
        npy_rows(a, 0, rows, w.rows);
        if (inspect(&w, 0, (int64_t)rows * r->d))
            rc = say_bad(a, w.bad, w.first, e);
    }
    if (rc == 0) {
        if (l2)
            normalise(w.rows, rows, r->d);
        else
            t->power = safe_power(w.top);
        multiply(w.rows, (int64_t)rows * r->d, t->power);
        centre(w.rows, rows, r->d);
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, rows, r->d, 1, w.rows, r->d, 0,
                    gram.scatter, rows);
        gram.weight = gram.weight2 = rows;
        r->mean_norm = cblas_dnrm2(r->d, w.rows + (size_t)rows * (size_t)r->d, 1);
        rc = solve(&gram, r->sigma, &t->n, e);
        r->sigma[rows - 1] = 0; // centred rows add up to nothing: the rest is rounding
    }
    free(w.rows);
    moments_free(&gram);
    return rc;
}

static int take_features(const struct npy *a, int l2, int threads, struct features_report *r,
                         struct taken *t, struct error *e)
{
    r->n = a->n;
    return a->n < a->d ? take_few(a, l2, r, t, e) : take_many(a, l2, threads, r, t, e);
}

static int measure(const struct npy *a, int l2, int threads, struct features_report *r,
                   struct error *e)
{
    int64_t d = a->ndim == 1 ? a->n : a->d;
    struct taken t = {NAN, 0};
    if (d > SPECTRUM_D_MAX)
        return error_set(e, "%lld %s: up to %d are possible", (long long)d,
                         a->ndim == 1 ? "singular values" : "features", SPECTRUM_D_MAX);
    r->d = (int)d;
    r->mean_norm = NAN;
    r->sigma = calloc((size_t)d, sizeof *r->sigma);
    if (!r->sigma)
        return error_memory(e, "%lld singular values", (long long)d);
    if (a->ndim == 1 ? take_values(a, r->sigma, e) < 0
                     : take_features(a, l2, threads, r, &t, e) < 0)
        return -1;
    struct metric_input in = metric_unknown();
    in.sigma = r->sigma;
    in.d = r->d;
    in.n = t.n;
    in.mean_norm = r->mean_norm;
    metric_all(&in, r->metric); // they have no scale
    for (int i = 0; i < r->d; i++)
        r->sigma[i] = ldexp(r->sigma[i], -t.power);
    r->mean_norm = ldexp(r->mean_norm, -t.power);
    return 0;
}

int features_measure_array(const struct npy *a, int l2, int threads, struct features_report *out,
                           struct error *e)
{
    memset(out, 0, sizeof *out);
    int rc = a->ndim == 2 && a->n == 1
                 ? error_set(e, "has one row: that has no spectrum (an array of one dimension is "
                                "taken for singular values)")
                 : measure(a, l2, threads, out, e);
    out->behind = a->behind;
    out->again = a->again;
    out->untyped = a->untyped;
    out->whole = a->ndim == 1 && a->type >= NPY_I8;
    if (rc < 0)
        features_report_free(out);
    return rc;
}

int features_measure(const char *path, int l2, int threads, struct features_report *out,
                     struct error *e)
{
    struct npy a;
    memset(out, 0, sizeof *out);
    if (npy_open(path, &a, e) < 0)
        return -1;
    int rc = features_measure_array(&a, l2, threads, out, e);
    npy_close(&a);
    return rc < 0 ? error_prefix(e, "%.300s", npy_name(path)) : 0;
}

int features_few(const struct features_report *r)
{
    return r->n && r->n < (int64_t)METRIC_ROWS * r->d;
}

void features_report_free(struct features_report *r)
{
    free(r->sigma);
    memset(r, 0, sizeof *r);
}
