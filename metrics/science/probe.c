// What all probes share: what can't be probed, scales, scores.
#include "metrics/science/probe.h"

#include <math.h>

#include "metrics/science/spectrum.h"

struct probe_share probe_interval(int64_t correct, int64_t n)
{
    const double z = 1.959963984540054;
    double p = (double)correct / (double)n, zz = z * z / (double)n;
    double middle = (p + zz / 2) / (1 + zz);
    double half = z / (1 + zz) * sqrt(p * (1 - p) / (double)n + zz / (4 * (double)n));
    return (struct probe_share){p, fmax(0, middle - half), fmin(1, middle + half)};
}

static int check_set(const struct probe_set *s, int d, int classes, const char *name,
                     struct error *e)
{
    if (s->n < 1)
        return error_set(e, "there are no %s images to probe with", name);
    for (int64_t i = 0; i < s->n; i++) {
        float odd = 0;
        const float *row = s->x + (size_t)i * (size_t)d;
        if (s->label[i] < 0 || s->label[i] >= classes)
            return error_set(e, "%s image %lld has label %d of %d classes", name, (long long)i,
                             (int)s->label[i], classes);
        for (int j = 0; j < d; j++)
            odd += 0 * row[j];
        if (odd != 0)
            return error_set(e, "the features of %s image %lld are not finite", name, (long long)i);
    }
    return 0;
}

int probe_check(const struct probe_data *p, struct error *e)
{
    if (p->d < 1 || p->d > SPECTRUM_D_MAX || p->classes < 2)
        return error_set(e, "a probe of %d features and %d classes cannot be", p->d, p->classes);
    if (check_set(&p->train, p->d, p->classes, "training", e) < 0)
        return -1;
    return check_set(&p->test, p->d, p->classes, "test", e);
}

void probe_scale_take(struct probe_scale *s, const struct moments *m)
{
    size_t d = (size_t)m->d;
    for (size_t j = 0; j < d; j++) {
        double deviation = sqrt(m->scatter[j * d + j] / m->weight);
        s->mean[j] = m->mean[j];
        s->factor[j] = deviation > 1e-7 * fabs(m->mean[j]) ? 1 / deviation : 0;
    }
}

void probe_standardise(const struct probe_scale *s, const float *x, int64_t n, int d, double *out)
{
    for (int64_t i = 0; i < n; i++, x += d, out += d)
        for (int j = 0; j < d; j++)
            out[j] = (x[j] - s->mean[j]) * s->factor[j];
}

void probe_score_init(struct probe_score *s, int classes)
{
    *s = (struct probe_score){.top5 = classes < PROBE_TOP_CLASSES ? -1 : 0};
}

void probe_count(struct probe_score *score, const double *values, int classes, int label)
{
    int better = 0;
    for (int c = 0; c < classes; c++)
        better += values[c] > values[label] || (c < label && values[c] == values[label]);
    score->n++;
    score->correct += better == 0;
    if (score->top5 >= 0)
        score->top5 += better < PROBE_TOP;
}

void probe_score_add(struct probe_score *to, const struct probe_score *from)
{
    to->n += from->n;
    to->correct += from->correct;
    if (to->top5 >= 0)
        to->top5 += from->top5;
}
