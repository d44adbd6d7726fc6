// What is no number goes through every kernel of every instruction set that this processor has as
// it goes through plain loops: NaN, the infinities, -0 and denormals in each place of each input.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/isa.h"
#include "gpu/cpu/kernels.h"
#include "gpu/cpu/onednn.h"

// Three images of 2 x 3 pixels and 112 channels, which are strips of 4, 2 and 1 vectors; as rows 18
// of them.
enum { IMAGES = 3, HIGH = 2, WIDE = 3, PLANE = HIGH * WIDE, C = 112, N = IMAGES * PLANE * C };
enum { INPUTS = 4, THREADS = 2 };

struct bed {
    const struct kernels *k;
    const char *kernel;
    int last;        // channels last, or blocks
    int type, which; // which input holds the special number
    float special;
    float in[INPUTS][N];  // as the type holds them
    float raw[INPUTS][N]; // and as the kernel gets them
    float out[N];
    double partial[THREADS * 2 * C + 2 * N];
};

static float to_bf16(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    u = v != v ? u | 0x400000 : u + 0x7fff + ((u >> 16) & 1);
    u &= 0xffff0000;
    memcpy(&v, &u, sizeof v);
    return v;
}

static void pack(int type, void *to, const float *from)
{
    if (type == TYPE_F32)
        memcpy(to, from, N * sizeof *from);
    for (int i = 0; i < N && type == TYPE_BF16; i++) {
        uint32_t u;
        memcpy(&u, from + i, sizeof u);
        ((uint16_t *)to)[i] = (uint16_t)(u >> 16);
    }
}

static double result(const struct bed *b, size_t i)
{
    uint32_t u;
    float v = b->out[i];
    if (b->type == TYPE_BF16) {
        u = (uint32_t)((const uint16_t *)b->out)[i] << 16;
        memcpy(&v, &u, sizeof v);
    }
    return (double)v;
}

static void fill(struct bed *b, size_t at)
{
    uint64_t seed = 7;
    for (int k = 0; k < INPUTS; k++) {
        for (size_t i = 0; i < N; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            b->in[k][i] = to_bf16((float)((int)(seed >> 56) - 128) / 64 + 1.0f / 256);
        }
        if (k == b->which)
            b->in[k][at] = b->type == TYPE_BF16 ? to_bf16(b->special) : b->special;
        pack(b->type, b->raw[k], b->in[k]);
    }
    memset(b->out, 0x7f, sizeof b->out);
}

// Exactly as strange as the plain loop, or near its number. `any`: sums in another order may make a
// NaN of an infinity.
static void check(const struct bed *b, const char *what, double got, double want, int any)
{
    double tol = b->type == TYPE_BF16 ? 2e-2 : 1e-4;
    int right = isfinite(want) ? fabs(got - want) <= tol * (fabs(want) + 1)
                : any          ? !isfinite(got)
                : isnan(want)  ? isnan(got)
                               : got == want;
    cr_assert(right, "%s, type %d: %s of %s with %g in input %d is %g, not %g", b->k->name, b->type,
              what, b->kernel, (double)b->special, b->which, got, want);
}

static double positive(double v)
{
    return v <= 0 ? 0 : v;
}

// --- element by element ---

static void relu(struct bed *b)
{
    b->kernel = "relu";
    b->k->relu[b->type](b->out, b->raw[0], N - 3, THREADS);
    for (size_t i = 0; i < N - 3; i++)
        check(b, "y", result(b, i), positive(b->in[0][i]), 0);
    b->kernel = "relu_backward";
    b->k->relu_backward[b->type](b->out, b->raw[0], b->raw[1], N - 3, THREADS);
    for (size_t i = 0; i < N - 3; i++)
        check(b, "dx", result(b, i), b->in[1][i] <= 0 ? 0 : b->in[0][i], 0);
    b->kernel = "add";
    b->k->add[b->type](b->out, b->raw[0], b->raw[1], N - 3, THREADS);
    for (size_t i = 0; i < N - 3; i++)
        check(b, "y", result(b, i), (double)b->in[0][i] + (double)b->in[1][i], 0);
}

static void update(struct bed *b)
{
    float w[N], v[N];
    double sum[2], square[2] = {0, 0};
    const float *w0 = b->in[0], *v0 = b->in[1], *g = b->in[2], *g2 = b->in[3];
    if (b->type != TYPE_F32)
        return;
    for (int lars = 0; lars < 2; lars++) {
        b->kernel = lars ? "lars" : "sgd";
        memcpy(w, w0, sizeof w);
        memcpy(v, v0, sizeof v);
        if (lars)
            b->k->lars(w, v, g, g2, N, 0.5f, 0.9f, 0.25f, 2, THREADS);
        else
            b->k->sgd(w, v, g, g2, N, 0.5f, 0.9f, 0.25f, THREADS);
        for (size_t i = 0; i < N; i++) {
            double step = (double)g[i] + (double)g2[i] + 0.25 * (double)w0[i];
            double moved = 0.9 * (double)v0[i] + (lars ? 2 : 1) * step;
            check(b, "v", (double)v[i], moved, 0);
            check(b, "w", (double)w[i], (double)w0[i] - 0.5 * moved, 0);
            square[0] += lars ? 0 : (double)w0[i] * (double)w0[i];
            square[1] += lars ? 0 : step * step;
        }
    }
    b->kernel = "squares";
    b->k->squares(w0, g, g2, N, 0.25f, b->partial, sum, THREADS);
    check(b, "|w|", sum[0], square[0], 1);
    check(b, "|g|", sum[1], square[1], 1);
    b->kernel = "ema";
    memcpy(w, w0, sizeof w);
    b->k->ema(w, v0, N, 0.75, THREADS);
    for (size_t i = 0; i < N; i++)
        check(b, "w", (double)w[i], 0.75 * (double)w0[i] + 0.25 * (double)v0[i], 0);
}

// --- blocked and row layouts ---

// Where channel c of row (image and pixel) r lies.
static size_t place(const struct bed *b, int rows, int r, int c)
{
    int block = rows || b->last ? C : b->k->block, plane = rows ? 1 : PLANE;
    return (size_t)(((r / plane * (C / block) + c / block) * plane + r % plane) * block +
                    c % block);
}

static void norm(struct bed *b, int rows, int relu_too, int add_too)
{
    enum { M = IMAGES * PLANE };
    float mean[C], var[C], scale[C], shift[C], dweight[C], dbias[C], k1[C], k0[C];
    float y[N], dy[N], weight[C], bias[C];
    struct norm_args a = {.n = rows ? M : IMAGES,
                          .c = C,
                          .hw = rows ? 1 : PLANE,
                          .last = b->last,
                          .threads = THREADS,
                          .relu = relu_too,
                          .weight = weight,
                          .bias = bias,
                          .mean = mean,
                          .var = var,
                          .scale = scale,
                          .shift = shift,
                          .dweight = dweight,
                          .dbias = dbias,
                          .k1 = k1,
                          .k0 = k0,
                          .partial = b->partial,
                          .x = b->raw[0],
                          .add = add_too ? b->raw[1] : NULL,
                          .y = b->out};
    memcpy(weight, b->in[2], sizeof weight);
    memcpy(bias, b->in[3], sizeof bias);
    b->kernel = rows ? "row_norm_forward" : "norm_forward";
    (rows ? b->k->row_norm_forward : b->k->norm_forward)[b->type](&a);
    for (int c = 0; c < C; c++) {
        double s = 0, q = 0;
        for (int r = 0; r < M; r++)
            s += (double)b->in[0][place(b, rows, r, c)] / M;
        for (int r = 0; r < M; r++)
            q += pow((double)b->in[0][place(b, rows, r, c)] - s, 2) / M;
        double by = (double)weight[c] / sqrt(q + 1e-5), to = (double)bias[c] - s * by;
        check(b, "mean", (double)mean[c], s, 1);
        check(b, "variance", (double)var[c], q, 1);
        for (int r = 0; r < M; r++) {
            size_t i = place(b, rows, r, c);
            double v = (double)b->in[0][i] * by + to + (add_too ? (double)b->in[1][i] : 0);
            check(b, "y", result(b, i), relu_too ? positive(v) : v, isfinite(v) ? 0 : 1);
        }
    }
    memcpy(y, b->out, sizeof y);
    memcpy(dy, b->raw[1], sizeof dy);
    a.y = y;
    a.dy = dy;
    a.dx = b->out;
    b->kernel = rows ? "row_norm_backward" : "norm_backward";
    (rows ? b->k->row_norm_backward : b->k->norm_backward)[b->type](&a);
    for (int c = 0; c < C; c++) {
        double s = 0, q = 0;
        int strange = !isfinite((double)var[c]) || !isfinite((double)weight[c]);
        for (int r = 0; r < M; r++) {
            size_t i = place(b, rows, r, c);
            double g = (double)b->in[1][i];
            double v =
                (double)b->in[0][i] * (double)scale[c] + (double)shift[c] + (add_too ? g : 0);
            g = relu_too && v <= 0 ? 0 : g;
            s += g;
            q += g * ((double)b->in[0][i] - (double)mean[c]);
            strange |= !isfinite(g);
        }
        // Near its edge a ReLU's sign is a matter of rounding; what is strange is not.
        if (strange || !relu_too)
            check(b, "dbias", (double)dbias[c], s, 1);
        if (strange || !relu_too)
            check(b, "dweight", (double)dweight[c], q / sqrt((double)var[c] + 1e-5), 1);
        for (int r = 0; r < M && strange; r++)
            check(b, "dx", result(b, place(b, rows, r, c)), NAN, 1);
    }
    // Given scale and shift, each element stands for itself.
    memcpy(scale, b->in[2], sizeof scale);
    memcpy(shift, b->in[3], sizeof shift);
    b->kernel = rows ? "row_norm_apply" : "norm_apply";
    a.y = b->out;
    (rows ? b->k->row_norm_apply : b->k->norm_apply)[b->type](&a);
    for (int c = 0; c < C; c++)
        for (int r = 0; r < M; r++) {
            size_t i = place(b, rows, r, c);
            double v = (double)b->in[0][i] * (double)scale[c] + (double)shift[c] +
                       (add_too ? (double)b->in[1][i] : 0);
            check(b, "y", result(b, i), relu_too ? positive(v) : v, 0);
        }
}

static void norms(struct bed *b)
{
    for (int kind = 0; kind < 8; kind++)
        norm(b, kind & 1, kind >> 1 & 1, kind >> 2);
}

static void pools(struct bed *b)
{
    enum { OH = 1, OW = 2, K = 2 }; // 2 x 2 with stride 1
    float y[IMAGES * C];
    uint8_t where[N];
    struct pool_args a = {.n = IMAGES,
                          .c = C,
                          .h = HIGH,
                          .w = WIDE,
                          .oh = OH,
                          .ow = OW,
                          .k = K,
                          .stride = 1,
                          .last = b->last,
                          .threads = THREADS,
                          .x = b->raw[0],
                          .y = b->out,
                          .dy = b->raw[1],
                          .dx = b->out,
                          .place = where};
    b->kernel = "gap";
    b->k->gap[b->type](y, b->raw[0], IMAGES, C, PLANE, b->last, THREADS);
    for (int n = 0; n < IMAGES; n++)
        for (int c = 0; c < C; c++) {
            double s = 0;
            for (int i = 0; i < PLANE; i++)
                s += (double)b->in[0][place(b, 0, n * PLANE + i, c)] / PLANE;
            check(b, "y", (double)y[n * C + c], s, 0);
        }
    b->kernel = "gap_backward";
    b->k->gap_backward[b->type](b->out, b->in[1], IMAGES, C, PLANE, b->last, THREADS);
    for (int r = 0; r < IMAGES * PLANE; r++)
        for (int c = 0; c < C; c++)
            check(b, "dx", result(b, place(b, 0, r, c)),
                  (double)b->in[1][r / PLANE * C + c] / PLANE, 0);
    b->kernel = "maxpool";
    b->k->maxpool[b->type](&a);
    int block = b->last ? C : b->k->block, blocks = C / block;
    for (int i = 0; i < IMAGES * C * OW; i++) {
        int lane = i % block, ow = i / block % OW, at = i / block / OW;
        double most = -INFINITY;
        for (int t = 0; t < K * K; t++) {
            int c = at % blocks * block + lane;
            double v =
                (double)b->in[0][place(b, 0, at / blocks * PLANE + t / K * WIDE + ow + t % K, c)];
            most = isnan(most) || v <= most ? most : v;
        }
        check(b, "y", result(b, (size_t)i), most, 0);
    }
    b->kernel = "maxpool_backward";
    b->k->maxpool_backward[b->type](&a);
    double given = 0, come = 0;
    for (int i = 0; i < IMAGES * C * OW; i++)
        given += (double)b->in[1][i];
    for (size_t i = 0; i < N; i++)
        come += result(b, i);
    check(b, "the sum of dx", come / N, given / N, 0);
}

static void cosine(struct bed *b)
{
    enum { ROWS = IMAGES * PLANE };
    double dots[3 * ROWS], spread = 0;
    if (b->type != TYPE_F32) // losses work on f32 in any precision
        return;
    b->kernel = "cosine_dots";
    b->k->cosine_dots(dots, b->raw[0], b->raw[1], ROWS, C, THREADS);
    b->kernel = "cosine_backward";
    b->k->cosine_backward(b->out, dots, b->raw[0], b->raw[1], ROWS, C, 1, THREADS);
    double s[C] = {0}, q[C] = {0};
    for (int r = 0; r < ROWS; r++) {
        double pp = 0, zz = 0, pz = 0;
        const float *p = b->in[0] + r * C, *z = b->in[1] + r * C;
        for (int c = 0; c < C; c++) {
            pp += (double)p[c] * (double)p[c];
            zz += (double)z[c] * (double)z[c];
            pz += (double)p[c] * (double)z[c];
        }
        check(b, "p.p", dots[3 * r], pp, 0);
        check(b, "z.z", dots[3 * r + 1], zz, 0);
        check(b, "p.z", dots[3 * r + 2], pz, 1);
        for (int c = 0; c < C; c++) {
            double f = -0.5 / ROWS / sqrt(pp), u = (double)z[c] / sqrt(zz);
            check(b, "dp", result(b, (size_t)(r * C + c)),
                  f * u - f * pz / sqrt(zz) / pp * (double)p[c], 1);
            s[c] += u;
            q[c] += u * u;
        }
    }
    for (int c = 0; c < C; c++)
        spread += sqrt((q[c] - s[c] * s[c] / ROWS) / (ROWS - 1));
    b->kernel = "direction_std";
    b->k->direction_sums(dots, b->raw[1], ROWS, C, b->partial);
    check(b, "it", b->k->direction_std(b->partial, ROWS, C), spread, 1);
}

static void through_all(void (*kernel)(struct bed *))
{
    static const float special[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e-40f, -1e-40f, 0.5f};
    static const size_t at[] = {0, 5, 9, 99};
    struct bed *b = malloc(sizeof *b);
    cr_assert(b, "out of memory");
    for (int k = 0; kernels_usable(k); k++)
        for (int type = 0; type < TYPE_COUNT; type++)
            for (int which = 0; which < INPUTS; which++)
                for (size_t i = 0; i < sizeof special / sizeof *special * 4; i++)
                    for (int last = 0; last < 2; last++) {
                        *b = (struct bed){.k = kernels_usable(k),
                                          .type = type,
                                          .which = which,
                                          .last = last,
                                          .special = special[i / 4]};
                        fill(b, at[i % 4]);
                        kernel(b);
                    }
    free(b);
}

Test(kernels, pass_on_what_is_no_number_element_by_element)
{
    through_all(relu);
    through_all(update);
}

Test(kernels, pass_on_what_is_no_number_in_batch_norm)
{
    through_all(norms);
}

Test(kernels, pass_on_what_is_no_number_in_pools)
{
    through_all(pools);
}

Test(kernels, pass_on_what_is_no_number_in_the_loss)
{
    through_all(cosine);
}

// What a run records of its choices names the library; without a name it was 2.6.
Test(kernels, carry_the_version_of_the_library)
{
    char version[32], prefix[48];
    onednn_version(version, sizeof version);
    onednn_prefix(prefix, sizeof prefix);
    cr_expect(prefix[0]);
    if (strncmp(version, "oneDNN 2.6.", 11) == 0)
        cr_expect_null(strchr(prefix, '-'), "%s", prefix);
    else
        cr_expect(strstr(prefix, version + strlen("oneDNN ")), "%s of %s", prefix, version);
}

// Blocks of 16 channels would be foreign to a library that may not use AVX-512.
Test(kernels, use_no_more_of_the_processor_than_the_library_may)
{
    cr_assert_eq(setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1), 0); // read once a process
    if (!kernels_usable(1) || strncmp(kernels_usable(1)->name, "x86-64-v3", 9))
        cr_skip_test("no AVX2");
    cr_expect_eq(kernels_pick(), kernels_usable(1));
    cr_expect_eq(kernels_pick()->block, 8);
    cr_expect_null(kernels_usable(2));
    cr_expect_null(isa_bf16());
}
