// JPEG and PNG files read as far as a view needs them: every form against its own pixels, regions
// against the whole, orientations against the upright picture.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/photos/decode.h"
#include "metrics/base/rng.h"
#include "tests/kit/decoded.h"
#include "tests/kit/pictures.h"

// As decoded_view, from pixels that lie in memory.
static float *view_of_pixels(const uint8_t *rgb, int height, int width, const struct box *crop,
                             int out)
{
    struct picture p = {rgb, 3, height, width, (size_t)width * 3, 1, 3};
    struct resizer *r;
    struct error e;
    float *view = malloc(3 * (size_t)out * (size_t)out * sizeof *view);
    cr_assert_not_null(view);
    cr_assert_eq(resizer_new(3, out, out, &r, &e), 0);
    cr_assert_eq(resizer_run(r, &p, crop, 1.0f, view, &e), 0);
    resizer_free(r);
    return view;
}

Test(decode, every_form)
{
    enum { H = 150, W = 203, OUT = 64 };
    for (int form = 0; form < PICTURE_FORMS; form++) {
        size_t n;
        struct error e;
        struct picture seen;
        double mean, most;
        uint8_t *rgb = picture_draw(H, W, 1), *data = picture_encode(form, rgb, H, W, 0, &n);
        struct box crop = {31, 17, 90, 120};
        float *view = decoded_view(data, n, &crop, OUT, &seen, &e);
        cr_assert_not_null(view, "%s: %s", picture_form_name[form], e.text);
        picture_expect(form, rgb, H, W);
        float *expected = view_of_pixels(rgb, H, W, &crop, OUT);
        decoded_difference(view, expected, 3 * OUT * OUT, &mean, &most);
        cr_expect_lt(mean, form < PNG_RGB ? 1.5 : 0.01, "%s: mean %g", picture_form_name[form],
                     mean);
        cr_expect_lt(most, form < PNG_RGB ? 8 : 0.01, "%s: most %g", picture_form_name[form], most);
        free(expected);
        free(view);
        free(data);
        free(rgb);
    }
}

// A crop that is much larger than its view is read at a half, a quarter or an eighth of its size.
Test(decode, large_crops_are_shrunk)
{
    enum { H = 900, W = 1211 };
    static const enum picture_form form[] = {JPEG_RGB,        JPEG_PROGRESSIVE, JPEG_GRAY,
                                             JPEG_CMYK_ADOBE, PNG_RGB,          PNG_INTERLACED};
    uint8_t *rgb = picture_draw(H, W, 2);
    for (size_t f = 0; f < sizeof form / sizeof *form; f++) {
        size_t n;
        uint8_t *data = picture_encode(form[f], rgb, H, W, 0, &n),
                *same = malloc((size_t)H * W * 3);
        cr_assert_not_null(same);
        memcpy(same, rgb, (size_t)H * W * 3);
        picture_expect(form[f], same, H, W);
        for (int out = 50; out <= 400; out *= 2) {
            struct box crop = {37, 101, 803, 1007};
            struct error e;
            struct picture seen;
            double mean, most;
            float *view = decoded_view(data, n, &crop, out, &seen, &e);
            cr_assert_not_null(view, "%s", e.text);
            int limit = form[f] < PNG_RGB ? 8 : 256, shrink = 1;
            while (shrink < limit && 803 / out >= 4 * 2 * shrink)
                shrink *= 2;
            cr_expect(seen.height <= 803 / shrink + 20 && seen.height >= 803 / shrink,
                      "%s to %d: %d rows", picture_form_name[form[f]], out, seen.height);
            float *expected = view_of_pixels(same, H, W, &crop, out);
            decoded_difference(view, expected, 3 * (size_t)out * (size_t)out, &mean, &most);
            cr_expect_lt(mean, 1.0, "%s to %d: mean %g", picture_form_name[form[f]], out, mean);
            cr_expect_lt(most, 6.0, "%s to %d: most %g", picture_form_name[form[f]], out, most);
            free(expected);
            free(view);
        }
        free(same);
        free(data);
    }
    free(rgb);
}

enum { MAGNIFIED = 100 };

// A crop decoded for a view of `out`, and resized: 3 x MAGNIFIED x MAGNIFIED floats, malloc'd.
static float *region_of(struct decoder *d, const uint8_t *data, size_t n, const struct box *crop,
                        int out)
{
    struct decode_head h;
    struct picture seen;
    struct box box;
    struct error e;
    cr_assert_eq(decoded_head(data, n, &h, &e), 0, "%s", e.text);
    cr_assert_eq(decoder_run(d, &h, data, n, crop, 1, out, out, &seen, &box, &e), 0, "%s", e.text);
    return view_of_pixels(seen.pixel, seen.height, seen.width, &box, MAGNIFIED);
}

// Any crop at random, against the same crop of the whole picture, at every shrink: rows and columns
// left out must not change or move what is left. Noise, so that a pixel to the side is another
// colour; widths that end in the middle of a block, at its end, and behind its first column.
static void compare_regions(enum picture_form form, int height, int width, int shrink)
{
    struct rng r;
    struct error e;
    struct decode_head h;
    struct decoder *d, *part;
    struct picture whole;
    struct box full = {0, 0, height, width}, box;
    size_t n;
    uint8_t *rgb = picture_noise(height, width, 3),
            *data = picture_encode(form, rgb, height, width, 0, &n);
    int least = shrink > 1 ? 4 * shrink : 1; // of a crop for a view of one pixel
    rng_init(&r, 5, RNG_TEST, 1, 0);
    cr_assert_eq(decoded_head(data, n, &h, &e), 0, "%s", e.text);
    cr_assert_eq(decoder_new(&d, &e), 0);
    cr_assert_eq(decoder_new(&part, &e), 0);
    int side = shrink > 1 ? (height < width ? height : width) / (4 * shrink) : height;
    cr_assert_eq(decoder_run(d, &h, data, n, &full, 1, side, side, &whole, &box, &e), 0, "%s",
                 e.text);
    cr_assert_eq(whole.width, (width + shrink - 1) / shrink);
    for (int k = 0; k < 8; k++) {
        struct box crop = {.height = least + (double)rng_below(&r, (uint64_t)(height - least)),
                           .width = least + (double)rng_below(&r, (uint64_t)(width - least))};
        crop.top = (double)rng_below(&r, (uint64_t)(height - crop.height) + 1);
        crop.left = k % 3 == 0 ? width - crop.width
                               : (double)rng_below(&r, (uint64_t)(width - crop.width) + 1);
        if (form >= PNG_RGB) { // a square of pixels that a crop cuts is averaged within the crop
            crop.height = fmin(height, ceil((crop.top + crop.height) / shrink) * shrink) - crop.top;
            crop.width = fmin(width, ceil((crop.left + crop.width) / shrink) * shrink) - crop.left;
        }
        double mean, most, beside;
        int out = shrink == 1 ? MAGNIFIED : (int)fmin(crop.height, crop.width) / (4 * shrink);
        struct box small = {crop.top / shrink, crop.left / shrink, crop.height / shrink,
                            crop.width / shrink};
        float *view = region_of(part, data, n, &crop, out);
        float *expected = view_of_pixels(whole.pixel, whole.height, whole.width, &small, MAGNIFIED);
        decoded_difference(view, expected, (size_t)3 * MAGNIFIED * MAGNIFIED, &mean, &most);
        cr_expect_lt(most, 0.01, "%s of %dx%d, crop %gx%g at %g,%g, shrunk %d times: most %g",
                     picture_form_name[form], width, height, crop.width, crop.height, crop.left,
                     crop.top, shrink, most);
        struct box next = small; // the bound must see one pixel
        next.left += next.left + next.width + 1 <= whole.width ? 1 : -1;
        if (next.left >= 0) {
            float *moved = view_of_pixels(whole.pixel, whole.height, whole.width, &next, MAGNIFIED);
            decoded_difference(moved, expected, (size_t)3 * MAGNIFIED * MAGNIFIED, &mean, &beside);
            cr_expect_gt(beside, 1.0);
            free(moved);
        }
        free(expected);
        free(view);
    }
    decoder_free(d);
    decoder_free(part);
    free(data);
    free(rgb);
}

Test(decode, regions_are_where_they_were)
{
    static const enum picture_form form[] = {JPEG_RGB,        JPEG_PROGRESSIVE, JPEG_GRAY,
                                             JPEG_CMYK,       JPEG_422,         JPEG_444,
                                             JPEG_ARITHMETIC, JPEG_RESTARTS,    PNG_RGB};
    static const int width[] = {201, 208, 193};
    for (size_t f = 0; f < sizeof form / sizeof *form; f++)
        for (int shrink = 1; shrink <= 8; shrink *= 2)
            for (int w = 0; w < 3; w++)
                compare_regions(form[f], 153, width[w], shrink);
}

// --- what decode.h says about shrunk regions ---

// Squares of 7 pixels, black or white: edges as hard as can be, at every place in a block.
static uint8_t *draw_squares(int height, int width)
{
    enum { SIDE = 7, ACROSS = 200 };
    struct rng r;
    uint8_t *rgb = malloc((size_t)height * (size_t)width * 3), *p = rgb, white[ACROSS * ACROSS];
    cr_assert_not_null(rgb);
    rng_init(&r, 10, RNG_TEST, 5, 0);
    for (int i = 0; i < ACROSS * ACROSS; i++)
        white[i] = rng_below(&r, 2) ? 255 : 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, p += 3)
            memset(p, white[y / SIDE * ACROSS + x / SIDE], 3);
    return rgb;
}

// Views of an image that is shrunk on the way, beside those of the whole of it.
static void compare_shrunk(const char *what, const uint8_t *data, size_t n, const int out[4],
                           double mean_bound, double most_bound)
{
    struct decode_head h;
    struct decoder *d;
    struct picture whole, seen;
    struct error e;
    cr_assert_eq(decoded_head(data, n, &h, &e), 0, "%s", e.text);
    struct box full = {0, 0, h.height, h.width}, box, crop = {1, 3, h.height - 1, h.width - 4};
    cr_assert_eq(decoder_new(&d, &e), 0);
    cr_assert_eq(decoder_run(d, &h, data, n, &full, 1, h.height, h.width, &whole, &box, &e), 0,
                 "%s", e.text);
    for (int i = 0; i < 4; i++) {
        double mean, most;
        float *view = decoded_view(data, n, &crop, out[i], &seen, &e);
        cr_assert_not_null(view, "%s", e.text);
        cr_expect_leq(seen.height, (h.height + 1) / 2, "%d is not shrunk", out[i]);
        float *expected = view_of_pixels(whole.pixel, h.height, h.width, &crop, out[i]);
        decoded_difference(view, expected, (size_t)3 * (size_t)out[i] * (size_t)out[i], &mean,
                           &most);
        cr_expect_lt(mean, mean_bound, "%s to %d: mean %g", what, out[i], mean);
        cr_expect_lt(most, most_bound, "%s to %d: most %g", what, out[i], most);
        free(expected);
        free(view);
    }
    decoder_free(d);
}

// Bounds a little above what was measured. A PNG is no closer than a JPEG: what differs is that
// squares were averaged first, not how libjpeg does it. Of 4:2:2 the colours are smoothed across
// at half the size.
Test(decode, shrinking_is_close_to_resizing)
{
    enum { H = 641, W = 803 };
    static const struct {
        int squares;
        enum picture_form form;
        double mean, most;
    } of[] = {{0, JPEG_RGB, 0.55, 4.3}, {0, JPEG_422, 0.88, 6.8}, {0, JPEG_444, 0.66, 4.9},
              {0, JPEG_GRAY, 0.66, 4},  {0, PNG_RGB, 0.66, 4.7},  {1, JPEG_RGB, 1.1, 16},
              {1, PNG_RGB, 1.1, 16}};
    static const int out[4] = {20, 40, 60, 80};
    uint8_t *rgb[2] = {picture_noise(H, W, 9), draw_squares(H, W)};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        size_t n;
        uint8_t *data = picture_encode(of[i].form, rgb[of[i].squares], H, W, 0, &n);
        compare_shrunk(picture_form_name[of[i].form], data, n, out, of[i].mean, of[i].most);
        free(data);
    }
    free(rgb[0]);
    free(rgb[1]);
}

// Three real ones, those that differ most: 4:2:0, 4:2:2, 4:4:4. Over all 15 of the package and
// random crops it was 0.35 on average and 9.5 at most.
Test(decode, shrinking_of_photographs)
{
    static const char *const name[] = {"Picture_0B_by_freespace.jpg", "Dragonfly_by_Bolly.jpg",
                                       "Picture_1A_by_freespace.jpg"};
    static const int out[4] = {32, 64, 96, 128};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char path[200];
        struct decoder *d;
        struct error e;
        const uint8_t *data;
        size_t n;
        snprintf(path, sizeof path, "/usr/share/backgrounds/%s", name[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fd, 0, "lomiri-wallpapers-16.04 is not installed: make deps");
        cr_assert_eq(decoder_new(&d, &e), 0);
        cr_assert_eq(decoder_read(d, fd, &data, &n, &e), 0, "%s", e.text);
        compare_shrunk(name[i], data, n, out, 0.26, 5.6);
        decoder_free(d);
        close(fd);
    }
}

// An upright picture turned so that its EXIF tag says how to turn it back, written down from the
// definition: which corner the stored first row and column are.
static uint8_t *turned(const uint8_t *rgb, int h, int w, int o, int *th, int *tw)
{
    *th = o >= 5 ? w : h;
    *tw = o >= 5 ? h : w;
    uint8_t *out = malloc((size_t)h * (size_t)w * 3);
    cr_assert_not_null(out);
    for (int y = 0; y < *th; y++)
        for (int x = 0; x < *tw; x++) {
            int uy, ux; // where stored pixel (y, x) is seen
            switch (o) {
            case 1:
                uy = y, ux = x;
                break;
            case 2:
                uy = y, ux = w - 1 - x;
                break;
            case 3:
                uy = h - 1 - y, ux = w - 1 - x;
                break;
            case 4:
                uy = h - 1 - y, ux = x;
                break;
            case 5:
                uy = x, ux = y;
                break;
            case 6:
                uy = x, ux = w - 1 - y;
                break;
            case 7:
                uy = h - 1 - x, ux = w - 1 - y;
                break;
            default:
                uy = h - 1 - x, ux = y;
                break;
            }
            memcpy(out + ((size_t)y * (size_t)*tw + (size_t)x) * 3,
                   rgb + ((size_t)uy * (size_t)w + (size_t)ux) * 3, 3);
        }
    return out;
}

// BYTE, SHORT, LONG and their signed kin hold it alike.
Test(decode, orientation_of_any_integer_type)
{
    static const struct {
        uint8_t type, at;
        int orientation;
    } as[] = {{1, 24, 6}, {3, 25, 6},  {4, 27, 6}, {6, 24, 6}, {8, 25, 6},
              {9, 27, 6}, {13, 27, 6}, {2, 24, 1}, {12, 27, 1}};
    size_t n;
    uint8_t *rgb = picture_draw(40, 60, 1), *data = picture_encode(JPEG_RGB, rgb, 40, 60, 6, &n);
    uint8_t *exif = memmem(data, n, "Exif", 4);
    cr_assert_not_null(exif);
    for (size_t i = 0; i < sizeof as / sizeof *as; i++) {
        struct decode_head head;
        struct error e;
        exif[19] = as[i].type;
        memset(exif + 24, 0, 4);
        exif[as[i].at] = 6;
        cr_assert_eq(decoded_head(data, n, &head, &e), 0, "%s", e.text);
        cr_expect_eq(head.orientation, as[i].orientation, "type %d", as[i].type);
    }
    free(data);
    free(rgb);
}

// A directory behind as much else as a segment can hold, which some write last.
Test(decode, orientation_at_the_end)
{
    enum { FAR = 60000, BEHIND = 2 + 4 + 6 + 8 };
    size_t n;
    uint8_t *rgb = picture_draw(40, 60, 1), *data = picture_encode(JPEG_RGB, rgb, 40, 60, 1, &n);
    uint8_t *far = calloc(1, n + FAR + 64), *p = far;
    static const uint8_t head[BEHIND] = {0xff,
                                         0xd8,
                                         0xff,
                                         0xe1,
                                         (FAR + 64 - 2) >> 8,
                                         (FAR + 64 - 2) & 255,
                                         'E',
                                         'x',
                                         'i',
                                         'f',
                                         0,
                                         0,
                                         'M',
                                         'M',
                                         0,
                                         42,
                                         0,
                                         0,
                                         FAR >> 8,
                                         FAR & 255};
    static const uint8_t directory[] = {0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0};
    struct decode_head got;
    struct error e;
    cr_assert_not_null(far);
    memcpy(p, head, sizeof head);
    memcpy(p + 12 + FAR, directory, sizeof directory);
    memcpy(p + 2 + FAR + 64, data + 2, n - 2);
    cr_assert_eq(decoded_head(far, n + FAR + 64, &got, &e), 0, "%s", e.text);
    cr_expect_eq(got.orientation, 8);
    free(far);
    free(data);
    free(rgb);
}

Test(decode, orientations)
{
    enum { H = 96, W = 160, OUT = 40 };
    uint8_t *rgb = picture_draw(H, W, 4);
    struct box crop = {9, 21, 70, 110};
    float *expected = view_of_pixels(rgb, H, W, &crop, OUT);
    for (int k = 2; k < 18; k++) {
        int o = k / 2, form = k % 2 ? PNG_RGB : JPEG_RGB;
        int h, w, upright_h, upright_w;
        size_t n;
        struct error e;
        struct decode_head head;
        struct picture seen;
        double mean, most;
        uint8_t *stored = turned(rgb, H, W, o, &h, &w),
                *data = picture_encode(form, stored, h, w, o, &n);
        cr_assert_eq(decoded_head(data, n, &head, &e), 0, "%s", e.text);
        cr_expect_eq(head.orientation, o);
        decode_upright(&head, &upright_h, &upright_w);
        cr_expect(upright_h == H && upright_w == W, "%d: %dx%d", o, upright_w, upright_h);
        float *view = decoded_view(data, n, &crop, OUT, &seen, &e);
        cr_assert_not_null(view, "%s", e.text);
        decoded_difference(view, expected, 3 * OUT * OUT, &mean, &most);
        cr_expect_lt(mean, 1.5, "orientation %d: mean %g", o, mean);
        cr_expect_lt(most, 8.0, "orientation %d: most %g", o, most);
        free(view);
        free(data);
        free(stored);
    }
    free(expected);
    free(rgb);
}
