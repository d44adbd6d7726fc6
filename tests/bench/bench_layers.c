// How much of what the processor can at best each kind of convolution of a ResNet-18 reaches, both
// views of a batch: forward, gradient of the input, gradient of the filter. The ceilings are
// measured beside them: the rate of the instructions alone, and of a product of large matrices.
//
//   bench_layers [THREADS [BATCH [WIDTHS...]]]
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/isa.h"
#include "gpu/cpu/kernels.h"
#include "gpu/cpu/onednn.h"
#include "gpu/device.h"
#include "metrics/base/clock.h"
#include "train/methods/method.h"

enum { REPEATS = 5, SIDE = 28 };

// --- ceilings ---
// Operations of one thread, which nothing hinders.
struct peak {
    const char *name;
    double (*work)(void);
};

#ifdef __x86_64__
enum { ROUNDS = 4000000, CHAINS = 12 };

// ROUNDS times an instruction on CHAINS registers of zeros, none of which waits for another.
#define CHAIN(op, r, n)         op " %%" r "15, %%" r "15, %%" r #n "\n"
#define FOUR(op, r, a, b, c, d) CHAIN(op, r, a) CHAIN(op, r, b) CHAIN(op, r, c) CHAIN(op, r, d)
#define TWELVE(op, r)           FOUR(op, r, 0, 1, 2, 3) FOUR(op, r, 4, 5, 6, 7) FOUR(op, r, 8, 9, 10, 11)
#define LOOP(op, r)             "vzeroall\n1:" TWELVE(op, r) "dec %0\njnz 1b\nvzeroupper"
#define RATE(name, op, r, operations)                                                              \
    static double name(void)                                                                       \
    {                                                                                              \
        long n = ROUNDS;                                                                           \
        __asm__ volatile(LOOP(op, r)                                                               \
                         : "+r"(n)                                                                 \
                         :                                                                         \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");    \
        return (operations) * (double)CHAINS * ROUNDS;                                             \
    }
RATE(fma_512, "vfmadd231ps", "zmm", 2 * 16)
RATE(fma_256, "vfmadd231ps", "ymm", 2 * 8)
RATE(pairs, "vdpbf16ps", "zmm", 2 * 32)

// All tiles are whole.
static double tiles(void)
{
    static const unsigned char shapes[64] __attribute__((aligned(64))) = {
        [0] = 1,   [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64,
        [26] = 64, [28] = 64, [30] = 64, [48] = 16, 16,        16,
        16,        16,        16,        16,        16};
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
    for (int r = 0; r < ROUNDS; r++)
        __asm__ volatile("tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
                         "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
                         "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
                         "tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
                         :
                         :);
    __asm__ volatile("tilerelease");
    return 2.0 * 16 * 16 * 32 * 4 * ROUNDS;
}
#endif

static int peaks(struct peak *p)
{
    int n = 0;
#ifdef __x86_64__
    const char *bf16 = isa_bf16();
    if (kernels_pick()->block == 16)
        p[n++] = (struct peak){"FMA f32", fma_512};
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        p[n++] = (struct peak){"FMA f32", fma_256};
    if (bf16)
        p[n++] = (struct peak){"vdpbf16ps", pairs};
    if (bf16 && !strcmp(bf16, "amx_bf16"))
        p[n++] = (struct peak){"AMX bf16", tiles};
#else
    (void)p;
#endif
    return n;
}

static double peak_rate(const struct peak *p, int threads)
{
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        double since = clock_seconds(), work = 0;
#pragma omp parallel num_threads(threads) reduction(+ : work)
        work = p->work();
        best = fmax(best, work / (clock_seconds() - since));
    }
    return best;
}

// A product of 4096 x 4096 matrices: in f32 by oneDNN, in bf16 by the kernel that convolutions have
// on tiles. 0: this processor has none.
static double product_rate(int bf16, int threads, struct error *e)
{
    enum { N = 4096 };
    const struct kernels *k = kernels_pick();
    struct conv_args a = {.n = 1,
                          .ic = N,
                          .oc = N,
                          .ih = N / 64,
                          .iw = 64,
                          .oh = N / 64,
                          .ow = 64,
                          .k = 1,
                          .stride = 1,
                          .threads = threads,
                          .w_depth = 16 * 32,
                          .w_block = 16 * (size_t)N};
    const struct onednn_product s = {N, N, N, 0, 0, N, N, N, 1, 0};
    size_t bytes = (size_t)N * N * sizeof(float);
    float *x = calloc(1, bytes), *w = calloc(1, bytes), *y = calloc(1, bytes);
    int32_t *place = calloc(k->conv_tiles_places(&a), sizeof *place);
    void *work = calloc(1, k->conv_tiles_work(&a));
    double best = 0;
    int rc = x && w && y && place && work ? 0 : error_set(e, "out of memory");
    if (rc == 0 && bf16) {
        k->conv_tiles_find(&a, place);
        a.x = x;
        a.w = w;
        a.y = y;
        a.place = place;
        a.work = work;
    }
    for (int i = 0; i < REPEATS && rc == 0; i++) {
        double since = clock_seconds();
        if (bf16)
            k->conv_tiles(&a);
        else
            rc = onednn_multiply(&s, x, w, y, e);
        best = fmax(best, 2.0 * N * N * N / (clock_seconds() - since));
    }
    free(x);
    free(w);
    free(y);
    free(place);
    free(work);
    return rc < 0 ? -1 : best;
}

// --- layers ---
struct kind {
    int in, out, side, k, stride; // channels in widths
};
static const struct kind kinds[] = {
    {1, 1, SIDE, 3, 1},     {1, 2, SIDE, 3, 2},     {1, 2, SIDE, 1, 2},     {2, 2, SIDE / 2, 3, 1},
    {2, 4, SIDE / 2, 3, 2}, {2, 4, SIDE / 2, 1, 2}, {4, 4, SIDE / 4, 3, 1}, {4, 8, SIDE / 4, 3, 2},
    {4, 8, SIDE / 4, 1, 2}, {8, 8, 4, 3, 1}};

// Milliseconds of a layer's forward and backward passes, the best of a few.
static int time_layer(struct device *d, const struct net *net, const struct plan_options *o,
                      double best[2], struct error *e)
{
    const struct node *in = &net->node[0], *out = &net->node[net->n - 1];
    size_t n_in = (size_t)o->batch * (size_t)(in->c * in->h * in->w);
    size_t n_out = (size_t)o->batch * (size_t)(out->c * out->h * out->w);
    float *x = calloc(n_in, sizeof *x), *dy = calloc(n_out, sizeof *dy);
    const float *const both[2] = {dy, dy};
    struct plan *p = NULL;
    int rc = x && dy ? device_compile(d, net, o, &p, e) : error_set(e, "out of memory");
    if (rc == 0)
        rc = method_init(net, 1, p, e);
    best[0] = best[1] = INFINITY;
    for (int i = 0; i < REPEATS && rc == 0; i++) {
        struct plan_times t;
        if (plan_input(p, 0, x, e) < 0 || plan_input(p, 1, x, e) < 0 || plan_forward(p, e) < 0 ||
            plan_backward_from(p, both, e) < 0)
            rc = -1;
        plan_times(p, &t);
        best[0] = fmin(best[0], t.forward);
        best[1] = fmin(best[1], t.backward);
    }
    plan_free(p);
    free(x);
    free(dy);
    return rc;
}

// The slowest and the fastest pass of the 3 x 3 layers of a width.
struct spread {
    double least, most;
};

static void say(const char *pass, double flops, double ms, double ceiling, struct spread *s)
{
    double rate = flops / (1e-3 * ms);
    printf("   %s %5.0f", pass, rate / 1e9);
    if (ceiling > 0)
        printf(" %3.0f %%", 100 * rate / ceiling);
    if (s)
        *s = (struct spread){fmin(s->least, rate), fmax(s->most, rate)};
}

// The gradient of the input is what the backward pass takes longer when it is asked for.
static int layer(struct device *d, const struct kind *k, int width, int batch, int bf16,
                 double ceiling, struct spread *spread, struct error *e)
{
    struct spread *s = k->k == 3 ? spread : NULL;
    struct net net;
    struct plan_options o = {.batch = batch, .precision = bf16 ? PRECISION_BF16 : PRECISION_F32};
    double without[2], with[2];
    net_init(&net, k->in * width, k->side, k->side);
    int rc = net_conv(&net, 0, "conv", k->out * width, k->k, k->stride, k->k / 2) < 0
                 ? error_set(e, "out of memory")
                 : time_layer(d, &net, &o, without, e);
    o.input_gradient = 1;
    rc = rc < 0 ? rc : time_layer(d, &net, &o, with, e);
    if (rc == 0) {
        const struct node *n = &net.node[1];
        double flops = 2.0 * 2 * batch * n->h * n->w * k->in * width * (double)n->c * k->k * k->k;
        printf("%5d %4d > %4d, %2d x %2d, %d x %d / %d  %-4s", width, k->in * width, n->c, k->side,
               k->side, k->k, k->k, k->stride, bf16 ? "bf16" : "f32");
        say("forward", flops, fmin(without[0], with[0]), ceiling, s);
        say("input", flops, with[1] - without[1], ceiling, s);
        say("filter", flops, without[1], ceiling, s);
        printf("\n");
    }
    net_free(&net);
    return rc;
}

// Its kinds of layers; `product`: what the tiles' kernel makes of large matrices, or 0.
static int network(struct device *d, int width, int batch, const double ceiling[2], double product,
                   struct error *e)
{
    struct spread s[2] = {{INFINITY, 0}, {INFINITY, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int bf16 = 0; bf16 <= (device_info(d)->bf16 != BF16_NONE); bf16++)
            if (layer(d, &kinds[i], width, batch, bf16, ceiling[bf16], &s[bf16], e) < 0)
                return -1;
    if (product > 0)
        printf("%5d 3 x 3 in bf16: %.0f to %.0f %% of that product\n", width,
               100 * s[1].least / product, 100 * s[1].most / product);
    return 0;
}

static int run(int threads, int batch, int n, char **widths, struct error *e)
{
    static char *all[] = {"64", "32", "16", "8"};
    struct device *d;
    struct peak p[4];
    double ceiling[2] = {0, 0};
    if (device_open("cpu", threads, &d, e) < 0)
        return -1;
    int tiled = kernels_pick()->channels_last, rc = 0;
    double product[2] = {0, 0};
    printf("%s, %s, %d threads, batch %d; GFLOP/s\n", device_info(d)->name, device_info(d)->detail,
           threads, batch);
    int count = peaks(p);
    for (int i = 0; i < count; i++) {
        double rate = peak_rate(&p[i], threads);
        printf("%-9s %5.0f\n", p[i].name, rate / 1e9);
        ceiling[i > 0] = rate;
    }
    for (int bf16 = 0; bf16 <= tiled && rc == 0; bf16++)
        rc = (product[bf16] = product_rate(bf16, threads, e)) < 0 ? -1 : 0;
    printf("product of 4096 x 4096 matrices: f32 %.0f", product[0] / 1e9);
    if (tiled)
        printf(", bf16 by the kernel of convolutions %.0f", product[1] / 1e9);
    printf("\nshares are of %s in f32, of %s in bf16\n", count ? p[0].name : "nothing known",
           count > 1 ? p[count - 1].name : "nothing known");
    for (int w = 0; w < (n ? n : 4) && rc == 0; w++)
        rc = network(d, atoi((n ? widths : all)[w]), batch, ceiling, tiled ? product[1] : 0, e);
    device_close(d);
    return rc;
}

int main(int argc, char **argv)
{
    struct error e = {""};
    int threads = argc > 1 ? atoi(argv[1]) : 2, batch = argc > 2 ? atoi(argv[2]) : 128;
    device_prepare(argv);
    if (threads < 1 || batch < 1) {
        fprintf(stderr, "usage: bench_layers [THREADS [BATCH [WIDTHS...]]]\n");
        return 2;
    }
    if (run(threads, batch, argc > 3 ? argc - 3 : 0, argv + 3, &e) == 0)
        return 0;
    fprintf(stderr, "bench_layers: %s\n", e.text);
    return 1;
}
