// The paper's ablations degrade as they should: Fashion-MNIST, width 8, batch 64, rate 1, each
// against the standard run of the same seed, mean of three seeds. Takes minutes: `make check-slow`.
// The thresholds were set on seeds 11, 12 and 13 (SLOW_SEED=11 prints theirs).
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/evaluate.h"
#include "train/loader.h"
#include "train/rate.h"
#include "train/setup.h"

enum { STEPS = 200, SEEDS = 3, LAST = 20 };

// What a run has come to: loss and z-std are means over its last steps.
struct outcome {
    double loss, zstd, auc;
};

static void quiet(void *context, const char *what)
{
    (void)context;
    (void)what;
}

static int step(struct setup *s, struct loader *l, int64_t t, struct plan_scores *scores,
                struct error *e)
{
    struct update u;
    rate_update(&s->o, s->epoch, s->steps, t, 1, &u);
    if (loader_queue(l, s, t, e) < 0 || plan_forward(s->plan, e) < 0)
        return -1;
    plan_scores(s->plan, scores);
    if (plan_backward(s->plan, e) < 0)
        return -1;
    return plan_update(s->plan, &u, e);
}

static struct outcome train(int seed, const char *flag)
{
    static const char *const fixed[][2] = {
        {"width", "8"}, {"batch", "64"}, {"lr", "1"}, {"precision", "f32"}, {"threads", "2"}};
    struct progress p = {quiet, NULL};
    struct options o;
    struct setup s;
    struct loader l;
    struct evaluation v;
    struct record eval, spectrum;
    struct error e;
    struct outcome out = {0, 0, 0};
    char number[16];

    options_default(&o);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        cr_assert(options_set(&o, fixed[i][0], fixed[i][1], &e) == 0, "%s", e.text);
    snprintf(number, sizeof number, "%d", seed);
    cr_assert(options_set(&o, "seed", number, &e) == 0, "%s", e.text);
    cr_assert(!flag || options_set(&o, flag, "off", &e) == 0, "%s", e.text);
    cr_assert(setup_open(&s, &o, NULL, &p, &e) == 0, "%s", e.text);
    cr_assert(loader_init(&l, &s, &e) == 0 && evaluation_init(&v, &s, &e) == 0, "%s", e.text);
    for (int64_t t = 0; t < STEPS; t++) {
        struct plan_scores scores;
        cr_assert(step(&s, &l, t, &scores, &e) == 0, "%s", e.text);
        if (t >= STEPS - LAST) {
            out.loss += scores.loss / LAST;
            out.zstd += scores.zstd / LAST;
        }
    }
    cr_assert(evaluation_run(&v, &s, STEPS, &eval, &spectrum, &e) == 0, "%s", e.text);
    out.auc = eval.u.eval.metric[METRIC_AUC];
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
    struct outcome m = {0, 0, 0};
    for (int k = 0; k < SEEDS; k++) {
        struct outcome o = train(first + k, flag);
        fprintf(stderr, "%-16s seed %2d: loss %.3f  z-std %.3f  exact AUC %.4f\n", title, first + k,
                o.loss, o.zstd, o.auc);
        m.loss += o.loss / SEEDS;
        m.zstd += o.zstd / SEEDS;
        m.auc += o.auc / SEEDS;
    }
    return m;
}

Test(slow, ablations_collapse, .timeout = 3600)
{
    struct outcome standard = mean("standard", NULL);
    struct outcome without = mean("no predictor", "predictor");
    struct outcome through = mean("no stop-gradient", "stop-gradient");
    // Seeds 11 to 13: loss -0.79, -0.87, -0.94; z-std 0.98, 0.38, 0.34; AUC 0.87, 0.94, 0.93. What
    // is asked is two deviations of a mean of three away from that, but for AUC, which differs most
    // from seed to seed at this step: its 0.03 was set before seeds 1 to 3 were looked at, and they
    // miss it (0.022).
    cr_expect(standard.zstd > 0.9, "standard: z-std %.3f", standard.zstd);
    cr_expect(without.loss < -0.83, "no predictor: loss %.3f", without.loss);
    cr_expect(without.loss < standard.loss - 0.04, "no predictor: loss %.3f against %.3f",
              without.loss, standard.loss);
    cr_expect(without.zstd < 0.6 * standard.zstd, "no predictor: z-std %.3f against %.3f",
              without.zstd, standard.zstd);
    cr_expect(without.auc > standard.auc + 0.03, "no predictor: AUC %.4f against %.4f", without.auc,
              standard.auc);
    cr_expect(through.loss < -0.9, "no stop-gradient: loss %.4f", through.loss);
    cr_expect(through.loss < standard.loss - 0.1, "no stop-gradient: loss %.3f against %.3f",
              through.loss, standard.loss);
    cr_expect(through.zstd < 0.5 * standard.zstd, "no stop-gradient: z-std %.3f against %.3f",
              through.zstd, standard.zstd);
}
