// WebP files, lossy and lossless, upright and turned, whole and damaged; and labels from a file.
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <webp/decode.h>
#include <webp/encode.h>

#include "data/photos/decode.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"

enum { H = 37, W = 52, RIFF = 12 };

static uint8_t *encode(int lossless, const uint8_t *rgb, int h, int w, size_t *n)
{
    uint8_t *made = NULL, *file;
    *n = lossless ? WebPEncodeLosslessRGB(rgb, w, h, w * 3, &made)
                  : WebPEncodeRGB(rgb, w, h, w * 3, 80, &made);
    cr_assert(*n > 0);
    file = malloc(*n);
    cr_assert_not_null(file);
    memcpy(file, made, *n);
    WebPFree(made);
    return file;
}

static void u32(uint8_t *p, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

// The same with what may stand around the pixels: VP8X in front, an EXIF orientation behind.
static uint8_t *extend(const uint8_t *file, size_t *n, int h, int w, int flags, int orientation,
                       int as_jpeg)
{
    static const uint8_t tiff[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0};
    size_t pixels = *n - RIFF, exif = sizeof tiff + 8 + (as_jpeg ? 6u : 0u);
    uint8_t *out = calloc(1, *n + 18 + 8 + exif), *p = out + RIFF;
    cr_assert_not_null(out);
    memcpy(out, file, RIFF);
    memcpy(p, "VP8X", 4);
    u32(p + 4, 10, 4);
    p[8] = (uint8_t)flags;
    u32(p + 12, (uint32_t)w - 1, 3);
    u32(p + 15, (uint32_t)h - 1, 3);
    memcpy(p + 18, file + RIFF, pixels);
    p += 18 + pixels;
    memcpy(p, "EXIF", 4);
    u32(p + 4, (uint32_t)exif, 4);
    p += 8;
    if (as_jpeg) {
        memcpy(p, "Exif\0\0", 6);
        p += 6;
    }
    memcpy(p, tiff, sizeof tiff);
    p[sizeof tiff] = (uint8_t)orientation;
    *n += 18 + 8 + exif;
    u32(out + 4, (uint32_t)*n - 8, 4);
    return out;
}

// The head as a file has it, and all pixels as they lie in it.
static int read_it(const uint8_t *data, size_t n, struct decode_head *h, uint8_t *rgb,
                   struct error *e)
{
    char path[64];
    struct decoder *d;
    struct picture picture;
    struct box box;
    snprintf(path, sizeof path, "/tmp/ssltop-webp-%d", (int)getpid());
    picture_write(path, data, n);
    int fd = open(path, O_RDONLY), height, width;
    unlink(path);
    cr_assert(fd >= 0);
    int rc = decode_head(fd, h, e);
    close(fd);
    if (rc < 0)
        return rc;
    decode_upright(h, &height, &width);
    struct box all = {0, 0, height, width};
    cr_assert(decoder_new(&d, e) == 0);
    rc = decoder_run(d, h, data, n, &all, 1, height, width, &picture, &box, e);
    if (rc == 0 && rgb) {
        cr_assert(picture.height == height && picture.width == width);
        cr_assert(box.top == 0 && box.left == 0 && box.height == height && box.width == width);
        memcpy(rgb, picture.pixel, (size_t)height * (size_t)width * 3);
    }
    decoder_free(d);
    return rc;
}

Test(webp, pixels)
{
    uint8_t *rgb = picture_draw(H, W, 3), got[H * W * 3];
    struct decode_head h;
    struct error e = {""};
    for (int lossless = 0; lossless < 2; lossless++) {
        size_t n;
        int w, height;
        uint8_t *file = encode(lossless, rgb, H, W, &n);
        uint8_t *want = lossless ? NULL : WebPDecodeRGB(file, n, &w, &height);
        cr_assert(read_it(file, n, &h, got, &e) == 0, "%s", e.text);
        cr_assert(h.kind == DECODE_WEBP && h.height == H && h.width == W && h.orientation == 1);
        cr_assert(memcmp(got, want ? want : rgb, sizeof got) == 0);
        WebPFree(want);
        free(file);
    }
    free(rgb);
}

Test(webp, turned_as_exif_says)
{
    uint8_t *rgb = picture_draw(H, W, 3), got[H * W * 3];
    struct decode_head h;
    struct error e = {""};
    for (int orientation = 1; orientation <= 8; orientation++)
        for (int as_jpeg = 0; as_jpeg < 2; as_jpeg++) {
            size_t n;
            uint8_t *plain = encode(1, rgb, H, W, &n);
            uint8_t *file = extend(plain, &n, H, W, 8, orientation, as_jpeg);
            cr_assert(read_it(file, n, &h, got, &e) == 0, "%s", e.text);
            cr_assert_eq(h.orientation, orientation);
            int y = 2, x = 5, w = orientation >= 5 ? H : W, hh = orientation >= 5 ? W : H;
            int sy = orientation >= 5 ? x : y, sx = orientation >= 5 ? y : x;
            sx = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8
                     ? W - 1 - sx
                     : sx;
            sy = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7
                     ? H - 1 - sy
                     : sy;
            cr_assert(hh > y && memcmp(got + (y * w + x) * 3, rgb + (sy * W + sx) * 3, 3) == 0,
                      "%d", orientation);
            free(plain);
            free(file);
        }
    free(rgb);
}

// A sentence each, wherever it is cut off; and a changed byte is no more than other pixels.
Test(webp, damage)
{
    uint8_t *rgb = picture_draw(H, W, 3);
    struct decode_head h;
    struct error e;
    for (int kind = 0; kind < 3; kind++) {
        size_t n;
        uint8_t *file = encode(kind != 0, rgb, H, W, &n), *more = NULL;
        if (kind == 2) {
            more = extend(file, &n, H, W, 8, 6, 0);
            free(file);
            file = more;
        }
        for (size_t cut = 1; cut < n; cut++) {
            e.text[0] = '\0';
            cr_assert(read_it(file, cut, &h, NULL, &e) == -1 && *e.text, "cut at %zu", cut);
        }
        for (size_t i = 0; i < n; i++)
            for (int bit = 0; bit < 8; bit += 3) {
                file[i] ^= (uint8_t)(1 << bit);
                cr_assert(read_it(file, n, &h, NULL, &e) >= -1);
                file[i] ^= (uint8_t)(1 << bit);
            }
        free(file);
    }
    free(rgb);
}

Test(webp, what_is_no_picture)
{
    uint8_t *rgb = picture_draw(H, W, 3);
    struct decode_head h;
    struct error e = {""};
    size_t n;
    uint8_t *plain = encode(1, rgb, H, W, &n), *file = extend(plain, &n, H, W, 2, 1, 0);
    cr_assert(read_it(file, n, &h, NULL, &e) == -1 && strstr(e.text, "animation"), "%s", e.text);
    u32(file + RIFF + 12, 0xffffff, 3);
    u32(file + RIFF + 15, 0xffffff, 3);
    file[RIFF + 8] = 0;
    cr_assert(read_it(file, n, &h, NULL, &e) == -1 && strstr(e.text, "more than"), "%s", e.text);
    u32(file + RIFF + 12, W, 3); // the head says one more than the pixels
    u32(file + RIFF + 15, H - 1, 3);
    cr_assert(read_it(file, n, &h, NULL, &e) == -1 && strstr(e.text, "is damaged"), "%s", e.text);
    free(plain);
    free(file);
    free(rgb);
}

// Beside JPEGs in a set.
Test(webp, in_a_folder_of_a_class)
{
    char dir[64], path[128];
    struct dataset d;
    struct error e;
    size_t n;
    imageset_make(dir, 3);
    uint8_t *rgb = picture_draw(H, W, 3), *file = encode(0, rgb, H, W, &n);
    snprintf(path, sizeof path, "%s/train/%s/x.WEBP", dir, imageset_class[1]);
    picture_write(path, file, n);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.split[SPLIT_TRAIN].n == 10 && !d.split[SPLIT_TRAIN].source->notice);
    float *views = imageset_load(d.split[SPLIT_TRAIN].source, 1, 0, &e);
    cr_assert(views != NULL, "%s", e.text);
    cr_expect(pictures_broken(d.split[SPLIT_TRAIN].source) == 0);
    free(views);
    dataset_close(&d);
    free(file);
    free(rgb);
    scratch_remove(dir);
}

// ---------------------------------------------------------------- labels

static void put_text(const char *dir, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    picture_write(path, (const uint8_t *)text, strlen(text));
}

// train/ with classes, val/ (or val/images/) without.
static void make_flat(char dir[64], const char *below)
{
    char path[160];
    scratch_make(dir);
    imageset_split(dir, "train", 2, 1);
    snprintf(path, sizeof path, "%s/val", dir);
    imageset_folder(path);
    snprintf(path, sizeof path, "%s/val%s", dir, below);
    if (*below)
        imageset_folder(path);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/val%s/v_%d.JPEG", dir, below, i);
        picture_jpeg(path, 40, 40, i);
    }
}

Test(labels, of_a_flat_folder)
{
    static const struct {
        const char *below, *file, *text;
    } good[] = {
        {"", "val.txt", "v_0.JPEG 2\nv_1.JPEG 0\nv_2.JPEG 1\nv_3.JPEG 2\n"},
        {"", "val_labels.txt", "v_0\tcat\nv_1\tant\r\nv_2\tbee\nv_3\tcat"},
        {"", "LOC_val_solution.csv",
         "ImageId,PredictionString\nv_0,cat 1 2 3 4\nv_1,ant 5 6 7 8\nv_2,bee 1 1 1 1\nv_3,cat 0 0 "
         "0 "
         "0\nv_9,no such\n"},
        {"/images", "val/val_annotations.txt",
         "v_0.JPEG\tcat\t0\t0\nv_1.JPEG\tant\t0\t0\nv_2.JPEG\tbee\t0\t0\nv_3.JPEG\tcat\t0\t0\n"},
    };
    static const int32_t want[] = {2, 0, 1, 2};
    char dir[64];
    struct dataset d;
    struct error e = {""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        make_flat(dir, good[i].below);
        put_text(dir, good[i].file, good[i].text);
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s: %s", good[i].file, e.text);
        cr_expect_str_eq(e.text, "", "where nothing went wrong");
        const struct dataset_split *val = &d.split[SPLIT_TEST];
        cr_assert(val->n == 4 && val->labels && memcmp(val->labels, want, sizeof want) == 0);
        cr_expect(val->source->notice && strstr(val->source->notice, good[i].file) &&
                      !strstr(val->source->notice, "passed over"),
                  "%s", val->source->notice);
        dataset_close(&d);
        scratch_remove(dir);
    }
}

static void rename_in(const char *dir, const char *from, const char *to)
{
    char a[200], b[200];
    snprintf(a, sizeof a, "%s/%s", dir, from);
    snprintf(b, sizeof b, "%s/%s", dir, to);
    cr_assert_eq(rename(a, b), 0, "%s", b);
}

// Blanks, commas and dots in the names of images, blanks in those of classes.
Test(labels, names_with_blanks)
{
    static const char *const name[] = {"my ant.jpg", "my ant 1.JPEG", "a, b.jpg", "v1.5.jpg"};
    static const struct {
        const char *text;
        int32_t want[4]; // in the order of the names as they are sorted
    } good[] = {
        {"my ant.jpg 1\nmy ant 1.JPEG 2\na, b.jpg 0\nv1.5.jpg 2\n", {0, 2, 1, 2}},
        {"name,class\nmy ant.jpg,1\nmy ant 1.JPEG,2\n\"a, b.jpg\",0\nv1.5,2\n", {0, 2, 1, 2}},
        {"my ant\t1\nmy ant 1\t2\na, b\tant\nv1.5\tbig cat\n", {0, 2, 1, 2}},
        {"\"my ant.jpg\";\"bee\"\r\n\"my ant 1.JPEG\";\"big cat\"\r\n\"a, b.jpg\";\"ant\"\r\n"
         "\"v1.5.jpg\";\"big cat\"\r\n",
         {0, 2, 1, 2}},
        {"/my data/val/my ant.jpg 1 0 0\n/my data/my ant 1.JPEG big cat 3 4\na, b.jpg 0\n"
         "x/v1.5.jpg 2",
         {0, 2, 1, 2}},
        {"my ant 1\nmy ant 1 0\na, b 1\nv1.5 0", {1, 0, 1, 0}},
    };
    char dir[64], from[20], to[40];
    struct dataset d;
    struct error e;
    make_flat(dir, "");
    rename_in(dir, "train/cat", "train/big cat");
    for (int i = 0; i < 4; i++) {
        snprintf(from, sizeof from, "val/v_%d.JPEG", i);
        snprintf(to, sizeof to, "val/%s", name[i]);
        rename_in(dir, from, to);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        put_text(dir, "val.txt", good[i].text);
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%zu: %s", i, e.text);
        const struct dataset_split *val = &d.split[SPLIT_TEST];
        cr_assert(val->n == 4 && val->labels);
        for (int k = 0; k < 4; k++)
            cr_expect_eq(val->labels[k], good[i].want[k], "%zu, %d: %d", i, k, val->labels[k]);
        dataset_close(&d);
    }
    put_text(dir, "val.txt", "my ant 1\nmy  ant 1 2\na, b 0\nv1.5 0\n");
    imageset_refused("images", dir, "no label for val/my ant 1.JPEG", "line 2 names no image");
    put_text(dir, "val.txt", "my ant 1\nmy ant 1 small cat\n");
    imageset_refused("images", dir, "line 2 of val.txt", "no class");
    scratch_remove(dir);
}

// Other labels are another set.
Test(labels, are_part_of_the_checksum)
{
    char dir[64];
    struct dataset d;
    struct error e;
    uint32_t crc[2];
    make_flat(dir, "");
    for (int i = 0; i < 2; i++) {
        put_text(dir, "val.txt",
                 i ? "v_0 0\nv_1 0\nv_2 0\nv_3 1\n" : "v_0 0\nv_1 0\nv_2 0\nv_3 0\n");
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
        crc[i] = d.split[SPLIT_TEST].source->crc;
        dataset_close(&d);
    }
    cr_expect_neq(crc[0], crc[1]);
    scratch_remove(dir);
}

Test(labels, that_are_none)
{
    static const struct {
        const char *text, *because;
    } bad[] = {{"v_0 0\nv_1 1\n", "has no label for val/v_2.JPEG"},
               {"v_0 0\nv_1 3\n", "no class '3' (numbers count from 0"},
               {"v_0 dog\n", "line 1 of val.txt: the training images have no class 'dog'"},
               {"v_0\n", "no class ''"},
               {"v_0 99999999999999999999\n", "no class"},
               {"", "has no label for val/v_0.JPEG"}};
    char dir[64];
    make_flat(dir, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(dir, "val.txt", bad[i].text);
        imageset_refused("images", dir, dir, bad[i].because);
    }
    scratch_remove(dir);
}

// Where folders are classes a file beside them is none of our business.
Test(labels, folders_of_classes_come_first)
{
    char dir[64];
    struct dataset d;
    struct error e;
    imageset_make(dir, 3);
    put_text(dir, "val.txt", "000 0\n");
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.split[SPLIT_TEST].n == 12 && d.split[SPLIT_TEST].labels[11] == 2);
    dataset_close(&d);
    scratch_remove(dir);
}
