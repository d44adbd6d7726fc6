// Drawing and encoding; see pictures.h.
#include "tests/kit/pictures.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <math.h>
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "metrics/base/rng.h"

const char *const picture_form_name[PICTURE_FORMS] = {
    [JPEG_RGB] = "JPEG",
    [JPEG_PROGRESSIVE] = "progressive JPEG",
    [JPEG_GRAY] = "gray JPEG",
    [JPEG_CMYK] = "CMYK JPEG",
    [JPEG_CMYK_ADOBE] = "CMYK JPEG of Adobe",
    [JPEG_422] = "4:2:2 JPEG",
    [JPEG_444] = "4:4:4 JPEG",
    [JPEG_444_PROGRESSIVE] = "progressive 4:4:4 JPEG",
    [JPEG_ARITHMETIC] = "arithmetic JPEG",
    [JPEG_ARITHMETIC_PROGRESSIVE] = "progressive arithmetic JPEG",
    [JPEG_RESTARTS] = "JPEG with restarts",
    [PNG_RGB] = "PNG",
    [PNG_INTERLACED] = "interlaced PNG",
    [PNG_RGBA] = "PNG with alpha",
    [PNG_GRAY] = "gray PNG",
    [PNG_GRAY_ALPHA] = "gray PNG with alpha",
    [PNG_PALETTE] = "palette PNG",
    [PNG_PALETTE_ALPHA] = "palette PNG with alpha",
    [PNG_16] = "PNG of 16 bits",
    [PNG_RGBA_16] = "PNG of 16 bits with alpha",
    [PNG_GRAY_16] = "gray PNG of 16 bits",
    [PNG_GRAY_1] = "PNG of one bit"};

static void *need(size_t n)
{
    void *p = malloc(n ? n : 1);
    cr_assert_not_null(p);
    return p;
}

uint8_t *picture_draw(int height, int width, int seed)
{
    uint8_t *rgb = need((size_t)height * (size_t)width * 3), *p = rgb;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double u = (double)x / width, v = (double)y / height;
            *p++ = (uint8_t)(20 + 215 * u);
            *p++ = (uint8_t)(20 + 215 * v);
            *p++ = (uint8_t)(128 + 100 * sin(6 * u + seed) * cos(4 * v));
        }
    return rgb;
}

uint8_t *picture_noise(int height, int width, int seed)
{
    size_t n = (size_t)height * (size_t)width * 3;
    uint8_t *rgb = need(n);
    struct rng r;
    rng_init(&r, (uint64_t)seed, RNG_TEST, 3, 0);
    for (size_t i = 0; i < n; i++)
        rgb[i] = (uint8_t)rng_u32(&r);
    return rgb;
}

// --- JPEG ---

enum { EXIF = 32 };

static void make_exif(uint8_t exif[EXIF], int orientation)
{
    static const uint8_t text[EXIF] = {
        'E', 'x', 'i', 'f',  0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, // big-endian, directory at 8
        0,   1,   1,   0x12, 0, 3, 0,   0,   0, 1,  0, 0, 0, 0, 0, 0, 0, 0};
    memcpy(exif, text, EXIF);
    exif[25] = (uint8_t)orientation;
}

static void put_orientation(struct jpeg_compress_struct *c, int orientation)
{
    uint8_t exif[EXIF];
    make_exif(exif, orientation);
    jpeg_write_marker(c, JPEG_APP0 + 1, exif, sizeof exif);
}

static void choose_coding(struct jpeg_compress_struct *c, enum picture_form form)
{
    if (form == JPEG_422 || form == JPEG_444 || form == JPEG_444_PROGRESSIVE) {
        c->comp_info[0].h_samp_factor = form == JPEG_422 ? 2 : 1;
        c->comp_info[0].v_samp_factor = 1;
    }
    c->arith_code = form == JPEG_ARITHMETIC || form == JPEG_ARITHMETIC_PROGRESSIVE;
    c->restart_in_rows = form == JPEG_RESTARTS;
    if (form == JPEG_PROGRESSIVE || form == JPEG_444_PROGRESSIVE ||
        form == JPEG_ARITHMETIC_PROGRESSIVE)
        jpeg_simple_progression(c);
}

static uint8_t *encode_jpeg(enum picture_form form, const uint8_t *rgb, int height, int width,
                            int orientation, size_t *size)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr err;
    unsigned char *data = NULL;
    unsigned long n = 0;
    int cmyk = form == JPEG_CMYK || form == JPEG_CMYK_ADOBE, channels = form == JPEG_GRAY ? 1
                                                                        : cmyk            ? 4
                                                                                          : 3;
    uint8_t *row = need((size_t)width * 4);
    c.err = jpeg_std_error(&err);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &n);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = channels;
    c.in_color_space = form == JPEG_GRAY ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 97, TRUE);
    c.write_Adobe_marker = form == JPEG_CMYK_ADOBE;
    choose_coding(&c, form);
    jpeg_start_compress(&c, TRUE);
    if (orientation)
        put_orientation(&c, orientation);
    for (int y = 0; y < height; y++) {
        const uint8_t *from = rgb + (size_t)y * (size_t)width * 3;
        JSAMPROW at = row;
        for (int x = 0; x < width; x++, from += 3)
            for (int k = 0; k < channels; k++) {
                // all ink in the colours, none in black
                uint8_t v = form == JPEG_GRAY ? from[1]
                            : k == 3          ? 0
                            : cmyk            ? (uint8_t)(255 - from[k])
                                              : from[k];
                row[x * channels + k] = cmyk ? (uint8_t)(255 - v) : v;
            }
        jpeg_write_scanlines(&c, &at, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    *size = n;
    return data;
}

// --- PNG ---

// A row of pixels as PNG has it.
static void png_row(const uint8_t *rgb, int width, int y, int type, int depth, uint8_t *p)
{
    for (int x = 0; x < width; x++, rgb += 3) {
        uint8_t v[4] = {rgb[0], rgb[1], rgb[2]};
        int n = 3;
        if (type == SPNG_COLOR_TYPE_INDEXED)
            v[0] = (uint8_t)(rgb[0] * 6 / 256 * 36 + rgb[1] * 6 / 256 * 6 + rgb[2] * 6 / 256),
            n = 1;
        else if (!(type & SPNG_COLOR_TYPE_TRUECOLOR))
            v[0] = rgb[1], n = 1;
        if (type & SPNG_COLOR_TYPE_GRAYSCALE_ALPHA)
            v[n++] = (uint8_t)((y * width + x) % 251);
        if (depth == 1)
            p[x / 8] |= (uint8_t)(v[0] >> 7 << (7 - x % 8));
        for (int k = 0; k < n && depth > 1; k++) {
            *p++ = v[k];
            if (depth == 16)
                *p++ = 77;
        }
    }
}

static uint8_t *encode_png(enum picture_form form, const uint8_t *rgb, int height, int width,
                           int orientation, size_t *size)
{
    static const struct {
        int type, channels, depth;
    } kind[PICTURE_FORMS] = {
        [PNG_RGB] = {SPNG_COLOR_TYPE_TRUECOLOR, 3, 8},
        [PNG_INTERLACED] = {SPNG_COLOR_TYPE_TRUECOLOR, 3, 8},
        [PNG_RGBA] = {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 4, 8},
        [PNG_GRAY] = {SPNG_COLOR_TYPE_GRAYSCALE, 1, 8},
        [PNG_GRAY_ALPHA] = {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 2, 8},
        [PNG_PALETTE] = {SPNG_COLOR_TYPE_INDEXED, 1, 8},
        [PNG_PALETTE_ALPHA] = {SPNG_COLOR_TYPE_INDEXED, 1, 8},
        [PNG_16] = {SPNG_COLOR_TYPE_TRUECOLOR, 3, 16},
        [PNG_RGBA_16] = {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 4, 16},
        [PNG_GRAY_16] = {SPNG_COLOR_TYPE_GRAYSCALE, 1, 16},
        [PNG_GRAY_1] = {SPNG_COLOR_TYPE_GRAYSCALE, 1, 1},
    };
    int type = kind[form].type, depth = kind[form].depth, code;
    size_t row = ((size_t)(width * kind[form].channels * depth) + 7) / 8, n = row * (size_t)height;
    uint8_t *raw = need(n);
    memset(raw, 0, n);
    for (int y = 0; y < height; y++)
        png_row(rgb + (size_t)y * (size_t)width * 3, width, y, type, depth, raw + (size_t)y * row);
    spng_ctx *c = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr head = {.width = (uint32_t)width,
                             .height = (uint32_t)height,
                             .bit_depth = (uint8_t)depth,
                             .color_type = (uint8_t)type,
                             .interlace_method = form == PNG_INTERLACED};
    struct spng_plte palette = {.n_entries = 216};
    struct spng_trns clear = {.n_type3_entries = 216};
    for (int k = 0; k < 216; k++) {
        palette.entries[k].red = (uint8_t)(k / 36 * 51);
        palette.entries[k].green = (uint8_t)(k / 6 % 6 * 51);
        palette.entries[k].blue = (uint8_t)(k % 6 * 51);
        clear.type3_alpha[k] = (uint8_t)k;
    }
    cr_assert_not_null(c);
    spng_set_option(c, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(c, &head);
    if (type == SPNG_COLOR_TYPE_INDEXED)
        spng_set_plte(c, &palette);
    if (form == PNG_PALETTE_ALPHA)
        spng_set_trns(c, &clear);
    uint8_t text[EXIF];
    make_exif(text, orientation);
    struct spng_exif exif = {.length = EXIF - 6, .data = (char *)text + 6};
    if (orientation)
        spng_set_exif(c, &exif);
    // With 16 bits PNG's order of bytes is what was written.
    code = spng_encode_image(c, raw, n, depth == 16 ? SPNG_FMT_RAW : SPNG_FMT_PNG,
                             SPNG_ENCODE_FINALIZE);
    cr_assert_eq(code, 0, "%s", spng_strerror(code));
    uint8_t *data = spng_get_png_buffer(c, size, &code);
    cr_assert_not_null(data);
    spng_ctx_free(c);
    free(raw);
    return data;
}

uint8_t *picture_encode(enum picture_form form, const uint8_t *rgb, int height, int width,
                        int orientation, size_t *size)
{
    return form < PNG_RGB ? encode_jpeg(form, rgb, height, width, orientation, size)
                          : encode_png(form, rgb, height, width, orientation, size);
}

void picture_expect(enum picture_form form, uint8_t *rgb, int height, int width)
{
    for (size_t i = 0; i < (size_t)height * (size_t)width; i++, rgb += 3)
        for (int k = 0; k < 3; k++) {
            if (form == JPEG_GRAY || form == PNG_GRAY || form == PNG_GRAY_ALPHA ||
                form == PNG_GRAY_16)
                rgb[k] = rgb[1];
            else if (form == PNG_PALETTE || form == PNG_PALETTE_ALPHA)
                rgb[k] = (uint8_t)(rgb[k] * 6 / 256 * 51);
            else if (form == PNG_GRAY_1)
                rgb[k] = rgb[1] < 128 ? 0 : 255;
        }
}

void picture_write(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f, "%s", path);
    cr_assert_eq(fwrite(data, 1, size, f), size);
    cr_assert_eq(fclose(f), 0);
}

void picture_jpeg(const char *path, int height, int width, int seed)
{
    size_t n;
    uint8_t *rgb = picture_draw(height, width, seed),
            *data = encode_jpeg(JPEG_RGB, rgb, height, width, 0, &n);
    picture_write(path, data, n);
    free(data);
    free(rgb);
}

// --- folders ---

void scratch_make(char path[64])
{
    strcpy(path, "/tmp/ssltop-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void scratch_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
