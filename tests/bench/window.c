// How far the AUC of live spectra with several half-lives lies from the exact one along a short
// run, and at its end why: the network held still, in training mode, on plain images and on
// augmented views. The default half-life (MOMENTS_HALF_LIFE in metrics/science/spectrum.h) and what
// the manual says of the difference come from it. `make build/window`, then
//
//   build/window WIDTH LR STEPS EVERY [THREADS]       Fashion-MNIST, batch 64, wd 5e-4
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "metrics/science/metric.h"
#include "train/run/evaluate.h"
#include "train/run/loader.h"
#include "train/schedule/rates.h"
#include "train/run/setup.h"

enum { WINDOWS = 5 };
static const double half_life[WINDOWS] = {2, 4, 8, 16, 32}; // samples a feature

struct study {
    struct setup s;
    struct loader l;
    struct evaluation v;
    struct moments m[WINDOWS];
    double *sigma;
};

static void quiet(void *context, const char *what)
{
    (void)context;
    (void)what;
}

static double auc_of(struct study *w, const struct moments *m)
{
    double n, metric[METRIC_COUNT];
    int rc;
    while ((rc = device_spectrum(w->s.device, m, w->sigma, NULL, &n, NULL)) == 1)
        ;
    if (rc < 0)
        return NAN;
    struct metric_input in = {.sigma = w->sigma, .d = w->s.d, .n = n};
    metric_all(&in, metric);
    return metric[METRIC_AUC];
}

static double exact(struct study *w, int64_t step, struct error *e)
{
    struct record eval, spectrum;
    return evaluation_run(&w->v, &w->s, step, &eval, &spectrum, e) < 0
               ? NAN
               : eval.u.eval.metric[METRIC_AUC];
}

static int one_step(struct study *w, int64_t t, struct error *e)
{
    struct update u;
    rates_update(&w->s.o, w->s.epoch, w->s.steps, t, 1, &u);
    if (loader_queue(&w->l, &w->s, t, e) < 0 || plan_forward(w->s.plan, e) < 0)
        return -1;
    for (int k = 0; k < WINDOWS; k++) {
        moments_decay(&w->m[k], exp2(-2.0 * w->s.o.batch / (half_life[k] * w->s.d)));
        if (plan_moments(w->s.plan, &w->m[k], e) < 0)
            return -1;
    }
    return plan_backward(w->s.plan, e) < 0 || plan_update(w->s.plan, &u, e) < 0 ? -1 : 0;
}

// AUC of the network as it is, in training mode, on 16 samples a feature.
static double still(struct study *w, const char *recipe, struct error *e)
{
    int64_t batches = (16 * (int64_t)w->s.d + 2 * w->s.o.batch - 1) / (2 * w->s.o.batch);
    struct moments *m = &w->m[0];
    moments_reset(m);
    w->s.recipe = augment_find(recipe);
    for (int64_t t = 0; t < batches; t++)
        if (loader_queue(&w->l, &w->s, w->s.steps - 1 - t % w->s.steps, e) < 0 ||
            plan_forward(w->s.plan, e) < 0 || plan_moments(w->s.plan, m, e) < 0)
            return NAN;
    return auc_of(w, m);
}

static int run(struct study *w, int64_t every, struct error *e)
{
    printf("step  exact ");
    for (int k = 0; k < WINDOWS; k++)
        printf("  live %2.0f d", half_life[k]);
    printf("   (live - exact)\n");
    for (int64_t t = 0; t < w->s.steps; t++) {
        if (one_step(w, t, e) < 0)
            return -1;
        if ((t + 1) % every != 0)
            continue;
        double at = exact(w, t + 1, e);
        printf("%-5lld %.4f", (long long)t + 1, at);
        for (int k = 0; k < WINDOWS; k++)
            printf("  %+.4f  ", auc_of(w, &w->m[k]) - at);
        printf("\n");
        fflush(stdout);
    }
    double at = exact(w, w->s.steps, e), plain = still(w, "none", e),
           views = still(w, "simsiam", e);
    printf("held still: training mode %+.4f, augmented views %+.4f\n", plain - at, views - plain);
    return 0;
}

static int prepare(struct study *w, struct options *o, struct error *e)
{
    struct progress p = {quiet, NULL};
    if (setup_open(&w->s, o, NULL, NULL, &p, e) != 0 || loader_init(&w->l, &w->s, e) < 0 ||
        evaluation_init(&w->v, &w->s, e) < 0)
        return -1;
    for (int k = 0; k < WINDOWS; k++)
        if (moments_init(&w->m[k], w->s.d, e) < 0)
            return -1;
    w->sigma = malloc((size_t)w->s.d * sizeof *w->sigma);
    return w->sigma ? 0 : error_set(e, "out of memory");
}

int main(int argc, char **argv)
{
    static const char *const name[] = {"width", "lr", "steps", "eval-every", "threads"};
    struct study w = {0};
    struct options o;
    struct error e = {""};
    device_prepare(argv);
    options_default(&o);
    int rc = argc == 5 || argc == 6 ? 0 : error_set(&e, "see the top of tests/bench/window.c");
    for (int i = 1; i < argc && rc == 0; i++)
        rc = options_set(&o, name[i - 1], argv[i], &e);
    rc = rc ? rc : options_set(&o, "batch", "64", &e);
    rc = rc ? rc : options_set(&o, "wd", "5e-4", &e);
    rc = rc ? rc : options_set(&o, "probe", "off", &e);
    rc = rc ? rc : prepare(&w, &o, &e);
    rc = rc ? rc : run(&w, o.eval_every, &e);
    if (rc)
        fprintf(stderr, "%s\n", e.text);
    return rc != 0; // the rest ends with the process
}
