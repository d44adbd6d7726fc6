// The fast probe, and what all probes share. Ridge regression needs of the features only their
// scatter and the sums of each class: one pass, then a Cholesky solution for each penalty.
#include "metrics/science/probe.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/lapack.h"
#include "metrics/science/spectrum.h"

enum { BLOCK = 256, FOLD = 5, PENALTIES = 8 };
static const double penalty[PENALTIES] = {10, 1, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6};

// ---------------------------------------------------------------- shared

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

// ---------------------------------------------------------------- ridge

struct ridge {
    struct probe_scale scale;
    double *a;         // d x d
    double *w;         // classes x d
    double *intercept; // classes
};

// Part of the training rows: those held out, or the others.
struct part {
    struct moments m;
    double *sum;   // classes x d: sums of the rows of a class
    double *count; // classes
};

static int part_init(struct part *p, const struct probe_data *data, struct error *e)
{
    p->sum = calloc((size_t)data->classes * (size_t)data->d, sizeof *p->sum);
    p->count = calloc((size_t)data->classes, sizeof *p->count);
    if (!p->sum || !p->count)
        return error_set(e, "out of memory for the sums of %d classes", data->classes);
    return moments_init(&p->m, data->d, e);
}

static void part_free(struct part *p)
{
    free(p->sum);
    free(p->count);
    moments_free(&p->m);
}

static int is_held_out(int64_t i)
{
    return i % FOLD == FOLD - 1;
}

// The rows of one part, in blocks.
static void part_fill(struct part *p, const struct probe_data *data, int held_out)
{
    size_t d = (size_t)data->d;
    int n = 0;
    for (int64_t i = 0; i < data->train.n; i++) {
        if (is_held_out(i) != held_out)
            continue;
        const float *row = data->train.x + (size_t)i * d;
        double *to = p->m.work + (size_t)n * d;
        double *sum = p->sum + (size_t)data->train.label[i] * d;
        for (size_t j = 0; j < d; j++) {
            to[j] = row[j];
            sum[j] += row[j];
        }
        p->count[data->train.label[i]]++;
        if (++n == BLOCK) {
            moments_take(&p->m, p->m.work, n);
            n = 0;
        }
    }
    if (n)
        moments_take(&p->m, p->m.work, n);
}

static void part_merge(struct part *p, const struct part *other, const struct probe_data *data)
{
    size_t n = (size_t)data->classes * (size_t)data->d;
    moments_merge(&p->m, &other->m);
    for (size_t i = 0; i < n; i++)
        p->sum[i] += other->sum[i];
    for (int c = 0; c < data->classes; c++)
        p->count[c] += other->count[c];
}

// W = (Z^T Z / n + lambda)^-1 Z^T Y / n for standardised Z; the intercept is a class's share.
static int ridge_solve(struct ridge *r, const struct part *p, int classes, double lambda,
                       struct error *e)
{
    int n = p->m.d, info = 0;
    size_t d = (size_t)n;
    const double *f = r->scale.factor;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++)
            r->a[i * d + j] = p->m.scatter[i * d + j] * f[i] * f[j] / p->m.weight;
        r->a[i * d + i] += lambda;
    }
    for (int c = 0; c < classes; c++) {
        for (size_t j = 0; j < d; j++)
            r->w[(size_t)c * d + j] =
                (p->sum[(size_t)c * d + j] - p->count[c] * p->m.mean[j]) * f[j] / p->m.weight;
        r->intercept[c] = p->count[c] / p->m.weight;
    }
    // Row-major lower is column-major upper; a row of w is a column.
    dposv_("U", &n, &classes, r->a, &n, r->w, &n, &info, 1);
    return info ? error_set(e, "LAPACK's dposv failed (info %d)", info) : 0;
}

// Score the rows of a set; held_out: only those of the training set that are.
static int ridge_score(const struct ridge *r, const struct probe_set *set, int held_out, int d,
                       int classes, int threads, struct probe_score *out, struct error *e)
{
    int64_t blocks = (set->n + BLOCK - 1) / BLOCK;
    int failed = 0;
    probe_score_init(out, classes);
#pragma omp parallel num_threads(threads)
    {
        struct probe_score mine;
        double *z = malloc(BLOCK * (size_t)d * sizeof *z);
        double *y = malloc(BLOCK * (size_t)classes * sizeof *y);
        probe_score_init(&mine, classes);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t at = b * BLOCK, n = set->n - at < BLOCK ? set->n - at : BLOCK;
            if (!z || !y)
                continue;
            probe_standardise(&r->scale, set->x + (size_t)at * (size_t)d, n, d, z);
            for (int64_t i = 0; i < n; i++)
                memcpy(y + i * classes, r->intercept, (size_t)classes * sizeof *y);
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, classes, d, 1, z, d, r->w,
                        d, 1, y, classes);
            for (int64_t i = 0; i < n; i++)
                if (!held_out || is_held_out(at + i))
                    probe_count(&mine, y + i * classes, classes, set->label[at + i]);
        }
#pragma omp critical
        {
            failed |= !z || !y;
            probe_score_add(out, &mine);
        }
        free(z);
        free(y);
    }
    return failed ? error_set(e, "out of memory for scoring a probe") : 0;
}

static int ridge_choose(struct ridge *r, const struct part *rest, const struct probe_data *data,
                        int threads, double *lambda, struct error *e)
{
    int64_t best = -1;
    probe_scale_take(&r->scale, &rest->m);
    for (int i = 0; i < PENALTIES; i++) {
        struct probe_score s;
        if (ridge_solve(r, rest, data->classes, penalty[i], e) < 0 ||
            ridge_score(r, &data->train, 1, data->d, data->classes, threads, &s, e) < 0)
            return -1;
        if (s.correct > best) { // of equals the largest penalty
            best = s.correct;
            *lambda = penalty[i];
        }
    }
    return 0;
}

static int ridge_init(struct ridge *r, int d, int classes, struct error *e)
{
    size_t n = (size_t)d;
    r->scale.mean = calloc(n, sizeof *r->scale.mean);
    r->scale.factor = calloc(n, sizeof *r->scale.factor);
    r->a = calloc(n * n, sizeof *r->a);
    r->w = calloc((size_t)classes * n, sizeof *r->w);
    r->intercept = calloc((size_t)classes, sizeof *r->intercept);
    if (r->scale.mean && r->scale.factor && r->a && r->w && r->intercept)
        return 0;
    return error_set(e, "out of memory for a probe of %d features", d);
}

static void ridge_free(struct ridge *r)
{
    free(r->scale.mean);
    free(r->scale.factor);
    free(r->a);
    free(r->w);
    free(r->intercept);
}

int probe_ridge(const struct probe_data *p, int threads, struct probe_score *out, double *lambda,
                struct error *e)
{
    struct ridge r = {0};
    struct part part[2] = {{{0}, NULL, NULL}, {{0}, NULL, NULL}}; // the others, those held out
    double best = penalty[PENALTIES / 2];
    if (probe_check(p, e) < 0)
        return -1;
    int rc = ridge_init(&r, p->d, p->classes, e);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = part_init(&part[i], p, e);
    if (rc == 0) {
#pragma omp parallel for num_threads(threads < 2 ? threads : 2) schedule(static, 1)
        for (int i = 0; i < 2; i++)
            part_fill(&part[i], p, i);
        if (p->train.n >= FOLD)
            rc = ridge_choose(&r, &part[0], p, threads, &best, e);
    }
    if (rc == 0) {
        part_merge(&part[0], &part[1], p);
        probe_scale_take(&r.scale, &part[0].m);
        rc = ridge_solve(&r, &part[0], p->classes, best, e);
    }
    if (rc == 0)
        rc = ridge_score(&r, &p->test, 0, p->d, p->classes, threads, out, e);
    if (rc == 0 && lambda)
        *lambda = best;
    part_free(&part[0]);
    part_free(&part[1]);
    ridge_free(&r);
    return rc;
}
