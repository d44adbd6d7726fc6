// The distribution of views and the drawing of their numbers, after torchvision's get_params. Every
// number of a view comes from the Philox stream at (seed, step, image, view), in a fixed order, so
// a view needs no state.
#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "metrics/base/rng.h"

#define CROP_TRIES     10 // as torchvision: then the largest central crop of a legal ratio
#define BLUR_MIN_PIXEL 64 // smaller views are not blurred (SimSiam's CIFAR recipe)

const struct augment_recipe augment_table[] = {
    {
        .name = "simsiam",
        .doc = "random resized crop, colour jitter, grayscale, blur (views from 64 pixels), flip",
        .enabled = 1,
        .scale_lo = 0.2,
        .scale_hi = 1.0,
        .ratio_lo = 3.0 / 4.0,
        .ratio_hi = 4.0 / 3.0,
        .jitter_p = 0.8,
        .jitter = {0.4, 0.4, 0.4, 0.1},
        .gray_p = 0.2,
        .blur_p = {0.5, 0.5},
        .sigma_lo = 0.1,
        .sigma_hi = 2.0,
        .solarize_p = {0.0, 0.0},
        .flip_p = 0.5,
    },
    {
        .name = "byol",
        .doc = "as simsiam with other strengths; view 1 is blurred always, view 2 seldom, and "
               "solarised",
        .enabled = 1,
        .scale_lo = 0.08,
        .scale_hi = 1.0,
        .ratio_lo = 3.0 / 4.0,
        .ratio_hi = 4.0 / 3.0,
        .jitter_p = 0.8,
        .jitter = {0.4, 0.4, 0.2, 0.1},
        .gray_p = 0.2,
        .blur_p = {1.0, 0.1},
        .sigma_lo = 0.1,
        .sigma_hi = 2.0,
        .solarize_p = {0.0, 0.2},
        .flip_p = 0.5,
    },
    {.name = "none", .doc = "both views are the image itself"},
    {.name = NULL},
};

const struct augment_recipe *augment_find(const char *name)
{
    for (const struct augment_recipe *r = augment_table; r->name; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

void augment_identity(int h, int w, struct augment_view *out)
{
    memset(out, 0, sizeof *out);
    out->height = h;
    out->width = w;
    for (int i = 0; i < JITTER_PARTS; i++) {
        out->order[i] = (uint8_t)i;
        out->factor[i] = i == JITTER_HUE ? 0.0f : 1.0f;
    }
}

static double between(struct rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(r);
}

// 1 with probability p.
static uint8_t chance(struct rng *r, double p)
{
    return rng_uniform(r) < p;
}

// RandomResizedCrop.get_params: an area and a log-uniform ratio, tried ten times; rint rounds half
// to even as Python does.
static void draw_crop(const struct augment_recipe *a, struct rng *r, int h, int w,
                      struct augment_view *out)
{
    double area = (double)h * w;
    for (int i = 0; i < CROP_TRIES; i++) {
        double target = area * between(r, a->scale_lo, a->scale_hi);
        double ratio = exp(between(r, log(a->ratio_lo), log(a->ratio_hi)));
        double cw = rint(sqrt(target * ratio)), ch = rint(sqrt(target / ratio));
        if (cw < 1 || cw > w || ch < 1 || ch > h)
            continue;
        out->width = (int32_t)cw;
        out->height = (int32_t)ch;
        out->top = (int32_t)rng_below(r, (uint64_t)(h - out->height) + 1);
        out->left = (int32_t)rng_below(r, (uint64_t)(w - out->width) + 1);
        return;
    }
    double ratio = (double)w / h;
    out->width = w;
    out->height = h;
    if (ratio < a->ratio_lo)
        out->height = (int32_t)fmin(h, rint(w / a->ratio_lo));
    else if (ratio > a->ratio_hi)
        out->width = (int32_t)fmin(w, rint(h * a->ratio_hi));
    out->top = (h - out->height) / 2;
    out->left = (w - out->width) / 2;
}

// ColorJitter.get_params: a random order of the four parts and a uniform factor for each.
static void draw_jitter(const struct augment_recipe *a, struct rng *r, struct augment_view *out)
{
    for (int i = JITTER_PARTS - 1; i > 0; i--) {
        int j = (int)rng_below(r, (uint64_t)i + 1);
        uint8_t t = out->order[i];
        out->order[i] = out->order[j];
        out->order[j] = t;
    }
    for (int i = 0; i < JITTER_PARTS; i++) {
        double s = a->jitter[i];
        if (i == JITTER_HUE)
            out->factor[i] = (float)between(r, -s, s);
        else
            out->factor[i] = (float)between(r, fmax(0.0, 1.0 - s), 1.0 + s);
    }
}

void augment_draw(const struct augment_recipe *a, uint64_t seed, int64_t step, int64_t image,
                  int view, int channels, int h, int w, int side, struct augment_view *out)
{
    augment_identity(h, w, out);
    if (!a->enabled)
        return;
    struct rng r;
    rng_init(&r, seed, RNG_AUGMENT, (uint64_t)step, (uint32_t)image << 1 | (uint32_t)(view & 1));

    draw_crop(a, &r, h, w, out);
    out->jitter = chance(&r, a->jitter_p);
    if (out->jitter)
        draw_jitter(a, &r, out);
    out->grayscale = chance(&r, a->gray_p);
    uint8_t blur = chance(&r, a->blur_p[view & 1]);
    double sigma = between(&r, a->sigma_lo, a->sigma_hi);
    if (blur && side >= BLUR_MIN_PIXEL)
        out->sigma = (float)sigma;
    out->solarize = chance(&r, a->solarize_p[view & 1]);
    out->flip = chance(&r, a->flip_p);
    if (channels == 1) { // what a gray image has no use for
        out->factor[JITTER_SATURATION] = 1.0f;
        out->factor[JITTER_HUE] = 0.0f;
        out->grayscale = 0;
    }
}
