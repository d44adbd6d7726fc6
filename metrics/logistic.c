// The linear probe: multinomial logistic regression. Rows are standardised block by block as they
// are needed, so that no second copy of the features is kept; each thread has a gradient of its
// own, joined in order, so that a thread count gives one result.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/lbfgs.h"
#include "metrics/probe.h"

enum { BLOCK = 256, ITERATIONS = 2000 };

// Parameters: classes x d weights, then classes intercepts.
struct logistic {
    const struct probe_data *p;
    struct probe_scale scale;
    int threads;
    size_t parameters;
    double *z, *y;    // a block for each thread: BLOCK x d, BLOCK x classes
    double *gradient; // one for each thread
    double *loss;     // of each thread
};

static double *block_z(const struct logistic *l, int t)
{
    return l->z + (size_t)t * BLOCK * (size_t)l->p->d;
}

static double *block_y(const struct logistic *l, int t)
{
    return l->y + (size_t)t * BLOCK * (size_t)l->p->classes;
}

// y = z W^T + b for rows at .. at + n - 1 of a set.
static void logits(const struct logistic *l, const struct probe_set *set, int64_t at, int n,
                   const double *x, int t)
{
    int d = l->p->d, classes = l->p->classes;
    double *z = block_z(l, t), *y = block_y(l, t);
    const double *intercept = x + (size_t)classes * (size_t)d;
    probe_standardise(&l->scale, set->x + (size_t)at * (size_t)d, n, d, z);
    for (int i = 0; i < n; i++)
        memcpy(y + (size_t)i * (size_t)classes, intercept, (size_t)classes * sizeof *y);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, classes, d, 1, z, d, x, d, 1, y,
                classes);
}

// Cross entropy of a row; y becomes softmax minus one-hot.
static double entropy(double *y, int classes, int label)
{
    double top = y[0], sum = 0;
    for (int c = 1; c < classes; c++)
        top = fmax(top, y[c]);
    double right = y[label] - top;
    for (int c = 0; c < classes; c++)
        sum += y[c] = exp(y[c] - top);
    for (int c = 0; c < classes; c++)
        y[c] /= sum;
    y[label] -= 1;
    return log(sum) - right;
}

static void accumulate(const struct logistic *l, int64_t at, int n, const double *x, int t)
{
    int d = l->p->d, classes = l->p->classes;
    double *g = l->gradient + (size_t)t * l->parameters, *y = block_y(l, t);
    logits(l, &l->p->train, at, n, x, t);
    for (int i = 0; i < n; i++) {
        double *row = y + (size_t)i * (size_t)classes;
        l->loss[t] += entropy(row, classes, l->p->train.label[at + i]);
        for (int c = 0; c < classes; c++)
            g[(size_t)classes * (size_t)d + (size_t)c] += row[c];
    }
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, classes, d, n, 1, y, classes,
                block_z(l, t), d, 1, g, d);
}

// Mean objective and gradient.
static double objective(void *context, const double *x, double *gradient)
{
    const struct logistic *l = context;
    int64_t n = l->p->train.n;
    size_t weights = (size_t)l->p->classes * (size_t)l->p->d;
    memset(l->gradient, 0, (size_t)l->threads * l->parameters * sizeof *l->gradient);
#pragma omp parallel for num_threads(l->threads) schedule(static, 1)
    for (int t = 0; t < l->threads; t++) {
        l->loss[t] = 0;
        for (int64_t at = (int64_t)t * BLOCK; at < n; at += (int64_t)l->threads * BLOCK)
            accumulate(l, at, (int)(n - at < BLOCK ? n - at : BLOCK), x, t);
    }
    double loss = 0, square = 0;
    memset(gradient, 0, l->parameters * sizeof *gradient);
    for (int t = 0; t < l->threads; t++) {
        loss += l->loss[t];
        for (size_t i = 0; i < l->parameters; i++)
            gradient[i] += l->gradient[(size_t)t * l->parameters + i];
    }
    for (size_t i = 0; i < l->parameters; i++) {
        double penalty = i < weights ? x[i] : 0;
        square += penalty * penalty;
        gradient[i] = (gradient[i] + penalty) / (double)n;
    }
    return (loss + 0.5 * square) / (double)n;
}

static void score(const struct logistic *l, const double *x, struct probe_score *out)
{
    const struct probe_set *test = &l->p->test;
    int classes = l->p->classes;
    probe_score_init(out, classes);
    for (int64_t at = 0; at < test->n; at += BLOCK) {
        int n = (int)(test->n - at < BLOCK ? test->n - at : BLOCK);
        logits(l, test, at, n, x, 0);
        for (int i = 0; i < n; i++)
            probe_count(out, block_y(l, 0) + (size_t)i * (size_t)classes, classes,
                        test->label[at + i]);
    }
}

static void take_scale(struct logistic *l)
{
    const struct probe_set *train = &l->p->train;
    int d = l->p->d;
    double *mean = l->scale.mean, *factor = l->scale.factor;
    for (int64_t i = 0; i < train->n; i++)
        for (int j = 0; j < d; j++)
            mean[j] += train->x[(size_t)i * (size_t)d + (size_t)j];
    for (int j = 0; j < d; j++)
        mean[j] /= (double)train->n;
    for (int64_t i = 0; i < train->n; i++)
        for (int j = 0; j < d; j++) {
            double v = train->x[(size_t)i * (size_t)d + (size_t)j] - mean[j];
            factor[j] += v * v;
        }
    for (int j = 0; j < d; j++) {
        double deviation = sqrt(factor[j] / (double)train->n);
        factor[j] = deviation > 1e-7 * fabs(mean[j]) ? 1 / deviation : 0;
    }
}

int probe_linear(const struct probe_data *p, int threads, struct probe_score *out,
                 struct probe_fit *fit, struct error *e)
{
    if (probe_check(p, e) < 0)
        return -1;
    int64_t blocks = (p->train.n + BLOCK - 1) / BLOCK;
    if (threads > blocks)
        threads = (int)blocks;
    size_t d = (size_t)p->d, classes = (size_t)p->classes, t = (size_t)threads;
    struct logistic l = {.p = p, .threads = threads, .parameters = classes * (d + 1)};
    l.scale.mean = calloc(d, sizeof(double));
    l.scale.factor = calloc(d, sizeof(double));
    l.z = malloc(t * BLOCK * d * sizeof(double));
    l.y = malloc(t * BLOCK * classes * sizeof(double));
    l.gradient = malloc(t * l.parameters * sizeof(double));
    l.loss = malloc(t * sizeof(double));
    double *x = calloc(l.parameters, sizeof *x);
    int rc = 0;
    if (!l.scale.mean || !l.scale.factor || !l.z || !l.y || !l.gradient || !l.loss || !x)
        rc = error_set(e, "out of memory for a linear probe of %d features", p->d);
    struct lbfgs fitted = {
        .fn = objective, .context = &l, .gradient = PROBE_GRADIENT, .iterations = ITERATIONS};
    if (rc == 0) {
        take_scale(&l);
        rc = lbfgs_minimise(&fitted, x, l.parameters, e);
    }
    if (rc == 0) {
        score(&l, x, out);
        *fit = (struct probe_fit){fitted.made, fitted.converged, fitted.value, fitted.largest};
    }
    free(l.scale.mean);
    free(l.scale.factor);
    free(l.z);
    free(l.y);
    free(l.gradient);
    free(l.loss);
    free(x);
    return rc;
}
