// A convolution by tiles, and the gradient of its input, beside the sums that they stand for, in
// double: on AMX where there is, and by the plain twin.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/kernels.h"
#include "tests/kit/numbers.h"

struct geometry {
    int n, ic, oc, ih, iw, k, stride, pad, threads; // of the convolution, in either direction
};

// Weights oc x k x k x ic as tiles of 32 of the channels that are summed over (ic, or oc where
// `back`) by 16 of the others.
static uint16_t *as_tiles(const uint16_t *w, const struct geometry *g, struct conv_args *a)
{
    size_t taps = (size_t)(g->k * g->k), depth = (size_t)(a->ic + 31) / 32;
    a->w_depth = 512 * taps;
    a->w_block = a->w_depth * depth;
    uint16_t *t = calloc(a->w_block * (size_t)a->oc / 16, sizeof *t);
    cr_assert(t, "out of memory");
    for (size_t o = 0; o < (size_t)g->oc; o++)
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t i = 0; i < (size_t)g->ic; i++) {
                size_t in = a->back ? o : i, out = a->back ? i : o;
                t[out / 16 * a->w_block + in / 32 * a->w_depth + tap * 512 + in % 32 / 2 * 32 +
                  out % 16 * 2 + in % 2] = w[(o * taps + tap) * (size_t)g->ic + i];
            }
    a->w = t;
    return t;
}

// Every output and how large its terms are: scattered from the convolution's definition.
static void sums(const struct geometry *g, const struct conv_args *a, const uint16_t *w,
                 double *sum, double *size)
{
    int oh = a->back ? a->ih : a->oh, ow = a->back ? a->iw : a->ow;
    const uint16_t *x = a->x;
    for (int m = 0; m < g->n; m++)
        for (int r = 0; r < oh; r++)
            for (int c = 0; c < ow; c++)
                for (int tap = 0; tap < g->k * g->k; tap++) {
                    int y = r * g->stride + tap / g->k - g->pad;
                    int z = c * g->stride + tap % g->k - g->pad;
                    if (y < 0 || y >= g->ih || z < 0 || z >= g->iw)
                        continue;
                    size_t of_out = (size_t)((m * oh + r) * ow + c) * (size_t)g->oc;
                    size_t of_in = (size_t)((m * g->ih + y) * g->iw + z) * (size_t)g->ic;
                    for (int o = 0; o < g->oc; o++)
                        for (int i = 0; i < g->ic; i++) {
                            size_t from = a->back ? of_out + (size_t)o : of_in + (size_t)i;
                            size_t to = a->back ? of_in + (size_t)i : of_out + (size_t)o;
                            double p =
                                (double)numbers_widened(x[from]) *
                                (double)numbers_widened(w[(o * g->k * g->k + tap) * g->ic + i]);
                            sum[to] += p;
                            size[to] += fabs(p);
                        }
                }
}

static void check(const struct kernels *k, const struct geometry *g, int back, uint64_t seed)
{
    int oh = (g->ih + 2 * g->pad - g->k) / g->stride + 1;
    int ow = (g->iw + 2 * g->pad - g->k) / g->stride + 1;
    struct conv_args a = {.back = back,
                          .n = g->n,
                          .ic = back ? g->oc : g->ic,
                          .oc = back ? g->ic : g->oc,
                          .ih = back ? oh : g->ih,
                          .iw = back ? ow : g->iw,
                          .oh = back ? g->ih : oh,
                          .ow = back ? g->iw : ow,
                          .k = g->k,
                          .stride = g->stride,
                          .pad = g->pad,
                          .threads = g->threads};
    size_t elements = (size_t)g->n * (size_t)(a.oh * a.ow) * (size_t)a.oc;
    uint16_t *x = numbers_bf16((size_t)g->n * (size_t)(a.ih * a.iw) * (size_t)a.ic, seed);
    uint16_t *w = numbers_bf16((size_t)(g->oc * g->ic * g->k * g->k), seed + 1);
    uint16_t *t = as_tiles(w, g, &a), *y = malloc(elements * sizeof *y);
    double *sum = calloc(elements, sizeof *sum), *size = calloc(elements, sizeof *size);
    int32_t *place = malloc(k->conv_tiles_places(&a) * sizeof *place);
    size_t work = k->conv_tiles_work(&a);
    a.work = malloc(work);
    cr_assert(y && sum && size && place && a.work, "out of memory");
    memset(y, 0xff, elements * sizeof *y);
    memset(a.work, 0xff, work); // no numbers: nothing unwritten may count
    a.x = x;
    a.y = y;
    k->conv_tiles_find(&a, place);
    a.place = place;
    k->conv_tiles(&a);
    sums(g, &a, w, sum, size);
    for (size_t i = 0; i < elements; i++)
        cr_assert(fabs((double)numbers_widened(y[i]) - sum[i]) <=
                      fabs(sum[i]) / 256 + 1e-6 * size[i] + 1e-6,
                  "%s: %d images, %d to %d channels, %dx%d, %dx%d stride %d pad %d, %d threads, "
                  "%s: number %zu is %g, not %g",
                  k->name, g->n, g->ic, g->oc, g->ih, g->iw, g->k, g->k, g->stride, g->pad,
                  g->threads, back ? "back" : "forward", i, (double)numbers_widened(y[i]), sum[i]);
    free(x);
    free(w);
    free(t);
    free(y);
    free(sum);
    free(size);
    free(place);
    free(a.work);
}

static void any_shape(const struct kernels *k, int cases)
{
    static const int sizes[] = {1, 3, 5, 7};
    uint64_t seed = 3;
    for (int i = 0; i < cases; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t r = (uint32_t)(seed >> 32);
        struct geometry g = {.n = 1 + (int)(r % 5),
                             .ic = 16 * (1 + (int)(r / 5 % 4)),
                             .oc = 16 * (1 + (int)(r / 20 % 3)),
                             .k = sizes[r / 60 % 4],
                             .stride = 1 + (int)(r / 240 % 3),
                             .threads = 1 + (int)(r / 720 % 3)};
        g.pad = (int)(r / 2160 % (uint32_t)(g.k / 2 + 1));
        g.ih = g.k + (int)(r / 8640 % 8);
        g.iw = g.k + (int)(r / 69120 % 8);
        check(k, &g, i & 1, seed);
    }
}

static void networks(const struct kernels *k)
{
    static const struct geometry g[] = {{3, 32, 32, 28, 28, 3, 1, 1, 2},
                                        {3, 32, 64, 28, 28, 3, 2, 1, 2},
                                        {35, 32, 48, 7, 7, 3, 2, 1, 2},
                                        {3, 32, 48, 14, 14, 1, 2, 0, 2},
                                        {2, 320, 512, 4, 4, 3, 1, 1, 2}}; // two panels
    for (size_t i = 0; i < sizeof g / sizeof *g; i++)
        for (int back = 0; back < 2; back++)
            check(k, &g[i], back, 55 + i);
}

Test(conv_tiles, agree_with_the_sum_on_amx)
{
    const struct kernels *k = kernels_pick();
    if (!k->channels_last)
        cr_skip_test("no AMX");
    any_shape(k, 150);
    networks(k);
}

Test(conv_tiles, agree_with_the_sum_by_their_twin)
{
    const struct kernels *k;
    for (int i = 0; (k = kernels_usable(i)); i++)
        if (!k->channels_last)
            any_shape(k, 60);
    networks(kernels_usable(0));
}
