// JPEG and PNG files that are damaged, hostile or very large: a sentence each, and bounded memory.
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "data/photos/decode.h"
#include "metrics/base/rng.h"
#include "tests/kit/decoded.h"
#include "tests/kit/measure.h"
#include "tests/kit/pictures.h"

static void expect_damaged(const char *what, const uint8_t *data, size_t n, const char *word)
{
    struct box crop = {0, 0, 100, 120};
    struct picture seen;
    struct error e;
    float *view = decoded_view(data, n, &crop, 60, &seen, &e);
    cr_expect_null(view, "%s was read", what);
    cr_expect_not_null(strstr(e.text, word), "%s: no '%s' in: %s", what, word, e.text);
    free(view);
}

Test(decode, damage)
{
    enum { H = 100, W = 120 };
    static const enum picture_form form[] = {JPEG_RGB, JPEG_PROGRESSIVE, PNG_RGB, PNG_INTERLACED};
    uint8_t *rgb = picture_draw(H, W, 5);
    for (size_t f = 0; f < sizeof form / sizeof *form; f++) {
        size_t n;
        const char *name = picture_form_name[form[f]];
        uint8_t *data = picture_encode(form[f], rgb, H, W, 0, &n);
        expect_damaged(name, data, 0, "is empty");
        expect_damaged(name, data, 1, "n");
        expect_damaged(name, data, 20, "");
        expect_damaged(name, data, n / 2, "damaged");
        expect_damaged(name, data, n * 9 / 10, "damaged");
        if (form[f] >= PNG_RGB) { // a byte of the pixels' chunk, and so its checksum
            data[n / 2] ^= 1;
            expect_damaged(name, data, n, "damaged");
        }
        free(data);
    }
    static const char *const no_image[] = {"GIF89a", "BM", "hello", "\x89PNG\r\n\x1a\nhello",
                                           "\xff\xd8\xff\xd9"};
    for (size_t i = 0; i < sizeof no_image / sizeof *no_image; i++)
        expect_damaged(no_image[i], (const uint8_t *)no_image[i], strlen(no_image[i]), "");
    free(rgb);
}

static void put_big32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * (3 - i));
}

// A PNG of 100 rows of 120 black pixels around this stream, every chunk's checksum right.
enum { BLACK_HEIGHT = 100, BLACK_WIDTH = 120, BLACK_ROW = 3 * BLACK_WIDTH + 1 };

static uint8_t *png_around(const uint8_t *z, size_t n, size_t *size)
{
    static const uint8_t head[13] = {0, 0, 0, BLACK_WIDTH, 0, 0, 0, BLACK_HEIGHT, 8, 2};
    const struct {
        const char *type;
        const uint8_t *data;
        size_t n;
    } chunk[] = {{"IHDR", head, 13}, {"IDAT", z, n}, {"IEND", head, 0}};
    uint8_t *data = malloc(n + 100), *p = data + 8;
    cr_assert_not_null(data);
    memcpy(data, "\x89PNG\r\n\x1a\n", 8);
    for (size_t i = 0; i < 3; i++) {
        put_big32(p, (uint32_t)chunk[i].n);
        memcpy(p + 4, chunk[i].type, 4);
        memcpy(p + 8, chunk[i].data, chunk[i].n);
        put_big32(p + 8 + chunk[i].n, (uint32_t)crc32(0, p + 4, (uInt)(chunk[i].n + 4)));
        p += chunk[i].n + 12;
    }
    *size = (size_t)(p - data);
    return data;
}

// Broken for a crop of the first rows, too: some crops of a file are not to be broken and others
// whole.
static void expect_stream(const char *what, const uint8_t *z, size_t n, int good)
{
    size_t size;
    struct picture seen;
    struct error e;
    uint8_t *data = png_around(z, n, &size);
    for (int whole = 0; whole < 2; whole++) {
        struct box crop = {0, 0, whole ? BLACK_HEIGHT : 10, BLACK_WIDTH};
        float *view = decoded_view(data, size, &crop, 10, &seen, &e);
        if (good)
            cr_expect_not_null(view, "%s: %s", what, e.text);
        else
            cr_expect(!view && strstr(e.text, "is damaged"), "%s, %s: %s", what,
                      whole ? "all of it" : "first rows", view ? "was read" : e.text);
        free(view);
    }
    free(data);
}

// Pixels that end early, or are not those that were written, though every chunk is right.
Test(decode, stream_of_a_png)
{
    uint8_t *raw = calloc(BLACK_HEIGHT, BLACK_ROW), z[2000];
    cr_assert_not_null(raw);
    uLongf n = sizeof z;
    cr_assert_eq(compress(z, &n, raw, (uLong)(BLACK_HEIGHT - 1) * BLACK_ROW), Z_OK);
    expect_stream("a row too few", z, n, 0);
    n = sizeof z;
    cr_assert_eq(compress(z, &n, raw, (uLong)BLACK_HEIGHT * BLACK_ROW), Z_OK);
    expect_stream("as it should be", z, n, 1);
    expect_stream("cut off in its last block", z, n - 5, 0);
    expect_stream("cut off in its checksum, with all pixels", z, n - 2, 1); // as PIL does
    z[n - 1] ^= 1;
    expect_stream("another checksum (Adler-32)", z, n, 0);
    free(raw);
}

// Where the restart markers of a JPEG of one scan are; their number.
static int restarts(const uint8_t *data, size_t n, size_t at[], int most)
{
    int found = 0;
    for (size_t i = 0; i + 1 < n && found < most; i++)
        if (data[i] == 0xff && data[i + 1] >= 0xd0 && data[i + 1] <= 0xd7)
            at[found++] = i;
    return found;
}

// libjpeg goes on behind damage at the next restart marker, with pixels made up before it. Such an
// image is broken wherever damaged rows are looked at or passed over; what lies above them is the
// same as before.
Test(decode, damage_between_restarts)
{
    enum { H = 160, W = 200, INTERVALS = 10, FROM = 5 };
    static const char *const how[] = {"noise", "a hole", "a marker lost", "a marker of another"};
    struct rng r;
    struct picture seen;
    struct error e;
    size_t n, at[INTERVALS];
    double mean, most;
    struct box above = {3, 5, 50, 180}, below = {110, 5, 50, 180};
    uint8_t *rgb = picture_noise(H, W, 8), *data = picture_encode(JPEG_RESTARTS, rgb, H, W, 0, &n);
    uint8_t *bad = malloc(n);
    cr_assert_not_null(bad);
    cr_assert_eq(restarts(data, n, at, INTERVALS), INTERVALS - 1);
    size_t begin = at[FROM - 1] + 2, end = at[FROM]; // of rows 80 to 95
    float *expected = decoded_view(data, n, &above, 60, &seen, &e);
    cr_assert_not_null(expected, "%s", e.text);
    rng_init(&r, 7, RNG_TEST, 4, 0);
    for (int k = 0; k < 23; k++) {
        size_t size = n, lost = k < 20 ? 0 : k == 20 ? end + 2 - begin : k == 21 ? 2 : 0;
        size_t from = k == 20 ? begin : end;
        memcpy(bad, data, n);
        for (size_t i = begin; k < 20 && i < end; i++)
            bad[i] = (uint8_t)rng_below(&r, 255); // no marker
        memmove(bad + from, bad + from + lost, n - from - lost);
        size -= lost;
        if (k == 22)
            bad[end + 1] = 0xd0 + (bad[end + 1] + 3) % 8;
        const char *what = how[k < 20 ? 0 : k - 19];
        expect_damaged(what, bad, size, "damaged");
        float *view = decoded_view(bad, size, &below, 60, &seen, &e);
        cr_expect_null(view, "%s above was passed over", what);
        free(view);
        view = decoded_view(bad, size, &above, 60, &seen, &e);
        cr_assert_not_null(view, "%s below: %s", what, e.text);
        decoded_difference(view, expected, (size_t)3 * 60 * 60, &mean, &most);
        cr_expect_eq(most, 0);
        free(view);
    }
    free(expected);
    free(bad);
    free(data);
    free(rgb);
}

// Every prefix and many bytes changed: a picture or a sentence, never more.
Test(decode, hostile_bytes)
{
    enum { H = 40, W = 56 };
    struct rng r;
    uint8_t *rgb = picture_draw(H, W, 6);
    rng_init(&r, 6, RNG_TEST, 2, 0);
    struct box crop = {3, 5, 30, 40};
    for (int form = 0; form < PICTURE_FORMS; form++) {
        size_t n;
        uint8_t *data = picture_encode(form, rgb, H, W, 6, &n), *bad = malloc(n);
        cr_assert_not_null(bad);
        for (int k = 0; k < 150; k++) {
            struct picture seen;
            struct error e;
            memcpy(bad, data, n);
            for (int c = 0; c < 1 + k % 4; c++)
                bad[rng_below(&r, k % 2 ? n : n < 200 ? n : 200)] = (uint8_t)rng_u32(&r);
            struct box inside = crop;
            struct decode_head head;
            if (decoded_head(bad, n, &head, &e) == 0) { // a crop that fits what it claims
                int h, w;
                decode_upright(&head, &h, &w);
                inside = (struct box){h / 4.0, w / 4.0, h / 2.0, w / 2.0};
            }
            size_t cut = k % 5 ? n : rng_below(&r, n);
            free(decoded_view(bad, cut, &inside, 24, &seen, &e));
        }
        free(bad);
        free(data);
    }
    free(rgb);
}

// What this machine is short of is not the file's fault.
Test(decode, short_of_memory)
{
    static const struct {
        int code, blame;
    } say[] = {{ENOMEM, DECODE_UNABLE},
               {EMFILE, DECODE_UNABLE},
               {ENFILE, DECODE_UNABLE},
               {EINTR, DECODE_UNABLE},
               {EAGAIN, DECODE_UNABLE},
               {ENOENT, -1},
               {EACCES, -1},
               {EIO, -1},
               {ELOOP, -1}};
    for (size_t i = 0; i < sizeof say / sizeof *say; i++)
        cr_expect_eq(decode_blame(say[i].code), say[i].blame, "%s", strerror(say[i].code));

    enum { SIDE = 4000, LARGE = 200 << 20 };
    struct decoder *d;
    struct error e = {""};
    struct picture seen;
    struct box box, crop = {0, 0, SIDE, SIDE};
    struct decode_head h;
    const uint8_t *data;
    size_t n, jpeg_n, png_n;
    uint8_t *rgb = calloc((size_t)SIDE * SIDE, 3);
    cr_assert_not_null(rgb);
    uint8_t *jpeg = picture_encode(JPEG_RGB, rgb, SIDE, SIDE, 0, &jpeg_n);
    uint8_t *png = picture_encode(PNG_INTERLACED, rgb, SIDE, SIDE, 0, &png_n);
    free(rgb);
    int fd = memfd_create("large", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(fd, LARGE), 0);
    cr_assert_eq(decoder_new(&d, &e), 0);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__ // they need the address space
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    struct rlimit tight = {40 << 20, limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_AS, &tight), 0);
    int rc = decoder_read(d, fd, &data, &n, &e);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_expect_eq(rc, DECODE_UNABLE, "%d: %s", rc, e.text);
    cr_expect_not_null(strstr(e.text, "out of memory"), "%s", e.text);
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(decoded_head(k ? png : jpeg, k ? png_n : jpeg_n, &h, &e), 0, "%s", e.text);
        cr_assert_eq(setrlimit(RLIMIT_AS, &tight), 0);
        rc = decoder_run(d, &h, k ? png : jpeg, k ? png_n : jpeg_n, &crop, 1, SIDE, SIDE, &seen,
                         &box, &e);
        cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
        cr_expect_eq(rc, DECODE_UNABLE, "%d: %s", rc, e.text);
        cr_expect_not_null(strstr(e.text, "out of memory"), "%s", e.text);
    }
#endif
    // and afterwards it goes on as before
    cr_assert_eq(decoded_head(png, png_n, &h, &e), 0, "%s", e.text);
    cr_expect_eq(decoder_read(d, fd, &data, &n, &e), 0, "%s", e.text);
    cr_expect_eq(n, LARGE);
    cr_expect_eq(decoder_run(d, &h, png, png_n, &crop, 1, SIDE, SIDE, &seen, &box, &e), 0, "%s",
                 e.text);
    decoder_free(d);
    close(fd);
    free(jpeg);
    free(png);
}

// A head that claims more than is read is refused by its head; what is just below is read in
// little memory, row by row or shrunk.
Test(decode, hundred_megapixels)
{
    size_t n;
    struct error e;
    struct decode_head head;
    uint8_t *rgb = picture_draw(16, 16, 7), *data = picture_encode(PNG_RGB, rgb, 16, 16, 0, &n);
    static const uint8_t side[4] = {0, 0, 0x27, 0x10}; // 10000
    memcpy(data + 16, side, 4);
    memcpy(data + 20, side, 4);
    cr_expect_eq(decoded_head(data, n, &head, &e), -1);
    cr_expect_not_null(strstr(e.text, "10000x10000"), "%s", e.text);
    free(data);
    data = picture_encode(JPEG_RGB, rgb, 16, 16, 0, &n);
    for (size_t i = 0; i + 9 < n; i++)
        if (data[i] == 0xff && data[i + 1] == 0xc0) {
            memcpy(data + i + 5, side + 2, 2);
            memcpy(data + i + 7, side + 2, 2);
            break;
        }
    cr_expect_eq(decoded_head(data, n, &head, &e), -1);
    cr_expect_not_null(strstr(e.text, "10000x10000"), "%s", e.text);
    free(data);
    free(rgb);

    enum { H = 6000, W = 8000 };
    struct rusage before, after;
    struct picture seen;
    struct box crop = {500, 600, 5000, 7000};
    rgb = malloc((size_t)H * W * 3);
    cr_assert_not_null(rgb);
    memset(rgb, 90, (size_t)H * W * 3);
    data = picture_encode(JPEG_RGB, rgb, H, W, 0, &n);
    free(rgb);
    getrusage(RUSAGE_SELF, &before);
    float *view = decoded_view(data, n, &crop, 100, &seen, &e);
    getrusage(RUSAGE_SELF, &after);
    cr_assert_not_null(view, "%s", e.text);
    cr_expect_leq(seen.height, 5000 / 8 + 20);
    cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 32 << 10, "%ld kB more",
                 after.ru_maxrss - before.ru_maxrss);
    free(view);
    free(data);
}

// --- large ones of several scans ---

struct large {
    const uint8_t *data;
    size_t n;
    pthread_barrier_t *both;
    struct decoder *decoder;
    struct picture seen;
    struct box box;
    struct error e;
    int rc;
};

enum { LARGE_SIDE = 6300, LARGE_BAND = 900, LARGE_OUT = 100 };
static const uint8_t large_colour[LARGE_SIDE / LARGE_BAND][3] = {
    {200, 30, 40}, {20, 180, 60},   {50, 60, 210}, {250, 240, 10},
    {5, 5, 5},     {128, 128, 128}, {90, 0, 120}};

static void *decode_large(void *context)
{
    struct large *l = context;
    struct box whole = {0, 0, LARGE_SIDE, LARGE_SIDE};
    struct decode_head h;
    l->rc = decoded_head(l->data, l->n, &h, &l->e);
    if (l->both)
        pthread_barrier_wait(l->both);
    if (l->rc == 0)
        l->rc = decoder_run(l->decoder, &h, l->data, l->n, &whole, 1, LARGE_OUT, LARGE_OUT,
                            &l->seen, &l->box, &l->e);
    return NULL;
}

// From here on the peak of memory counts afresh (Linux 4.0).
static long peak_afresh(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    cr_assert_not_null(f);
    cr_assert(fputs("5", f) >= 0 && fclose(f) == 0);
    return peak_kb();
}

// What must be held as a whole and is large is held once, whatever the number of threads; a
// damaged one does not keep the others waiting.
Test(decode, large_of_several_scans, .timeout = 300)
{
    enum { HELD_KB = 239 << 10 }; // 3 colours x 789 x 789 blocks x 64 values of 2 bytes
    size_t n, bytes = (size_t)LARGE_SIDE * LARGE_SIDE * 3;
    uint8_t *rgb = malloc(bytes), *p = rgb;
    pthread_barrier_t both;
    pthread_t thread[2];
    struct large l[2] = {0};
    struct error e;
    cr_assert_not_null(rgb);
    for (int y = 0; y < LARGE_SIDE; y++)
        for (int x = 0; x < LARGE_SIDE; x++, p += 3)
            memcpy(p, large_colour[y / LARGE_BAND], 3);
    uint8_t *data = picture_encode(JPEG_444_PROGRESSIVE, rgb, LARGE_SIDE, LARGE_SIDE, 0, &n);
    free(rgb);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(decoder_new(&l[i].decoder, &e), 0);
        l[i].data = data;
        l[i].n = n / 2;
    }
    decode_large(&l[0]);
    cr_expect(l[0].rc == -1 && strstr(l[0].e.text, "is damaged"), "%d: %s", l[0].rc, l[0].e.text);
    cr_assert_eq(pthread_barrier_init(&both, NULL, 2), 0);
    long before = peak_afresh();
    for (int i = 0; i < 2; i++) {
        l[i].n = n;
        l[i].both = &both;
        cr_assert_eq(pthread_create(&thread[i], NULL, decode_large, &l[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    long more = peak_kb() - before;
    for (int i = 0; i < 2; i++) {
        const struct picture *s = &l[i].seen;
        cr_assert_eq(l[i].rc, 0, "%s", l[i].e.text);
        cr_assert(s->height == 788 && s->width == 788, "%dx%d", s->width, s->height);
        for (int y = 0; y < s->height; y++)
            for (int x = 0; x < s->width; x++) {
                int band = (int)(y / (LARGE_BAND / 8.0)),
                    next = (int)((y + 1) / (LARGE_BAND / 8.0));
                const uint8_t *at = s->pixel + (size_t)y * s->row + (size_t)x * s->step;
                for (int c = 0; band == next && c < 3; c++)
                    cr_assert(abs(at[c] - large_colour[band][c]) <= 3, "%d of %d,%d: %d", c, x, y,
                              at[c]);
            }
        decoder_free(l[i].decoder);
    }
#ifndef __SANITIZE_THREAD__ // what it notes about memory is many times the memory
    cr_expect(more > HELD_KB / 2 && more < HELD_KB / 2 * 3, "%ld kB more", more);
#else
    (void)more;
#endif
    pthread_barrier_destroy(&both);
    free(data);
}
