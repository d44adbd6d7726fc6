// The linear probe: multinomial logistic regression. Rows are standardised block by block as they
// are needed, so that no second copy of the features is kept; each thread has a gradient of its
// own, joined in order, so that a thread count gives one result.
//
// Collapsing features are all but collinear, where L-BFGS would need thousands of steps. So it
// works on A, W = A diag(s) E, with the eigenvectors E (rows) of the features' correlations and s =
// (lambda
// + 10 / n)^-1/2: in A all directions are about as curved, and |W|^2 = sum A^2 s^2.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/blas.h"
#include "metrics/science/lbfgs.h"
#include "metrics/science/probe.h"
#include "metrics/science/spectrum.h"

enum { BLOCK = 256, ITERATIONS = 2000 };
static const double FLOOR = 10; // over n: below it the penalty decides how curved a direction is

// Parameters: classes x d weights (A), then classes intercepts.
struct logistic {
    const struct probe_data *p;
    struct probe_scale scale;
    int threads;
    size_t parameters;
    double *e, *s;    // d x d, d
    double *a, *w;    // parameters; with W in place of A
    double *z, *y;    // a block for each thread: BLOCK x d, BLOCK x classes
    double *gradient; // one for each thread
    double *loss;     // of each thread
    struct memory memory;
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
    // cppcheck-suppress invalidFunctionArg ; there are two classes at least, and one adds exp(0)
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

// W and the intercepts from A and the intercepts.
static void weights(const struct logistic *l, const double *a)
{
    int d = l->p->d, classes = l->p->classes;
    size_t n = (size_t)classes * (size_t)d;
    double *scaled = l->gradient; // free between two passes
    for (size_t i = 0; i < n; i++)
        scaled[i] = a[i] * l->s[i % (size_t)d];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, classes, d, d, 1, scaled, d, l->e, d, 0,
                l->w, d);
    memcpy(l->w + n, a + n, (size_t)classes * sizeof *a);
}

// Sums over all rows: the loss, and its gradient for W and the intercepts into the first thread's.
static double pass(const struct logistic *l)
{
    int64_t n = l->p->train.n;
    double loss = 0;
    memset(l->gradient, 0, (size_t)l->threads * l->parameters * sizeof *l->gradient);
#pragma omp parallel for num_threads(l->threads) schedule(static, 1)
    for (int t = 0; t < l->threads; t++) {
        l->loss[t] = 0;
        for (int64_t at = (int64_t)t * BLOCK; at < n; at += (int64_t)l->threads * BLOCK)
            accumulate(l, at, (int)(n - at < BLOCK ? n - at : BLOCK), l->w, t);
    }
    for (int t = 0; t < l->threads; t++) {
        loss += l->loss[t];
        for (size_t i = 0; t > 0 && i < l->parameters; i++)
            l->gradient[i] += l->gradient[(size_t)t * l->parameters + i];
    }
    return loss;
}

// Mean objective and gradient for A and the intercepts.
static double objective(void *context, const double *a, double *gradient)
{
    const struct logistic *l = context;
    int d = l->p->d, classes = l->p->classes;
    size_t n = (size_t)classes * (size_t)d;
    double rows = (double)l->p->train.n, square = 0;
    weights(l, a);
    double loss = pass(l);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, classes, d, d, 1, l->gradient, d, l->e, d,
                0, gradient, d);
    for (size_t i = 0; i < n; i++) {
        double s = l->s[i % (size_t)d], w = a[i] * s;
        square += w * w;
        gradient[i] = (gradient[i] + w) * s / rows;
    }
    for (size_t i = n; i < l->parameters; i++)
        gradient[i] = l->gradient[i] / rows;
    return (loss + 0.5 * square) / rows;
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

// Mean and scatter of the training rows.
static int take_moments(const struct logistic *l, struct moments *m, struct error *e)
{
    const struct probe_set *train = &l->p->train;
    int threads = l->threads, failed = 0;
    struct moments *part = calloc((size_t)threads, sizeof *part);
    int rc = part ? moments_init(m, l->p->d, e) : error_memory(e, "a probe");
    for (int t = 0; t < threads && rc == 0; t++)
        rc = moments_init(&part[t], l->p->d, e);
    if (rc == 0) {
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : failed)
        for (int t = 0; t < threads; t++) {
            int64_t from = train->n * t / threads, to = train->n * (t + 1) / threads;
            failed += moments_add(&part[t], train->x + (size_t)from * (size_t)l->p->d, to - from,
                                  (size_t)l->p->d, NULL) < 0;
        }
        for (int t = 0; t < threads; t++)
            moments_merge(m, &part[t]);
        if (failed)
            rc = error_set(e, "the features of a probe cannot be added up");
    }
    for (int t = 0; t < threads && part; t++)
        moments_free(&part[t]);
    free(part);
    return rc;
}

// Eigenvectors of the correlations, and s.
static int take_directions(struct logistic *l, const struct moments *m, struct error *e)
{
    size_t d = (size_t)m->d;
    const double *f = l->scale.factor;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            l->e[i * d + j] = m->scatter[i * d + j] * f[i] * f[j] / m->weight;
    if (spectrum_vectors(m->d, l->e, l->s, e) < 0)
        return -1;
    for (size_t i = 0; i < d; i++)
        l->s[i] = 1 / sqrt(fmax(0, l->s[i]) + FLOOR / m->weight);
    return 0;
}

static int prepare(struct logistic *l, struct error *e)
{
    FREED_BY(moments_free) struct moments m = {0};
    if (take_moments(l, &m, e) < 0)
        return -1;
    probe_scale_take(&l->scale, &m);
    return take_directions(l, &m, e);
}

static int logistic_init(struct logistic *l, struct error *e)
{
    size_t d = (size_t)l->p->d, classes = (size_t)l->p->classes, t = (size_t)l->threads;
    l->parameters = classes * (d + 1);
    l->scale.mean = memory_take(&l->memory, d, sizeof(double));
    l->scale.factor = memory_take(&l->memory, d, sizeof(double));
    l->e = memory_take(&l->memory, d * d, sizeof(double));
    l->s = memory_take(&l->memory, d, sizeof(double));
    l->a = memory_take(&l->memory, l->parameters, sizeof(double));
    l->w = memory_take(&l->memory, l->parameters, sizeof(double));
    l->z = memory_take(&l->memory, t * BLOCK * d, sizeof(double));
    l->y = memory_take(&l->memory, t * BLOCK * classes, sizeof(double));
    l->gradient = memory_take(&l->memory, t * l->parameters, sizeof(double));
    l->loss = memory_take(&l->memory, t, sizeof(double));
    return l->memory.failed ? error_memory(e, "a linear probe of %d features", l->p->d) : 0;
}

static void logistic_free(struct logistic *l)
{
    memory_free(&l->memory);
}

int probe_linear(const struct probe_data *p, int threads, struct probe_score *out,
                 struct probe_fit *fit, struct error *e)
{
    if (probe_check(p, e) < 0)
        return -1;
    int64_t blocks = (p->train.n + BLOCK - 1) / BLOCK;
    FREED_BY(logistic_free)
    struct logistic l = {.p = p, .threads = threads > blocks ? (int)blocks : threads};
    struct lbfgs fitted = {
        .fn = objective, .context = &l, .gradient = PROBE_GRADIENT, .iterations = ITERATIONS};
    if (blas_begin(l.threads, e) < 0 || logistic_init(&l, e) < 0 || prepare(&l, e) < 0 ||
        lbfgs_minimise(&fitted, l.a, l.parameters, e) < 0)
        return -1;
    weights(&l, l.a);
    score(&l, l.w, out);
    *fit = (struct probe_fit){fitted.made, fitted.converged, fitted.value, fitted.largest};
    return 0;
}
