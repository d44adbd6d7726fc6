// What is told of running statistics against what a batch has, by plain sums over its numbers.
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "gpu/norm_lag.h"
#include "metrics/base/rng.h"
#include "tests/kit/contract.h"

enum { BATCH = 6, C = 3, SIDE = 4, AREA = SIDE * SIDE, ALL = BATCH * C * AREA };

struct bench {
    struct device *device;
    struct net net;
    struct plan *plan;
    struct norm_lag lag;
    struct rng rng;
};

// A norm below the features, and one above them that nobody asks for.
static void set_up(struct bench *b, uint64_t seed)
{
    struct error e;
    struct plan_options o = {.batch = BATCH, .precision = PRECISION_F32};
    *b = (struct bench){0};
    rng_init(&b->rng, seed, RNG_TEST, 0, 0);
    cr_assert(device_open(contract_device(), 1, &b->device, &e) == 0, "%s", e.text);
    net_init(&b->net, C, SIDE, SIDE);
    b->net.features = net_gap(&b->net, net_bn(&b->net, 0, "below", 1));
    net_bn(&b->net, b->net.features, "above", 1);
    cr_assert(device_compile(b->device, &b->net, &o, &b->plan, &e) == 0, "%s", e.text);
    cr_assert(norm_lag_init(&b->lag, &b->net, &e) == 0, "%s", e.text);
    cr_assert_eq(b->lag.n, 2 * C);
}

static void tear_down(struct bench *b)
{
    norm_lag_free(&b->lag);
    plan_free(b->plan);
    net_free(&b->net);
    device_close(b->device);
}

static double normal(struct bench *b, double mean, double deviation)
{
    return mean + deviation * rng_normal(&b->rng);
}

// Adds a share of a channel's mean and unbiased variance.
static void tell(const float *x, int c, double share, double *mean, double *var)
{
    double sum = 0, square = 0, n = BATCH * AREA;
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < AREA; j++)
            sum += x[(i * C + c) * AREA + j];
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < AREA; j++)
            square += pow(x[(i * C + c) * AREA + j] - sum / n, 2);
    *mean += share * sum / n;
    *var += share * square / (n - 1);
}

static double measure(struct bench *b)
{
    struct error e;
    double lag;
    cr_assert(norm_lag_measure(&b->lag, &b->net, b->plan, &lag, &e) == 0, "%s", e.text);
    return lag;
}

Test(norm_lag, is_that_of_the_batch)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct bench b;
        struct error e;
        float x[ALL], mean[C], var[C];
        double theirs_mean[C] = {0}, theirs_var[C] = {0}, expected = 0;
        set_up(&b, seed);
        double far = seed % 4;
        for (int c = 0; c < C; c++) {
            mean[c] = (float)normal(&b, 0, far);
            var[c] = (float)exp(normal(&b, 0, far));
        }
        cr_assert_eq(plan_put(b.plan, "below.running_mean", mean, C, &e), 0);
        cr_assert_eq(plan_put(b.plan, "below.running_var", var, C, &e), 0);
        cr_assert_eq(norm_lag_keep(&b.lag, &b.net, b.plan, &e), 0);
        for (int v = 0; v < 2; v++) {
            for (int i = 0; i < ALL; i++)
                x[i] = (float)normal(&b, i / AREA % C, 1 + v);
            cr_assert_eq(plan_input(b.plan, v, x, &e), 0);
            for (int c = 0; c < C; c++)
                tell(x, c, (v ? 1 : 0.9) / 1.9, &theirs_mean[c], &theirs_var[c]);
        }
        cr_assert(plan_forward(b.plan, &e) == 0, "%s", e.text);
        for (int c = 0; c < C; c++) {
            double share = (theirs_var[c] + 1e-5) / (var[c] + 1e-5);
            expected +=
                (share - 1 - log(share) + pow(theirs_mean[c] - mean[c], 2) / (var[c] + 1e-5)) / 2 /
                C;
        }
        double lag = measure(&b);
        cr_expect(fabs(lag - expected) <= 1e-4 * (1 + expected), "seed %d: %g, not %g", (int)seed,
                  lag, expected);
        tear_down(&b);
    }
}

Test(norm_lag, goes_where_the_weights_stand_still)
{
    struct bench b;
    struct error e;
    float x[ALL];
    double last = INFINITY;
    set_up(&b, 1);
    for (int i = 0; i < ALL; i++)
        x[i] = (float)normal(&b, 5, 3);
    for (int step = 0; step < 60; step++) {
        cr_assert_eq(norm_lag_keep(&b.lag, &b.net, b.plan, &e), 0);
        for (int v = 0; v < 2; v++)
            cr_assert_eq(plan_input(b.plan, v, x, &e), 0);
        cr_assert_eq(plan_forward(b.plan, &e), 0);
        double lag = measure(&b);
        cr_expect(lag < last || lag < 1e-6, "step %d: %g after %g", step, lag, last);
        last = lag;
    }
    cr_expect_lt(last, 1e-3);
    tear_down(&b);
}

Test(norm_lag, of_a_net_without_norms_is_none)
{
    struct norm_lag lag;
    struct net net;
    struct error e;
    double value = 0;
    net_init(&net, C, SIDE, SIDE);
    net.features = net_gap(&net, 0);
    cr_assert_eq(norm_lag_init(&lag, &net, &e), 0);
    cr_expect(norm_lag_keep(&lag, &net, NULL, &e) == 0 &&
              norm_lag_measure(&lag, &net, NULL, &value, &e) == 0 && isnan(value));
    norm_lag_free(&lag);
    net_free(&net);
}
