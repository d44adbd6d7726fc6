// A data set without files: each class is a glyph of a few curved strokes drawn from the seed, each
// image one glyph, bent, turned, moved, thinner or thicker, darker or brighter, in noise. Like
// digits: learnable, but not by position alone.
#include "data/synthetic.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/rng.h"

#define SIDE          28
#define PIXELS        (SIDE * SIDE)
#define CLASSES       10
#define STROKES       3
#define POINTS        3  // control points of a stroke: a quadratic Bezier curve
#define DABS          20 // a stroke is drawn as this many soft dots
#define DAB_REACH     4  // pixels around the centre that a dot is drawn on
#define COUNT_DEFAULT 8192
#define COUNT_MIN     8
#define COUNT_MAX     4194304

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
static void draw_image(struct rng *r, const struct glyph *g, uint8_t out[PIXELS])
{
    float canvas[PIXELS] = {0};
    double angle = 0.2 * rng_normal(r), stretch = between(r, 0.75, 1.1);
    double shear = 0.15 * rng_normal(r), aspect = between(r, 0.85, 1.15);
    double cx = SIDE / 2.0 + between(r, -2.5, 2.5), cy = SIDE / 2.0 + between(r, -2.5, 2.5);
    double radius = between(r, 0.8, 1.4);
    double ink = between(r, 130, 255), paper = between(r, 0, 25), noise = between(r, 2, 12);
    double half = stretch * SIDE / 2.0;
    double a = half * aspect * cos(angle), b = half * (shear - sin(angle));
    double c = half * aspect * sin(angle), d = half * cos(angle);
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
            dab(canvas, cx + a * px + b * py, cy + c * px + d * py, radius);
        }
    }
    for (int i = 0; i < PIXELS; i++) {
        uint32_t n = rng_u32(r); // the sum of four bytes is near enough to normal: deviation 148
        double sum = (double)(n & 255) + (n >> 8 & 255) + (n >> 16 & 255) + (n >> 24);
        double v = paper + ink * canvas[i] + noise * (sum - 510.0) / 148.0;
        out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static int fill(uint64_t seed, const struct glyph *glyph, enum split which, int64_t n,
                struct dataset *out, struct error *e)
{
    struct dataset_split *s = &out->split[which];
    s->images = malloc((size_t)n * PIXELS);
    s->labels = malloc((size_t)n * sizeof *s->labels);
    if (!s->images || !s->labels)
        return error_set(e, "out of memory: %" PRId64 " synthetic images need %" PRId64 " bytes", n,
                         n * (PIXELS + (int64_t)sizeof *s->labels));
    s->n = n;
    for (int64_t i = 0; i < n; i++) {
        struct rng r;
        rng_init(&r, seed, RNG_SYNTHETIC, (uint64_t)i, STREAM_SPLIT + (uint32_t)which);
        s->labels[i] = (int32_t)rng_below(&r, CLASSES);
        draw_image(&r, &glyph[s->labels[i]], s->images + i * PIXELS);
    }
    return 0;
}

int synthetic_open(const char *argument, uint64_t seed, struct dataset *out, struct error *e)
{
    long long n = COUNT_DEFAULT;
    if (argument) {
        char *end = NULL;
        errno = 0;
        n = strtoll(argument, &end, 10);
        if (!isdigit((unsigned char)argument[0]) || *end || errno || n < COUNT_MIN || n > COUNT_MAX)
            return error_set(e, "synthetic:%.100s: expected a number of images from %d to %d",
                             argument, COUNT_MIN, COUNT_MAX);
    }
    struct glyph glyph[CLASSES];
    draw_glyphs(seed, glyph);
    out->channels = 1;
    out->height = out->width = SIDE;
    out->classes = CLASSES;
    if (fill(seed, glyph, SPLIT_TRAIN, n, out, e) != 0 ||
        fill(seed, glyph, SPLIT_TEST, n / 8, out, e) != 0)
        return -1;
    return 0;
}
