// One pass over the rows for the moments, in double; a second one over the projections.
#include "train/recorder/intake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/base/memory.h"
#include "metrics/science/metric.h"

void intake_free(struct intake *k)
{
    moments_free(&k->live);
    spectrum_solver_free(k->solver);
    free(k->sigma);
    alignment_free(&k->alignment);
    views_free(&k->views);
    free(k->h[0]);
    free(k->h[1]);
    free(k->z[0]);
    free(k->z[1]);
    free(k->rows);
    memset(k, 0, sizeof *k);
}

static float from_half(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000) << 16, exponent = (v >> 10) & 31, part = v & 0x3ff;
    if (exponent == 0) {
        float f = ldexpf((float)part, -24);
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | part << 13;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float from_bfloat(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void intake_convert(const struct intake_rows *x, size_t first, size_t n, float *to)
{
    switch (x->type) {
    case LINK_F16:
        for (size_t i = 0; i < n; i++)
            to[i] = from_half(((const uint16_t *)x->at)[first + i]);
        break;
    case LINK_BF16:
        for (size_t i = 0; i < n; i++)
            to[i] = from_bfloat(((const uint16_t *)x->at)[first + i]);
        break;
    case LINK_F64:
        for (size_t i = 0; i < n; i++)
            to[i] = (float)((const double *)x->at)[first + i];
        break;
    case LINK_F32:
    case LINK_TYPES:
        memcpy(to, (const float *)x->at + first, n * sizeof *to);
        break;
    }
}

static int prepare(struct intake *k, int d, struct error *e)
{
    if (k->d == d)
        return 0;
    if (k->d)
        return error_set(e, "features of %d numbers, after some of %d", d, k->d);
    if (d > INTAKE_D)
        return error_set(e, "features of %d numbers: more than %d", d, INTAKE_D);
    k->sigma = malloc(2 * (size_t)d * sizeof *k->sigma);
    if (!k->sigma)
        return error_memory(e, "a spectrum of %d", d);
    if (moments_init(&k->live, d, e) < 0 || spectrum_solver_new(d, &k->solver, e) < 0) {
        intake_free(k);
        return -1;
    }
    k->d = d;
    return 0;
}

static int add(struct intake *k, const struct intake_rows *x, struct error *e)
{
    enum { BLOCK = 1024 }; // rows converted at a time
    size_t d = (size_t)x->d, room = BLOCK * d;
    if (x->type == LINK_F32)
        return moments_add(&k->live, x->at, x->n, d, e);
    if (memory_room(k->rows, k->room, room) < 0)
        return error_memory(e, "%zu numbers", room);
    for (int64_t at = 0; at < x->n; at += BLOCK) {
        int64_t n = x->n - at < BLOCK ? x->n - at : BLOCK;
        intake_convert(x, (size_t)at * d, (size_t)n * d, k->rows);
        if (moments_add(&k->live, k->rows, n, d, e) < 0)
            return -1;
    }
    return 0;
}

// Alignment, uniformity and z-std of the projections, as far as both views are there.
static int directions(struct intake *k, const struct intake_rows z[LINK_VIEWS],
                      struct metric_input *in, struct error *e)
{
    double sum = 0;
    int views = 0;
    for (int v = 0; v < LINK_VIEWS; v++) {
        if (!z[v].at)
            continue;
        size_t n = (size_t)z[v].n * (size_t)z[v].d;
        float *rows = malloc(n * sizeof *rows);
        if (!rows)
            return error_memory(e, "projections");
        intake_convert(&z[v], 0, n, rows);
        sum += alignment_zstd(rows, z[v].n, z[v].d);
        views++;
        free(k->z[v]);
        k->z[v] = rows;
    }
    if (views)
        in->zstd = sum / views;
    if (views < LINK_VIEWS || z[0].n != z[1].n || z[0].d != z[1].d)
        return 0;
    int rows = z[0].n < ALIGNMENT_ROWS ? (int)z[0].n : ALIGNMENT_ROWS;
    if (k->alignment.rows != rows || k->alignment.dim != z[0].d) {
        alignment_free(&k->alignment);
        if (alignment_init(&k->alignment, rows, z[0].d, e) < 0)
            return -1;
    }
    alignment_measure(&k->alignment, (const float *const *)k->z, &in->alignment, &in->uniformity);
    return 0;
}

// Rows of a place that both views are made of: those as wide as the first that came.
static void rows_of(const struct intake_rows x[LINK_VIEWS], int d, float *const at[LINK_VIEWS],
                    struct view_rows *out)
{
    for (int v = 0; v < LINK_VIEWS; v++) {
        out->at[v] = at[v];
        out->n[v] = x[v].at && x[v].d == d ? x[v].n : 0;
    }
}

// What the two views tell: of the projections that were converted already, and of as many features.
static int look_at_views(struct intake *k, const struct intake_rows rows[LINK_PLACES][LINK_VIEWS],
                         struct step_result *r, struct metric_input *in, struct error *e)
{
    const struct intake_rows *z = rows[INTAKE_Z], *h = rows[INTAKE_H];
    struct view_rows of_z, of_h;
    for (int v = 0; v < LINK_VIEWS; v++) {
        if (z[v].at && !k->views.sigma && views_open_z(&k->views, z[v].d, e) < 0)
            return -1;
        k->z_d = z[v].at && !k->z_d ? z[v].d : k->z_d;
    }
    int pairs = h[0].at && h[1].at && h[0].d == k->d && h[1].d == k->d;
    if (pairs && !k->views.lda && views_open_h(&k->views, k->d, e) < 0)
        return -1;
    for (int v = 0; v < LINK_VIEWS && pairs && paced_wants(&k->views.h); v++) {
        size_t n = (size_t)(h[v].n < VIEWS_ROWS ? h[v].n : VIEWS_ROWS);
        if (!k->h[v] && !(k->h[v] = malloc(VIEWS_ROWS * (size_t)k->d * sizeof *k->h[v])))
            return error_memory(e, "features");
        intake_convert(&h[v], 0, n * (size_t)k->d, k->h[v]);
    }
    rows_of(z, k->z_d, k->z, &of_z);
    rows_of(h, pairs ? k->d : 0, k->h, &of_h);
    int said = views_step(&k->views, &of_z, &of_h, in, e);
    r->said = said < 0 ? 0 : said | VIEWS_NOW; // a step that is measured is measured in all
    r->z = k->views.sigma;
    r->z_d = k->z_d;
    r->z_n = k->views.n;
    return said < 0 ? -1 : 0;
}

int intake_step(struct intake *k, const struct intake_rows rows[LINK_PLACES][LINK_VIEWS],
                struct step_result *r, struct error *e)
{
    double since = clock_seconds();
    const struct intake_rows *h = rows[INTAKE_H];
    struct metric_input in = metric_unknown();
    in.loss = r->metric[METRIC_LOSS];
    int64_t samples = 0;
    for (int v = 0; v < LINK_VIEWS; v++)
        if (h[v].at) {
            if (prepare(k, h[v].d, e) < 0)
                return -1;
            samples += h[v].n;
        }
    if (samples)
        moments_age(&k->live, samples);
    for (int v = 0; v < LINK_VIEWS; v++)
        if (h[v].at && add(k, &h[v], e) < 0)
            return -1;
    if (samples) {
        if (spectrum_both(k->solver, &k->live, k->sigma, k->sigma + k->d, &r->n, e) < 0) {
            moments_reset(&k->live);
            return -1;
        }
        r->has_spectrum = 1;
        r->sigma = k->sigma;
        r->d = k->d;
        in.sigma = k->sigma;
        in.raw = k->sigma + k->d;
        in.d = k->d;
        in.n = r->n;
        in.mean_norm = moments_mean_norm(&k->live);
    }
    if (directions(k, rows[INTAKE_Z], &in, e) < 0 || look_at_views(k, rows, r, &in, e) < 0)
        return -1;
    metric_all(&in, r->metric);
    r->ms[PHASE_SPECTRUM] = 1e3 * (clock_seconds() - since);
    return 0;
}
