// S_w = L L^T (Cholesky); L^-1 S_b L^-T has the eigenvalues that are asked for.
#include "metrics/science/lidar.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/science/lapack.h"
#include "metrics/science/spectrum.h"

#define DELTA   1e-4 // of the mean variance within
#define EPSILON 1e-7

// Row-major lower is column-major upper.
int lidar_matrix(double *between, double *within, int d)
{
    size_t wide = (size_t)d;
    double trace = 0, odd = 0;
    int one = 1, info = 0;
    for (size_t i = 0; i < wide; i++) {
        trace += within[i * wide + i];
        for (size_t j = 0; j <= i; j++)
            odd += 0 * within[i * wide + j] + 0 * between[i * wide + j];
    }
    if (odd != 0 || !(trace > 0))
        return 1;
    for (size_t i = 0; i < wide; i++)
        within[i * wide + i] += DELTA * trace / d;
    dpotrf_("U", &d, within, &d, &info, 1);
    if (!info)
        dsygst_(&one, "U", &d, between, &d, within, &d, &info, 1);
    return info != 0;
}

double lidar_rank(const double *eigenvalue, int d)
{
    double top = 0, sum = 0, entropy = 0;
    for (int j = 0; j < d; j++) {
        if (!isfinite(eigenvalue[j]))
            return NAN;
        top = fmax(top, eigenvalue[j]);
    }
    if (!(top > 0))
        return NAN;
    for (int j = 0; j < d; j++)
        sum += fmax(0, eigenvalue[j] / top);
    for (int j = 0; j < d; j++) {
        double p = fmax(0, eigenvalue[j] / top) / sum + EPSILON;
        entropy -= p * log(p);
    }
    return exp(entropy);
}

// Scatter of the views about their means, a blocks of images at a time, and moments of these means.
static int scatters(const float *x, int64_t n, int q, int d, struct moments *means, double *within,
                    struct error *e)
{
    size_t wide = (size_t)d;
    FREED_BY(memory_free) struct memory m = {0};
    double *rows = memory_take(&m, (size_t)q * wide, sizeof *rows);
    double *mean = memory_take(&m, 2 * wide, sizeof *mean);
    if (m.failed)
        return error_memory(e, "views of %d numbers", d);
    for (int64_t i = 0; i < n; i++) {
        const float *views = x + (size_t)i * (size_t)q * wide;
        memset(mean, 0, wide * sizeof *mean);
        for (int k = 0; k < q; k++)
            for (size_t j = 0; j < wide; j++)
                mean[j] += views[(size_t)k * wide + j] / (double)q;
        for (int k = 0; k < q; k++)
            for (size_t j = 0; j < wide; j++)
                rows[(size_t)k * wide + j] = views[(size_t)k * wide + j] - mean[j];
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, d, q, 1, rows, d, 1, within, d);
        moments_take(means, mean, 1);
    }
    return 0;
}

int lidar_measure(const float *x, int64_t n, int q, int d, double *out, struct error *e)
{
    size_t wide = (size_t)d;
    *out = NAN;
    if (q < 2 || d < 1)
        return error_set(e, "LiDAR of %d views of %d numbers cannot be", q, d);
    if (n < 2)
        return 0;
    FREED_BY(moments_free) struct moments means = {0};
    FREED_BY(memory_free) struct memory m = {0};
    double *within = memory_take(&m, wide * wide, sizeof *within);
    double *value = memory_take(&m, wide, sizeof *value);
    double *beside = memory_take(&m, 2 * wide, sizeof *beside);
    double *work = memory_take(&m, 64 * wide, sizeof *work);
    if (moments_init(&means, d, e) < 0)
        return -1;
    if (m.failed)
        return error_memory(e, "LiDAR of %d numbers", d);
    if (scatters(x, n, q, d, &means, within, e) < 0)
        return -1;
    int lwork = 64 * d, info = 0;
    for (size_t i = 0; i < wide * wide; i++)
        means.scatter[i] *= q;
    if (lidar_matrix(means.scatter, within, d) == 0) {
        dsytrd_("U", &d, means.scatter, &d, value, beside, beside + wide, work, &lwork, &info, 1);
        if (!info)
            dsterf_(&d, value, beside, &info);
        *out = info ? NAN : lidar_rank(value, d);
    }
    return 0;
}
