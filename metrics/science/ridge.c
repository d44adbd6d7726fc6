// Normal equations: of the features only their scatter and their products with the targets are
// needed. One pass, then a Cholesky factor for each penalty, which serves all targets.
#include "metrics/science/ridge.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/blas.h"
#include "metrics/science/lapack.h"
#include "metrics/science/spectrum.h"

enum { BLOCK = 256, FOLD = 5, PENALTIES = 8 };
static const double penalty[PENALTIES] = {10, 1, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6};

// Part of the fitted rows: those held out, or the others.
struct part {
    struct moments m;
    double *sum;   // columns x d: sums of rows, each times a target's number
    double *count; // columns: sums of these
};

struct ridge {
    const struct ridge_rows *set;
    struct ridge_target *target;
    int d, targets, columns, threads;
    struct part part[2];
    struct probe_scale scale;
    double *a;         // d x d: a factor
    double *w;         // columns x d
    double *intercept; // columns
    struct memory memory;
};

// ---------------------------------------------------------------- memory

static int ridge_init(struct ridge *r, struct error *e)
{
    size_t d = (size_t)r->d, columns = (size_t)r->columns;
    for (int i = 0; i < 2; i++) {
        if (moments_init(&r->part[i].m, r->d, e) < 0)
            return -1;
        r->part[i].sum = memory_take(&r->memory, columns * d, sizeof(double));
        r->part[i].count = memory_take(&r->memory, columns, sizeof(double));
    }
    r->scale.mean = memory_take(&r->memory, d, sizeof(double));
    r->scale.factor = memory_take(&r->memory, d, sizeof(double));
    r->a = memory_take(&r->memory, d * d, sizeof(double));
    r->w = memory_take(&r->memory, columns * d, sizeof(double));
    r->intercept = memory_take(&r->memory, columns, sizeof(double));
    return r->memory.failed ? error_memory(e, "a probe of %d features", r->d) : 0;
}

static void ridge_free(struct ridge *r)
{
    for (int i = 0; i < 2; i++)
        moments_free(&r->part[i].m);
    memory_free(&r->memory);
}

// ---------------------------------------------------------------- sums

static int is_held_out(int64_t i)
{
    return i % FOLD == FOLD - 1;
}

static const float *row_of(const struct ridge_rows *set, int64_t i, int d)
{
    return set->x + (size_t)(set->row ? set->row[i] : i) * (size_t)d;
}

// One row into the sums of all targets.
static void add_row(struct part *p, const struct ridge *r, const double *row, int64_t i)
{
    int d = r->d, at = 0;
    for (int k = 0; k < r->targets; at += r->target[k++].columns) {
        const struct ridge_target *t = &r->target[k];
        const int32_t *label = t->label[RIDGE_FITTED];
        if (label) {
            cblas_daxpy(d, 1, row, 1, p->sum + (size_t)(at + label[i]) * (size_t)d, 1);
            p->count[at + label[i]]++;
            continue;
        }
        const double *y = t->y[RIDGE_FITTED] + i * t->columns;
        cblas_dger(CblasRowMajor, t->columns, d, 1, y, 1, row, 1, p->sum + (size_t)at * (size_t)d,
                   d);
        for (int c = 0; c < t->columns; c++)
            p->count[at + c] += y[c];
    }
}

// The rows of one part, in blocks.
static void part_fill(struct part *p, const struct ridge *r, int held_out)
{
    size_t d = (size_t)r->d;
    const struct ridge_rows *set = &r->set[RIDGE_FITTED];
    int n = 0;
    for (int64_t i = 0; i < set->n; i++) {
        if (is_held_out(i) != held_out)
            continue;
        const float *row = row_of(set, i, r->d);
        double *to = p->m.work + (size_t)n * d;
        for (size_t j = 0; j < d; j++)
            to[j] = row[j];
        add_row(p, r, to, i);
        if (++n == BLOCK) {
            moments_take(&p->m, p->m.work, n);
            n = 0;
        }
    }
    if (n)
        moments_take(&p->m, p->m.work, n);
}

static void part_merge(struct part *p, const struct part *other, const struct ridge *r)
{
    size_t n = (size_t)r->columns * (size_t)r->d;
    moments_merge(&p->m, &other->m);
    for (size_t i = 0; i < n; i++)
        p->sum[i] += other->sum[i];
    for (int c = 0; c < r->columns; c++)
        p->count[c] += other->count[c];
}

// ---------------------------------------------------------------- solutions

// The factor of Z^T Z / n + lambda for standardised Z.
static int factor(struct ridge *r, double lambda, struct error *e)
{
    const struct part *p = &r->part[0];
    int info = 0;
    size_t d = (size_t)r->d;
    const double *f = r->scale.factor;
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++)
            r->a[i * d + j] = p->m.scatter[i * d + j] * f[i] * f[j] / p->m.weight;
        r->a[i * d + i] += lambda;
    }
    // Row-major lower is column-major upper.
    dpotrf_("U", &r->d, r->a, &r->d, &info, 1);
    return info ? error_set(e, "LAPACK's dpotrf failed (info %d)", info) : 0;
}

// W = factor^-1 Z^T Y / n of one target, whose columns begin at `at`; the intercept is a class's
// share, or the mean.
static int solve(struct ridge *r, const struct ridge_target *t, int at, struct error *e)
{
    const struct part *p = &r->part[0];
    const double *f = r->scale.factor;
    int info = 0;
    size_t d = (size_t)r->d;
    double *w = r->w + (size_t)at * d;
    for (int c = 0; c < t->columns; c++) {
        const double *sum = p->sum + (size_t)(at + c) * d;
        double count = p->count[at + c];
        for (size_t j = 0; j < d; j++)
            w[(size_t)c * d + j] = (sum[j] - count * p->m.mean[j]) * f[j] / p->m.weight;
        r->intercept[at + c] = count / p->m.weight;
    }
    // A row of w is a column.
    dpotrs_("U", &r->d, &t->columns, r->a, &r->d, w, &r->d, &info, 1);
    return info ? error_set(e, "LAPACK's dpotrs failed (info %d)", info) : 0;
}

// ---------------------------------------------------------------- scores

struct scored {
    struct probe_score classes;
    double residual; // of numbers: sum of squares
};

static void score_row(struct scored *s, const struct ridge_target *t, int set, int64_t i,
                      const double *value)
{
    if (t->label[set]) {
        probe_count(&s->classes, value, t->columns, t->label[set][i]);
        return;
    }
    const double *y = t->y[set] + i * t->columns;
    for (int c = 0; c < t->columns; c++)
        s->residual += (y[c] - value[c]) * (y[c] - value[c]);
}

static void score_block(const struct ridge *r, const struct ridge_target *t, int at, int which,
                        int held_out, int64_t first, double *z, double *y, struct scored *out)
{
    const struct ridge_rows *set = &r->set[which];
    int64_t n = set->n - first < BLOCK ? set->n - first : BLOCK;
    int d = r->d, columns = t->columns;
    // No row that was fitted lies further out. One that does, in a feature that was all but dead
    // there, would alone make an R2 of -500.
    double most = sqrt(r->part[0].m.weight);
    for (int64_t i = 0; i < n; i++) {
        probe_standardise(&r->scale, row_of(set, first + i, d), 1, d, z + i * d);
        for (int j = 0; j < d; j++)
            z[i * d + j] = fmax(-most, fmin(most, z[i * d + j]));
        memcpy(y + i * columns, r->intercept + at, (size_t)columns * sizeof *y);
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, columns, d, 1, z, d,
                r->w + (size_t)at * (size_t)d, d, 1, y, columns);
    for (int64_t i = 0; i < n; i++)
        if (!held_out || is_held_out(first + i))
            score_row(out, t, which, first + i, y + i * columns);
}

// Score the rows of a set; held_out: only those that are. Sums of squares are added block by block
// in their order, whatever the threads.
static int score(const struct ridge *r, const struct ridge_target *t, int at, int which,
                 int held_out, struct scored *out, struct error *e)
{
    int64_t blocks = (r->set[which].n + BLOCK - 1) / BLOCK;
    struct scored *part = calloc((size_t)blocks, sizeof *part);
    int failed = !part;
    memset(out, 0, sizeof *out);
    probe_score_init(&out->classes, t->columns);
#pragma omp parallel num_threads(r->threads) if (!failed)
    {
        double *z = malloc(BLOCK * (size_t)r->d * sizeof *z);
        double *y = malloc(BLOCK * (size_t)t->columns * sizeof *y);
#pragma omp for schedule(static)
        for (int64_t b = 0; b < blocks; b++)
            if (part && z && y) {
                probe_score_init(&part[b].classes, t->columns);
                score_block(r, t, at, which, held_out, b * BLOCK, z, y, &part[b]);
            }
#pragma omp critical
        failed |= !z || !y;
        free(z);
        free(y);
    }
    for (int64_t b = 0; b < blocks && !failed; b++) {
        probe_score_add(&out->classes, &part[b].classes);
        out->residual += part[b].residual;
    }
    free(part);
    return failed ? error_memory(e, "scoring a probe") : 0;
}

// The penalty of each target.
static int choose(struct ridge *r, struct error *e)
{
    double *best = calloc((size_t)r->targets, sizeof *best);
    int rc = best ? 0 : error_memory(e, "%d targets", r->targets);
    probe_scale_take(&r->scale, &r->part[0].m);
    for (int i = 0; i < PENALTIES && rc == 0; i++) {
        rc = factor(r, penalty[i], e);
        for (int k = 0, at = 0; k < r->targets && rc == 0; at += r->target[k++].columns) {
            struct ridge_target *t = &r->target[k];
            struct scored s;
            rc = solve(r, t, at, e) < 0 ? -1 : score(r, t, at, RIDGE_FITTED, 1, &s, e);
            if (rc < 0)
                break;
            double value = t->label[RIDGE_FITTED] ? (double)s.classes.correct : -s.residual;
            if (i == 0 || value > best[k]) {
                best[k] = value;
                t->lambda = penalty[i];
            }
        }
    }
    free(best);
    return rc;
}

// Sum of |y - mean|^2 over the rows scored.
static double total_of(const struct ridge_target *t, int64_t n)
{
    double total = 0;
    for (int c = 0; c < t->columns; c++) {
        double mean = 0;
        for (int64_t i = 0; i < n; i++)
            mean += t->y[RIDGE_SCORED][i * t->columns + c];
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++) {
            double v = t->y[RIDGE_SCORED][i * t->columns + c] - mean;
            total += v * v;
        }
    }
    return total;
}

static int finish(struct ridge *r, struct error *e)
{
    int rc = 0;
    part_merge(&r->part[0], &r->part[1], r);
    probe_scale_take(&r->scale, &r->part[0].m);
    for (int i = 0; i < PENALTIES && rc == 0; i++) {
        int wanted = 0;
        for (int k = 0; k < r->targets; k++)
            wanted |= r->target[k].lambda == penalty[i];
        if (wanted)
            rc = factor(r, penalty[i], e);
        for (int k = 0, at = 0; k < r->targets && wanted && rc == 0; at += r->target[k++].columns) {
            struct ridge_target *t = &r->target[k];
            struct scored s;
            if (t->lambda != penalty[i])
                continue;
            rc = solve(r, t, at, e) < 0 ? -1 : score(r, t, at, RIDGE_SCORED, 0, &s, e);
            if (rc < 0)
                break;
            t->score = s.classes;
            t->r2 = NAN;
            if (!t->label[RIDGE_SCORED]) {
                double total = total_of(t, r->set[RIDGE_SCORED].n);
                t->r2 = total > 0 ? 1 - s.residual / total : NAN;
            }
        }
    }
    return rc;
}

int ridge_run(const struct ridge_rows set[RIDGE_SETS], int d, struct ridge_target *target,
              int targets, int threads, struct error *e)
{
    struct ridge r = {.set = set, .target = target, .d = d, .targets = targets, .threads = threads};
    for (int k = 0; k < targets; k++) {
        r.columns += target[k].columns;
        target[k].lambda = penalty[PENALTIES / 2];
    }
    int rc = blas_begin(threads, e);
    if (rc == 0)
        rc = ridge_init(&r, e);
    if (rc == 0) {
#pragma omp parallel for num_threads(threads < 2 ? threads : 2) schedule(static, 1)
        for (int i = 0; i < 2; i++)
            part_fill(&r.part[i], &r, i);
        if (set[RIDGE_FITTED].n >= FOLD)
            rc = choose(&r, e);
    }
    if (rc == 0)
        rc = finish(&r, e);
    ridge_free(&r);
    return rc;
}

int probe_ridge(const struct probe_data *p, int threads, struct probe_score *out, double *lambda,
                struct error *e)
{
    if (probe_check(p, e) < 0)
        return -1;
    const struct ridge_rows set[RIDGE_SETS] = {{p->train.n, p->train.x, NULL},
                                               {p->test.n, p->test.x, NULL}};
    struct ridge_target t = {.columns = p->classes, .label = {p->train.label, p->test.label}};
    if (ridge_run(set, p->d, &t, 1, threads, e) < 0)
        return -1;
    *out = t.score;
    if (lambda)
        *lambda = t.lambda;
    return 0;
}
