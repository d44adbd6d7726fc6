// LAPACK's dsytrd, panel by panel: dlatrd reduces the last columns of what is left, a product of
// rank 2 x PACED_COLUMNS brings the rest up to date. The last panel ends in a tridiagonal matrix,
// whose eigenvalues (dsterf) cost little.
#include "metrics/science/paced.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/science/lapack.h"
#include "metrics/science/lidar.h"

enum { PAIRS = 64 }; // at a time
#define TINY 1e-240  // as in spectrum.c: what decays below it is zero

int paced_init(struct paced *p, int d, struct error *e)
{
    *p = (struct paced){0};
    if (d < 1)
        return error_set(e, "rows of %d numbers cannot be", d);
    if (d > PACED_D)
        return 0;
    size_t n = (size_t)d;
    p->a = memory_take(&p->memory, n * n, sizeof *p->a);
    p->diagonal = memory_take(&p->memory, n, sizeof *p->diagonal);
    p->beside = memory_take(&p->memory, n, sizeof *p->beside);
    p->work = memory_take(&p->memory, (PACED_COLUMNS + 1) * n, sizeof *p->work);
    if (p->memory.failed || moments_init(&p->live, d, e) < 0) {
        paced_free(p);
        return error_memory(e, "the spectrum of %d projections", d);
    }
    p->d = d;
    paced_reset(p);
    return 0;
}

int paced_init_pairs(struct paced *p, int d, struct error *e)
{
    if (paced_init(p, d, e) < 0)
        return -1;
    if (!p->d)
        return 0;
    size_t n = (size_t)d, room = n > PAIRS ? n * n : PAIRS * n;
    p->within = memory_take(&p->memory, n * n, sizeof *p->within);
    p->pair = memory_take(&p->memory, room, sizeof *p->pair);
    if (!p->memory.failed)
        return 0;
    paced_free(p);
    return error_memory(e, "pairs of %d features", d);
}

void paced_free(struct paced *p)
{
    moments_free(&p->live);
    memory_free(&p->memory);
    *p = (struct paced){0};
}

void paced_reset(struct paced *p)
{
    p->step = 0;
    p->left = 0;
    for (int i = 0; i < PACED_TOLD; i++)
        p->told[i] = -1;
    if (p->d)
        moments_reset(&p->live);
    if (p->within)
        memset(p->within, 0, (size_t)p->d * (size_t)p->d * sizeof *p->within);
}

int paced_wants(const struct paced *p)
{
    return p->d && p->step % ((p->d + PACED_SPARE - 1) / PACED_SPARE) == 0;
}

void paced_age(struct paced *p, int64_t rows)
{
    double factor = exp2(-(double)rows / ((double)PACED_HALF_LIFE * p->d));
    moments_decay(&p->live, factor);
    for (int i = 0; p->within && i < p->d; i++) {
        double *row = p->within + (size_t)i * (size_t)p->d;
        for (int j = 0; j <= i; j++) {
            double v = row[j] * factor;
            row[j] = fabs(v) < TINY ? 0 : v;
        }
    }
}

int paced_add(struct paced *p, const float *x, int64_t n, struct error *e)
{
    return moments_add(&p->live, x, n, (size_t)p->d, e);
}

// The scatter of a pair about its mean is half of that of its difference.
int paced_add_pairs(struct paced *p, const float *const x[2], int64_t n, struct error *e)
{
    size_t d = (size_t)p->d;
    for (int v = 0; v < 2; v++)
        if (paced_add(p, x[v], n, e) < 0)
            return -1;
    for (int64_t at = 0; at < n; at += PAIRS) {
        int some = n - at < PAIRS ? (int)(n - at) : PAIRS;
        const float *a = x[0] + (size_t)at * d, *b = x[1] + (size_t)at * d;
        for (size_t i = 0; i < (size_t)some * d; i++)
            p->pair[i] = (double)a[i] - b[i];
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, p->d, some, 0.5, p->pair, p->d, 1,
                    p->within, p->d);
    }
    return 0;
}

// LiDAR's matrix instead of the scatter of all, which is that between images and that within. 1:
// there is none.
static int discriminate(struct paced *p)
{
    size_t d = (size_t)p->d;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++) {
            p->a[i * d + j] -= p->within[i * d + j];
            p->pair[i * d + j] = p->within[i * d + j];
        }
    return lidar_matrix(p->a, p->pair, p->d);
}

// What is known now is what is worked from here on, if it is enough.
static void begin(struct paced *p)
{
    const struct moments *m = &p->live;
    size_t d = (size_t)p->d;
    double n_eff = m->weight2 > 0 ? m->weight * m->weight / m->weight2 : 0, odd = 0;
    for (size_t i = 0; i < d; i++)
        odd += 0 * m->mean[i] + 0 * m->scatter[i * d + i];
    if (odd != 0 || isnan(n_eff)) {
        paced_reset(p);
        return;
    }
    if (n_eff < (double)PACED_LEAST * p->d)
        return;
    for (size_t i = 0; i < d; i++)
        memcpy(p->a + i * d, m->scatter + i * d, (i + 1) * sizeof *p->a);
    if (p->within && discriminate(p))
        return;
    p->left = p->d;
    p->n_eff = n_eff;
    p->scale = p->within ? 1 : m->weight / m->weight2;
}

// Row-major lower is column-major upper. The columns [first, left) end as d and e.
static int reduce(struct paced *p, struct error *e)
{
    int columns = PACED_COLUMNS, info = 0;
    double *tau = p->work + (size_t)PACED_COLUMNS * (size_t)p->d;
    if (p->left <= PACED_COLUMNS) {
        dsytd2_("U", &p->left, p->a, &p->d, p->diagonal, p->beside, tau, &info, 1);
        p->left = 0;
        return info ? error_set(e, "LAPACK's dsytd2 refused (info %d)", info) : 0;
    }
    int first = p->left - columns;
    double *panel = p->a + (size_t)first * (size_t)p->d;
    dlatrd_("U", &p->left, &columns, p->a, &p->d, p->beside, tau, p->work, &p->d, 1);
    cblas_dsyr2k(CblasColMajor, CblasUpper, CblasNoTrans, first, columns, -1, panel, p->d, p->work,
                 p->d, 1, p->a, p->d);
    for (int j = 0; j < columns; j++)
        p->diagonal[first + j] = panel[(size_t)j * (size_t)p->d + (size_t)(first + j)];
    p->left = first;
    return 0;
}

int paced_step(struct paced *p, double *sigma, double *n, struct error *e)
{
    int info = 0;
    if (!p->d)
        return 0;
    p->step++;
    if (!p->left)
        begin(p);
    if (!p->left)
        return 0;
    if (reduce(p, e) < 0)
        return -1;
    if (p->left)
        return 0;
    dsterf_(&p->d, p->diagonal, p->beside, &info);
    for (int i = 0; i < p->d && !info; i++)
        info = !isfinite(p->diagonal[i]);
    if (info)
        return error_set(e, "LAPACK found no eigenvalues of the projections (info %d)", info);
    for (int i = 0; i < p->d; i++)
        sigma[i] = sqrt(fmax(0, p->diagonal[p->d - 1 - i]) * p->scale);
    *n = p->n_eff;
    return 1;
}

int paced_lines(const struct paced *p)
{
    return (p->within ? 2 : 1) * p->d + 3;
}

// Row i of the matrix: the lower triangle's of the scatter, then one of what is under way, from the
// last; below them the mean, the diagonal and what is beside it; then the scatter within.
void paced_export(const struct paced *p, double *matrix, double state[PACED_STATE])
{
    size_t d = (size_t)p->d, left = (size_t)p->left;
    memset(matrix, 0, (size_t)paced_lines(p) * (d + 1) * sizeof *matrix);
    for (size_t i = 0; i < d; i++) {
        size_t of = d - 1 - i;
        double *row = matrix + i * (d + 1);
        memcpy(row, p->live.scatter + i * d, (i + 1) * sizeof *row);
        if (of < left)
            memcpy(row + i + 1, p->a + of * d, (of + 1) * sizeof *row);
    }
    double *more = matrix + d * (d + 1);
    memcpy(more, p->live.mean, d * sizeof *more);
    if (left) {
        memcpy(more + d + 1 + left, p->diagonal + left, (d - left) * sizeof *more);
        memcpy(more + 2 * (d + 1) + left - 1, p->beside + left - 1, (d - left) * sizeof *more);
    }
    for (size_t i = 0; p->within && i < d; i++)
        memcpy(more + (3 + i) * (d + 1), p->within + i * d, (i + 1) * sizeof *more);
    const double values[] = {p->live.weight,  p->live.weight2, (double)p->step,
                             (double)p->left, p->scale,        p->n_eff};
    memcpy(state, values, sizeof values);
    memcpy(state + 6, p->told, sizeof p->told);
}

int paced_import(struct paced *p, const double *matrix, const double state[PACED_STATE])
{
    size_t d = (size_t)p->d;
    if (!(state[0] >= 0 && state[1] >= 0 && state[2] >= 0 && state[2] < 1e15 && state[3] >= 0 &&
          state[3] <= p->d && state[4] >= 0))
        return -1;
    p->live.weight = state[0];
    p->live.weight2 = state[1];
    p->step = (int64_t)state[2];
    p->left = (int)state[3];
    p->scale = state[4];
    p->n_eff = state[5];
    memcpy(p->told, state + 6, sizeof p->told);
    for (size_t i = 0; i < d; i++) {
        const double *row = matrix + i * (d + 1);
        memcpy(p->live.scatter + i * d, row, (i + 1) * sizeof *row);
        memcpy(p->a + (d - 1 - i) * d, row + i + 1, (d - i) * sizeof *row);
    }
    const double *more = matrix + d * (d + 1);
    memcpy(p->live.mean, more, d * sizeof *more);
    memcpy(p->diagonal, more + d + 1, d * sizeof *more);
    memcpy(p->beside, more + 2 * (d + 1), d * sizeof *more);
    for (size_t i = 0; p->within && i < d; i++)
        memcpy(p->within + i * d, more + (3 + i) * (d + 1), (i + 1) * sizeof *more);
    return 0;
}
