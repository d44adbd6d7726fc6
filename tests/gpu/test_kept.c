// Views that are kept as images: the views of the recipe to the nearest byte, and no more than
// there is room for.
#include "gpu/views/kept.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset_table.h"
#include "gpu/views/pixels.h"

enum { N = 7, EACH = 10, SEED = 5 };
static const int64_t of[N] = {3, 0, 200, 64, 65, 66, 511};

// Half a level, and what two roundings to float add.
static void is_nearest(const struct dataset *d, const uint8_t *got, const float *view)
{
    size_t plane = (size_t)d->height * (size_t)d->width;
    for (size_t i = 0; i < (size_t)d->channels * plane; i++) {
        float x = 255 * (view[i] * d->std[i / plane] + d->mean[i / plane]);
        cr_assert(fabsf((float)got[i] - x) <= 0.501f, "%zu: %d, not %g", i, got[i], (double)x);
    }
}

Test(kept_views, are_those_of_the_recipe)
{
    const struct augment_recipe *recipe = augment_find("simsiam");
    struct error e = {""};
    struct dataset d;
    struct device *device;
    struct kept_views v, w;
    cr_assert(dataset_open("synthetic:512", 1, &d, &e) == 0, "%s", e.text);
    cr_assert(device_open("cpu", 1, &device, &e) == 0, "%s", e.text);
    cr_assert(kept_views_new(device, &d, recipe, SEED, of, N, EACH, 2, &v, &e) == 0, "%s", e.text);
    cr_assert(v.n == N && v.each == EACH && v.images);
    size_t image = dataset_image_size(&d);
    struct pixel_shape shape = {d.channels, d.height, d.width, d.height, d.width};
    struct pixel_scratch *scratch;
    float *view = malloc(image * sizeof *view);
    cr_assert(view && pixel_scratch_new(&shape, &scratch, &e) == 0, "%s", e.text);
    for (int i = 0; i < N * EACH; i++) {
        struct augment_view how;
        int k = i % EACH;
        augment_draw(recipe, SEED, (INT64_C(1) << 40) + k / 2, of[i / EACH], k % 2, d.channels,
                     d.height, d.width, d.height, &how);
        pixel_view(scratch, dataset_image(&d, SPLIT_TRAIN, of[i / EACH]), &how, d.mean, d.std,
                   view);
        is_nearest(&d, v.pixels + (size_t)i * image, view);
        for (int j = 0; j < k; j++) // no two of an image are the same
            cr_assert(memcmp(v.pixels + (size_t)i * image, v.pixels + (size_t)(i - k + j) * image,
                             image) != 0);
    }
    cr_assert(kept_views_new(device, &d, recipe, SEED, of, N, EACH, 1, &w, &e) == 0, "%s", e.text);
    cr_assert_eq(memcmp(v.pixels, w.pixels, N * EACH * image), 0, "however many threads");
    kept_views_free(&w);
    cr_assert(kept_views_new(device, &d, augment_find("none"), SEED, of, N, EACH, 1, &w, &e) == 0 &&
              w.n == 0 && !w.images);
    kept_views_free(&w);
    kept_views_free(&v);
    pixel_scratch_free(scratch);
    free(view);
    device_close(device);
    dataset_close(&d);
}

Test(kept_views, are_no_more_than_there_is_room_for)
{
    struct error e = {""};
    struct dataset d;
    struct device *device;
    struct kept_views v;
    int each = (int)(KEPT_BYTES / 784 / 2);
    cr_assert(dataset_open("synthetic:512", 1, &d, &e) == 0, "%s", e.text);
    cr_assert(device_open("cpu", 1, &device, &e) == 0, "%s", e.text);
    cr_assert(kept_views_new(device, &d, augment_find("simsiam"), SEED, of, N, each, 2, &v, &e) ==
                  0,
              "%s", e.text);
    cr_assert_eq(v.n, 2);
    kept_views_free(&v);
    cr_assert(kept_views_new(device, &d, augment_find("simsiam"), SEED, of, N, 3 * each, 2, &v,
                             &e) == 0 &&
              v.n == 0);
    kept_views_free(&v);
    device_close(device);
    dataset_close(&d);
}
