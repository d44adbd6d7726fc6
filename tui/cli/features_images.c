// The same questions as of a training's own evaluations. Rows are read one by one: the file may be
// larger than memory.
#include "tui/cli/features_images.h"

#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset_table.h"
#include "metrics/base/cores.h"

enum { SEED = 1, FLOATS = 1 << 26, WIDEST = 8192 };

int features_images_open(struct features_images *f, const char *spec, int threads, struct error *e)
{
    memset(f, 0, sizeof *f);
    f->threads = threads > 0 ? threads : cores_usable();
    if (dataset_open_unmeasured(spec, SEED, 0, threads, &f->data, e) < 0)
        return -1;
    return surrogates_open(&f->surrogates, &f->data, 0, "", threads, e);
}

void features_images_close(struct features_images *f)
{
    surrogates_free(&f->surrogates);
    dataset_close(&f->data);
    memset(f, 0, sizeof *f);
}

// The split that has as many images as there are rows.
static int split_of(const struct features_images *f, int64_t rows, enum split *out, struct error *e)
{
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (f->data.split[s].n == rows) {
            *out = (enum split)s;
            return 0;
        }
    return error_set(e, "has %lld rows; %.200s has %lld training and %lld test images",
                     (long long)rows, f->data.name, (long long)f->data.split[SPLIT_TRAIN].n,
                     (long long)f->data.split[SPLIT_TEST].n);
}

static int64_t most(const struct features_images *f, const struct npy *a, enum split split)
{
    int64_t n = f->data.split[split].source ? SURROGATES_PHOTOS : FEATURES_IMAGES_ROWS;
    n = n < a->n ? n : a->n;
    return n < FLOATS / a->d ? n : FLOATS / a->d;
}

static int take_rows(const struct npy *a, int64_t n, int64_t *index, float *x, struct error *e)
{
    double *row = malloc((size_t)a->d * sizeof *row);
    if (!row)
        return error_memory(e, "a row of %lld", (long long)a->d);
    for (int64_t i = 0; i < n; i++) {
        index[i] = (int64_t)((__int128)i * a->n / n);
        npy_rows(a, index[i], 1, row);
        for (int64_t j = 0; j < a->d; j++)
            x[i * a->d + j] = (float)row[j];
    }
    free(row);
    return 0;
}

int features_images_ask(const struct features_images *f, const struct npy *a,
                        double metric[METRIC_COUNT], struct error *e)
{
    enum split split = SPLIT_TRAIN;
    struct questions q = {0};
    struct answers told;
    if (a->ndim != 2)
        return error_set(e, "singular values tell nothing of images");
    if (a->d > WIDEST)
        return error_set(e, "%lld features are too many to ask: up to %d", (long long)a->d, WIDEST);
    if (split_of(f, a->n, &split, e) < 0)
        return -1;
    int64_t n = most(f, a, split), *index = malloc((size_t)n * sizeof *index);
    float *x = malloc((size_t)n * (size_t)a->d * sizeof *x);
    int rc = index && x ? take_rows(a, n, index, x, e) : error_memory(e, "%lld rows", (long long)n);
    if (rc == 0)
        rc = surrogates_questions(&f->surrogates, split, index, n, &q, e);
    if (rc == 0)
        rc = questions_ask(&q, x, (int)a->d, f->threads, &told, e);
    if (rc == 0) {
        metric[METRIC_PIXEL_R2] = told.pixel_r2;
        memcpy(metric + METRIC_PSEUDO10, told.pseudo, sizeof told.pseudo);
    }
    questions_free(&q);
    free(index);
    free(x);
    return rc;
}
