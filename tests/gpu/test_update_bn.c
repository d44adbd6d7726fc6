// Running statistics made anew, against plain sums over the pixels of the batches that they are of.
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "gpu/device.h"
#include "metrics/base/rng.h"
#include "tests/kit/contract.h"

enum { IMAGES = 40, BATCH = 6, C = 3, SIDE = 4, AREA = SIDE * SIDE, MOST = 5 };

struct bench {
    struct device *device;
    struct net net;
    struct plan *plan;
    struct images *set;
    struct rng rng;
    uint8_t pixels[IMAGES * C * AREA];
};

// A norm below the features, and one above them that no evaluation comes by.
static void set_up(struct bench *b, uint64_t seed)
{
    static const float mean[C] = {0}, std[C] = {1, 1, 1};
    struct error e;
    struct plan_options o = {.batch = BATCH, .precision = PRECISION_F32};
    *b = (struct bench){0};
    rng_init(&b->rng, seed, RNG_TEST, 0, 0);
    cr_assert(device_open(contract_device(), 1, &b->device, &e) == 0, "%s", e.text);
    net_init(&b->net, C, SIDE, SIDE);
    b->net.features = net_gap(&b->net, net_bn(&b->net, 0, "below", 1));
    net_bn(&b->net, b->net.features, "above", 1);
    cr_assert(device_compile(b->device, &b->net, &o, &b->plan, &e) == 0, "%s", e.text);
    for (int i = 0; i < IMAGES * C * AREA; i++)
        b->pixels[i] = (uint8_t)(rng_below(&b->rng, 100) + 50 * (i / AREA % C));
    cr_assert(images_new(b->device, b->pixels, IMAGES, C, SIDE, SIDE, mean, std, &b->set, &e) == 0,
              "%s", e.text);
}

static void tear_down(struct bench *b)
{
    plan_free(b->plan);
    images_free(b->set);
    net_free(&b->net);
    device_close(b->device);
}

static void choose(struct bench *b, int64_t index[BATCH])
{
    for (int i = 0; i < BATCH; i++)
        index[i] = (int64_t)rng_below(&b->rng, IMAGES);
}

// A channel's mean and unbiased variance in a batch.
static void tell(const struct bench *b, const int64_t index[BATCH], int c, double *mean,
                 double *var)
{
    double sum = 0, square = 0, n = BATCH * AREA;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < BATCH * AREA; i++) {
            double x = b->pixels[(index[i / AREA] * C + c) * AREA + i % AREA] / 255.0;
            sum += pass ? 0 : x;
            square += pass ? pow(x - sum / n, 2) : 0;
        }
    *mean = sum / n;
    *var = square / (n - 1);
}

static void put(struct bench *b, const char *name, float value)
{
    struct error e;
    float v[C] = {value, value, value};
    cr_assert_eq(plan_put(b->plan, name, v, C, &e), 0);
}

Test(update_bn, takes_the_average_of_the_batches)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct bench b;
        struct error e;
        int64_t index[BATCH];
        double mean[C] = {0}, var[C] = {0};
        float got_mean[C], got_var[C], above[C];
        set_up(&b, seed);
        put(&b, "below.running_mean", seed % 2 ? NAN : 1e30f); // nothing of it is left
        put(&b, "below.running_var", seed % 3 ? INFINITY : 1e30f);
        put(&b, "above.running_mean", 7);
        int batches = 1 + (int)(seed % MOST);
        for (int k = 1; k <= batches; k++) {
            choose(&b, index);
            cr_assert(plan_update_bn(b.plan, b.set, index, k, &e) == 0, "%s", e.text);
            for (int c = 0; c < C; c++) {
                double m, v;
                tell(&b, index, c, &m, &v);
                mean[c] += m / batches;
                var[c] += v / batches;
            }
        }
        cr_assert_eq(plan_get(b.plan, "below.running_mean", got_mean, C, &e), 0);
        cr_assert_eq(plan_get(b.plan, "below.running_var", got_var, C, &e), 0);
        cr_assert_eq(plan_get(b.plan, "above.running_mean", above, C, &e), 0);
        for (int c = 0; c < C; c++) {
            cr_expect(fabs(got_mean[c] - mean[c]) < 1e-5, "seed %d: mean %g, not %g", (int)seed,
                      got_mean[c], mean[c]);
            cr_expect(fabs(got_var[c] - var[c]) < 1e-5, "seed %d: variance %g, not %g", (int)seed,
                      got_var[c], var[c]);
            cr_expect_eq(above[c], 7);
        }
        tear_down(&b);
    }
}

// As of a step by hand: its batches wait, its scores stay, a step moves statistics by a tenth.
Test(update_bn, leaves_steps_as_they_are)
{
    struct bench b;
    struct error e;
    int64_t index[BATCH], other[BATCH];
    struct augment_view view[2][BATCH];
    const struct augment_view *const views[2] = {view[0], view[1]};
    float got[C];
    double m, v, first;
    set_up(&b, 1);
    choose(&b, index);
    choose(&b, other);
    for (int i = 0; i < 2 * BATCH; i++)
        augment_identity(SIDE, SIDE, &view[i / BATCH][i % BATCH]);
    cr_assert(plan_load(b.plan, b.set, index, views, &e) == 0, "%s", e.text);
    cr_assert(plan_update_bn(b.plan, b.set, other, 1, &e) == 0, "%s", e.text);
    tell(&b, other, 0, &first, &v);
    cr_assert(plan_forward(b.plan, &e) == 0, "%s", e.text);
    cr_assert_eq(plan_get(b.plan, "below.running_mean", got, C, &e), 0);
    tell(&b, index, 0, &m, &v);
    cr_expect(fabs(got[0] - (0.81 * first + 0.19 * m)) < 1e-5, "%g", got[0]);
    tear_down(&b);
}

Test(update_bn, refuses_what_is_no_batch)
{
    struct bench b;
    struct error e;
    int64_t index[BATCH] = {0, 1, 2, 3, 4, IMAGES};
    set_up(&b, 1);
    cr_expect_eq(plan_update_bn(b.plan, b.set, index, 1, &e), -1);
    cr_expect(strstr(e.text, "40"), "%s", e.text);
    index[5] = 5;
    cr_expect_eq(plan_update_bn(b.plan, b.set, index, 0, &e), -1);
    cr_expect_eq(plan_update_bn(b.plan, b.set, index, 1, &e), 0);
    tear_down(&b);
}
