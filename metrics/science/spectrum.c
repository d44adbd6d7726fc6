// Mean and scatter of features in double, and their singular values. Batches are centred on their
// own mean and joined by the parallel form of Welford's update (Chan, Golub, LeVeque, 1983): no
// difference of large sums.
#include "metrics/science/spectrum.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/blas.h"
#include "metrics/science/lapack.h"

#define BLOCK 256 // rows a rank-k update; bounds the workspace

// Decayed values of features that died would end as denormals, which cost a hundred times as much
// to work with. Squares of the least float (2e-90) are far above this.
#define TINY 1e-240

struct spectrum_solver {
    int d, lwork, liwork;
    double *a, *w, *work;
    double *more; // 5 d: of spectrum_both
    int *iwork;
    struct memory memory;
};

int moments_init(struct moments *m, int d, struct error *e)
{
    *m = (struct moments){0};
    if (d < 1 || d > SPECTRUM_D_MAX)
        return error_set(e, "moments of %d dimensions: 1 to %d are possible", d, SPECTRUM_D_MAX);
    if (blas_begin(1, e) < 0)
        return -1;
    m->d = d;
    m->work_rows = BLOCK + 1;
    m->mean = memory_take(&m->memory, (size_t)d, sizeof *m->mean);
    m->scatter = memory_take(&m->memory, (size_t)d * (size_t)d, sizeof *m->scatter);
    m->work = memory_take(&m->memory, m->work_rows * (size_t)d, sizeof *m->work);
    if (!m->memory.failed)
        return 0;
    moments_free(m);
    return error_memory(e, "the moments of %d dimensions", d);
}

void moments_free(struct moments *m)
{
    memory_free(&m->memory);
    *m = (struct moments){0};
}

void moments_reset(struct moments *m)
{
    size_t d = (size_t)m->d;
    m->weight = m->weight2 = 0;
    memset(m->mean, 0, d * sizeof *m->mean);
    memset(m->scatter, 0, d * d * sizeof *m->scatter);
}

void moments_decay(struct moments *m, double factor)
{
    m->weight *= factor;
    m->weight2 *= factor * factor;
    for (int i = 0; i < m->d; i++) {
        double *row = m->scatter + (size_t)i * (size_t)m->d;
        for (int j = 0; j <= i; j++) {
            double v = row[j] * factor;
            row[j] = fabs(v) < TINY ? 0 : v;
        }
    }
}

// Centre n rows on their own mean; the mean into row n as its distance from m->mean.
static void centre(const struct moments *m, double *rows, int n)
{
    size_t d = (size_t)m->d;
    double *mean = rows + (size_t)n * d;
    memset(mean, 0, d * sizeof *mean);
    for (int i = 0; i < n; i++) {
        const double *row = rows + (size_t)i * d;
        for (size_t j = 0; j < d; j++)
            mean[j] += row[j];
    }
    for (size_t j = 0; j < d; j++)
        mean[j] /= n;
    for (int i = 0; i < n; i++) {
        double *row = rows + (size_t)i * d;
        for (size_t j = 0; j < d; j++)
            row[j] -= mean[j];
    }
    for (size_t j = 0; j < d; j++)
        mean[j] -= m->mean[j];
}

// The shift of the mean is a row more of the same rank-k update:
// scatter += sum (x - mean_b)(x - mean_b)^T + w n / (w + n) delta delta^T.
void moments_take(struct moments *m, double *rows, int n)
{
    size_t d = (size_t)m->d;
    centre(m, rows, n);
    double *delta = rows + (size_t)n * d, sum = m->weight + n;
    double share = n / sum, scale = sqrt(m->weight * share);
    for (size_t j = 0; j < d; j++) {
        double mean = m->mean[j] + share * delta[j];
        m->mean[j] = fabs(mean) < sqrt(TINY) ? 0 : mean;
        delta[j] *= scale;
    }
    // Row-major lower triangle of rows^T rows, rows being (n + 1) x d.
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, m->d, n + 1, 1, rows, m->d, 1, m->scatter,
                m->d);
    m->weight = sum;
    m->weight2 += n;
}

void moments_merge(struct moments *m, const struct moments *other)
{
    size_t d = (size_t)m->d;
    if (!(other->weight > 0))
        return;
    double sum = m->weight + other->weight, share = other->weight / sum;
    double scale = m->weight * share;
    for (size_t i = 0; i < d; i++) {
        double di = other->mean[i] - m->mean[i];
        for (size_t j = 0; j <= i; j++)
            m->scatter[i * d + j] +=
                other->scatter[i * d + j] + scale * di * (other->mean[j] - m->mean[j]);
    }
    for (size_t i = 0; i < d; i++)
        m->mean[i] += share * (other->mean[i] - m->mean[i]);
    m->weight = sum;
    m->weight2 += other->weight2;
}

static void add_block(struct moments *m, const float *x, int n, size_t stride)
{
    size_t d = (size_t)m->d;
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            m->work[(size_t)i * d + j] = x[(size_t)i * stride + j];
    moments_take(m, m->work, n);
}

void moments_age(struct moments *m, int64_t samples)
{
    moments_decay(m, exp2(-(double)samples / ((double)MOMENTS_HALF_LIFE * m->d)));
}

int moments_add(struct moments *m, const float *x, int64_t n, size_t stride, struct error *e)
{
    if (n < 0 || stride < (size_t)m->d)
        return error_set(e, "moments of %lld rows %zu apart: %d numbers a row do not fit",
                         (long long)n, stride, m->d);
    for (int64_t i = 0; i < n; i += BLOCK)
        add_block(m, x + (size_t)i * stride, n - i < BLOCK ? (int)(n - i) : BLOCK, stride);
    return 0;
}

double moments_mean_norm(const struct moments *m)
{
    return cblas_dnrm2(m->d, m->mean, 1);
}

// What LAPACK's dsyevd needs beside.
static int room(int d, const char *vectors, double *a, double *w, int *lwork, int *liwork,
                struct error *e)
{
    double size = 0;
    int query = -1, info = 0;
    dsyevd_(vectors, "U", &d, a, &d, w, &size, &query, liwork, &query, &info, 1, 1);
    if (info || !(size >= 1 && size < 2e9) || *liwork < 1)
        return error_set(e, "LAPACK's dsyevd refused %d dimensions (info %d)", d, info);
    *lwork = (int)size;
    return 0;
}

// Row-major lower is column-major upper; eigenvectors come as rows.
int spectrum_vectors(int d, double *a, double *w, struct error *e)
{
    FREED_BY(memory_free) struct memory m = {0};
    int lwork = 0, liwork = 0, info = 0;
    if (room(d, "V", a, w, &lwork, &liwork, e) < 0)
        return -1;
    double *work = memory_take(&m, (size_t)lwork, sizeof *work);
    int *iwork = memory_take(&m, (size_t)liwork, sizeof *iwork);
    if (m.failed)
        return error_memory(e, "eigenvectors of %d dimensions", d);
    dsyevd_("V", "U", &d, a, &d, w, work, &lwork, iwork, &liwork, &info, 1, 1);
    return info ? error_set(e, "LAPACK's dsyevd did not converge (info %d)", info) : 0;
}

static int solver_init(struct spectrum_solver *s, struct error *e)
{
    size_t d = (size_t)s->d;
    double lwork = 0;
    int query = -1, info = 0;
    s->a = memory_take(&s->memory, d * d, sizeof *s->a);
    s->w = memory_take(&s->memory, d, sizeof *s->w);
    s->more = memory_take(&s->memory, 5 * d, sizeof *s->more);
    if (s->memory.failed)
        return error_memory(e, "the spectrum of %d dimensions", s->d);
    if (room(s->d, "N", s->a, s->w, &s->lwork, &s->liwork, e) < 0)
        return -1;
    dsytrd_("U", &s->d, s->a, &s->d, s->w, s->w, s->w, &lwork, &query, &info, 1);
    if (info || !(lwork >= 1 && lwork < 2e9))
        return error_set(e, "LAPACK's dsytrd refused %d dimensions (info %d)", s->d, info);
    s->lwork = lwork > s->lwork ? (int)lwork : s->lwork;
    s->work = memory_take(&s->memory, (size_t)s->lwork, sizeof *s->work);
    s->iwork = memory_take(&s->memory, (size_t)s->liwork, sizeof *s->iwork);
    return s->memory.failed ? error_memory(e, "the spectrum of %d dimensions", s->d) : 0;
}

int spectrum_solver_new(int d, struct spectrum_solver **out, struct error *e)
{
    *out = NULL;
    if (d < 1 || d > SPECTRUM_D_MAX)
        return error_set(e, "a spectrum of %d dimensions: 1 to %d are possible", d, SPECTRUM_D_MAX);
    if (blas_begin(1, e) < 0)
        return -1;
    struct spectrum_solver *s = calloc(1, sizeof *s);
    if (!s)
        return error_memory(e, "the spectrum of %d dimensions", d);
    s->d = d;
    if (solver_init(s, e) == 0) {
        *out = s;
        return 0;
    }
    spectrum_solver_free(s);
    return -1;
}

void spectrum_solver_free(struct spectrum_solver *s)
{
    if (s)
        memory_free(&s->memory);
    free(s);
}

// The scatter into s->a, if all of it is finite.
static int take(struct spectrum_solver *s, const struct moments *m, struct error *e)
{
    if (s->d != m->d)
        return error_set(e, "a solver for %d dimensions got moments of %d", s->d, m->d);
    if (!isfinite(m->weight) || !isfinite(m->weight2))
        return error_set(e, "the weight of the features is not finite");
    if (m->weight <= 0 || m->weight2 <= 0)
        return error_set(e, "no features have been seen yet");
    // Row-major lower is column-major upper. 0 * x is NaN for every x that is not finite.
    size_t d = (size_t)s->d;
    double odd = 0;
    for (size_t i = 0; i < d; i++) {
        const double *from = m->scatter + i * d;
        double *to = s->a + i * d;
        odd += 0 * m->mean[i];
        for (size_t j = 0; j <= i; j++) {
            odd += 0 * from[j];
            to[j] = from[j];
        }
    }
    return odd != 0 ? error_set(e, "the features are not finite") : 0;
}

// Ascending eigenvalues of a scatter as singular values, descending.
static int give(const struct spectrum_solver *s, const double *w, int info, double scale,
                double *sigma, struct error *e)
{
    size_t d = (size_t)s->d;
    for (size_t i = 0; i < d && !info; i++)
        info = !isfinite(w[i]);
    if (info)
        return error_set(e, "LAPACK found no eigenvalues (info %d)", info);
    for (size_t i = 0; i < d; i++)
        sigma[i] = sqrt(fmax(0, w[d - 1 - i]) * scale);
    return 0;
}

int spectrum_from_moments(struct spectrum_solver *s, const struct moments *m, double *sigma,
                          double *n, struct error *e)
{
    int info = 0;
    if (take(s, m, e) < 0)
        return -1;
    dsyevd_("N", "U", &s->d, s->a, &s->d, s->w, s->work, &s->lwork, s->iwork, &s->liwork, &info, 1,
            1);
    // lambda n_eff = eigenvalue / weight * weight^2 / weight2
    double scale = m->weight / m->weight2;
    if (give(s, s->w, info, scale, sigma, e) < 0)
        return -1;
    *n = m->weight * scale;
    return 0;
}

// s->a from both sides by the reflection that turns the mean into the last axis.
static void turn_mean(struct spectrum_solver *s, const double *mean, double length)
{
    size_t d = (size_t)s->d;
    double *v = s->more, *q = s->more + d;
    for (size_t j = 0; j < d; j++)
        v[j] = mean[j] / length;
    double square = 2 * (1 + fabs(v[d - 1])); // away from the axis: no difference of equals
    v[d - 1] += v[d - 1] < 0 ? -1 : 1;
    double beta = 2 / square;
    cblas_dsymv(CblasRowMajor, CblasLower, s->d, beta, s->a, s->d, v, 1, 0, q, 1);
    cblas_daxpy(s->d, -0.5 * beta * cblas_ddot(s->d, q, 1, v, 1), v, 1, q, 1);
    cblas_dsyr2(CblasRowMajor, CblasLower, s->d, -1, v, 1, q, 1, s->a, s->d);
}

// The reduction leaves the last axis alone: there what was not centred adds weight |mean|^2.
int spectrum_both(struct spectrum_solver *s, const struct moments *m, double *sigma, double *raw,
                  double *n, struct error *e)
{
    size_t d = (size_t)s->d, last = d - 1;
    double length = moments_mean_norm(m), scale = m->weight / m->weight2;
    int info = 0;
    if (take(s, m, e) < 0)
        return -1;
    if (length > 0)
        turn_mean(s, m->mean, length);
    double *diagonal = s->more, *beside = s->more + d, *tau = s->more + 2 * d;
    dsytrd_("U", &s->d, s->a, &s->d, diagonal, beside, tau, s->work, &s->lwork, &info, 1);
    double *w = s->more + 3 * d, *off = s->more + 4 * d;
    memcpy(w, diagonal, d * sizeof *w);
    memcpy(off, beside, last * sizeof *off);
    if (!info)
        dsterf_(&s->d, w, off, &info);
    if (give(s, w, info, scale, sigma, e) < 0)
        return -1;
    diagonal[last] += m->weight * length * length;
    dsterf_(&s->d, diagonal, beside, &info);
    if (give(s, diagonal, info, scale, raw, e) < 0)
        return -1;
    *n = m->weight * scale;
    return 0;
}
