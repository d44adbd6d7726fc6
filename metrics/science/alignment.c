// Alignment and uniformity from the projections of one batch. In double throughout: near collapse
// all distances are small differences of numbers near one.
#include "metrics/science/alignment.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

int alignment_init(struct alignment *p, int rows, int dim, struct error *e)
{
    memset(p, 0, sizeof *p);
    if (rows < 1 || dim < 1)
        return error_set(e, "pairs of %d rows of %d numbers cannot be", rows, dim);
    p->rows = rows < ALIGNMENT_ROWS ? rows : ALIGNMENT_ROWS;
    p->dim = dim;
    p->x = memory_take(&p->memory, 2 * (size_t)p->rows * (size_t)dim, sizeof *p->x);
    p->gram = memory_take(&p->memory, (size_t)p->rows * (size_t)p->rows, sizeof *p->gram);
    if (!p->memory.failed)
        return 0;
    alignment_free(p);
    return error_memory(e, "pairs of %d projections", rows);
}

void alignment_free(struct alignment *p)
{
    memory_free(&p->memory);
    memset(p, 0, sizeof *p);
}

// Rows over their lengths. -1 when one has no direction.
static int normalise(const struct alignment *p, const float *z, double *x)
{
    for (int i = 0; i < p->rows; i++, z += p->dim, x += p->dim) {
        double square = 0;
        for (int j = 0; j < p->dim; j++)
            square += (double)z[j] * z[j];
        double scale = 1 / sqrt(square);
        if (!(square > 0) || !isfinite(square))
            return -1;
        for (int j = 0; j < p->dim; j++)
            x[j] = z[j] * scale;
    }
    return 0;
}

// ln mean exp(-2 |x_i - x_j|^2), |x_i - x_j|^2 = 2 - 2 x_i x_j.
static double evenness(const struct alignment *p, const double *x)
{
    double sum = 0;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, p->rows, p->dim, 1, x, p->dim, 0, p->gram,
                p->rows);
    for (int i = 1; i < p->rows; i++)
        for (int j = 0; j < i; j++)
            sum += exp(4 * fmin(0, p->gram[(size_t)i * (size_t)p->rows + (size_t)j] - 1));
    return log(sum / (0.5 * p->rows * (p->rows - 1)));
}

void alignment_measure(struct alignment *p, const float *const z[2], double *alignment,
                       double *uniformity)
{
    size_t n = (size_t)p->rows * (size_t)p->dim;
    double *x = p->x, *y = p->x + n, sum = 0;
    *alignment = *uniformity = NAN;
    if (normalise(p, z[0], x) < 0 || normalise(p, z[1], y) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    *alignment = sum / p->rows;
    if (p->rows > 1)
        *uniformity = 0.5 * (evenness(p, x) + evenness(p, y));
}

double alignment_zstd(const float *z, int64_t n, int dim)
{
    FREED_BY(memory_free) struct memory m = {0};
    double *s = memory_take(&m, 2 * (size_t)dim, sizeof *s), *q = s + dim, total = 0;
    if (m.failed || n < 2)
        return NAN;
    for (int64_t i = 0; i < n; i++, z += dim) {
        double square = 0;
        for (int j = 0; j < dim; j++)
            square += (double)z[j] * z[j];
        if (!isfinite(square))
            return NAN;
        double norm = sqrt(square), inv = 1 / (norm > 1e-12 ? norm : 1e-12);
        for (int j = 0; j < dim; j++) {
            double u = z[j] * inv;
            s[j] += u;
            q[j] += u * u;
        }
    }
    for (int j = 0; j < dim; j++) {
        double var = (q[j] - s[j] * s[j] / (double)n) / (double)(n - 1);
        total += sqrt(var > 0 ? var : 0);
    }
    return total / sqrt(dim);
}
