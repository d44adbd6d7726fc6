// `ssltop metrics --images`: features whose answers are known, rows that are not those of the data.
#include "tui/cli/features_images.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/miniature.h"
#include "metrics/base/path.h"
#include "metrics/base/rng.h"
#include "tests/kit/pictures.h"

enum { N = 1600, TEST = N / 8 };

// The small images themselves, cut to d numbers, with noise over them.
static void write_features(const char *path, const struct dataset *d, enum split split, int64_t n,
                           double noise)
{
    struct npy_writer *w;
    struct error e = {""};
    struct rng r;
    int64_t index[N];
    int p = miniature_size(d, NULL, NULL);
    float *x = malloc((size_t)n * (size_t)p * sizeof *x);
    cr_assert_not_null(x);
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    cr_assert(miniature_take(d, split, index, n, 1, x, &e) == 0, "%s", e.text);
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n * p; i++)
        x[i] += (float)(noise * rng_normal(&r));
    cr_assert(npy_create(path, n, p, &w, &e) == 0, "%s", e.text);
    cr_assert(npy_write(w, x, (size_t)(n * p), &e) == 0 && npy_finish(w, &e) == 0, "%s", e.text);
    free(x);
}

static int ask(const struct features_images *f, const char *path, double *metric, struct error *e)
{
    struct npy a;
    for (int m = 0; m < METRIC_COUNT; m++)
        metric[m] = -7;
    cr_assert(npy_open(path, &a, e) == 0, "%s", e->text);
    int rc = features_images_ask(f, &a, metric, e);
    npy_close(&a);
    return rc;
}

Test(features_images, what_is_known)
{
    char dir[64];
    struct features_images f;
    struct error e = {""};
    double all[METRIC_COUNT], less[METRIC_COUNT], test[METRIC_COUNT];
    scratch_make(dir);
    struct path path = path_of("%s/f.npy", dir);
    cr_assert(features_images_open(&f, "synthetic:1600", 1, &e) == 0, "%s", e.text);
    write_features(path.s, &f.data, SPLIT_TRAIN, N, 0);
    cr_assert(ask(&f, path.s, all, &e) == 0, "%s", e.text);
    cr_expect(all[METRIC_PIXEL_R2] > 0.99 && all[METRIC_PIXEL_R2] <= 1, "%g", all[METRIC_PIXEL_R2]);
    cr_expect(all[METRIC_PSEUDO10] > 0.7 && isfinite(all[METRIC_PSEUDO100]));
    cr_expect(all[METRIC_AUC] == -7);
    write_features(path.s, &f.data, SPLIT_TRAIN, N, 1);
    cr_assert(ask(&f, path.s, less, &e) == 0, "%s", e.text);
    cr_expect(less[METRIC_PIXEL_R2] < all[METRIC_PIXEL_R2] - 0.1 &&
              less[METRIC_PSEUDO10] < all[METRIC_PSEUDO10] - 0.1);
    // Of the test images there are too few for a hundred clusters.
    write_features(path.s, &f.data, SPLIT_TEST, TEST, 0);
    cr_assert(ask(&f, path.s, test, &e) == 0, "%s", e.text);
    cr_expect(test[METRIC_PIXEL_R2] > 0.9 && isnan(test[METRIC_PSEUDO100]));
    write_features(path.s, &f.data, SPLIT_TRAIN, N - 1, 0);
    cr_assert(ask(&f, path.s, test, &e) == -1);
    cr_assert_not_null(strstr(e.text, "has 1599 rows; synthetic:1600 has 1600 training and 200"));
    features_images_close(&f);
    scratch_remove(dir);
}

Test(features_images, data_that_cannot_be)
{
    struct features_images f;
    struct error e = {""};
    cr_assert(features_images_open(&f, "idx:/nowhere", 1, &e) == -1);
    cr_assert_not_null(strstr(e.text, "/nowhere"));
    features_images_close(&f);
}
