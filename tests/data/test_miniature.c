// Averages over areas: against sums over pixels, where edges fall between them, and of photographs.
#include "data/sets/miniature.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset_table.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"

Test(miniature, edges_between_pixels)
{
    static const uint8_t pixel[] = {0, 255, 255, 0, 0, 255};
    struct picture p = {pixel, 1, 2, 3, 3, 6, 1};
    float out[4];
    miniature_shrink(&p, &(struct box){0, 0, 2, 3}, 1, 2, out);
    cr_expect_float_eq(out[0], (0 + 0.5 + 0 + 0) / 3.0, 1e-6);
    cr_expect_float_eq(out[1], (0.5 + 1 + 0 + 1) / 3.0, 1e-6);
    miniature_shrink(&p, &(struct box){0.5, 1, 1, 1.5}, 1, 1, out);
    cr_expect_float_eq(out[0], (0.5 * 1 + 0.25 * 1 + 0 + 0.25 * 1) / 1.5, 1e-6);
}

Test(miniature, planes_and_interleaved_pixels_are_the_same)
{
    enum { H = 20, W = 33 };
    static uint8_t planes[3 * H * W], mixed[3 * H * W];
    static float a[3 * 256], b[3 * 256];
    for (int i = 0; i < 3 * H * W; i++)
        planes[i] = (uint8_t)(i * 37 % 251);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < H * W; i++)
            mixed[3 * i + c] = planes[c * H * W + i];
    struct box all = {0, 0, H, W};
    miniature_shrink(&(struct picture){planes, 3, H, W, W, H * W, 1}, &all, 16, 16, a);
    miniature_shrink(&(struct picture){mixed, 3, H, W, 3 * W, 1, 3}, &all, 16, 16, b);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
    // Areas of one size: their mean is the picture's.
    double sum = 0, want = 0;
    for (int i = 0; i < 256; i++)
        sum += a[i] / 256.0;
    for (int i = 0; i < H * W; i++)
        want += planes[i] / 255.0 / (H * W);
    cr_expect_float_eq(sum, want, 1e-6);
}

Test(miniature, small_images_stay_as_they_are)
{
    struct dataset d = {.channels = 1, .height = 3, .width = 20};
    uint8_t pixel[2 * 60];
    int h, w;
    static float out[2 * 48];
    for (int i = 0; i < 120; i++)
        pixel[i] = (uint8_t)(2 * i);
    d.split[SPLIT_TRAIN] = (struct dataset_split){.n = 2, .images = pixel};
    cr_assert_eq(miniature_size(&d, &h, &w), 48);
    cr_assert(h == 3 && w == 16);
    struct error e = {""};
    cr_assert_eq(miniature_take(&d, SPLIT_TRAIN, (const int64_t[]){1, 0}, 2, 1, out, &e), 0);
    // The first of 16 areas across 20 pixels: one pixel and a quarter of the next.
    cr_expect_float_eq(out[0], (pixel[60] + 0.25 * pixel[61]) / 1.25 / 255, 1e-6);
    cr_expect_float_eq(out[48], (pixel[0] + 0.25 * pixel[1]) / 1.25 / 255, 1e-6);
}

// Of photographs the middle, whatever the number of threads; packed ones look like those that they
// were made from.
Test(miniature, photographs)
{
    char dir[64];
    struct dataset d;
    struct error e = {""};
    imageset_make(dir, 6);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    int size = miniature_size(&d, NULL, NULL);
    cr_assert_eq(size, 3 * 256);
    enum { SOME = 5 };
    int64_t index[SOME] = {4, 0, 17, 9, 4};
    static float out[3][SOME * 768];
    for (int threads = 1; threads <= 3; threads++)
        cr_assert_eq(miniature_take(&d, SPLIT_TRAIN, index, SOME, threads, out[threads - 1], &e), 0,
                     "%s", e.text);
    cr_assert_eq(memcmp(out[0], out[1], sizeof out[0]), 0);
    cr_assert_eq(memcmp(out[0], out[2], sizeof out[0]), 0);
    cr_assert_eq(memcmp(out[0], out[0] + 4 * 768, 768 * sizeof(float)), 0); // the same image
    cr_assert_neq(memcmp(out[0], out[0] + 768, 768 * sizeof(float)), 0);
    for (int i = 0; i < SOME * 768; i++)
        cr_assert(out[0][i] >= 0 && out[0][i] <= 1);
    dataset_close(&d);
    scratch_remove(dir);
}
