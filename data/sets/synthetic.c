// A data set without files: each class is a glyph of a few curved strokes drawn from the seed, each
// image one glyph, bent, turned, moved, thinner or thicker, darker or brighter, in noise. Like
// digits: learnable, but not by position alone. Where a side is asked for the same in colour, ink
// and paper of every image another: for trying sizes of networks without files.
#include "data/sets/synthetic.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "metrics/base/rng.h"

#define SIDE          28
#define PIXELS        (SIDE * SIDE)
#define CLASSES       10
#define STROKES       3
#define POINTS        3  // control points of a stroke: a quadratic Bezier curve
#define DABS          20 // a stroke is drawn as this many soft dots
#define DAB_REACH     4  // pixels around the centre that a dot is drawn on
#define COUNT_DEFAULT 8192
#define COUNT_MIN     8
#define COUNT_MAX     4194304 // of gray images; of others as many as take this memory
#define SIDE_MIN      8
#define SIDE_MAX      1024

// Coordinates run over [-1, 1] in both directions.
struct glyph {
    double x[STROKES][POINTS], y[STROKES][POINTS];
};

// What the stream of an image is keyed by: glyphs, then the images of each split.
enum { STREAM_GLYPH, STREAM_SPLIT };

static double between(struct rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(r);
}

static void draw_glyphs(uint64_t seed, struct glyph glyph[CLASSES])
{
    for (int c = 0; c < CLASSES; c++) {
        struct rng r;
        rng_init(&r, seed, RNG_SYNTHETIC, (uint64_t)c, STREAM_GLYPH);
        for (int s = 0; s < STROKES; s++)
            for (int k = 0; k < POINTS; k++) {
                glyph[c].x[s][k] = between(&r, -0.75, 0.75);
                glyph[c].y[s][k] = between(&r, -0.75, 0.75);
            }
    }
}

// One soft dot at (px, py) in pixels; dots of a stroke join by the maximum.
static void dab(float canvas[PIXELS], double px, double py, double radius)
{
    int x0 = (int)floor(px) - DAB_REACH, y0 = (int)floor(py) - DAB_REACH;
    float gx[2 * DAB_REACH + 2], gy[2 * DAB_REACH + 2];
    int n = 2 * DAB_REACH + 2;
    for (int i = 0; i < n; i++) {
        double dx = (x0 + i - px) / radius, dy = (y0 + i - py) / radius;
        gx[i] = (float)exp(-0.5 * dx * dx);
        gy[i] = (float)exp(-0.5 * dy * dy);
    }
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++) {
            int x = x0 + i, y = y0 + j;
            if (x < 0 || x >= SIDE || y < 0 || y >= SIDE)
                continue;
            float v = gx[i] * gy[j];
            if (v > canvas[y * SIDE + x])
                canvas[y * SIDE + x] = v;
        }
}

// An image of the class, every time another: the glyph under a random affine map, with its control
// points shaken.
struct drawn {
    float canvas[PIXELS]; // 0: paper, 1: ink
    double ink, paper, noise;
};

static void draw(struct rng *r, const struct glyph *g, struct drawn *d)
{
    double angle = 0.2 * rng_normal(r), stretch = between(r, 0.75, 1.1);
    double shear = 0.15 * rng_normal(r), aspect = between(r, 0.85, 1.15);
    double cx = SIDE / 2.0 + between(r, -2.5, 2.5), cy = SIDE / 2.0 + between(r, -2.5, 2.5);
    double radius = between(r, 0.8, 1.4);
    *d = (struct drawn){.ink = between(r, 130, 255)};
    d->paper = between(r, 0, 25);
    d->noise = between(r, 2, 12);
    double half = stretch * SIDE / 2.0;
    double a = half * aspect * cos(angle), b = half * (shear - sin(angle));
    double c = half * aspect * sin(angle), f = half * cos(angle);
    for (int s = 0; s < STROKES; s++) {
        double x[POINTS], y[POINTS];
        for (int k = 0; k < POINTS; k++) {
            x[k] = g->x[s][k] + 0.07 * rng_normal(r);
            y[k] = g->y[s][k] + 0.07 * rng_normal(r);
        }
        for (int i = 0; i < DABS; i++) {
            double t = (double)i / (DABS - 1), u = 1 - t;
            double px = u * u * x[0] + 2 * u * t * x[1] + t * t * x[2];
            double py = u * u * y[0] + 2 * u * t * y[1] + t * t * y[2];
            dab(d->canvas, cx + a * px + b * py, cy + c * px + f * py, radius);
        }
    }
}

static uint8_t pixel(struct rng *r, double v, double noise)
{
    uint32_t n = rng_u32(r); // the sum of four bytes is near enough to normal: deviation 148
    double sum = (double)(n & 255) + (n >> 8 & 255) + (n >> 16 & 255) + (n >> 24);
    v += noise * (sum - 510.0) / 148.0;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void paint_gray(struct rng *r, const struct drawn *d, uint8_t *out)
{
    for (int i = 0; i < PIXELS; i++)
        out[i] = pixel(r, d->paper + d->ink * d->canvas[i], d->noise);
}

// The canvas at (x, y) of a picture `side` wide, between its dots.
static double enlarged(const float *canvas, int x, int y, int side)
{
    double u = (x + 0.5) * SIDE / side - 0.5, v = (y + 0.5) * SIDE / side - 0.5;
    u = u < 0 ? 0 : u > SIDE - 1 ? SIDE - 1 : u;
    v = v < 0 ? 0 : v > SIDE - 1 ? SIDE - 1 : v;
    int i = (int)u, j = (int)v, right = i + 1 < SIDE, below = SIDE * (j + 1 < SIDE);
    const float *at = canvas + j * SIDE + i;
    u -= i;
    v -= j;
    return (1 - v) * ((1 - u) * at[0] + u * at[right]) +
           v * ((1 - u) * at[below] + u * at[below + right]);
}

static void paint_colours(struct rng *r, const struct drawn *d, int side, uint8_t *out)
{
    for (int c = 0; c < 3; c++) {
        double ink = d->ink * between(r, 0.3, 1), paper = d->paper + between(r, 0, 80);
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++)
                *out++ = pixel(r, paper + ink * enlarged(d->canvas, x, y, side), d->noise);
    }
}

static int fill(uint64_t seed, const struct glyph *glyph, enum split which, int64_t n,
                struct dataset *out, struct error *e)
{
    struct dataset_split *s = &out->split[which];
    size_t size = dataset_image_size(out);
    s->images = malloc((size_t)n * size);
    s->labels = malloc((size_t)n * sizeof *s->labels);
    if (!s->images || !s->labels)
        return error_set(e, "out of memory: %" PRId64 " synthetic images need %" PRId64 " bytes", n,
                         n * (int64_t)(size + sizeof *s->labels));
    s->n = n;
    for (int64_t i = 0; i < n; i++) {
        struct rng r;
        struct drawn d;
        rng_init(&r, seed, RNG_SYNTHETIC, (uint64_t)i, STREAM_SPLIT + (uint32_t)which);
        s->labels[i] = (int32_t)rng_below(&r, CLASSES);
        draw(&r, &glyph[s->labels[i]], &d);
        if (out->channels == 1)
            paint_gray(&r, &d, s->images + (size_t)i * size);
        else
            paint_colours(&r, &d, out->width, s->images + (size_t)i * size);
    }
    return 0;
}

// A number from lo to hi that begins at *at and ends before `end`. -1: there is none.
static int read_number(const char **at, char end, long long lo, long long hi, long long *out)
{
    char *stop = NULL;
    errno = 0;
    *out = strtoll(*at, &stop, 10);
    if (!isdigit((unsigned char)**at) || (*stop && *stop != end) || errno || *out < lo || *out > hi)
        return -1;
    *at = *stop ? stop + 1 : NULL;
    return 0;
}

int synthetic_open(const char *argument, uint64_t seed, struct dataset *out, struct error *e)
{
    long long n = COUNT_DEFAULT, side = SIDE;
    const char *at = argument;
    out->channels = 1;
    if (at && read_number(&at, ':', COUNT_MIN, COUNT_MAX, &n) < 0)
        return error_set(e, "synthetic:%.100s: expected a number of images from %d to %d", argument,
                         COUNT_MIN, COUNT_MAX);
    if (at) {
        out->channels = 3;
        if (read_number(&at, '\0', SIDE_MIN, SIDE_MAX, &side) < 0)
            return error_set(e, "synthetic:%.100s: expected a side from %d to %d", argument,
                             SIDE_MIN, SIDE_MAX);
    }
    out->height = out->width = (int)side;
    out->classes = CLASSES;
    long long most = (long long)COUNT_MAX * PIXELS / (long long)dataset_image_size(out);
    if (n > most)
        return error_set(e,
                         "synthetic:%.100s: expected a number of images from %d to %lld of that "
                         "side",
                         argument, COUNT_MIN, most);
    struct glyph glyph[CLASSES];
    draw_glyphs(seed, glyph);
    if (fill(seed, glyph, SPLIT_TRAIN, n, out, e) != 0 ||
        fill(seed, glyph, SPLIT_TEST, n / 8, out, e) != 0)
        return -1;
    return 0;
}
