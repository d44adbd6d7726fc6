// Convolutions by Winograd's algorithm, the gradients of their input and of their filter, beside
// the sums that they stand for, in double, with every set of kernels that this processor runs.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/kernels.h"
#include "tests/kit/numbers.h"

enum { K = 3, TAPS = K * K };

struct geometry {
    int n, in, out, h, w, pad, threads; // in, out: channels before they are padded
};
enum job { FORWARD, BACK, FILTER, JOBS };

// A convolution's tensors as they are defined, images x channels x height x width, padding left
// out, and the same in blocks of B, padding zero.
struct bed {
    const struct kernels *k;
    struct geometry g;
    int oh, ow;
    float *x, *w, *dy;
    float *x_blocked, *w_blocked, *w_turned, *dy_blocked;
    size_t n_x, n_w, n_dy; // of the blocked ones
};

static void *room(size_t n)
{
    float *v = aligned_alloc(64, (n * sizeof *v + 63) / 64 * 64);
    cr_assert(v, "out of memory");
    memset(v, 0, (n * sizeof *v + 63) / 64 * 64);
    return v;
}

static int whole(const struct bed *b, int c)
{
    return (c + b->k->block - 1) / b->k->block * b->k->block;
}

// Where number (image, channel, pixel) lies in blocks.
static size_t blocked(const struct bed *b, int channels, int plane, int image, int c, int pixel)
{
    int B = b->k->block, blocks = whole(b, channels) / B;
    return ((size_t)(image * blocks + c / B) * (size_t)plane + (size_t)pixel) * (size_t)B +
           (size_t)(c % B);
}

// Where a tap lies: channels of the convolution's output by those of its input in blocks, `inner`
// of which come last.
static size_t blocked_tap(const struct bed *b, int o, int i, int tap, int in_last)
{
    int B = b->k->block, blocks = whole(b, b->g.in) / B;
    size_t block = (size_t)(o / B * blocks + i / B) * TAPS + (size_t)tap;
    return block * (size_t)(B * B) + (size_t)(in_last ? o % B * B + i % B : i % B * B + o % B);
}

static float *in_blocks(const struct bed *b, const float *v, int channels, int plane, size_t *n)
{
    *n = (size_t)b->g.n * (size_t)whole(b, channels) * (size_t)plane;
    float *to = room(*n);
    for (int m = 0; m < b->g.n; m++)
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < plane; i++)
                to[blocked(b, channels, plane, m, c, i)] = v[(m * channels + c) * plane + i];
    return to;
}

static struct bed make(const struct kernels *k, const struct geometry *g, uint64_t seed)
{
    struct bed b = {.k = k, .g = *g};
    b.oh = g->h + 2 * g->pad - 2;
    b.ow = g->w + 2 * g->pad - 2;
    b.x = numbers_f32((size_t)(g->n * g->in * g->h * g->w), seed);
    b.w = numbers_f32((size_t)(g->out * g->in * TAPS), seed + 1);
    b.dy = numbers_f32((size_t)(g->n * g->out * b.oh * b.ow), seed + 2);
    return b;
}

static void block_up(struct bed *b)
{
    const struct geometry *g = &b->g;
    b->n_w = (size_t)whole(b, g->out) * (size_t)whole(b, g->in) * TAPS;
    b->x_blocked = in_blocks(b, b->x, g->in, g->h * g->w, &b->n_x);
    b->dy_blocked = in_blocks(b, b->dy, g->out, b->oh * b->ow, &b->n_dy);
    b->w_blocked = room(b->n_w);
    b->w_turned = room(b->n_w);
    for (int o = 0; o < g->out; o++)
        for (int i = 0; i < g->in; i++)
            for (int t = 0; t < TAPS; t++) {
                float v = b->w[(o * g->in + i) * TAPS + t];
                b->w_blocked[blocked_tap(b, o, i, t, 0)] = v;
                b->w_turned[blocked_tap(b, o, i, t, 1)] = v;
            }
}

static void clear(struct bed *b)
{
    float *all[] = {b->x, b->w, b->dy, b->x_blocked, b->w_blocked, b->w_turned, b->dy_blocked};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

// What the kernel makes of it, in blocks; to be freed.
static float *run(const struct bed *b, enum job job, size_t *n)
{
    const struct geometry *g = &b->g;
    size_t side = (size_t)b->k->block, block = side * side * TAPS;
    int in = whole(b, g->in), out = whole(b, g->out), back = job == BACK;
    struct filter_args f = {.n = g->n,
                            .ic = in,
                            .oc = out,
                            .ih = g->h,
                            .iw = g->w,
                            .oh = b->oh,
                            .ow = b->ow,
                            .k = K,
                            .stride = 1,
                            .pad = g->pad,
                            .threads = g->threads,
                            .x = b->x_blocked,
                            .dy = b->dy_blocked};
    struct conv_args a = {.back = back,
                          .n = g->n,
                          .ic = back ? out : in,
                          .oc = back ? in : out,
                          .depth = back ? g->out : g->in,
                          .ih = back ? b->oh : g->h,
                          .iw = back ? b->ow : g->w,
                          .oh = back ? g->h : b->oh,
                          .ow = back ? g->w : b->ow,
                          .k = K,
                          .stride = 1,
                          .pad = g->pad,
                          .threads = g->threads,
                          .x = back ? b->dy_blocked : b->x_blocked,
                          .w = back ? b->w_turned : b->w_blocked,
                          .w_depth = back ? block * (size_t)in / side : block,
                          .w_block = back ? block : block * (size_t)in / side};
    *n = job == FORWARD ? b->n_dy : job == BACK ? b->n_x : b->n_w;
    size_t work = job == FILTER ? b->k->winograd_filter_work(&f) : b->k->winograd_work(&a);
    float *y = room(*n);
    void *w = room(work / sizeof(float));
    memset(y, 0xff, *n * sizeof *y); // no numbers: nothing unwritten may count
    memset(w, 0xff, work);
    a.y = f.dw = y;
    a.work = f.work = w;
    if (job == FILTER)
        b->k->winograd_filter(&f);
    else
        b->k->winograd(&a);
    free(w);
    return y;
}

// Every number of a pass's output and how large its terms are, at the places of `run`.
static void sums(const struct bed *b, enum job job, double *sum, double *size)
{
    const struct geometry *g = &b->g;
    for (int m = 0; m < g->n; m++)
        for (int r = 0; r < b->oh; r++)
            for (int c = 0; c < b->ow; c++)
                for (int tap = 0; tap < TAPS; tap++) {
                    int y = r + tap / K - g->pad, x = c + tap % K - g->pad;
                    if (y < 0 || y >= g->h || x < 0 || x >= g->w)
                        continue;
                    for (int o = 0; o < g->out; o++)
                        for (int i = 0; i < g->in; i++) {
                            float from = b->x[((m * g->in + i) * g->h + y) * g->w + x];
                            float dy = b->dy[((m * g->out + o) * b->oh + r) * b->ow + c];
                            float w = b->w[(o * g->in + i) * TAPS + tap];
                            double p = job == FORWARD ? (double)from * (double)w
                                       : job == BACK  ? (double)dy * (double)w
                                                      : (double)from * (double)dy;
                            size_t at = job == FORWARD
                                            ? blocked(b, g->out, b->oh * b->ow, m, o, r * b->ow + c)
                                        : job == BACK
                                            ? blocked(b, g->in, g->h * g->w, m, i, y * g->w + x)
                                            : blocked_tap(b, o, i, tap, 0);
                            sum[at] += p;
                            size[at] += fabs(p);
                        }
                }
}

static void check(const struct kernels *k, const struct geometry *g, enum job job, uint64_t seed)
{
    static const char *const name[] = {"forward", "back", "filter"};
    struct bed b = make(k, g, seed);
    size_t n;
    block_up(&b);
    float *y = run(&b, job, &n), *again = run(&b, job, &n);
    double *sum = calloc(n, sizeof *sum), *size = calloc(n, sizeof *size);
    cr_assert(sum && size, "out of memory");
    sums(&b, job, sum, size);
    cr_assert_eq(memcmp(y, again, n * sizeof *y), 0, "%s: not twice the same", k->name);
    double most = 0; // what a tile loses to rounding, its largest terms lose
    for (size_t i = 0; i < n; i++)
        most = fmax(most, size[i]);
    for (size_t i = 0; i < n; i++)
        cr_assert(fabs((double)y[i] - sum[i]) <= 2e-6 * (most + 1),
                  "%s: %d images, %d to %d channels, %dx%d, pad %d, %d threads, %s: number %zu is "
                  "%g, not %g",
                  k->name, g->n, g->in, g->out, g->h, g->w, g->pad, g->threads, name[job], i,
                  (double)y[i], sum[i]);
    free(y);
    free(again);
    free(sum);
    free(size);
    clear(&b);
}

// The set from the s-th on that has it.
static const struct kernels *next_set(int *s)
{
    while (kernels_usable(*s) && !kernels_usable(*s)->winograd)
        ++*s;
    return kernels_usable(*s);
}

Test(winograd, agrees_with_the_sum_for_any_shape)
{
    const struct kernels *k;
    uint64_t seed = 5;
    for (int s = 0; (k = next_set(&s)); s++)
        for (int i = 0; i < 60; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint32_t r = (uint32_t)(seed >> 32);
            struct geometry g = {.n = 1 + (int)(r % 4),
                                 .in = 1 + (int)(r / 4 % 40),
                                 .out = 1 + (int)(r / 160 % 40),
                                 .h = 3 + (int)(r / 6400 % 9),
                                 .w = 3 + (int)(r / 57600 % 9),
                                 .pad = (int)(r / 518400 % 3),
                                 .threads = 1 + i % 3};
            check(k, &g, (enum job)(i % JOBS), seed);
        }
}

Test(winograd, agrees_with_the_sum_for_layers_of_networks)
{
    static const struct geometry g[] = {
        {5, 8, 8, 28, 28, 1, 2},
        {17, 48, 32, 14, 14, 1, 2},
        {9, 96, 100, 7, 7, 1, 3},
        {2, 320, 256, 4, 4, 1, 2}, // threads share out numbers of the filter's gradient
        {70, 136, 128, 4, 4, 1, 2}};
    const struct kernels *k;
    for (int s = 0; (k = next_set(&s)); s++)
        for (size_t i = 0; i < sizeof g / sizeof *g; i++)
            for (int job = 0; job < JOBS; job++)
                check(k, &g[i], (enum job)job, 70 + i);
}

// One number that is none, or is too large, reaches all that it belongs to: nowhere a finite sum.
// It may reach its neighbours of the same tile too. What is small beyond normal numbers is not
// lost.
static void strange(const struct kernels *k, enum job job, float special)
{
    struct geometry g = {2, 9, 17, 9, 6, 1, 2};
    struct bed b = make(k, &g, 11);
    float *into = job == BACK ? b.dy : b.x, was = into[9 * 6 + 20];
    size_t n;
    into[9 * 6 + 20] = special;
    block_up(&b);
    float *y = run(&b, job, &n);
    double *sum = calloc(n, sizeof *sum), *size = calloc(n, sizeof *size);
    cr_assert(sum && size, "out of memory");
    sums(&b, job, sum, size);
    for (size_t i = 0; i < n; i++)
        cr_assert(isfinite(sum[i]) || !isfinite(y[i]), "%s: job %d: %g of %g gives %g, not %g",
                  k->name, job, (double)special, (double)was, (double)y[i], sum[i]);
    free(y);
    free(sum);
    free(size);
    clear(&b);
}

Test(winograd, hides_nothing_that_is_no_number)
{
    const struct kernels *k;
    for (int s = 0; (k = next_set(&s)); s++)
        for (int job = 0; job < JOBS; job++) {
            strange(k, (enum job)job, NAN);
            strange(k, (enum job)job, INFINITY);
            strange(k, (enum job)job, -INFINITY);
        }
}

Test(winograd, keeps_what_is_too_small_to_be_normal)
{
    const struct kernels *k;
    struct geometry g = {1, 8, 8, 8, 8, 1, 1};
    for (int s = 0; (k = next_set(&s)); s++) {
        struct bed b = make(k, &g, 13);
        size_t n;
        for (int i = 0; i < g.in * g.h * g.w; i++)
            b.x[i] *= 1e-40f;
        block_up(&b);
        float *y = run(&b, FORWARD, &n);
        double *sum = calloc(n, sizeof *sum), *size = calloc(n, sizeof *size);
        cr_assert(sum && size, "out of memory");
        sums(&b, FORWARD, sum, size);
        for (size_t i = 0; i < n; i++) // rounding is as large as in any sum of such numbers
            cr_assert(fabs((double)y[i] - sum[i]) <= 1e-42, "%s: %g, not %g", k->name, (double)y[i],
                      sum[i]);
        free(y);
        free(sum);
        free(size);
        clear(&b);
    }
}
