// What a card makes of a training step, for tests/bench/bench_gpu.sh: images a second with the
// views and the update and all, what the live spectrum adds, where the time goes, and how near that
// is to what the card can copy and multiply, measured here as well. Prints lines of key=value.
//
//   bench-gpu METHOD ARCH WIDTH BATCH SIDE f32|bf16 STEPS
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "gpu/device.h"
#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "metrics/science/alignment.h"
#include "tests/bench/ceilings.h"
#include "tests/kit/measure.h"
#include "train/methods/method.h"
#include "train/schedule/rates.h"

enum { CHANNELS = 3, IMAGES = 4096, WARM_UP = 20, ROUNDS = 5, KINDS = 32 };

// --- the card's ceilings: from ceilings.so beside this program, which finds CUDA's libraries
// already loaded, wherever the device has found them ---
static int ceilings(int bf16, double *bytes, double *flops, struct error *e)
{
    void *library = dlopen(path_of("%sceilings.so", path_folder(path_program().s).s).s, RTLD_NOW);
    void *symbol = library ? dlsym(library, "ceilings_measure") : NULL;
    ceilings_function *measure;
    memcpy(&measure, &symbol, sizeof measure);
    return symbol ? measure(bf16, bytes, flops, e) : error_set(e, "%.400s", dlerror());
}

// --- steps as the trainer makes them ---
struct bench {
    struct options o;
    struct net net;
    struct device *device;
    struct images *images;
    struct plan *plan;
    uint8_t *pixels;
    int64_t *index;
    struct augment_view *view[2];
    float *z[2]; // of `pairs` images
    int pairs;
    struct moments live;
    double *sigma;
    int side;
    int64_t step;
};

static int load(struct bench *b, int64_t step, struct error *e)
{
    const struct augment_recipe *recipe = augment_find(b->o.augment);
    for (int i = 0; i < b->o.batch; i++) {
        b->index[i] = (step * b->o.batch + i) % IMAGES;
        for (int v = 0; v < 2; v++)
            augment_draw(recipe, 1, step, b->index[i], v, CHANNELS, b->side, b->side, b->side,
                         &b->view[v][i]);
    }
    return plan_load(b->plan, b->images, b->index, (const struct augment_view *const *)b->view, e);
}

static int spectrum(struct bench *b, struct error *e)
{
    double n;
    moments_decay(&b->live, 0.99);
    if (plan_moments(b->plan, &b->live, e) < 0 ||
        device_spectrum(b->device, &b->live, b->sigma, NULL, &n, e) < 0)
        return -1;
    for (int v = 0; v < 2; v++)
        if (plan_output(b->plan, b->net.projected, v, b->pairs, b->z[v], e) < 0)
            return -1;
    return 0;
}

static int step(struct bench *b, int with_spectrum, struct error *e)
{
    struct update u;
    struct plan_scores s;
    rates_update(&b->o, 1000, 100000, b->step, 1, &u);
    if (load(b, ++b->step, e) < 0 || plan_forward(b->plan, e) < 0 || plan_backward(b->plan, e) < 0)
        return -1;
    if (plan_scores(b->plan, &s, e) < 0)
        return -1;
    if (!isfinite(s.loss))
        return error_set(e, "the loss is not finite: these timings mean nothing");
    if ((with_spectrum && spectrum(b, e) < 0) || plan_update(b->plan, &u, e) < 0)
        return -1;
    return b->o.tau >= 0 ? plan_ema(b->plan, b->o.tau, e) : 0;
}

// Seconds of so many steps.
static double steps(struct bench *b, int n, int with_spectrum, struct error *e)
{
    double since = clock_seconds();
    for (int i = 0; i < n; i++)
        if (step(b, with_spectrum, e) < 0)
            return -1;
    return clock_seconds() - since;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static int bench_open(struct bench *b, enum precision precision, struct error *e)
{
    static const float mean[CHANNELS] = {0.5f, 0.5f, 0.5f}, std[CHANNELS] = {0.25f, 0.25f, 0.25f};
    size_t n = (size_t)b->o.batch, size = (size_t)IMAGES * CHANNELS * (size_t)(b->side * b->side);
    struct plan_options po = {.batch = b->o.batch, .precision = precision};
    if (method_resolve(&b->o, e) < 0 ||
        method_build(&b->o, CHANNELS, b->side, b->side, &b->net, e) < 0)
        return -1;
    size_t d = (size_t)b->net.node[b->net.features].c,
           dim = (size_t)b->net.node[b->net.projected].c;
    b->pairs = b->o.batch < ALIGNMENT_ROWS ? b->o.batch : ALIGNMENT_ROWS;
    b->pixels = malloc(size);
    b->index = malloc(n * sizeof *b->index);
    b->sigma = malloc(d * sizeof *b->sigma);
    for (int v = 0; v < 2; v++) {
        b->view[v] = malloc(n * sizeof *b->view[v]);
        b->z[v] = malloc((size_t)b->pairs * dim * sizeof *b->z[v]);
    }
    if (!b->pixels || !b->index || !b->sigma || !b->view[0] || !b->view[1] || !b->z[0] || !b->z[1])
        return error_set(e, "out of memory");
    for (size_t i = 0; i < size; i++)
        b->pixels[i] = (uint8_t)(i * 2654435761u >> 11);
    if (moments_init(&b->live, (int)d, e) < 0 ||
        images_new(b->device, b->pixels, IMAGES, CHANNELS, b->side, b->side, mean, std, &b->images,
                   e) < 0 ||
        device_compile(b->device, &b->net, &po, &b->plan, e) < 0 ||
        method_init(&b->net, 1, b->plan, e) < 0)
        return -1;
    return load(b, 0, e);
}

static void bench_close(struct bench *b)
{
    plan_free(b->plan);
    images_free(b->images);
    device_close(b->device);
    moments_free(&b->live);
    if (b->net.node)
        net_free(&b->net);
    free(b->pixels);
    free(b->index);
    free(b->sigma);
    for (int v = 0; v < 2; v++) {
        free(b->view[v]);
        free(b->z[v]);
    }
}

// Alternately without and with the live spectrum.
static int measure(struct bench *b, int n, struct error *e)
{
    double plain[ROUNDS], with[ROUNDS];
    if (steps(b, WARM_UP, 1, e) < 0)
        return -1;
    for (int i = 0; i < ROUNDS; i++)
        if ((plain[i] = steps(b, n, 0, e)) < 0 || (with[i] = steps(b, n, 1, e)) < 0)
            return -1;
    double a = median(plain, ROUNDS) / n, c = median(with, ROUNDS) / n;
    printf("who=ssltop step=%.6f images_s=%.0f spectrum=%.2f memory=%zu\n", a, b->o.batch / a,
           100 * (c / a - 1), plan_memory(b->plan));
    return 0;
}

static int profile(struct bench *b, double bytes, double flops, struct error *e)
{
    struct plan_work kind[KINDS];
    double all = 0;
    int n = plan_profile(b->plan, kind, KINDS, e);
    for (int i = 0; i < n; i++)
        all += kind[i].ms;
    for (int i = 0; i < n; i++) {
        const struct plan_work *k = &kind[i];
        printf("kind=\"%s\" calls=%d ms=%.3f share=%.1f of_matrix=%.1f of_copy=%.1f\n", k->name,
               k->calls, k->ms, 100 * k->ms / all, 100 * k->flops / (k->ms * 1e-3) / flops,
               100 * k->bytes / (k->ms * 1e-3) / bytes);
    }
    return n < 0 ? -1 : 0;
}

static int run(struct bench *b, enum precision precision, int n, struct error *e)
{
    double bytes, flops;
    if (device_open("cuda", 0, &b->device, e) < 0)
        return -1;
    const struct device_info *i = device_info(b->device);
    printf("card=\"%s\" detail=\"%s\"\n", i->name, i->detail);
    if (ceilings(precision == PRECISION_BF16, &bytes, &flops, e) < 0)
        return -1;
    printf("copy_gb_s=%.0f matrix_tflops=%.1f\n", bytes / 1e9, flops / 1e12);
    if (bench_open(b, precision, e) < 0 || measure(b, n, e) < 0)
        return -1;
    return profile(b, bytes, flops, e);
}

int main(int argc, char **argv)
{
    struct error e = {""};
    struct bench b;
    memset(&b, 0, sizeof b);
    options_default(&b.o);
    if (argc != 8 || (strcmp(argv[6], "f32") && strcmp(argv[6], "bf16"))) {
        fprintf(stderr, "usage: bench-gpu METHOD ARCH WIDTH BATCH SIDE f32|bf16 STEPS\n");
        return 2;
    }
    snprintf(b.o.method, sizeof b.o.method, "%s", argv[1]);
    snprintf(b.o.arch, sizeof b.o.arch, "%s", argv[2]);
    b.o.width = atoi(argv[3]);
    b.o.batch = atoi(argv[4]);
    b.side = atoi(argv[5]);
    int n = atoi(argv[7]);
    int bf16 = argv[6][0] == 'b';
    int rc =
        n < 1 || b.side < 1 || b.side > 1024 || b.o.batch < 2 || b.o.batch > IMAGES
            ? error_set(&e, "a batch of 2 to %d, a side of 1 to 1024, at least one step", IMAGES)
            : run(&b, bf16 ? PRECISION_BF16 : PRECISION_F32, n, &e);
    fflush(stdout);
    if (rc < 0)
        fprintf(stderr, "bench-gpu: %s\n", e.text);
    bench_close(&b);
    return rc < 0 ? 1 : 0;
}
