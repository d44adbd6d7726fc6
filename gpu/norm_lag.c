// Both views move the running statistics, one after the other; see norm_lag.h.
#include "gpu/norm_lag.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MOMENTUM = 0.1, EPS = 1e-5; // as the devices'

static int is_ours(const struct net *net, const struct param *p)
{
    return (p->kind == PARAM_RUNNING_MEAN || p->kind == PARAM_RUNNING_VAR) &&
           p->node <= net->features;
}

int norm_lag_init(struct norm_lag *o, const struct net *net, struct error *e)
{
    *o = (struct norm_lag){0};
    for (int i = 0; i < net->n_param; i++)
        o->n += is_ours(net, &net->param[i]) ? net->param[i].count : 0;
    if (!o->n)
        return 0;
    o->before = malloc(o->n * sizeof *o->before);
    o->now = malloc(o->n * sizeof *o->now);
    if (o->before && o->now)
        return 0;
    norm_lag_free(o);
    return error_set(e, "out of memory for statistics of batch norms");
}

void norm_lag_free(struct norm_lag *o)
{
    free(o->before);
    free(o->now);
    *o = (struct norm_lag){0};
}

static int fetch(const struct net *net, struct plan *p, float *to, struct error *e)
{
    for (int i = 0; i < net->n_param; i++) {
        const struct param *a = &net->param[i];
        if (!is_ours(net, a))
            continue;
        if (plan_get(p, a->name, to, a->count, e) < 0)
            return -1;
        to += a->count;
    }
    return 0;
}

int norm_lag_keep(struct norm_lag *o, const struct net *net, struct plan *p, struct error *e)
{
    return o->n ? fetch(net, p, o->before, e) : 0;
}

// Of the batch, from what two moves towards it made of `before`.
static double of_batch(double before, double now)
{
    double left = (1 - MOMENTUM) * (1 - MOMENTUM);
    return (now - left * before) / (1 - left);
}

static double divergence(const float *before, const float *now, size_t channels, size_t at)
{
    double mean = of_batch(before[at], now[at]),
           var = of_batch(before[channels + at], now[channels + at]);
    double theirs = before[channels + at] + EPS, way = mean - before[at];
    double share = (fmax(var, 0) + EPS) / theirs;
    return (share + way * way / theirs - 1 - log(share)) / 2;
}

// A norm's variances follow its means (gpu/net.c).
int norm_lag_measure(struct norm_lag *o, const struct net *net, struct plan *p, double *lag,
                     struct error *e)
{
    const float *before = o->before, *now = o->now;
    double sum = 0;
    *lag = NAN;
    if (!o->n)
        return 0;
    if (fetch(net, p, o->now, e) < 0)
        return -1;
    for (int i = 0; i < net->n_param; i++) {
        const struct param *a = &net->param[i];
        if (!is_ours(net, a) || a->kind != PARAM_RUNNING_MEAN)
            continue;
        for (size_t c = 0; c < a->count; c++)
            sum += divergence(before, now, a->count, c);
        before += 2 * a->count;
        now += 2 * a->count;
    }
    *lag = sum / (double)(o->n / 2);
    return 0;
}
