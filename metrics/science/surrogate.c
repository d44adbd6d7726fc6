// Principal components by the covariance of the pixels, then k-means on the leading coordinates.
// Everything is summed in one order, on one thread: the same sample is the same everywhere on this
// machine.
#include "metrics/science/surrogate.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/spectrum.h"

enum { BLOCK = 512, ROUNDS = 50 };
#define NO_DIRECTION 1e-10 // of the largest variance

const int surrogate_clusters[SURROGATE_KINDS] = {10, 30, SURROGATE_CLUSTERS};

// ---------------------------------------------------------------- memory

int surrogate_init(struct surrogate *s, int pixels, int components,
                   const int clusters[SURROGATE_KINDS], struct error *e)
{
    memset(s, 0, sizeof *s);
    if (pixels < 1 || pixels > SPECTRUM_D_MAX || components < 0 ||
        components > SURROGATE_COMPONENTS || components > pixels)
        return error_set(e, "%d components of %d pixels cannot be", components, pixels);
    size_t m = (size_t)components;
    s->pixels = pixels;
    s->components = components;
    s->targets = components < SURROGATE_TARGETS ? components : SURROGATE_TARGETS;
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (clusters[k] != 0 && clusters[k] != surrogate_clusters[k])
            return error_set(e, "%d clusters where %d were expected", clusters[k],
                             surrogate_clusters[k]);
    s->mean = memory_take(&s->memory, (size_t)pixels, sizeof *s->mean);
    s->component = memory_take(&s->memory, m * (size_t)pixels, sizeof *s->component);
    s->variance = memory_take(&s->memory, m, sizeof *s->variance);
    for (int k = 0; k < SURROGATE_KINDS; k++) {
        s->clusters[k] = clusters[k];
        s->centre[k] = memory_take(&s->memory, (size_t)clusters[k] * m, sizeof *s->centre[k]);
    }
    if (!s->memory.failed)
        return 0;
    surrogate_free(s);
    return error_memory(e, "components of %d pixels", pixels);
}

void surrogate_free(struct surrogate *s)
{
    memory_free(&s->memory);
    memset(s, 0, sizeof *s);
}

// ---------------------------------------------------------------- components

static void centre_rows(const struct surrogate *s, const float *small, int n, double *out)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < s->pixels; j++)
            *out++ = *small++ - s->mean[j];
}

int surrogate_project(const struct surrogate *s, const float *small, int64_t n, int count,
                      double *out, struct error *e)
{
    size_t p = (size_t)s->pixels;
    double *rows = malloc((size_t)(n < BLOCK ? n : BLOCK) * p * sizeof *rows + 1);
    if (!rows)
        return error_memory(e, "images of %d pixels", s->pixels);
    for (int64_t at = 0; at < n && count > 0; at += BLOCK) {
        int some = (int)(n - at < BLOCK ? n - at : BLOCK);
        centre_rows(s, small + (size_t)at * p, some, rows);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, some, count, s->pixels, 1, rows,
                    s->pixels, s->component, s->pixels, 0, out + at * count, count);
    }
    free(rows);
    return 0;
}

// An eigenvector has no sign of its own: the first of its largest numbers is made positive.
static void take_component(double *to, const double *from, int p)
{
    size_t top = cblas_idamax(p, from, 1);
    double sign = from[top] < 0 ? -1 : 1;
    for (int j = 0; j < p; j++)
        to[j] = sign * from[j];
}

static int find_components(struct surrogate *s, const float *small, int64_t n, int pixels,
                           const int clusters[SURROGATE_KINDS], struct error *e)
{
    FREED_BY(moments_free) struct moments m = {0};
    FREED_BY(memory_free) struct memory memory = {0};
    double *w = memory_take(&memory, (size_t)pixels, sizeof *w);
    if (!w)
        return error_set(e, "out of memory");
    if (moments_init(&m, pixels, e) < 0 || moments_add(&m, small, n, (size_t)pixels, e) < 0 ||
        spectrum_vectors(pixels, m.scatter, w, e) < 0)
        return -1;
    int count = 0;
    while (count < SURROGATE_COMPONENTS && count < pixels &&
           w[pixels - 1 - count] > NO_DIRECTION * w[pixels - 1])
        count++;
    if (surrogate_init(s, pixels, count, clusters, e) < 0)
        return -1;
    memcpy(s->mean, m.mean, (size_t)pixels * sizeof *s->mean);
    for (int k = 0; k < count; k++) {
        size_t from = (size_t)(pixels - 1 - k), p = (size_t)pixels;
        s->variance[k] = w[from] / (double)n;
        take_component(s->component + (size_t)k * p, m.scatter + from * p, pixels);
    }
    return 0;
}

// ---------------------------------------------------------------- clusters

// Distances of a block of rows to all centres, but for the rows' own squares; the nearest of each.
static void nearest(const struct surrogate *s, int kind, const double *rows, int n, double *squares,
                    double *product, int32_t *cluster, double *distance)
{
    int k = s->clusters[kind], m = s->components;
    const double *centre = s->centre[kind];
    for (int c = 0; c < k; c++)
        squares[c] =
            cblas_ddot(m, centre + (size_t)c * (size_t)m, 1, centre + (size_t)c * (size_t)m, 1);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, k, m, -2, rows, m, centre, m, 0,
                product, k);
    for (int i = 0; i < n; i++) {
        const double *row = product + (size_t)i * (size_t)k;
        int best = 0;
        for (int c = 1; c < k; c++)
            if (row[c] + squares[c] < row[best] + squares[best])
                best = c;
        cluster[i] = best;
        if (distance)
            distance[i] = fmax(0, row[best] + squares[best] +
                                      cblas_ddot(m, rows + (size_t)i * (size_t)m, 1,
                                                 rows + (size_t)i * (size_t)m, 1));
    }
}

enum { AT_ONCE = 64 };

static void assign(const struct surrogate *s, int kind, const double *rows, int64_t n,
                   int32_t *cluster, double *distance)
{
    double squares[SURROGATE_CLUSTERS] = {0}, product[AT_ONCE * SURROGATE_CLUSTERS] = {0};
    for (int64_t at = 0; at < n; at += AT_ONCE)
        nearest(s, kind, rows + at * s->components, n - at < AT_ONCE ? (int)(n - at) : AT_ONCE,
                squares, product, cluster + at, distance ? distance + at : NULL);
}

void surrogate_assign(const struct surrogate *s, int kind, const double *coordinates, int64_t n,
                      int32_t *cluster)
{
    assign(s, kind, coordinates, n, cluster, NULL);
}

struct clustering {
    const double *rows; // n x components
    int64_t n;
    int32_t *cluster;
    double *distance; // squared, to the nearest centre
};

static double apart(const double *a, const double *b, int m)
{
    double sum = 0;
    for (int j = 0; j < m; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

// A row by its squared distance from the nearest of the centres so far.
static int64_t draw(const struct clustering *g, struct rng *r)
{
    double total = 0;
    for (int64_t i = 0; i < g->n; i++)
        total += g->distance[i];
    double left = rng_uniform(r) * total;
    for (int64_t i = 0; i < g->n; i++) {
        left -= g->distance[i];
        if (left < 0)
            return i;
    }
    return (int64_t)rng_below(r, (uint64_t)g->n); // all rows are centres, or rounding
}

static void begin(struct surrogate *s, int kind, struct clustering *g)
{
    struct rng r;
    int m = s->components;
    rng_init(&r, 0, RNG_SURROGATE, (uint64_t)kind, 0);
    for (int64_t i = 0; i < g->n; i++)
        g->distance[i] = 1;
    for (int c = 0; c < s->clusters[kind]; c++) {
        const double *chosen = g->rows + draw(g, &r) * m;
        memcpy(s->centre[kind] + (size_t)c * (size_t)m, chosen, (size_t)m * sizeof *chosen);
        for (int64_t i = 0; i < g->n; i++) {
            double new = apart(g->rows + i * m, chosen, m);
            g->distance[i] = c == 0 || new < g->distance[i] ? new : g->distance[i];
        }
    }
}

// A centre without rows takes the row that is farthest from its own.
static void refill(double *centre, struct clustering *g, int m)
{
    int64_t far = 0;
    for (int64_t i = 1; i < g->n; i++)
        far = g->distance[i] > g->distance[far] ? i : far;
    memcpy(centre, g->rows + far * m, (size_t)m * sizeof *centre);
    g->distance[far] = 0;
}

static void move(struct surrogate *s, int kind, struct clustering *g)
{
    int k = s->clusters[kind], m = s->components;
    int64_t count[SURROGATE_CLUSTERS] = {0};
    double *centre = s->centre[kind];
    memset(centre, 0, (size_t)k * (size_t)m * sizeof *centre);
    for (int64_t i = 0; i < g->n; i++) {
        double *to = centre + (size_t)g->cluster[i] * (size_t)m;
        for (int j = 0; j < m; j++)
            to[j] += g->rows[i * m + j];
        count[g->cluster[i]]++;
    }
    for (int c = 0; c < k; c++) {
        double *at = centre + (size_t)c * (size_t)m;
        for (int j = 0; j < m && count[c]; j++)
            at[j] /= (double)count[c];
        if (!count[c])
            refill(at, g, m);
    }
}

static void cluster(struct surrogate *s, int kind, struct clustering *g, int32_t *before)
{
    begin(s, kind, g);
    assign(s, kind, g->rows, g->n, g->cluster, g->distance);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(before, g->cluster, (size_t)g->n * sizeof *before);
        move(s, kind, g);
        assign(s, kind, g->rows, g->n, g->cluster, g->distance);
        if (memcmp(before, g->cluster, (size_t)g->n * sizeof *before) == 0)
            break;
    }
}

static int find_clusters(struct surrogate *s, const float *small, int64_t n, struct error *e)
{
    size_t rows = (size_t)n;
    FREED_BY(memory_free) struct memory m = {0};
    double *coordinates = memory_take(&m, rows * (size_t)s->components, sizeof *coordinates);
    int32_t *before = memory_take(&m, rows, sizeof *before);
    struct clustering g = {coordinates, n, memory_take(&m, rows, sizeof *g.cluster),
                           memory_take(&m, rows, sizeof *g.distance)};
    if (m.failed)
        return error_memory(e, "clusters of %lld images", (long long)n);
    if (surrogate_project(s, small, n, s->components, coordinates, e) < 0)
        return -1;
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (s->clusters[k])
            cluster(s, k, &g, before);
    return 0;
}

int surrogate_fit(struct surrogate *s, const float *small, int64_t n, int pixels, struct error *e)
{
    int clusters[SURROGATE_KINDS];
    memset(s, 0, sizeof *s);
    if (n < 2 || pixels < 1)
        return error_set(e, "components of %lld images of %d pixels cannot be", (long long)n,
                         pixels);
    for (int k = 0; k < SURROGATE_KINDS; k++)
        clusters[k] =
            n >= (int64_t)SURROGATE_ROWS * surrogate_clusters[k] ? surrogate_clusters[k] : 0;
    if (find_components(s, small, n, pixels, clusters, e) < 0)
        return -1;
    if (s->components && find_clusters(s, small, n, e) < 0) {
        surrogate_free(s);
        return -1;
    }
    return 0;
}
