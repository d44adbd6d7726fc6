// Questions are sorted into halves once; asking is one set of normal equations with up to 160 right
// hand sides.
#include "metrics/science/questions.h"

#include <math.h>
#include <stdlib.h>
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
    q->t[half] = malloc(m * targets * sizeof(double));
    if (!q->t[half])
        return -1;
    for (size_t i = 0; i < m; i++)
        memcpy(q->t[half] + i * targets, coordinates + (size_t)row[i] * (size_t)s->components,
               targets * sizeof(double));
    for (int k = 0; k < SURROGATE_KINDS; k++) {
        if (!q->clusters[k])
            continue;
        q->cluster[k][half] = malloc(m * sizeof(int32_t));
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
    int64_t *all = malloc((size_t)q->n * sizeof *all);
    for (int half = 0; half < 2; half++)
        q->row[half] = malloc((size_t)half_of(q->n, half) * sizeof *all);
    rng_init(&r, 0, RNG_SURROGATE, SURROGATE_KINDS, 0);
    for (int64_t i = 0; all && i < q->n; i++) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        all[i] = all[j];
        all[j] = i;
    }
    int ok = all && q->row[0] && q->row[1];
    if (ok) {
        memcpy(q->row[0], all, (size_t)half_of(q->n, 0) * sizeof *all);
        memcpy(q->row[1], all + half_of(q->n, 0), (size_t)half_of(q->n, 1) * sizeof *all);
    }
    free(all);
    return ok ? 0 : -1;
}

int questions_init(struct questions *q, const struct surrogate *s, const float *small, int64_t n,
                   struct error *e)
{
    memset(q, 0, sizeof *q);
    if (!s->targets || n < QUESTIONS_LEAST)
        return 0;
    q->n = n;
    q->targets = s->targets;
    double *coordinates = malloc((size_t)n * (size_t)s->components * sizeof *coordinates);
    int32_t *cluster[SURROGATE_KINDS] = {NULL, NULL, NULL};
    int rc = coordinates ? surrogate_project(s, small, n, s->components, coordinates, e)
                         : error_memory(e, "%lld images", (long long)n);
    for (int k = 0; k < SURROGATE_KINDS && rc == 0; k++) {
        if (n < (int64_t)SURROGATE_ROWS * s->clusters[k] || !s->clusters[k])
            continue;
        q->clusters[k] = s->clusters[k];
        cluster[k] = malloc((size_t)n * sizeof **cluster);
        if (cluster[k])
            surrogate_assign(s, k, coordinates, n, cluster[k]);
        else
            rc = error_memory(e, "clusters of %lld images", (long long)n);
    }
    if (rc == 0 && draw_halves(q) < 0)
        rc = error_memory(e, "%lld images", (long long)n);
    for (int half = 0; half < 2 && rc == 0; half++)
        if (take_half(q, s, coordinates, (const int32_t *const *)cluster, half) < 0)
            rc = error_memory(e, "%lld images", (long long)n);
    free(coordinates);
    for (int k = 0; k < SURROGATE_KINDS; k++)
        free(cluster[k]);
    if (rc < 0)
        questions_free(q);
    return rc;
}

void questions_free(struct questions *q)
{
    for (int half = 0; half < 2; half++) {
        free(q->row[half]);
        free(q->t[half]);
        for (int k = 0; k < SURROGATE_KINDS; k++)
            free(q->cluster[k][half]);
    }
    memset(q, 0, sizeof *q);
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
