// The exact spectrum. Its images are spread evenly over the arrival order, so that every chunk of a
// continual run has its share, and never change, so that two evaluations can be compared.
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int evaluation_init(struct evaluation *v, const struct setup *s, struct error *e)
{
    memset(v, 0, sizeof *v);
    v->n = s->o.eval_images;
    v->index = malloc((size_t)v->n * sizeof *v->index);
    v->features = malloc((size_t)s->o.batch * (size_t)s->d * sizeof *v->features);
    v->sigma = malloc((size_t)s->d * sizeof *v->sigma);
    if (!v->index || !v->features || !v->sigma) {
        evaluation_free(v);
        return error_set(e, "out of memory for evaluations");
    }
    for (int64_t i = 0; i < v->n; i++)
        v->index[i] = s->order[(int64_t)((__int128)i * s->n / v->n)];
    return moments_init(&v->moments, s->d, e);
}

void evaluation_free(struct evaluation *v)
{
    free(v->index);
    free(v->features);
    free(v->sigma);
    moments_free(&v->moments);
    memset(v, 0, sizeof *v);
}

static int collect(struct evaluation *v, struct setup *s, struct error *e)
{
    moments_reset(&v->moments);
    for (int64_t at = 0; at < v->n; at += s->o.batch) {
        int n = (int)(v->n - at < s->o.batch ? v->n - at : s->o.batch);
        if (plan_evaluate(s->plan, s->images, v->index + at, n, v->features, e) < 0 ||
            moments_add(&v->moments, v->features, n, (size_t)s->d, e) < 0)
            return -1;
    }
    return 0;
}

int evaluation_run(struct evaluation *v, struct setup *s, int64_t step, struct record *eval,
                   struct record *spectrum, struct error *e)
{
    double n = 0;
    int rc = collect(v, s, e);
    // A device that computes eigenvalues beside the steps says "not ready" until it is.
    while (rc == 0 && (rc = device_spectrum(s->device, &v->moments, v->sigma, &n, e)) == 1)
        rc = 0;
    if (rc < 0)
        return -1;
    struct metric_input in = {
        .sigma = v->sigma,
        .d = s->d,
        .n = n,
        .mean_norm = moments_mean_norm(&v->moments),
        .zstd = NAN,
        .alignment = NAN,
        .uniformity = NAN,
        .loss = NAN,
    };
    record_init(eval, RECORD_EVAL, step);
    metric_all(&in, eval->u.eval.metric);
    eval->u.eval.n_train = v->n;
    record_init(spectrum, RECORD_SPECTRUM, step);
    spectrum->u.spectrum.source = SPECTRUM_EXACT;
    spectrum->u.spectrum.n = n;
    spectrum->u.spectrum.d = s->d;
    spectrum->u.spectrum.sigma = v->sigma;
    return 0;
}
