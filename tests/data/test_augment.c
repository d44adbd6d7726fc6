// The numbers of views: the same for the same coordinates, and distributed as torchvision's
// get_params. The crop's distribution has no simple form (tries that do not fit are thrown away),
// so it is compared with a second sampler.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"

#define N    40000
#define BINS 20

static const struct augment_recipe *simsiam(void)
{
    const struct augment_recipe *r = augment_find("simsiam");
    cr_assert_not_null(r);
    return r;
}

// Far beyond chance for `dof` degrees of freedom; seeds are fixed, so this either always passes or
// never does.
static void expect_chi(double chi, int dof, const char *what)
{
    cr_expect_lt(chi, dof + 5 * sqrt(2.0 * dof), "%s: chi-square %g of %d", what, chi, dof);
}

static void expect_share(int count, int of, double p, const char *what)
{
    cr_expect_float_eq((double)count / of, p, 4.5 * sqrt(p * (1 - p) / of) + 1e-12, "%s: %d of %d",
                       what, count, of);
}

static int bin_of(double v, double lo, double hi)
{
    int b = (int)((v - lo) / (hi - lo) * BINS);
    return b < 0 ? 0 : b >= BINS ? BINS - 1 : b;
}

// All values must lie in [lo, hi] and fill it evenly.
static void expect_uniform(const float *v, int n, double lo, double hi, const char *what)
{
    int bin[BINS] = {0};
    double chi = 0, each = (double)n / BINS;
    for (int i = 0; i < n; i++) {
        cr_assert(v[i] >= (float)lo && v[i] <= (float)hi, "%s: %g", what, (double)v[i]);
        bin[bin_of((double)v[i], lo, hi)]++;
    }
    for (int i = 0; i < BINS; i++)
        chi += (bin[i] - each) * (bin[i] - each) / each;
    expect_chi(chi, BINS - 1, what);
}

static int same_view(const struct augment_view *a, const struct augment_view *b)
{
    int same = a->top == b->top && a->left == b->left && a->height == b->height &&
               a->width == b->width && a->jitter == b->jitter && a->grayscale == b->grayscale &&
               a->sigma == b->sigma && a->solarize == b->solarize && a->flip == b->flip;
    for (int i = 0; i < JITTER_PARTS; i++)
        same = same && a->order[i] == b->order[i] && a->factor[i] == b->factor[i];
    return same;
}

Test(augment, table)
{
    cr_expect_not_null(augment_find("simsiam"));
    cr_expect_not_null(augment_find("none"));
    cr_expect_null(augment_find("sim"));
    cr_expect_null(augment_find(""));
    for (const struct augment_recipe *r = augment_table; r->name; r++)
        cr_expect_gt(strlen(r->doc), 0);
}

Test(augment, none_is_the_image)
{
    struct augment_view v, same;
    augment_draw(augment_find("none"), 1, 2, 3, 1, 3, 40, 30, 30, &v);
    augment_identity(40, 30, &same);
    cr_expect(same_view(&v, &same));
    cr_expect(v.top == 0 && v.left == 0 && v.height == 40 && v.width == 30);
    cr_expect(!v.jitter && !v.grayscale && !v.solarize && !v.flip && v.sigma == 0.0f);
}

Test(augment, a_view_is_its_coordinates)
{
    struct augment_view a, b;
    for (int64_t image = 0; image < 200; image++) {
        augment_draw(simsiam(), 9, 5, image, 0, 3, 96, 96, 96, &a);
        augment_draw(simsiam(), 9, 5, image, 0, 3, 96, 96, 96, &b);
        cr_expect(same_view(&a, &b));
        static const struct {
            uint64_t seed;
            int64_t step, image;
            int view;
        } other[] = {{10, 5, 0, 0}, {9, 6, 0, 0}, {9, 5, 1, 0}, {9, 5, 0, 1}};
        for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
            augment_draw(simsiam(), other[k].seed, other[k].step, image + other[k].image,
                         other[k].view, 3, 96, 96, 96, &b);
            cr_expect(a.top != b.top || a.left != b.left || a.height != b.height ||
                          a.width != b.width || a.flip != b.flip || a.jitter != b.jitter,
                      "image %d is not moved by coordinate %zu", (int)image, k);
        }
    }
}

// torchvision's RandomResizedCrop.get_params once more, on another generator.
static void second_crop(unsigned short state[3], int h, int w, int *ch, int *cw, int *top,
                        int *left)
{
    for (int i = 0; i < 10; i++) {
        double area = (0.2 + 0.8 * erand48(state)) * h * w;
        double ratio = exp(log(0.75) + erand48(state) * (log(4.0 / 3.0) - log(0.75)));
        *cw = (int)nearbyint(sqrt(area * ratio));
        *ch = (int)nearbyint(sqrt(area / ratio));
        if (*cw > 0 && *cw <= w && *ch > 0 && *ch <= h) {
            *top = (int)(erand48(state) * (h - *ch + 1));
            *left = (int)(erand48(state) * (w - *cw + 1));
            return;
        }
    }
    *ch = h < w ? h : (int)nearbyint(fmin(h, w / 0.75));
    *cw = h < w ? (int)nearbyint(fmin(w, h * 4.0 / 3.0)) : w;
    *top = (h - *ch) / 2;
    *left = (w - *cw) / 2;
}

static void compare_crops(int h, int w)
{
    int ours[4][BINS] = {{0}}, theirs[4][BINS] = {{0}};
    unsigned short state[3] = {1, 2, 3};
    static const char *const what[4] = {"area", "ratio", "top", "left"};
    for (int i = 0; i < N; i++) {
        struct augment_view v;
        augment_draw(simsiam(), 3, i / 100, i % 100, i & 1, 1, h, w, 224, &v);
        cr_assert(v.top >= 0 && v.left >= 0 && v.height >= 1 && v.width >= 1 &&
                  v.top + v.height <= h && v.left + v.width <= w);
        int ch, cw, top, left;
        second_crop(state, h, w, &ch, &cw, &top, &left);
        const double a[4] = {(double)v.height * v.width / h / w, log((double)v.width / v.height),
                             (double)v.top / h, (double)v.left / w};
        const double b[4] = {(double)ch * cw / h / w, log((double)cw / ch), (double)top / h,
                             (double)left / w};
        static const double lo[4] = {0.18, -0.35, 0, 0}, hi[4] = {1.001, 0.35, 0.6, 0.6};
        for (int k = 0; k < 4; k++) {
            ours[k][bin_of(a[k], lo[k], hi[k])]++;
            theirs[k][bin_of(b[k], lo[k], hi[k])]++;
        }
    }
    for (int k = 0; k < 4; k++) {
        double chi = 0;
        int dof = -1;
        for (int i = 0; i < BINS; i++) {
            double sum = ours[k][i] + theirs[k][i], gap = ours[k][i] - theirs[k][i];
            if (sum > 0) {
                chi += gap * gap / sum;
                dof++;
            }
        }
        cr_assert_gt(dof, 3);
        expect_chi(chi, dof, what[k]);
    }
}

Test(augment, crops_are_torchvisions_square)
{
    compare_crops(28, 28);
}

Test(augment, crops_are_torchvisions_large)
{
    compare_crops(224, 224);
}

Test(augment, crops_are_torchvisions_oblong)
{
    compare_crops(60, 100);
}

// Nothing of a legal ratio fits into a strip: the largest central crop.
Test(augment, crop_falls_back_to_the_centre)
{
    struct augment_view v;
    augment_draw(simsiam(), 1, 0, 0, 0, 1, 10, 400, 10, &v);
    cr_expect(v.height == 10 && v.width == 13 && v.top == 0 && v.left == 193);
    augment_draw(simsiam(), 1, 0, 0, 0, 1, 400, 10, 10, &v);
    cr_expect(v.height == 13 && v.width == 10 && v.top == 193 && v.left == 0);
    augment_draw(simsiam(), 1, 0, 0, 0, 1, 1, 1, 1, &v);
    cr_expect(v.height == 1 && v.width == 1 && v.top == 0 && v.left == 0);
}

Test(augment, probabilities_and_factors)
{
    static float factor[JITTER_PARTS][2 * N], sigma[2 * N];
    int jitter = 0, gray = 0, blur = 0, flip = 0, order[256] = {0};
    for (int i = 0; i < 2 * N; i++) {
        struct augment_view v;
        augment_draw(simsiam(), 4, i / 1000, i / 2 % 500, i & 1, 3, 64, 80, 64, &v);
        gray += v.grayscale;
        flip += v.flip;
        cr_expect_eq(v.solarize, 0);
        if (v.sigma > 0)
            sigma[blur++] = v.sigma;
        if (v.jitter) {
            int code = 0;
            for (int k = 0; k < JITTER_PARTS; k++) {
                factor[k][jitter] = v.factor[k];
                code = code * 4 + v.order[k];
            }
            order[code]++;
            jitter++;
        }
    }
    expect_share(jitter, 2 * N, 0.8, "jitter");
    expect_share(gray, 2 * N, 0.2, "grayscale");
    expect_share(blur, 2 * N, 0.5, "blur");
    expect_share(flip, 2 * N, 0.5, "flip");
    expect_uniform(factor[JITTER_BRIGHTNESS], jitter, 0.6, 1.4, "brightness");
    expect_uniform(factor[JITTER_CONTRAST], jitter, 0.6, 1.4, "contrast");
    expect_uniform(factor[JITTER_SATURATION], jitter, 0.6, 1.4, "saturation");
    expect_uniform(factor[JITTER_HUE], jitter, -0.1, 0.1, "hue");
    expect_uniform(sigma, blur, 0.1, 2.0, "sigma");

    int permutations = 0;
    double chi = 0, each = jitter / 24.0;
    for (int code = 0; code < 256; code++)
        if (order[code]) {
            int seen = 0;
            for (int k = 0; k < 4; k++)
                seen |= 1 << (code >> 2 * k & 3);
            cr_expect_eq(seen, 15, "not a permutation: %x", code);
            permutations++;
            chi += (order[code] - each) * (order[code] - each) / each;
        }
    cr_expect_eq(permutations, 24);
    expect_chi(chi, 23, "order");
}

// The two views of an image, and the same view of neighbours and of later steps, know nothing of
// each other.
Test(augment, views_are_independent)
{
    static const struct {
        int step, image, view;
    } other[] = {{0, 0, 1}, {0, 1, 0}, {1, 0, 0}};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
        int both = 0;
        for (int i = 0; i < N; i++) {
            struct augment_view a, b;
            int64_t step = i / 200, image = 2 * (i % 200);
            augment_draw(simsiam(), 8, 2 * step, image, 0, 1, 224, 224, 224, &a);
            augment_draw(simsiam(), 8, 2 * step + other[k].step, image + other[k].image,
                         other[k].view, 1, 224, 224, 224, &b);
            double x = (double)a.height * a.width, y = (double)b.height * b.width;
            sa += x;
            sb += y;
            saa += x * x;
            sbb += y * y;
            sab += x * y;
            both += a.flip && b.flip;
        }
        double r = (N * sab - sa * sb) / sqrt((N * saa - sa * sa) * (N * sbb - sb * sb));
        cr_expect_lt(fabs(r), 4.5 / sqrt(N), "correlation %g with coordinate %zu", r, k);
        expect_share(both, N, 0.25, "both flipped");
    }
}

Test(augment, gray_and_small_images_leave_out_what_they_cannot_use)
{
    int jitter = 0;
    for (int i = 0; i < 2000; i++) {
        struct augment_view gray, colour;
        augment_draw(simsiam(), 1, 0, i, 0, 1, 28, 28, 28, &gray);
        augment_draw(simsiam(), 1, 0, i, 0, 3, 28, 28, 28, &colour);
        cr_expect_eq(gray.grayscale, 0);
        cr_expect_eq(gray.factor[JITTER_SATURATION], 1.0f);
        cr_expect_eq(gray.factor[JITTER_HUE], 0.0f);
        cr_expect(gray.sigma == 0.0f && colour.sigma == 0.0f);
        jitter += gray.jitter;
        // The rest of the numbers is the same whatever the channels.
        cr_expect(gray.top == colour.top && gray.width == colour.width &&
                  gray.flip == colour.flip && gray.jitter == colour.jitter &&
                  gray.factor[JITTER_CONTRAST] == colour.factor[JITTER_CONTRAST]);
    }
    expect_share(jitter, 2000, 0.8, "jitter of gray images");
    struct augment_view v;
    int blurred = 0;
    for (int i = 0; i < 2000; i++) {
        augment_draw(simsiam(), 1, 0, i, 0, 3, 96, 96, 63, &v);
        cr_expect_eq(v.sigma, 0.0f);
        augment_draw(simsiam(), 1, 0, i, 0, 3, 40, 40, 64, &v);
        blurred += v.sigma > 0.0f;
    }
    expect_share(blurred, 2000, 0.5, "blur from 64 pixels");
}
