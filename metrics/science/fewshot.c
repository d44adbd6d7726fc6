// In the dual: as many equations as there are images, however wide the features are.
#include "metrics/science/fewshot.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/lapack.h"

enum { N = FEWSHOT_IMAGES };
#define PENALTY 0.1 // on a Gram matrix with a mean of one on its diagonal

int fewshot_init(struct fewshot *f, int d, int targets, int clusters, struct error *e)
{
    size_t asked = (size_t)targets + (size_t)clusters;
    *f = (struct fewshot){.d = d, .targets = targets, .clusters = clusters};
    f->rows = memory_take(&f->memory, N * (size_t)d, sizeof *f->rows);
    f->gram = memory_take(&f->memory, N * N, sizeof *f->gram);
    f->asked = memory_take(&f->memory, N * asked, sizeof *f->asked);
    f->left = memory_take(&f->memory, N * asked, sizeof *f->left);
    if (!f->memory.failed)
        return 0;
    fewshot_free(f);
    return error_memory(e, "%d features of %d images", d, N);
}

void fewshot_free(struct fewshot *f)
{
    memory_free(&f->memory);
    memset(f, 0, sizeof *f);
}

// Columns less their means; the squares of what is left of each are in `square`.
static void centre(double *x, size_t width, size_t column, double *square)
{
    double mean = 0;
    for (size_t i = 0; i < N; i++)
        mean += x[i * width + column] / N;
    *square = 0;
    for (size_t i = 0; i < N; i++) {
        double *v = &x[i * width + column];
        *v -= mean;
        *square += *v * *v;
    }
}

// Rows of as many images as there is room for; targets, then a one where the cluster is.
static void take(struct fewshot *f, const float *const h[2], const float *t, const int32_t *cluster,
                 int64_t n)
{
    size_t d = (size_t)f->d, targets = (size_t)f->targets, width = targets + (size_t)f->clusters;
    for (int64_t i = 0; i < n && f->waiting < N; i++, f->waiting++) {
        double *row = f->rows + (size_t)f->waiting * d,
               *asked = f->asked + (size_t)f->waiting * width;
        for (size_t j = 0; j < d; j++)
            row[j] = ((double)h[0][(size_t)i * d + j] + h[1][(size_t)i * d + j]) / 2;
        for (size_t k = 0; k < targets; k++)
            asked[k] = t[(size_t)i * targets + k];
        for (size_t k = targets; k < width; k++)
            asked[k] = cluster[i] == (int32_t)(k - targets);
    }
}

static void standardise(struct fewshot *f)
{
    size_t d = (size_t)f->d;
    for (size_t j = 0; j < d; j++) {
        double square;
        centre(f->rows, d, j, &square);
        double scale = square > 0 ? sqrt(N / square) : 0;
        for (size_t i = 0; i < N; i++)
            f->rows[i * d + j] *= scale;
    }
}

// The sum of the squares of the targets, from the means of the others.
static double centre_asked(struct fewshot *f)
{
    size_t targets = (size_t)f->targets, width = targets + (size_t)f->clusters;
    double total = 0, square;
    for (size_t k = 0; k < width; k++) {
        centre(f->asked, width, k, &square);
        total += k < targets ? square : 0;
    }
    return total * N / (N - 1) * N / (N - 1);
}

// The lower triangle of (G + PENALTY)^-1, of row-major rows; -1: there is none.
static int invert(struct fewshot *f)
{
    const int n = N;
    int info = 0;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, N, f->d, 1.0 / f->d, f->rows, f->d, 0,
                f->gram, N);
    for (size_t i = 0; i < N; i++)
        f->gram[i * N + i] += PENALTY;
    dpotrf_("U", &n, f->gram, &n, &info, 1); // row-major lower is column-major upper
    if (!info)
        dpotri_("U", &n, f->gram, &n, &info, 1);
    return info ? -1 : 0;
}

// What was asked is centred: one cluster's is larger than zero. What is foretold of a cluster is a
// one where it is, less what is left of it.
static int is_foretold(const double *asked, const double *left, int clusters)
{
    int own = 0, best = 0;
    for (int k = 1; k < clusters; k++)
        own = asked[k] > 0 ? k : own;
    for (int k = 1; k < clusters; k++)
        if ((k == own) - left[k] > (best == own) - left[best])
            best = k;
    return best == own;
}

static struct fewshot_told measure(struct fewshot *f)
{
    struct fewshot_told told = {NAN, NAN};
    size_t targets = (size_t)f->targets, width = targets + (size_t)f->clusters;
    standardise(f);
    double total = centre_asked(f), left = 0;
    if (!(total > 0) || !isfinite(total) || invert(f) < 0 || !isfinite(f->gram[0]))
        return told;
    // The residuals of a fit with all; each over the share of its own weight that is its own.
    cblas_dsymm(CblasRowMajor, CblasLeft, CblasLower, N, (int)width, PENALTY, f->gram, N, f->asked,
                (int)width, 0, f->left, (int)width);
    int right = 0;
    for (size_t i = 0; i < N; i++) {
        double *row = f->left + i * width;
        double own = PENALTY * f->gram[i * N + i] - 1.0 / N;
        for (size_t k = 0; k < width; k++)
            row[k] /= own;
        for (size_t k = 0; k < targets; k++)
            left += row[k] * row[k];
        right +=
            f->clusters && is_foretold(f->asked + i * width + targets, row + targets, f->clusters);
    }
    told.r2 = 1 - left / total;
    told.top1 = f->clusters ? (double)right / N : NAN;
    return told;
}

struct fewshot_told fewshot_step(struct fewshot *f, const float *const h[2], const float *t,
                                 const int32_t *cluster, int64_t n)
{
    struct fewshot_told told = {NAN, NAN};
    if (f->d)
        take(f, h, t, cluster, n);
    if (f->waiting < N)
        return told;
    f->waiting = 0;
    return measure(f);
}
