// The pixels of views against torchvision and PIL (fixtures/augment.py), and the pool that makes
// them: the same whatever the number of threads, nothing outside its output, every job that cannot
// be worked refused.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "metrics/base/rng.h"
#include "gpu/views/pixel_pool.h"
#include "gpu/views/pixels.h"

#define FIXTURE "tests/fixtures/augment.fix"

static const float mean3[3] = {0.485f, 0.456f, 0.406f}, std3[3] = {0.229f, 0.224f, 0.225f};
static const float zero3[3] = {0, 0, 0}, one3[3] = {1, 1, 1};

static void *need(size_t n)
{
    void *p = malloc(n ? n : 1);
    cr_assert_not_null(p);
    return p;
}

static void read_all(FILE *f, void *to, size_t n)
{
    cr_assert_eq(fread(to, 1, n, f), n, "%s ends early", FIXTURE);
}

struct fixture {
    char name[25];
    struct pixel_shape shape;
    struct augment_view view;
    uint8_t *image;
    uint16_t *expected;
};

static void read_case(FILE *f, struct fixture *c)
{
    int32_t shape[5], box[9], flags[2];
    float factor[4], sigma;
    int32_t gray;
    memset(c, 0, sizeof *c);
    read_all(f, c->name, 24);
    read_all(f, shape, sizeof shape);
    read_all(f, box, sizeof box);
    read_all(f, factor, sizeof factor);
    read_all(f, &gray, sizeof gray);
    read_all(f, &sigma, sizeof sigma);
    read_all(f, flags, sizeof flags);
    for (int i = 0; i < 5; i++)
        cr_assert(shape[i] >= 1 && shape[i] <= 4096);
    c->shape = (struct pixel_shape){shape[0], shape[1], shape[2], shape[3], shape[4]};
    c->view = (struct augment_view){.top = box[0],
                                    .left = box[1],
                                    .height = box[2],
                                    .width = box[3],
                                    .jitter = (uint8_t)box[4],
                                    .grayscale = (uint8_t)gray,
                                    .sigma = sigma,
                                    .solarize = (uint8_t)flags[0],
                                    .flip = (uint8_t)flags[1]};
    for (int i = 0; i < JITTER_PARTS; i++) {
        c->view.order[i] = (uint8_t)box[5 + i];
        c->view.factor[i] = factor[i];
    }
    size_t in = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    size_t out = (size_t)shape[0] * (size_t)shape[3] * (size_t)shape[4];
    c->image = need(in);
    c->expected = need(out * sizeof *c->expected);
    read_all(f, c->image, in);
    read_all(f, c->expected, out * sizeof *c->expected);
}

// The promise is 2/255; both sides are floats, so half a step of a byte is what rounding may take.
// A solarized pixel may fall on either side of its threshold.
Test(pixels, as_torchvision_and_pil)
{
    FILE *f = fopen(FIXTURE, "rb");
    cr_assert_not_null(f, "%s is missing: run the tests from the top of the repository", FIXTURE);
    char magic[8];
    uint32_t cases = 0;
    read_all(f, magic, sizeof magic);
    cr_assert_eq(memcmp(magic, "AUGFIX1\n", 8), 0);
    read_all(f, &cases, sizeof cases);
    cr_assert_geq(cases, 37);
    for (uint32_t k = 0; k < cases; k++) {
        struct fixture c;
        struct pixel_scratch *s;
        struct error e = {""};
        read_case(f, &c);
        cr_assert_eq(pixel_view_check(&c.shape, &c.view, &e), 0, "%s: %s", c.name, e.text);
        cr_assert_eq(pixel_scratch_new(&c.shape, &s, &e), 0, "%s: %s", c.name, e.text);
        size_t n = (size_t)c.shape.c * (size_t)c.shape.out_h * (size_t)c.shape.out_w;
        float *out = need(n * sizeof *out);
        for (size_t i = 0; i < n; i++)
            out[i] = NAN;
        pixel_view(s, c.image, &c.view, zero3, one3, out);
        double worst = 0;
        int beyond = 0;
        for (size_t i = 0; i < n; i++) {
            double off = fabs((double)out[i] - c.expected[i] / 65535.0);
            cr_assert(isfinite(off), "%s: value %zu was not written", c.name, i);
            beyond += off > 0.5 / 255;
            worst = off > worst ? off : worst;
        }
        cr_expect_leq(beyond, 0, "%s: %d of %zu off, by up to %.2f/255", c.name, beyond, n,
                      worst * 255);
        free(out);
        free(c.image);
        free(c.expected);
        pixel_scratch_free(s);
    }
    cr_expect_eq(fgetc(f), EOF);
    fclose(f);
}

static uint8_t *noise(size_t n, uint32_t stream)
{
    uint8_t *p = need(n);
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, stream);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rng_u32(&r);
    return p;
}

Test(pixels, identity_is_the_image_normalised)
{
    struct pixel_shape shape = {3, 17, 23, 17, 23};
    struct pixel_scratch *s;
    struct error e;
    size_t plane = 17 * 23;
    uint8_t *image = noise(3 * plane, 1);
    float *out = need(3 * plane * sizeof *out);
    struct augment_view v;
    augment_identity(17, 23, &v);
    cr_assert_eq(pixel_scratch_new(&shape, &s, &e), 0);
    pixel_view(s, image, &v, mean3, std3, out);
    for (size_t i = 0; i < 3 * plane; i++) {
        double want = (image[i] / 255.0 - (double)mean3[i / plane]) / (double)std3[i / plane];
        cr_assert_float_eq((double)out[i], want, 2e-6);
    }
    v.flip = 1;
    float *mirror = need(3 * plane * sizeof *mirror);
    pixel_view(s, image, &v, mean3, std3, mirror);
    for (size_t y = 0; y < 3 * 17; y++)
        for (size_t x = 0; x < 23; x++)
            cr_assert_eq(mirror[y * 23 + x], out[y * 23 + 22 - x]);
    free(mirror);
    free(out);
    free(image);
    pixel_scratch_free(s);
}

// bf16 to the nearest, ties to even, by arithmetic instead of bits: the spacing at x is 2^(exponent
// - 7).
static float nearest_bf16(float x)
{
    int exponent;
    if (x == 0.0f)
        return 0.0f;
    frexpf(x, &exponent);
    double step = ldexp(1.0, exponent - 8);
    return (float)(rint((double)x / step) * step);
}

Test(pixels, bf16_is_the_float_rounded)
{
    struct pixel_shape shape = {3, 40, 40, 32, 36};
    struct pixel_scratch *s;
    struct error e;
    size_t n = 3 * 32 * 36;
    uint8_t *image = noise(3 * 40 * 40, 2);
    float *out = need(n * sizeof *out);
    uint16_t *out16 = need(n * sizeof *out16);
    cr_assert_eq(pixel_scratch_new(&shape, &s, &e), 0);
    for (int i = 0; i < 20; i++) {
        struct augment_view v;
        augment_draw(augment_find("simsiam"), 1, 0, i, 0, 3, 40, 40, 32, &v);
        pixel_view(s, image, &v, mean3, std3, out);
        pixel_view_bf16(s, image, &v, mean3, std3, out16);
        for (size_t k = 0; k < n; k++) {
            uint32_t bits = (uint32_t)out16[k] << 16;
            float got;
            memcpy(&got, &bits, sizeof got);
            cr_assert_eq(got, nearest_bf16(out[k]), "%a became %a", (double)out[k], (double)got);
        }
    }
    free(out);
    free(out16);
    free(image);
    pixel_scratch_free(s);
}

// A blur wider than the image reflects more than once; a constant stays a constant through
// everything but brightness.
Test(pixels, constants_and_tiny_images_survive)
{
    static const int side[][2] = {{1, 1}, {2, 1}, {1, 5}, {3, 2}};
    for (size_t k = 0; k < sizeof side / sizeof *side; k++) {
        struct pixel_shape shape = {3, side[k][0], side[k][1], 4, 3};
        struct pixel_scratch *s;
        struct error e;
        uint8_t image[3 * 15];
        float out[3 * 12];
        struct augment_view v;
        memset(image, 51, sizeof image); // 0.2
        augment_identity(shape.h, shape.w, &v);
        v.jitter = 1;
        v.factor[JITTER_CONTRAST] = 1.4f;
        v.factor[JITTER_SATURATION] = 0.6f;
        v.factor[JITTER_HUE] = 0.3f;
        v.sigma = 10.0f;
        v.flip = 1;
        cr_assert_eq(pixel_view_check(&shape, &v, &e), 0);
        cr_assert_eq(pixel_scratch_new(&shape, &s, &e), 0);
        pixel_view(s, image, &v, zero3, one3, out);
        for (int i = 0; i < 36; i++)
            cr_expect_float_eq(out[i], 0.2f, 1e-5f);
        pixel_scratch_free(s);
    }
}

Test(pixels, refuses_what_it_cannot_work)
{
    struct pixel_shape shape = {1, 20, 30, 8, 8};
    struct error e;
    struct augment_view good, v;
    augment_identity(20, 30, &good);
    cr_expect_eq(pixel_view_check(&shape, &good, &e), 0);
#define REFUSED(change, word)                                                                      \
    do {                                                                                           \
        v = good;                                                                                  \
        v.jitter = 1;                                                                              \
        change;                                                                                    \
        e.text[0] = '\0';                                                                          \
        cr_expect_eq(pixel_view_check(&shape, &v, &e), -1, "%s", #change);                         \
        cr_expect_not_null(strstr(e.text, word), "%s: %s", #change, e.text);                       \
    } while (0)
    REFUSED(v.top = -1, "crop box");
    REFUSED(v.left = 1, "crop box");
    REFUSED(v.height = 21, "crop box");
    REFUSED(v.height = 0, "crop box");
    REFUSED(v.width = -5, "crop box");
    REFUSED((v.top = INT32_MAX, v.height = 2), "crop box");
    REFUSED(v.sigma = -1.0f, "sigma");
    REFUSED(v.sigma = NAN, "sigma");
    REFUSED(v.sigma = 11.0f, "sigma");
    REFUSED(v.order[2] = 4, "order");
    REFUSED(v.order[2] = 1, "order");
    REFUSED(v.factor[0] = INFINITY, "factor");
    REFUSED(v.factor[JITTER_HUE] = 0.6f, "hue");

    static const struct pixel_shape bad[] = {
        {2, 20, 20, 8, 8},   {0, 20, 20, 8, 8},  {1, 0, 20, 8, 8},
        {1, 20, 4097, 8, 8}, {1, 20, 20, -8, 8}, {1, 20, 20, 8, 5000},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pixel_scratch *s;
        e.text[0] = '\0';
        cr_expect_eq(pixel_scratch_new(&bad[i], &s, &e), -1);
        cr_expect_null(s);
        cr_expect_neq(e.text[0], '\0');
    }
}

// --- the pool ---

#define BATCH  37
#define IMAGES 50

struct batch {
    int64_t index[BATCH];
    struct augment_view view[2][BATCH];
};

static void draw_batch(struct batch *b, int64_t step, const struct pixel_shape *s)
{
    struct rng r;
    rng_init(&r, 2, RNG_TEST, (uint64_t)step, 0);
    for (int i = 0; i < BATCH; i++) {
        b->index[i] = (int64_t)rng_below(&r, IMAGES);
        for (int v = 0; v < 2; v++)
            augment_draw(augment_find("simsiam"), 2, step, b->index[i], v, s->c, s->h, s->w, 64,
                         &b->view[v][i]);
    }
}

static int same_floats(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

static struct pixel_job job_of(const struct batch *b, const uint8_t *pixels, float *out[2])
{
    return (struct pixel_job){.pixels = pixels,
                              .n = IMAGES,
                              .mean = mean3,
                              .std = std3,
                              .batch = BATCH,
                              .index = b->index,
                              .view = {b->view[0], b->view[1]},
                              .out = {out[0], out[1]}};
}

static const struct pixel_shape pool_shape = {3, 70, 66, 24, 28};
#define VIEW_SIZE ((size_t)3 * 24 * 28)
#define STEPS     12

// All views of STEPS batches by `threads` workers, two batches in the queue, with a canary behind
// each output.
static float *run_pool(const uint8_t *pixels, int threads)
{
    struct pixel_pool *p;
    struct error e = {""};
    size_t n = BATCH * VIEW_SIZE;
    float *all = need((2 * STEPS * n + 2 * STEPS) * sizeof *all);
    for (size_t i = 0; i < 2 * STEPS * (n + 1); i++)
        all[i] = -12345.0f;
    cr_assert_eq(pixel_pool_new(&pool_shape, threads, threads == 2 ? 19 : 0, BATCH, &p, &e), 0,
                 "%s", e.text);
    for (int step = 0; step <= STEPS; step++) {
        if (step < STEPS) {
            struct batch b;
            draw_batch(&b, step, &pool_shape);
            float *out[2] = {all + (size_t)(2 * step) * (n + 1),
                             all + (size_t)(2 * step + 1) * (n + 1)};
            struct pixel_job job = job_of(&b, pixels, out);
            cr_assert_eq(pixel_pool_submit(p, &job, &e), 0, "%s", e.text);
            memset(&b, 0xee, sizeof b); // it was copied
        }
        if (step > 0)
            cr_assert_eq(pixel_pool_wait(p, &e), 0, "%s", e.text);
        cr_expect_eq(pixel_pool_queued(p), step < STEPS);
    }
    pixel_pool_free(p);
    for (size_t k = 0; k < 2 * STEPS; k++) {
        cr_expect_eq(all[k * (n + 1) + n], -12345.0f, "output %zu was overrun", k);
        for (size_t i = 0; i < n; i++)
            cr_assert_neq(all[k * (n + 1) + i], -12345.0f, "output %zu has a hole at %zu", k, i);
    }
    return all;
}

Test(pixels, pool_the_same_for_any_number_of_threads)
{
    uint8_t *pixels = noise((size_t)IMAGES * 3 * 70 * 66, 3);
    size_t size = 2 * STEPS * (BATCH * VIEW_SIZE + 1);
    float *one = run_pool(pixels, 1);
    for (int threads = 1; threads <= 3; threads++) {
        float *other = run_pool(pixels, threads);
        cr_expect(same_floats(one, other, size), "%d threads differ from one", threads);
        free(other);
    }
    // And what one thread does without a pool.
    struct pixel_scratch *s;
    struct error e;
    cr_assert_eq(pixel_scratch_new(&pool_shape, &s, &e), 0);
    float *alone = need(VIEW_SIZE * sizeof *alone);
    for (int step = 0; step < STEPS; step++) {
        struct batch b;
        draw_batch(&b, step, &pool_shape);
        for (int v = 0; v < 2; v++)
            for (int i = 0; i < BATCH; i++) {
                const float *made =
                    one + (size_t)(2 * step + v) * (BATCH * VIEW_SIZE + 1) + (size_t)i * VIEW_SIZE;
                pixel_view(s, pixels + (size_t)b.index[i] * 3 * 70 * 66, &b.view[v][i], mean3, std3,
                           alone);
                cr_assert(same_floats(made, alone, VIEW_SIZE));
            }
    }
    free(alone);
    pixel_scratch_free(s);
    free(one);
    free(pixels);
}

Test(pixels, pool_images_themselves_and_bf16)
{
    struct pixel_shape shape = {1, 28, 28, 28, 28};
    struct pixel_pool *p;
    struct error e = {""};
    uint8_t *pixels = noise((size_t)IMAGES * 784, 4);
    float *out = need(BATCH * 784 * sizeof *out);
    uint16_t *out16 = need(BATCH * 784 * sizeof *out16);
    int64_t index[BATCH];
    for (int i = 0; i < BATCH; i++)
        index[i] = (i * 7) % IMAGES;
    cr_assert_eq(pixel_pool_new(&shape, 2, 0, BATCH, &p, &e), 0, "%s", e.text);
    struct pixel_job job = {.pixels = pixels,
                            .n = IMAGES,
                            .mean = mean3,
                            .std = std3,
                            .batch = BATCH,
                            .index = index,
                            .out = {out, NULL}};
    cr_assert_eq(pixel_pool_submit(p, &job, &e), 0, "%s", e.text);
    job.out[0] = out16;
    job.bf16 = 1;
    cr_assert_eq(pixel_pool_submit(p, &job, &e), 0, "%s", e.text);
    cr_expect_eq(pixel_pool_queued(p), 2);
    cr_assert_eq(pixel_pool_wait(p, &e), 0);
    cr_assert_eq(pixel_pool_wait(p, &e), 0);
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < 784; k++) {
            double want = (pixels[index[i] * 784 + k] / 255.0 - (double)mean3[0]) / (double)std3[0];
            uint32_t bits = (uint32_t)out16[i * 784 + k] << 16;
            float got;
            memcpy(&got, &bits, sizeof got);
            cr_assert_float_eq((double)out[i * 784 + k], want, 2e-6);
            cr_assert_eq(got, nearest_bf16(out[i * 784 + k]));
        }
    pixel_pool_free(p);
    free(out);
    free(out16);
    free(pixels);
}

Test(pixels, pool_refuses_and_stays_usable)
{
    struct pixel_pool *p;
    struct error e = {""};
    uint8_t *pixels = noise((size_t)IMAGES * 3 * 70 * 66, 5);
    float *out[2] = {need(BATCH * VIEW_SIZE * sizeof(float)),
                     need(BATCH * VIEW_SIZE * sizeof(float))};
    struct batch b;
    draw_batch(&b, 0, &pool_shape);
    cr_expect_eq(pixel_pool_new(&pool_shape, 0, 0, BATCH, &p, &e), -1);
    cr_expect_eq(pixel_pool_new(&pool_shape, 1, 20, BATCH, &p, &e), -1);
    cr_expect_eq(pixel_pool_new(&pool_shape, 1, 0, 0, &p, &e), -1);
    cr_expect_eq(pixel_pool_new(&(struct pixel_shape){4, 8, 8, 8, 8}, 1, 0, 8, &p, &e), -1);
    cr_expect_null(p);
    cr_assert_eq(pixel_pool_new(&pool_shape, 2, 0, BATCH, &p, &e), 0, "%s", e.text);
    cr_expect_eq(pixel_pool_wait(p, &e), -1);
    struct pixel_job good = job_of(&b, pixels, out), job;
#define JOB_REFUSED(change, word)                                                                  \
    do {                                                                                           \
        job = good;                                                                                \
        change;                                                                                    \
        e.text[0] = '\0';                                                                          \
        cr_expect_eq(pixel_pool_submit(p, &job, &e), -1, "%s", #change);                           \
        cr_expect_not_null(strstr(e.text, word), "%s: %s", #change, e.text);                       \
        cr_expect_eq(pixel_pool_queued(p), 0);                                                     \
    } while (0)
    int64_t outside[BATCH] = {0};
    outside[BATCH - 1] = IMAGES;
    static const float nothing[3] = {1, 0, 1};
    struct augment_view bad[BATCH];
    memcpy(bad, b.view[1], sizeof bad);
    bad[BATCH - 1].height = 71;
    JOB_REFUSED(job.batch = BATCH + 1, "batch of 38");
    JOB_REFUSED(job.batch = 0, "batch of 0");
    JOB_REFUSED(job.index = outside, "image 50");
    JOB_REFUSED((outside[BATCH - 1] = -1, job.index = outside), "image -1");
    JOB_REFUSED(job.std = nothing, "deviation 0");
    JOB_REFUSED(job.view[1] = bad, "crop box");
    JOB_REFUSED(job.out[0] = NULL, "place");

    cr_expect_eq(pixel_pool_submit(p, &good, &e), 0);
    cr_expect_eq(pixel_pool_submit(p, &good, &e), 0);
    cr_expect_eq(pixel_pool_submit(p, &good, &e), -1);
    cr_expect_not_null(strstr(e.text, "queued already"));
    cr_expect_eq(pixel_pool_wait(p, &e), 0);
    cr_expect_eq(pixel_pool_wait(p, &e), 0);
    cr_expect_eq(pixel_pool_wait(p, &e), -1);
    // Freed with work in the queue: the workers leave it where it is.
    cr_expect_eq(pixel_pool_submit(p, &good, &e), 0);
    cr_expect_eq(pixel_pool_submit(p, &good, &e), 0);
    pixel_pool_free(p);
    pixel_pool_free(NULL);
    free(out[0]);
    free(out[1]);
    free(pixels);
}
