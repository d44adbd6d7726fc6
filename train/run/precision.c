#include "train/run/precision.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "metrics/base/clock.h"
#include "metrics/base/rng.h"
#include "train/methods/method.h"
#include "train/store/remembered.h"

enum { SMALL = 8, TIMES = 3, SEED = 1 };
static const double work = 8e9, // operations of a step that takes long enough to be timed
    enough = 0.5;               // seconds of timed steps

// Multiplications and additions of an image's forward pass.
static double operations(const struct net *net)
{
    double sum = 0;
    for (int i = 0; i < net->n; i++) {
        const struct node *d = &net->node[i];
        if (d->op == NODE_CONV || d->op == NODE_LINEAR)
            sum += 2.0 * d->c * d->h * d->w * net->node[d->in[0]].c *
                   (d->op == NODE_CONV ? d->k * d->k : 1);
    }
    return sum;
}

// Both views, and twice as much again for the gradients.
static int timed_batch(const struct net *net, int batch)
{
    double b = work / (6 * operations(net));
    int rounded = b < batch ? (int)b / SMALL * SMALL : batch;
    return rounded > SMALL ? rounded : batch < SMALL ? batch : SMALL;
}

void precision_key(const struct device_info *info, const struct net *net, int batch, char *text,
                   size_t size)
{
    uint32_t crc = 0;
    for (int i = 0; i < net->n; i++) {
        const struct node *d = &net->node[i];
        int shape[] = {(int)d->op, d->in[0], d->in[1],  d->c,     d->h,
                       d->w,       d->k,     d->stride, d->frozen};
        crc = (uint32_t)crc32(crc, (const unsigned char *)shape, sizeof shape);
    }
    snprintf(text, size, "%s, %s, %d threads: network %08" PRIx32 " of %d nodes, batch %d",
             info->name, info->detail, info->threads, crc, net->n, batch);
    for (char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
}

// Numbers as normalised pixels are; NULL: no memory.
static float *make_pixels(const struct net *net, int batch)
{
    const struct node *in = &net->node[0];
    size_t n = (size_t)batch * (size_t)in->c * (size_t)in->h * (size_t)in->w;
    float *x = malloc(n * sizeof *x);
    struct rng r;
    rng_init(&r, SEED, RNG_INIT, 0, 0);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)rng_normal(&r);
    return x;
}

static int step(struct plan *p, const float *x, double *seconds, struct error *e)
{
    struct plan_scores scores;
    if (plan_input(p, 0, x, e) < 0 || plan_input(p, 1, x, e) < 0)
        return -1;
    double since = clock_seconds();
    if (plan_forward(p, e) < 0 || plan_backward(p, e) < 0 || plan_scores(p, &scores, e) < 0)
        return -1;
    *seconds = clock_seconds() - since;
    return 0;
}

// The best of a few steps each, in turn, so that what else the machine does meets both.
static int measure(struct device *d, const struct net *net, int batch, double *gain,
                   struct error *e)
{
    static const enum precision kind[] = {PRECISION_F32, PRECISION_BF16};
    struct plan *p[2] = {NULL, NULL};
    double best[2] = {INFINITY, INFINITY}, took, spent = 0;
    batch = timed_batch(net, batch);
    float *x = make_pixels(net, batch);
    int rc = x ? 0 : error_memory(e, "%d images", batch);
    for (int k = 0; k < 2 && rc == 0; k++) {
        struct plan_options o = {.batch = batch, .precision = kind[k]};
        rc = device_compile(d, net, &o, &p[k], e);
        if (rc == 0)
            rc = method_init(net, SEED, p[k], e);
        if (rc == 0)
            rc = step(p[k], x, &took, e); // touches its memory
    }
    for (int i = 0; i < TIMES && spent < enough && rc == 0; i++)
        for (int k = 0; k < 2 && rc == 0; k++) {
            rc = step(p[k], x, &took, e);
            best[k] = rc == 0 && took < best[k] ? took : best[k];
            spent += took;
        }
    plan_free(p[0]);
    plan_free(p[1]);
    free(x);
    *gain = best[0] / best[1];
    return rc;
}

int precision_choose(struct device *d, const struct net *net, int batch,
                     struct precision_choice *out, struct error *e)
{
    const struct device_info *info = device_info(d);
    struct error why = {""};
    char key[REMEMBERED_KEY];
    *out = (struct precision_choice){.precision = PRECISION_F32, .gain = NAN};
    if (info->bf16 == BF16_ALWAYS)
        out->precision = PRECISION_BF16;
    if (info->bf16 != BF16_TO_BE_TIMED)
        return 0;
    precision_key(info, net, batch, key, sizeof key);
    out->remembered = remembered_find("precision", key, &out->gain);
    if (!out->remembered) {
        if (measure(d, net, batch, &out->gain, e) < 0)
            return -1;
        // Another process may have measured it meanwhile: what was first stays.
        if (remembered_add("precision", key, &out->gain, &why) < 0)
            snprintf(out->why, sizeof out->why, "%.159s", why.text);
    }
    if (out->gain >= PRECISION_GAIN)
        out->precision = PRECISION_BF16;
    return 0;
}
