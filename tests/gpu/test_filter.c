// The gradient of a filter from pairs of bf16, and from tiles, beside the sum that it stands for,
// in double.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/kernels.h"
#include "tests/kit/numbers.h"

struct geometry {
    int n, ic, oc, ih, iw, k, stride, pad, threads;
};

// Element (image, channel, y, x) of a blocked tensor, or one with channels last.
static double at(const uint16_t *t, int last, int c, int h, int w, int image, int channel, int y,
                 int x)
{
    if (y < 0 || y >= h || x < 0 || x >= w)
        return 0;
    if (last)
        return (double)numbers_widened(
            t[(((size_t)image * (size_t)h + (size_t)y) * (size_t)w + (size_t)x) * (size_t)c +
              (size_t)channel]);
    size_t block = (size_t)image * (size_t)(c / 16) + (size_t)(channel / 16);
    return (double)numbers_widened(
        t[((block * (size_t)h + (size_t)y) * (size_t)w + (size_t)x) * 16 + (size_t)(channel % 16)]);
}

static void check(const struct kernels *kernels, int tiles, const struct geometry *g, uint64_t seed)
{
    int oh = (g->ih + 2 * g->pad - g->k) / g->stride + 1;
    int ow = (g->iw + 2 * g->pad - g->k) / g->stride + 1;
    size_t taps = (size_t)g->ic * (size_t)g->oc * (size_t)(g->k * g->k);
    uint16_t *x = numbers_bf16((size_t)g->n * (size_t)g->ic * (size_t)(g->ih * g->iw), seed);
    uint16_t *dy = numbers_bf16((size_t)g->n * (size_t)g->oc * (size_t)(oh * ow), seed + 1);
    float *dw = malloc(taps * sizeof *dw);
    struct filter_args a = {.n = g->n,
                            .ic = g->ic,
                            .oc = g->oc,
                            .ih = g->ih,
                            .iw = g->iw,
                            .oh = oh,
                            .ow = ow,
                            .k = g->k,
                            .stride = g->stride,
                            .pad = g->pad,
                            .threads = g->threads,
                            .x = x,
                            .dy = dy,
                            .dw = dw};
    size_t work = (tiles ? kernels->filter_tiles_work : kernels->filter_work)(&a);
    a.work = malloc(work);
    cr_assert(dw && a.work, "out of memory");
    memset(a.work, 0xff, work); // no numbers: nothing unwritten may count
    for (size_t i = 0; i < taps; i++)
        dw[i] = NAN;
    int32_t *place = tiles ? malloc(kernels->filter_tiles_places(&a) * sizeof *place) : NULL;
    cr_assert(!tiles || place, "out of memory");
    if (tiles)
        kernels->filter_tiles_find(&a, place);
    a.place = place;
    (tiles ? kernels->filter_tiles_gradient : kernels->filter_gradient)(&a);
    // Every 61st tap of a large filter is enough.
    size_t every = taps > 20000 ? 61 : 1;
    for (size_t i = 0; i < taps; i += every) {
        int row = (int)(i / 16 % 16), column = (int)(i % 16);
        int oi = tiles ? row : column, ii = tiles ? column : row,
            kw = (int)(i / 256 % (size_t)g->k);
        int kh = (int)(i / 256 / (size_t)g->k % (size_t)g->k);
        size_t blocks = i / 256 / (size_t)(g->k * g->k);
        int ic = (int)(blocks % (size_t)(g->ic / 16)) * 16 + ii;
        int oc = (int)(blocks / (size_t)(g->ic / 16)) * 16 + oi;
        double sum = 0, size = 0;
        for (int m = 0; m < g->n; m++)
            for (int r = 0; r < oh; r++)
                for (int c = 0; c < ow; c++) {
                    double p = at(dy, tiles, g->oc, oh, ow, m, oc, r, c) *
                               at(x, tiles, g->ic, g->ih, g->iw, m, ic, r * g->stride + kh - g->pad,
                                  c * g->stride + kw - g->pad);
                    sum += p;
                    size += fabs(p);
                }
        cr_assert(
            fabs((double)dw[i] - sum) <= 1e-6 * size + 1e-6,
            "%s, %d images, %d to %d channels, %dx%d, %dx%d stride %d pad %d, %d threads: tap %zu "
            "is %g, not %g",
            tiles ? "tiles" : "pairs", g->n, g->ic, g->oc, g->ih, g->iw, g->k, g->k, g->stride,
            g->pad, g->threads, i, (double)dw[i], sum);
    }
    free(x);
    free(dy);
    free(dw);
    free(a.work);
    free(place);
}

// --- what is checked: pairs, tiles, or the twin of tiles that runs without them ---
static const struct kernels *kernels_of_pairs(void)
{
    const struct kernels *k = kernels_pick();
    if (!k->filter_gradient)
        cr_skip_test("this processor does not multiply pairs of bf16");
    return k;
}

static const struct kernels *kernels_of_tiles(void)
{
    const struct kernels *k = kernels_pick();
    if (!k->channels_last)
        cr_skip_test("no AMX");
    return k;
}

static void any_shape(const struct kernels *k, int tiles)
{
    static const int sizes[] = {1, 3, 5, 7};
    uint64_t seed = 1;
    for (int i = 0; i < 150; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t r = (uint32_t)(seed >> 32);
        struct geometry g = {.n = 1 + (int)(r % 5),
                             .ic = 16 * (1 + (int)(r / 5 % 3)),
                             .oc = 16 * (1 + (int)(r / 15 % 3)),
                             .k = sizes[r / 45 % 4],
                             .stride = 1 + (int)(r / 180 % 3),
                             .threads = 1 + (int)(r / 540 % 3)};
        g.pad = (int)(r / 1620 % (uint32_t)(g.k / 2 + 1));
        g.ih = g.k + (int)(r / 6480 % 8);
        g.iw = g.k + (int)(r / 51840 % 8);
        check(k, tiles, &g, seed);
    }
}

static void shared_blocks(const struct kernels *k, int tiles)
{
    static const struct geometry g[] = {{5, 128, 144, 4, 4, 3, 1, 1, 2},
                                        {300, 144, 144, 3, 3, 3, 1, 1, 3}, // more than a chunk
                                        {3, 144, 160, 7, 7, 1, 2, 0, 2},
                                        {3, 32, 1040, 5, 5, 3, 1, 1, 3},
                                        {50, 208, 224, 7, 7, 3, 1, 1, 2}};
    for (size_t i = 0; i < sizeof g / sizeof *g; i++)
        check(k, tiles, &g[i], 77 + i);
}

static void many_chunks(const struct kernels *k, int tiles)
{
    static const struct geometry g[] = {{9, 16, 16, 61, 59, 3, 1, 1, 2},
                                        {40, 32, 32, 28, 28, 3, 2, 1, 2}};
    for (size_t i = 0; i < sizeof g / sizeof *g; i++)
        check(k, tiles, &g[i], 99 + i);
}

Test(filter, agrees_with_the_sum_for_any_shape)
{
    any_shape(kernels_of_pairs(), 0);
}

Test(filter, agrees_with_the_sum_where_threads_share_out_blocks)
{
    shared_blocks(kernels_of_pairs(), 0);
}

Test(filter, agrees_with_the_sum_over_many_chunks_of_images)
{
    many_chunks(kernels_of_pairs(), 0);
}

Test(filter, by_tiles_agrees_for_any_shape)
{
    any_shape(kernels_of_tiles(), 1);
}

Test(filter, by_tiles_agrees_where_threads_share_out_blocks)
{
    shared_blocks(kernels_of_tiles(), 1);
}

Test(filter, by_tiles_agrees_over_many_chunks_of_images)
{
    many_chunks(kernels_of_tiles(), 1);
}

Test(filter, by_the_twin_of_tiles_agrees)
{
    const struct kernels *k;
    for (int i = 0; (k = kernels_usable(i)); i++)
        if (!k->channels_last) {
            any_shape(k, 1);
            shared_blocks(k, 1);
            many_chunks(k, 1);
        }
}
