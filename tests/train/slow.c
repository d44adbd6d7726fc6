// The paper's ablations degrade as they should: Fashion-MNIST, width 8, batch 64, rate 1, each
// against the standard run of the same seed, mean of three seeds. Takes minutes: `make check-slow`.
// The thresholds were set on other seeds: SLOW_SEED=11 prints theirs.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/metric.h"
#include "metrics/science/spectrum.h"
#include "train/run/evaluate.h"
#include "train/run/loader.h"
#include "train/schedule/rates.h"
#include "train/run/setup.h"

// The rate is that of ten epochs: it hardly falls over these steps. At a rate like this the exact
// AUC of one step is a matter of luck (running statistics lag behind): it is a mean of evaluations.
enum { EARLY = 200, STEPS = 300, EVERY = 20, LAST = 20, SEEDS = 3 };

// What a run has come to: loss and z-std are means over the last steps before.
enum measure { LOSS_EARLY, LOSS, ZSTD, EXACT_EARLY, EXACT, LIVE, MEASURES };
struct outcome {
    double of[MEASURES];
};

static void quiet(void *context, const char *what)
{
    (void)context;
    (void)what;
}

// One step as the trainer makes it, with the moments of the live spectrum.
static int step(struct setup *s, struct loader *l, struct moments *live, int64_t t,
                struct plan_scores *scores, struct error *e)
{
    struct update u;
    rates_update(&s->o, s->epoch, s->steps, t, 1, &u);
    if (loader_queue(l, s, t, e) < 0 || plan_forward(s->plan, e) < 0 ||
        plan_scores(s->plan, scores, e) < 0)
        return -1;
    moments_decay(live, exp2(-2.0 * s->o.batch / (8.0 * s->d)));
    if (plan_moments(s->plan, live, e) < 0 || plan_backward(s->plan, e) < 0)
        return -1;
    return plan_update(s->plan, &u, e);
}

static double live_auc(struct setup *s, struct moments *live)
{
    struct error e;
    double metric[METRIC_COUNT], n, *sigma = malloc((size_t)s->d * sizeof *sigma);
    cr_assert(sigma && device_spectrum(s->device, live, sigma, NULL, &n, &e) == 0);
    struct metric_input in = {.sigma = sigma, .d = s->d, .n = n};
    metric_all(&in, metric);
    free(sigma);
    return metric[METRIC_AUC];
}

static double exact_auc(struct setup *s, struct evaluation *v, int64_t at)
{
    struct record eval, spectrum;
    struct error e;
    cr_assert(evaluation_run(v, s, at, &eval, &spectrum, &e) == 0, "%s", e.text);
    return eval.u.eval.metric[METRIC_AUC];
}

static struct outcome train(int seed, const char *flag)
{
    static const char *const fixed[][2] = {{"width", "8"},   {"batch", "64"},
                                           {"lr", "1"},      {"precision", "f32"},
                                           {"threads", "1"}, {"probe", "off"}};
    struct progress p = {quiet, NULL};
    struct options o;
    struct setup s;
    struct loader l;
    struct evaluation v;
    struct moments live;
    struct error e;
    struct outcome out = {{0}};
    char number[16];

    options_default(&o);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        cr_assert(options_set(&o, fixed[i][0], fixed[i][1], &e) == 0, "%s", e.text);
    snprintf(number, sizeof number, "%d", seed);
    cr_assert(options_set(&o, "seed", number, &e) == 0, "%s", e.text);
    cr_assert(!flag || options_set(&o, flag, "off", &e) == 0, "%s", e.text);
    cr_assert(setup_open(&s, &o, NULL, NULL, &p, &e) == 0, "%s", e.text);
    cr_assert(loader_init(&l, &s, &e) == 0 && evaluation_init(&v, &s, &e) == 0, "%s", e.text);
    cr_assert(moments_init(&live, s.d, &e) == 0, "%s", e.text);
    for (int64_t t = 0; t < STEPS; t++) {
        struct plan_scores scores;
        cr_assert(step(&s, &l, &live, t, &scores, &e) == 0, "%s", e.text);
        if (t >= EARLY - LAST && t < EARLY)
            out.of[LOSS_EARLY] += scores.loss / LAST;
        if (t >= STEPS - LAST) {
            out.of[LOSS] += scores.loss / LAST;
            out.of[ZSTD] += scores.zstd / LAST;
        }
        if (t + 1 < EARLY || (t + 1) % EVERY != 0)
            continue;
        double auc = exact_auc(&s, &v, t + 1);
        if (t + 1 == EARLY)
            out.of[EXACT_EARLY] = auc;
        out.of[EXACT] += auc / ((STEPS - EARLY) / EVERY + 1);
    }
    out.of[LIVE] = live_auc(&s, &live);
    moments_free(&live);
    evaluation_free(&v);
    loader_free(&l);
    setup_close(&s);
    return out;
}

// Means over the seeds, and told: what the thresholds leave.
static struct outcome mean(const char *title, const char *flag)
{
    const char *from = getenv("SLOW_SEED");
    int first = from ? atoi(from) : 1;
    struct outcome m = {{0}};
    for (int k = 0; k < SEEDS; k++) {
        struct outcome o = train(first + k, flag);
        fprintf(stderr,
                "%-16s seed %2d: step %d: loss %.3f, exact AUC %.4f; step %d: loss %.3f, z-std "
                "%.3f, exact AUC %.4f, live %.4f\n",
                title, first + k, EARLY, o.of[LOSS_EARLY], o.of[EXACT_EARLY], STEPS, o.of[LOSS],
                o.of[ZSTD], o.of[EXACT], o.of[LIVE]);
        for (int i = 0; i < MEASURES; i++)
            m.of[i] += o.of[i] / SEEDS;
    }
    return m;
}

Test(slow, ablations_collapse, .timeout = 3600)
{
    struct outcome standard = mean("standard", NULL);
    struct outcome without = mean("no predictor", "predictor");
    struct outcome through = mean("no stop-gradient", "stop-gradient");
    // Means of seeds 11 to 13 here, and of PyTorch (tests/bench/ablation_torch.py, seeds of its
    // own):
    //                      loss at 200 and 300   z-std        exact AUC    live AUC
    //   standard           -0.83 -0.75           0.96         0.877        0.837
    //     PyTorch          -0.79 -0.80           0.97         0.864        0.832
    //   no predictor       -0.84 -0.91           0.31         0.918        0.909
    //     PyTorch          -0.86 -0.87           0.41         0.942        0.896
    //   no stop-gradient   -0.94 -0.93           0.36         0.919        0.916
    //     PyTorch          -0.94 -0.95           0.30         0.951        0.925
    // Of a single evaluation at step 200 the exact AUC without predictor differed by 0.01, 0.06 and
    // 0.09 from the standard one, on seeds 1 to 3 by 0.022 in the mean: that is luck, and its bound
    // of 0.03 is asked of the mean of six. Other bounds are about half of the way.
    const double *s = standard.of, *p = without.of, *g = through.of;
    cr_expect(s[ZSTD] > 0.9, "standard: z-std %.3f", s[ZSTD]);
    cr_expect(p[LOSS] < -0.83, "no predictor: loss %.3f", p[LOSS]);
    cr_expect(p[LOSS] < s[LOSS] - 0.08, "no predictor: loss %.3f against %.3f", p[LOSS], s[LOSS]);
    cr_expect(p[ZSTD] < 0.6 * s[ZSTD], "no predictor: z-std %.3f against %.3f", p[ZSTD], s[ZSTD]);
    cr_expect(p[EXACT] > s[EXACT] + 0.03, "no predictor: exact AUC %.4f against %.4f", p[EXACT],
              s[EXACT]);
    cr_expect(p[LIVE] > s[LIVE] + 0.036, "no predictor: live AUC %.4f against %.4f", p[LIVE],
              s[LIVE]);
    cr_expect(g[LOSS_EARLY] < -0.9, "no stop-gradient: loss %.4f", g[LOSS_EARLY]);
    cr_expect(g[LOSS] < s[LOSS] - 0.1, "no stop-gradient: loss %.3f against %.3f", g[LOSS],
              s[LOSS]);
    cr_expect(g[ZSTD] < 0.5 * s[ZSTD], "no stop-gradient: z-std %.3f against %.3f", g[ZSTD],
              s[ZSTD]);
}
