// The regression: weighted least squares on the logit of accuracy. Runs are left out by the
// hundred, one to judge by and for each of those one more to choose the terms by, so the normal
// equations are summed once for every run and a fit without some is a subtraction. Columns are
// centred and scaled before, so that AUC and its square, which are nearly one line over a short
// range, can be told apart.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/forecast.h"

static const double CONFIDENCE = 0.95, PAYS = 1.02;

enum { SETS = 1 << (FORECAST_TERMS - 1) }; // bit t - 1: term t; the constant is always there
enum { NOBODY = -1 };                      // left out

struct sums {
    double a[FORECAST_TERMS][FORECAST_TERMS], y[FORECAST_TERMS], weight;
};

struct row {
    double x[FORECAST_TERMS], live[FORECAST_TERMS]; // centred and scaled terms; of the stand-in
    double y, w;                                    // logit; weight: one over the rows of the run
    double residual; // of the logit from the stand-in, when the run is left out
};

// Rows are sorted by run: those of run r are row[first[r]] .. row[first[r + 1]].
struct design {
    int64_t n, *first;
    int runs;
    struct row *row;
    struct sums *sum, all;
    double offset;                                      // usual exact - live AUC
    double centre;                                      // of the square
    double mean[FORECAST_TERMS], scale[FORECAST_TERMS]; // scale 0: the same everywhere
};

// ---------------------------------------------------------------- least squares

// Solve the n x n system a b = y by Gauss with pivots, in place; the answer in y. -1: singular.
static int solve(int n, double a[FORECAST_TERMS][FORECAST_TERMS], double y[FORECAST_TERMS])
{
    for (int k = 0; k < n; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k]))
                pivot = i;
        if (!(fabs(a[pivot][k]) > 1e-10))
            return -1;
        for (int j = 0; j < n; j++) {
            double v = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = v;
        }
        double v = y[k];
        y[k] = y[pivot];
        y[pivot] = v;
        for (int i = k + 1; i < n; i++) {
            double f = a[i][k] / a[k][k];
            for (int j = k; j < n; j++)
                a[i][j] -= f * a[k][j];
            y[i] -= f * y[k];
        }
    }
    for (int k = n - 1; k >= 0; k--) {
        for (int j = k + 1; j < n; j++)
            y[k] -= a[k][j] * y[j];
        y[k] /= a[k][k];
    }
    return 0;
}

static int in_set(int set, int term)
{
    return term == FORECAST_CONSTANT || (set >> (term - 1) & 1);
}

static void add(struct sums *to, const struct sums *s, double sign)
{
    for (int r = 0; r < FORECAST_TERMS; r++) {
        for (int c = 0; c < FORECAST_TERMS; c++)
            to->a[r][c] += sign * s->a[r][c];
        to->y[r] += sign * s->y[r];
    }
    to->weight += sign * s->weight;
}

// Coefficients of the scaled terms in `set`, without one run or two.
static int fit(const struct design *d, int set, int without, int nor, double b[FORECAST_TERMS])
{
    struct sums s = d->all;
    double a[FORECAST_TERMS][FORECAST_TERMS], y[FORECAST_TERMS];
    int column[FORECAST_TERMS] = {0}, n = 0;
    if (without != NOBODY)
        add(&s, &d->sum[without], -1);
    if (nor != NOBODY)
        add(&s, &d->sum[nor], -1);
    for (int t = 0; t < FORECAST_TERMS; t++)
        if (in_set(set, t))
            column[n++] = t;
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++)
            a[r][c] = s.a[column[r]][column[c]] / s.weight;
        y[r] = s.y[column[r]] / s.weight;
    }
    if (!(s.weight > 0.5) || solve(n, a, y) < 0)
        return -1;
    memset(b, 0, FORECAST_TERMS * sizeof *b);
    for (int r = 0; r < n; r++)
        b[column[r]] = y[r];
    return 0;
}

static double square_error(const struct row *r, const double b[FORECAST_TERMS], const double *x)
{
    double err = forecast_accuracy(forecast_sum(b, x)) - forecast_accuracy(r->y);
    return r->w * err * err;
}

// Mean square of accuracy errors over runs that were left out, without `run` from the beginning.
// -1: this set cannot be fitted without some run.
static double leave_out(const struct design *d, int set, int run)
{
    double sum = 0, b[FORECAST_TERMS];
    int runs = 0;
    for (int r = 0; r < d->runs; r++) {
        if (r == run)
            continue;
        if (fit(d, set, r, run, b) < 0)
            return -1;
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++)
            sum += square_error(&d->row[i], b, d->row[i].x);
        runs++;
    }
    return runs ? sum / runs : -1;
}

// ---------------------------------------------------------------- the design

static int check(const struct forecast_point *p, int64_t n, int runs, struct error *e)
{
    if (runs < FORECAST_RUNS_LEAST)
        return error_set(e,
                         "%d runs with a measured probe are too few to judge a forecast by: at "
                         "least %d are needed",
                         runs, FORECAST_RUNS_LEAST);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p[i].in.auc) || !isfinite(p[i].in.loss) || !isfinite(p[i].in.zstd) ||
            p[i].in.width < 1 || p[i].n < 1 || p[i].correct < 0 || p[i].correct > p[i].n ||
            p[i].run < 0 || p[i].run >= runs)
            return error_set(e, "evaluation %lld cannot be fitted: its numbers make no sense",
                             (long long)i);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median of exact - live; 0 where no live AUC was seen.
static int usual_offset(const struct forecast_point *p, int64_t n, double *out, struct error *e)
{
    int64_t m = 0;
    double *v = malloc((size_t)n * sizeof *v);
    if (!v)
        return error_set(e, "out of memory for %lld evaluations", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (isfinite(p[i].live))
            v[m++] = p[i].in.auc - p[i].live;
    qsort(v, (size_t)m, sizeof *v, by_value);
    *out = m ? (v[(m - 1) / 2] + v[m / 2]) / 2 : 0;
    free(v);
    return 0;
}

static double logit(const struct forecast_point *p)
{
    double a = ((double)p->correct + 0.5) / ((double)p->n + 1);
    return log(a / (1 - a));
}

static void row_fill(struct design *d, struct row *r, const struct forecast_point *p)
{
    const struct forecast_input *in = &p->in;
    double live = isfinite(p->live) ? forecast_stand_in(p->live, p->offset, d->offset) : in->auc;
    r->y = logit(p);
    r->w = 1.0 / (double)(d->first[p->run + 1] - d->first[p->run]);
    forecast_terms(in->auc, in->loss, in->width, d->centre, r->x);
    forecast_terms(live, in->loss, in->width, d->centre, r->live);
}

// Rows sorted by run, and where the square is centred.
static void rows_fill(struct design *d, const struct forecast_point *p, int64_t *next)
{
    for (int64_t i = 0; i < d->n; i++)
        d->first[p[i].run + 1]++;
    for (int r = 0; r < d->runs; r++)
        d->first[r + 1] += d->first[r];
    memcpy(next, d->first, (size_t)d->runs * sizeof *next);
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < d->n; i++) {
        double w = 1.0 / (double)(d->first[p[i].run + 1] - d->first[p[i].run]);
        sum += w * p[i].in.auc;
        weight += w;
    }
    d->centre = sum / weight;
    for (int64_t i = 0; i < d->n; i++)
        row_fill(d, &d->row[next[p[i].run]++], &p[i]);
}

static void scale(struct design *d)
{
    double weight = 0;
    for (int64_t i = 0; i < d->n; i++)
        weight += d->row[i].w;
    for (int t = 1; t < FORECAST_TERMS; t++) {
        double square = 0;
        for (int64_t i = 0; i < d->n; i++)
            d->mean[t] += d->row[i].w * d->row[i].x[t] / weight;
        for (int64_t i = 0; i < d->n; i++)
            square += d->row[i].w * pow(d->row[i].x[t] - d->mean[t], 2) / weight;
        double deviation = sqrt(square);
        d->scale[t] = deviation > 1e-9 * (1 + fabs(d->mean[t])) ? deviation : 0;
        for (int64_t i = 0; i < d->n; i++) {
            double *x = d->row[i].x, *live = d->row[i].live;
            x[t] = d->scale[t] > 0 ? (x[t] - d->mean[t]) / d->scale[t] : 0;
            live[t] = d->scale[t] > 0 ? (live[t] - d->mean[t]) / d->scale[t] : 0;
        }
    }
}

static void sum_up(struct design *d)
{
    for (int r = 0; r < d->runs; r++) {
        struct sums *s = &d->sum[r];
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++) {
            const struct row *row = &d->row[i];
            for (int j = 0; j < FORECAST_TERMS; j++) {
                for (int k = 0; k < FORECAST_TERMS; k++)
                    s->a[j][k] += row->w * row->x[j] * row->x[k];
                s->y[j] += row->w * row->x[j] * row->y;
            }
            s->weight += row->w;
        }
        add(&d->all, s, 1);
    }
}

static int design_init(struct design *d, const struct forecast_point *p, int64_t n, int runs,
                       struct error *e)
{
    *d = (struct design){.n = n, .runs = runs};
    d->first = calloc((size_t)runs + 1, sizeof *d->first);
    d->row = calloc((size_t)n + 1, sizeof *d->row);
    d->sum = calloc((size_t)runs, sizeof *d->sum);
    int64_t *next = calloc((size_t)runs, sizeof *next);
    int rc = d->first && d->row && d->sum && next
                 ? usual_offset(p, n, &d->offset, e)
                 : error_set(e, "out of memory for %lld evaluations", (long long)n);
    if (rc == 0) {
        rows_fill(d, p, next);
        scale(d);
        sum_up(d);
    }
    free(next);
    return rc;
}

static void design_free(struct design *d)
{
    free(d->first);
    free(d->row);
    free(d->sum);
}

// ---------------------------------------------------------------- the choice

static int is_possible(const struct design *d, int set)
{
    if (in_set(set, FORECAST_AUC2) && !in_set(set, FORECAST_AUC))
        return 0;
    for (int t = 1; t < FORECAST_TERMS; t++)
        if (in_set(set, t) && d->scale[t] == 0)
            return 0;
    return 1;
}

// The set of terms that does best without `run`; -1: none can be fitted.
static int choose(const struct design *d, int run)
{
    double error[SETS], least = INFINITY;
    for (int set = 0; set < SETS; set++) {
        double v = is_possible(d, set) ? leave_out(d, set, run) : -1;
        error[set] = v < 0 ? INFINITY : v;
        least = fmin(least, error[set]);
    }
    int best = -1;
    for (int set = 0; set < SETS; set++) {
        if (!(error[set] <= least * PAYS * PAYS) || isinf(least)) // errors are squares here
            continue;
        int terms = __builtin_popcount((unsigned)set), before = __builtin_popcount((unsigned)best);
        if (best < 0 || terms < before || (terms == before && error[set] < error[best]))
            best = set;
    }
    return best;
}

// ---------------------------------------------------------------- how good it is

struct sized {
    double size, weight;
};

static int by_size(const void *a, const void *b)
{
    double x = ((const struct sized *)a)->size, y = ((const struct sized *)b)->size;
    return (x > y) - (x < y);
}

// The residual that holds 95 % of the weight, with one more run counted, as if the next one were
// worse than all; few runs give the largest.
static int quantile(const struct design *d, double *out, struct error *e)
{
    double wanted = fmin(1, CONFIDENCE * (d->runs + 1) / d->runs) * d->all.weight, sum = 0;
    struct sized *s = calloc((size_t)d->n, sizeof *s);
    if (!s)
        return error_set(e, "out of memory for %lld residuals", (long long)d->n);
    for (int64_t i = 0; i < d->n; i++)
        s[i] = (struct sized){fabs(d->row[i].residual), d->row[i].w};
    qsort(s, (size_t)d->n, sizeof *s, by_size);
    *out = s[d->n - 1].size;
    for (int64_t i = 0; i < d->n; i++)
        if ((sum += s[i].weight) >= wanted - 1e-9) {
            *out = s[i].size;
            break;
        }
    free(s);
    return 0;
}

// Each run foretold by what was chosen and fitted without it; against the mean of all.
static int judge(struct design *d, const double b[FORECAST_TERMS], struct forecast *f,
                 struct error *e)
{
    double mean = 0, total = 0, inside = 0, outside = 0, live = 0, without[FORECAST_TERMS];
    for (int64_t i = 0; i < d->n; i++)
        mean += d->row[i].w * forecast_accuracy(d->row[i].y) / d->all.weight;
    for (int run = 0; run < d->runs; run++) {
        int set = choose(d, run);
        if (set < 0 || fit(d, set, run, NOBODY, without) < 0)
            return error_set(e, "the evaluations cannot be fitted without run %d of them", run + 1);
        for (int64_t i = d->first[run]; i < d->first[run + 1]; i++) {
            struct row *r = &d->row[i];
            total += r->w * pow(forecast_accuracy(r->y) - mean, 2);
            inside += square_error(r, b, r->x);
            outside += square_error(r, without, r->x);
            live += square_error(r, without, r->live);
            r->residual = r->y - forecast_sum(without, r->live);
        }
    }
    f->r2 = total > 0 ? 1 - inside / total : 0;
    f->r2_left_out = total > 0 ? 1 - outside / total : 0;
    f->error_points = 100 * sqrt(outside / d->all.weight);
    f->error_points_live = 100 * sqrt(live / d->all.weight);
    return quantile(d, &f->quantile, e);
}

// Coefficients of the plain terms from those of the centred and scaled ones.
static void take_coefficients(const struct design *d, const double b[FORECAST_TERMS],
                              struct forecast *f)
{
    double *c = f->coefficient;
    c[FORECAST_CONSTANT] = b[FORECAST_CONSTANT];
    for (int t = 1; t < FORECAST_TERMS; t++) {
        if (!f->used[t])
            continue;
        c[t] = b[t] / d->scale[t];
        c[FORECAST_CONSTANT] -= c[t] * d->mean[t];
    }
    // c2 (auc - centre)^2 = c2 auc^2 - 2 c2 centre auc + c2 centre^2
    c[FORECAST_AUC] -= 2 * c[FORECAST_AUC2] * d->centre;
    c[FORECAST_CONSTANT] += c[FORECAST_AUC2] * d->centre * d->centre;
}

static void widen(struct forecast_range *r, double v)
{
    r->lo = fmin(r->lo, v);
    r->hi = fmax(r->hi, v);
}

static void take_range(const struct forecast_point *p, int64_t n, struct forecast *f)
{
    struct forecast_range none = {INFINITY, -INFINITY};
    f->auc = f->loss = f->zstd = f->width = f->accuracy = none;
    for (int64_t i = 0; i < n; i++) {
        widen(&f->auc, p[i].in.auc);
        widen(&f->loss, p[i].in.loss);
        widen(&f->zstd, p[i].in.zstd);
        widen(&f->width, p[i].in.width);
        widen(&f->accuracy, (double)p[i].correct / (double)p[i].n);
    }
}

static int take_names(struct forecast *f, char *const *name, int runs, struct error *e)
{
    f->run = calloc((size_t)runs, sizeof *f->run);
    if (!f->run)
        return error_set(e, "out of memory for the names of %d runs", runs);
    for (; f->runs < runs; f->runs++)
        if (!(f->run[f->runs] = strdup(name[f->runs])))
            return error_set(e, "out of memory for the names of %d runs", runs);
    return 0;
}

static int fit_best(struct design *d, struct forecast *f, struct error *e)
{
    double b[FORECAST_TERMS];
    int set = choose(d, NOBODY);
    if (set < 0 || fit(d, set, NOBODY, NOBODY, b) < 0)
        return error_set(e, "the evaluations cannot be fitted");
    for (int t = 0; t < FORECAST_TERMS; t++)
        f->used[t] = in_set(set, t);
    f->offset = d->offset;
    take_coefficients(d, b, f);
    return judge(d, b, f, e);
}

int forecast_fit(const struct forecast_point *point, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e)
{
    struct design d = {0};
    memset(out, 0, sizeof *out);
    *unsupported = 0;
    if (check(point, n, runs, e) < 0)
        return -1;
    out->points = n;
    take_range(point, n, out);
    int rc = take_names(out, name, runs, e);
    if (rc == 0)
        rc = design_init(&d, point, n, runs, e);
    if (rc == 0)
        rc = fit_best(&d, out, e);
    design_free(&d);
    if (rc == 0 && !(out->r2_left_out >= FORECAST_R2_LEAST)) {
        *unsupported = 1;
        rc = error_set(e,
                       "these runs do not support a forecast: runs left out are foretold %s than "
                       "by the mean of all (R2 %.2f, %.1f points)",
                       out->r2_left_out < 0 ? "worse" : "hardly better", out->r2_left_out,
                       out->error_points);
    }
    return rc;
}
