// One timing of ssltop's SimSiam step, for tests/bench/bench.sh: both views forward, loss, backward
// and update, without data loading, then what the live spectrum adds. Prints one line of key=value.
//
//   bench WIDTH f32|bf16|auto STEPS THREADS BATCH     exit 3: this processor has no bf16
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "metrics/base/clock.h"
#include "tests/kit/measure.h"
#include "train/methods/method.h"
#include "train/run/precision.h"

enum { SIDE = 28, WARM_UP = 3, NO_BF16 = 3 };

struct timings {
    double step, spectrum; // seconds, medians
    double loss;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

static int one_step(struct plan *p, struct error *e)
{
    struct update u = {.lr = {0.05, 0.05}, .momentum = 0.9, .weight_decay = 5e-4};
    return plan_forward(p, e) < 0 || plan_backward(p, e) < 0 || plan_update(p, &u, e) < 0 ? -1 : 0;
}

// The input lies in the plan's own memory before the clock starts, as a loader's batch would.
static int give_input(struct plan *p, const float *const x[2], struct error *e)
{
    return plan_input(p, 0, x[0], e) < 0 || plan_input(p, 1, x[1], e) < 0 ? -1 : 0;
}

static int live_spectrum(struct device *d, struct plan *p, struct moments *m, double *sigma,
                         struct error *e)
{
    double n;
    moments_decay(m, 0.99);
    if (plan_moments(p, m, e) < 0)
        return -1;
    return device_spectrum(d, m, sigma, NULL, &n, e) < 0 ? -1 : 0;
}

static int measure(struct device *d, struct plan *p, int features, const float *const x[2],
                   int steps, struct timings *out, struct error *e)
{
    struct moments m = {0};
    struct plan_scores s;
    double *t = calloc((size_t)steps, sizeof *t), *ts = calloc((size_t)steps, sizeof *ts);
    double *sigma = calloc((size_t)features, sizeof *sigma);
    int rc = t && ts && sigma ? moments_init(&m, features, e) : error_set(e, "out of memory");
    for (int i = -WARM_UP; i < steps && rc == 0; i++) {
        rc = give_input(p, x, e);
        double start = clock_seconds();
        rc = rc < 0 ? rc : one_step(p, e);
        double middle = clock_seconds();
        rc = rc < 0 ? rc : live_spectrum(d, p, &m, sigma, e);
        if (i >= 0) {
            t[i] = middle - start;
            ts[i] = clock_seconds() - middle;
        }
    }
    rc = rc < 0 ? rc : plan_scores(p, &s, e);
    if (rc == 0) {
        *out = (struct timings){median(t, steps), median(ts, steps), s.loss};
        if (!isfinite(s.loss))
            rc = error_set(e, "the loss is not finite: these timings mean nothing");
    }
    moments_free(&m);
    free(sigma);
    free(ts);
    free(t);
    return rc;
}

// Noise that does not repeat soon; the same numbers as bench_torch.py's.
static float *noise(int view, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)(((i + (size_t)view * 7919) * 2654435761u >> 8) & 0xffff) / 32768.0f - 1.0f;
    return x;
}

static int run(int width, const char *precision, int steps, int threads, int batch, struct error *e)
{
    struct options o;
    struct net net = {0};
    struct device *d = NULL;
    struct plan *p = NULL;
    struct timings t = {0};
    struct plan_options po = {.batch = batch};
    float *x[2] = {noise(0, (size_t)batch * SIDE * SIDE), noise(1, (size_t)batch * SIDE * SIDE)};
    int bf16 = !strcmp(precision, "bf16");
    struct precision_choice choice;

    options_default(&o);
    o.width = width;
    int rc = x[0] && x[1] ? 0 : error_set(e, "out of memory");
    rc = rc < 0 ? rc : device_open("cpu", threads, &d, e);
    if (rc == 0 && bf16 && !device_info(d)->bf16)
        rc = NO_BF16;
    rc = rc ? rc : method_build(&o, 1, SIDE, SIDE, &net, e);
    po.precision = bf16 ? PRECISION_BF16 : PRECISION_F32;
    if (rc == 0 && !strcmp(precision, "auto")) {
        rc = precision_choose(d, &net, batch, &choice, e);
        po.precision = choice.precision;
    }
    rc = rc ? rc : device_compile(d, &net, &po, &p, e);
    rc = rc ? rc : method_init(&net, 1, p, e);
    rc = rc ? rc : measure(d, p, net.node[net.features].c, (const float *const *)x, steps, &t, e);
    if (rc == 0)
        printf("who=ssltop width=%d precision=%s step=%.6f spectrum=%.6f plan=%zu peak_kb=%ld "
               "loss=%.5f\n",
               width, precision, t.step, t.spectrum, plan_memory(p), peak_kb(), t.loss);
    if (p)
        plan_free(p);
    if (d)
        device_close(d);
    net_free(&net);
    free(x[0]);
    free(x[1]);
    return rc;
}

// A whole number of 1 .. most, or 0.
static int number(const char *text, int most)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *text && !*end && n >= 1 && n <= most ? (int)n : 0;
}

int main(int argc, char **argv)
{
    struct error e = {""};
    int width = 0, steps = 0, threads = 0, batch = 0;
    device_prepare(argv);
    if (argc == 6) {
        width = number(argv[1], 1024);
        steps = number(argv[3], 1000);
        threads = number(argv[4], 1024);
        batch = number(argv[5], 4096);
    }
    if (!width || !steps || !threads || batch < 2 ||
        (strcmp(argv[2], "f32") && strcmp(argv[2], "bf16") && strcmp(argv[2], "auto"))) {
        fprintf(stderr, "usage: bench WIDTH f32|bf16|auto STEPS THREADS BATCH\n");
        return 2;
    }
    int rc = run(width, argv[2], steps, threads, batch, &e);
    if (rc < 0)
        fprintf(stderr, "bench: %s\n", e.text);
    return rc < 0 ? 1 : rc;
}
