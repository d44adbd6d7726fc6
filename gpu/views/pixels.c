// The pixels of a view, in the order of struct augment_view: crop and resize (data/resize.h),
// colour as torchvision's float tensors, Gaussian blur with reflected borders, flip and
// normalisation in the last pass. Written as plain loops over rows that the compiler vectorises;
// nothing is allocated per view.
#include "gpu/views/pixels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/clones.h"

#define SIDE_MAX    4096
#define SIGMA_MAX   10.0f
#define RADIUS_MAX  30 // ceil(3 SIGMA_MAX)
#define LANES       8  // partial sums of a mean
#define GRAY_R      0.299f
#define GRAY_G      0.587f
#define GRAY_B      0.114f
#define SOLARIZE_AT (128.0f / 255.0f)

struct pixel_scratch {
    struct pixel_shape shape;
    size_t n; // pixels of a view
    struct resizer *resizer;
    float *view; // c x n: the view as it is worked on
    float *gray; // n: luminance; the blur's half-way result
    float *row;  // a row padded for the blur
    float kernel[2 * RADIUS_MAX + 1];
};

int pixel_scratch_new(const struct pixel_shape *shape, struct pixel_scratch **out, struct error *e)
{
    *out = NULL;
    const int side[] = {shape->h, shape->w, shape->out_h, shape->out_w};
    if (shape->c != 1 && shape->c != 3)
        return error_set(e, "images of %d channels, expected 1 or 3", shape->c);
    for (size_t i = 0; i < sizeof side / sizeof *side; i++)
        if (side[i] < 1 || side[i] > SIDE_MAX)
            return error_set(e, "images or views with a side of %d pixels, expected 1 to %d",
                             side[i], SIDE_MAX);
    struct pixel_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory");
    s->shape = *shape;
    s->n = (size_t)shape->out_h * (size_t)shape->out_w;
    s->view = malloc((size_t)shape->c * s->n * sizeof *s->view);
    s->gray = malloc(s->n * sizeof *s->gray);
    s->row = malloc(((size_t)shape->out_w + 2 * RADIUS_MAX) * sizeof *s->row);
    int rc = s->view && s->gray && s->row ? 0 : error_set(e, "out of memory");
    if (rc == 0)
        rc = resizer_new(shape->c, shape->out_h, shape->out_w, &s->resizer, e);
    if (rc == 0)
        rc = resizer_reserve(s->resizer, shape->h, shape->w, e);
    if (rc < 0) {
        pixel_scratch_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void pixel_scratch_free(struct pixel_scratch *s)
{
    if (!s)
        return;
    resizer_free(s->resizer);
    free(s->view);
    free(s->gray);
    free(s->row);
    free(s);
}

int pixel_view_check(const struct pixel_shape *shape, const struct augment_view *v, struct error *e)
{
    if (v->top < 0 || v->left < 0 || v->height < 1 || v->width < 1 || v->height > shape->h ||
        v->width > shape->w || v->top > shape->h - v->height || v->left > shape->w - v->width)
        return error_set(e, "crop box %d,%d %dx%d is not inside an image of %dx%d", v->top, v->left,
                         v->height, v->width, shape->h, shape->w);
    if (!(v->sigma >= 0 && v->sigma <= SIGMA_MAX))
        return error_set(e, "blur of sigma %g, expected 0 to %g", (double)v->sigma,
                         (double)SIGMA_MAX);
    unsigned seen = 0;
    for (int i = 0; v->jitter && i < JITTER_PARTS; i++) {
        if (v->order[i] >= JITTER_PARTS || seen >> v->order[i] & 1 || !isfinite(v->factor[i]))
            return error_set(e, "colour jitter needs an order of its %d parts and finite factors",
                             JITTER_PARTS);
        seen |= 1u << v->order[i];
    }
    if (v->jitter && fabsf(v->factor[JITTER_HUE]) > 0.5f)
        return error_set(e, "hue shift of %g, expected -0.5 to 0.5", (double)v->factor[JITTER_HUE]);
    return 0;
}

static inline float clamp01(float v)
{
    v = v > 0.0f ? v : 0.0f;
    return v < 1.0f ? v : 1.0f;
}

// --- colour ---

CLONES static void luminance(const struct pixel_scratch *s, float *restrict gray)
{
    const float *r = s->view, *g = r + s->n, *b = g + s->n;
    for (size_t i = 0; i < s->n; i++)
        gray[i] = GRAY_R * r[i] + GRAY_G * g[i] + GRAY_B * b[i];
}

CLONES static float mean_of(const float *x, size_t n)
{
    float lane[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += x[i + k];
    double sum = 0;
    for (size_t k = 0; k < LANES; k++)
        sum += (double)lane[k];
    for (size_t i = whole; i < n; i++)
        sum += (double)x[i];
    return (float)(sum / (double)n);
}

// Towards `base` by 1 - f: x = clamp(f x + (1 - f) base).
CLONES static void blend(float *x, size_t n, float base, float f)
{
    float add = (1.0f - f) * base;
    for (size_t i = 0; i < n; i++)
        x[i] = clamp01(f * x[i] + add);
}

static void brightness(struct pixel_scratch *s, float f)
{
    blend(s->view, (size_t)s->shape.c * s->n, 0.0f, f);
}

static void contrast(struct pixel_scratch *s, float f)
{
    const float *of = s->view;
    if (s->shape.c == 3) {
        luminance(s, s->gray);
        of = s->gray;
    }
    blend(s->view, (size_t)s->shape.c * s->n, mean_of(of, s->n), f);
}

CLONES static void saturation(struct pixel_scratch *s, float f)
{
    if (s->shape.c != 3)
        return;
    luminance(s, s->gray);
    const float *gray = s->gray;
    for (int c = 0; c < 3; c++) {
        float *restrict x = s->view + (size_t)c * s->n;
        for (size_t i = 0; i < s->n; i++)
            x[i] = clamp01(f * x[i] + (1.0f - f) * gray[i]);
    }
}

// A channel from HSV: v - chroma * clamp(min(k, 4 - k), 0, 1), k = (offset + six times the hue) mod
// 6; h in [0, 7).
static inline float from_hue(float h, float offset, float v, float chroma)
{
    float k = h + offset;
    k -= k >= 6.0f ? 6.0f : 0.0f;
    k -= k >= 6.0f ? 6.0f : 0.0f;
    float other = 4.0f - k;
    return v - chroma * clamp01(k < other ? k : other);
}

// RGB to HSV, the hue moved by f of the circle, and back: value and chroma stay.
CLONES static void hue(struct pixel_scratch *s, float f)
{
    if (s->shape.c != 3 || f == 0.0f)
        return;
    float *restrict r = s->view, *restrict g = r + s->n, *restrict b = g + s->n;
    float shift = 6.0f * f + (f < 0.0f ? 6.0f : 0.0f); // [0, 6)
    for (size_t i = 0; i < s->n; i++) {
        float x = r[i], y = g[i], z = b[i];
        float hi = x > y ? x : y, lo = x < y ? x : y;
        hi = hi > z ? hi : z;
        lo = lo < z ? lo : z;
        float chroma = hi - lo, safe = chroma > 0.0f ? chroma : 1.0f;
        float over = hi == x ? y - z : hi == y ? z - x : x - y;
        float base = hi == x ? 6.0f : hi == y ? 2.0f : 4.0f;
        float h = base + over / safe; // [1, 7]
        h -= h >= 6.0f ? 6.0f : 0.0f;
        h += shift;
        h -= h >= 6.0f ? 6.0f : 0.0f;
        r[i] = clamp01(from_hue(h, 5.0f, hi, chroma));
        g[i] = clamp01(from_hue(h, 3.0f, hi, chroma));
        b[i] = clamp01(from_hue(h, 1.0f, hi, chroma));
    }
}

static void (*const jitter_table[JITTER_PARTS])(struct pixel_scratch *, float) = {
    [JITTER_BRIGHTNESS] = brightness,
    [JITTER_CONTRAST] = contrast,
    [JITTER_SATURATION] = saturation,
    [JITTER_HUE] = hue,
};

static void grayscale(struct pixel_scratch *s)
{
    if (s->shape.c != 3)
        return;
    luminance(s, s->gray);
    for (int c = 0; c < 3; c++)
        memcpy(s->view + (size_t)c * s->n, s->gray, s->n * sizeof *s->gray);
}

CLONES static void solarize(struct pixel_scratch *s)
{
    float *x = s->view;
    for (size_t i = 0; i < (size_t)s->shape.c * s->n; i++) {
        float inverse = 1.0f - x[i];
        x[i] = x[i] >= SOLARIZE_AT ? inverse : x[i];
    }
}

// --- blur ---

// Index i of a signal of n mirrored at both ends without repeating them, however far i is outside.
static int reflect(int i, int n)
{
    if (n == 1)
        return 0;
    int period = 2 * (n - 1);
    i = i < 0 ? -i : i;
    i %= period;
    return i < n ? i : period - i;
}

// Separable Gaussian of radius ceil(3 sigma): rows into s->gray, columns back.
CLONES static void blur(struct pixel_scratch *s, float sigma)
{
    int h = s->shape.out_h, w = s->shape.out_w, radius = (int)ceilf(3.0f * sigma);
    double sum = 0;
    for (int k = -radius; k <= radius; k++)
        sum += exp(-0.5 * k * k / ((double)sigma * sigma));
    for (int k = -radius; k <= radius; k++)
        s->kernel[k + radius] = (float)(exp(-0.5 * k * k / ((double)sigma * sigma)) / sum);
    const float *kernel = s->kernel;
    float *restrict half = s->gray;
    for (int c = 0; c < s->shape.c; c++) {
        float *plane = s->view + (size_t)c * s->n;
        for (int y = 0; y < h; y++) {
            const float *src = plane + (size_t)y * (size_t)w;
            float *restrict padded = s->row, *restrict to = half + (size_t)y * (size_t)w;
            memcpy(padded + radius, src, (size_t)w * sizeof *src);
            for (int k = 1; k <= radius; k++) {
                padded[radius - k] = src[reflect(-k, w)];
                padded[radius + w - 1 + k] = src[reflect(w - 1 + k, w)];
            }
            for (int x = 0; x < w; x++)
                to[x] = kernel[0] * padded[x];
            for (int k = 1; k <= 2 * radius; k++)
                for (int x = 0; x < w; x++)
                    to[x] += kernel[k] * padded[x + k];
        }
        for (int y = 0; y < h; y++) {
            float *restrict to = plane + (size_t)y * (size_t)w;
            for (int x = 0; x < w; x++)
                to[x] = 0;
            for (int k = -radius; k <= radius; k++) {
                const float *from = half + (size_t)reflect(y + k, h) * (size_t)w;
                for (int x = 0; x < w; x++)
                    to[x] += kernel[k + radius] * from[x];
            }
        }
    }
}

// --- the whole view ---

static int work(struct pixel_scratch *s, const struct picture *p, const struct box *b,
                const struct augment_view *v, struct error *e)
{
    if (resizer_run(s->resizer, p, b, 1.0f / 255.0f, s->view, e) < 0)
        return -1;
    for (int i = 0; v->jitter && i < JITTER_PARTS; i++)
        jitter_table[v->order[i]](s, v->factor[v->order[i]]);
    if (v->grayscale)
        grayscale(s);
    if (v->sigma > 0.0f)
        blur(s, v->sigma);
    if (v->solarize)
        solarize(s);
    return 0;
}

// Nearest bf16, ties to even; the values are finite.
CLONES static void row_to_bf16(const float *from, int n, uint16_t *restrict to)
{
    for (int x = 0; x < n; x++) {
        uint32_t u;
        memcpy(&u, &from[x], sizeof u);
        to[x] = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    }
}

// Normalise and flip row by row, into floats or (out NULL) by way of s->row into bf16.
CLONES static void finish(struct pixel_scratch *s, int flip, const float *mean, const float *std,
                          float *out, uint16_t *out16)
{
    int w = s->shape.out_w;
    size_t rows = (size_t)s->shape.out_h;
    for (size_t i = 0; i < (size_t)s->shape.c * rows; i++) {
        float gain = 1.0f / std[i / rows], shift = -mean[i / rows] / std[i / rows];
        const float *from = s->view + i * (size_t)w;
        float *restrict to = out ? out + i * (size_t)w : s->row;
        if (flip)
            for (int x = 0; x < w; x++)
                to[x] = from[w - 1 - x] * gain + shift;
        else
            for (int x = 0; x < w; x++)
                to[x] = from[x] * gain + shift;
        if (out16)
            row_to_bf16(to, w, out16 + i * (size_t)w);
    }
}

int pixel_view_of(struct pixel_scratch *s, const struct picture *p, const struct box *b,
                  const struct augment_view *v, const float *mean, const float *std, int bf16,
                  void *out, struct error *e)
{
    if (work(s, p, b, v, e) < 0)
        return -1;
    finish(s, v->flip, mean, std, bf16 ? NULL : out, bf16 ? out : NULL);
    return 0;
}

CLONES static void to_bytes(const float *restrict from, size_t n, uint8_t *restrict to)
{
    for (size_t i = 0; i < n; i++) { // a weighted mean of bytes, but for rounding
        float v = from[i] + 0.5f;
        v = v > 0.0f ? v : 0.0f;
        to[i] = (uint8_t)(int)(v < 255.0f ? v : 255.0f);
    }
}

int pixel_crop_of(struct pixel_scratch *s, const struct picture *p, const struct box *b,
                  size_t plane, uint8_t *out, struct error *e)
{
    if (resizer_run(s->resizer, p, b, 1.0f, s->view, e) < 0)
        return -1;
    for (int c = 0; c < s->shape.c; c++)
        to_bytes(s->view + (size_t)c * s->n, s->n, out + (size_t)c * plane);
    return 0;
}

// Planes of the scratch's shape.
static struct picture planes(const struct pixel_scratch *s, const uint8_t *image)
{
    const struct pixel_shape *h = &s->shape;
    return (struct picture){.pixel = image,
                            .channels = h->c,
                            .height = h->h,
                            .width = h->w,
                            .row = (size_t)h->w,
                            .plane = (size_t)h->h * (size_t)h->w,
                            .step = 1};
}

// Cannot fail: the scratch has had memory for every crop of its shape from the start.
static void view_of_planes(struct pixel_scratch *s, const uint8_t *image,
                           const struct augment_view *v, const float *mean, const float *std,
                           int bf16, void *out)
{
    struct picture p = planes(s, image);
    struct box b = {v->top, v->left, v->height, v->width};
    (void)pixel_view_of(s, &p, &b, v, mean, std, bf16, out, NULL);
}

void pixel_view(struct pixel_scratch *s, const uint8_t *image, const struct augment_view *v,
                const float *mean, const float *std, float *out)
{
    view_of_planes(s, image, v, mean, std, 0, out);
}

void pixel_view_bf16(struct pixel_scratch *s, const uint8_t *image, const struct augment_view *v,
                     const float *mean, const float *std, uint16_t *out)
{
    view_of_planes(s, image, v, mean, std, 1, out);
}
