// Questions are sorted into halves once; asking is one set of normal equations with up to 160 right
// hand sides.
#include "metrics/science/questions.h"

#include <math.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/ridge.h"

static int64_t half_of(int64_t n, int half)
{
    return half ? n / 2 : n - n / 2;
}

static int take_half(struct questions *q, const struct surrogate *s, const double *coordinates,
                     const int32_t *const cluster[SURROGATE_KINDS], int half)
{
    size_t m = (size_t)half_of(q->n, half), targets = (size_t)q->targets;
    const int64_t *row = q->row[half];
    q->t[half] = memory_take(&q->memory, m * targets, sizeof(double));
    if (!q->t[half])
        return -1;
    for (size_t i = 0; i < m; i++)
        memcpy(q->t[half] + i * targets, coordinates + (size_t)row[i] * (size_t)s->components,
               targets * sizeof(double));
    for (int k = 0; k < SURROGATE_KINDS; k++) {
        if (!q->clusters[k])
            continue;
        q->cluster[k][half] = memory_take(&q->memory, m, sizeof(int32_t));
        if (!q->cluster[k][half])
            return -1;
        for (size_t i = 0; i < m; i++)
            q->cluster[k][half][i] = cluster[k][row[i]];
    }
    return 0;
}

// The same halves of so many images every time.
static int draw_halves(struct questions *q)
{
    struct rng r;
    int64_t *all = memory_take(&q->memory, (size_t)q->n, sizeof *all);
    if (!all)
        return -1;
    rng_init(&r, 0, RNG_SURROGATE, SURROGATE_KINDS, 0);
    for (int64_t i = 0; i < q->n; i++) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        all[i] = all[j];
        all[j] = i;
    }
    q->row[0] = all;
    q->row[1] = all + half_of(q->n, 0);
    return 0;
}

static int sort(struct questions *q, const struct surrogate *s, const float *small, struct error *e)
{
    FREED_BY(memory_free) struct memory m = {0};
    int32_t *cluster[SURROGATE_KINDS] = {NULL, NULL, NULL};
    double *coordinates = memory_take(&m, (size_t)(q->n * s->components), sizeof *coordinates);
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (s->clusters[k] && q->n >= (int64_t)SURROGATE_ROWS * s->clusters[k]) {
            q->clusters[k] = s->clusters[k];
            cluster[k] = memory_take(&m, (size_t)q->n, sizeof **cluster);
        }
    if (m.failed)
        return error_memory(e, "%lld images", (long long)q->n);
    if (surrogate_project(s, small, q->n, s->components, coordinates, e) < 0)
        return -1;
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (cluster[k])
            surrogate_assign(s, k, coordinates, q->n, cluster[k]);
    if (draw_halves(q) < 0 ||
        take_half(q, s, coordinates, (const int32_t *const *)cluster, 0) < 0 ||
        take_half(q, s, coordinates, (const int32_t *const *)cluster, 1) < 0)
        return error_memory(e, "%lld images", (long long)q->n);
    return 0;
}

int questions_init(struct questions *q, const struct surrogate *s, const float *small, int64_t n,
                   struct error *e)
{
    *q = (struct questions){0};
    if (!s->targets || n < QUESTIONS_LEAST)
        return 0;
    q->n = n;
    q->targets = s->targets;
    int rc = sort(q, s, small, e);
    if (rc < 0)
        questions_free(q);
    return rc;
}

void questions_free(struct questions *q)
{
    memory_free(&q->memory);
    *q = (struct questions){0};
}

int questions_ask(const struct questions *q, const float *x, int d, int threads,
                  struct answers *out, struct error *e)
{
    struct ridge_target target[1 + SURROGATE_KINDS] = {
        {.columns = q->targets, .y = {q->t[0], q->t[1]}}};
    int kind[1 + SURROGATE_KINDS], n = 1;
    *out = (struct answers){NAN, NAN, {NAN, NAN, NAN}};
    if (!q->n)
        return 0;
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (q->clusters[k]) {
            kind[n] = k;
            target[n++] = (struct ridge_target){.columns = q->clusters[k],
                                                .label = {q->cluster[k][0], q->cluster[k][1]}};
        }
    const struct ridge_rows set[RIDGE_SETS] = {{half_of(q->n, 0), x, q->row[0]},
                                               {half_of(q->n, 1), x, q->row[1]}};
    if (ridge_run(set, d, target, n, threads, e) < 0)
        return -1;
    out->pixel_r2 = target[0].r2;
    out->lambda = target[0].lambda;
    for (int i = 1; i < n; i++)
        out->pseudo[kind[i]] = (double)target[i].score.correct / (double)target[i].score.n;
    return 0;
}
