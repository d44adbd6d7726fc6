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
#include "metrics/science/lapack.h"
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
    double *w;        // parameters with W in place of A
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
    int n = m->d, query = -1, liwork = 0, info = 0;
    size_t d = (size_t)n;
    const double *f = l->scale.factor;
    double lwork = 0;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            l->e[i * d + j] = m->scatter[i * d + j] * f[i] * f[j] / m->weight;
    dsyevd_("V", "U", &n, l->e, &n, l->s, &lwork, &query, &liwork, &query, &info, 1, 1);
    if (info || !(lwork >= 1 && lwork < 2e9) || liwork < 1)
        return error_set(e, "LAPACK's dsyevd refused %d dimensions (info %d)", n, info);
    int size = (int)lwork;
    double *work = malloc((size_t)size * sizeof *work);
    int *iwork = malloc((size_t)liwork * sizeof *iwork);
    if (work && iwork) // row-major lower is column-major upper; eigenvectors come as rows
        dsyevd_("V", "U", &n, l->e, &n, l->s, work, &size, iwork, &liwork, &info, 1, 1);
    int rc = work && iwork ? 0 : error_memory(e, "a probe of %d features", n);
    free(work);
    free(iwork);
    if (info)
        return error_set(e, "LAPACK's dsyevd did not converge (info %d)", info);
    for (size_t i = 0; i < d; i++)
        l->s[i] = 1 / sqrt(fmax(0, l->s[i]) + FLOOR / m->weight);
    return rc;
}

static int prepare(struct logistic *l, struct error *e)
{
    struct moments m = {0};
    int rc = take_moments(l, &m, e);
    if (rc == 0) {
        probe_scale_take(&l->scale, &m);
        rc = take_directions(l, &m, e);
    }
    moments_free(&m);
    return rc;
}

static int logistic_init(struct logistic *l, struct error *e)
{
    size_t d = (size_t)l->p->d, classes = (size_t)l->p->classes, t = (size_t)l->threads;
    l->parameters = classes * (d + 1);
    l->scale.mean = calloc(d, sizeof(double));
    l->scale.factor = calloc(d, sizeof(double));
    l->e = malloc(d * d * sizeof(double));
    l->s = malloc(d * sizeof(double));
    l->w = malloc(l->parameters * sizeof(double));
    l->z = malloc(t * BLOCK * d * sizeof(double));
    l->y = malloc(t * BLOCK * classes * sizeof(double));
    l->gradient = malloc(t * l->parameters * sizeof(double));
    l->loss = malloc(t * sizeof(double));
    if (l->scale.mean && l->scale.factor && l->e && l->s && l->w && l->z && l->y && l->gradient &&
        l->loss)
        return 0;
    return error_memory(e, "a linear probe of %d features", l->p->d);
}

static void logistic_free(struct logistic *l)
{
    free(l->scale.mean);
    free(l->scale.factor);
    free(l->e);
    free(l->s);
    free(l->w);
    free(l->z);
    free(l->y);
    free(l->gradient);
    free(l->loss);
}

int probe_linear(const struct probe_data *p, int threads, struct probe_score *out,
                 struct probe_fit *fit, struct error *e)
{
    if (probe_check(p, e) < 0)
        return -1;
    int64_t blocks = (p->train.n + BLOCK - 1) / BLOCK;
    struct logistic l = {.p = p, .threads = threads > blocks ? (int)blocks : threads};
    struct lbfgs fitted = {
        .fn = objective, .context = &l, .gradient = PROBE_GRADIENT, .iterations = ITERATIONS};
    double *a = NULL;
    int rc = blas_begin(l.threads, e);
    if (rc == 0)
        rc = logistic_init(&l, e);
    if (rc == 0)
        rc = prepare(&l, e);
    if (rc == 0 && !(a = calloc(l.parameters, sizeof *a)))
        rc = error_memory(e, "a linear probe of %d features", p->d);
    if (rc == 0)
        rc = lbfgs_minimise(&fitted, a, l.parameters, e);
    if (rc == 0) {
        weights(&l, a);
        score(&l, l.w, out);
        *fit = (struct probe_fit){fitted.made, fitted.converged, fitted.value, fitted.largest};
    }
    free(a);
    logistic_free(&l);
    return rc;
}
