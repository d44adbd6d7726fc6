// The regression: weighted least squares on the logit of accuracy, once for every set of terms, and
// for each once for every run left out. Columns are centred and scaled before the normal equations,
// so that AUC and its square, which are nearly one line over a short range, can be told apart.
#include "metrics/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double CONFIDENCE = 0.95, PAYS = 1.02, MARGIN = 0.1;

const char *const forecast_term_key[FORECAST_TERMS] = {
    [FORECAST_CONSTANT] = "constant", [FORECAST_AUC] = "auc",        [FORECAST_AUC2] = "auc2",
    [FORECAST_LOSS] = "loss",         [FORECAST_WIDTH] = "ln_width",
};

enum { SETS = 1 << (FORECAST_TERMS - 1) }; // bit t - 1: term t; the constant is always there

struct design {
    int64_t n;
    int runs;
    const struct forecast_point *point;
    double (*x)[FORECAST_TERMS]; // centred and scaled terms
    double *y, *w;               // logit; weight: one over the points of the run
    double *residual;            // of points whose run was left out
    double mean[FORECAST_TERMS], scale[FORECAST_TERMS]; // scale 0: the same everywhere
};

static double logit(double correct, double n)
{
    double p = (correct + 0.5) / (n + 1);
    return log(p / (1 - p));
}

static double accuracy(double logit)
{
    return 1 / (1 + exp(-logit));
}

static void terms(double auc, double loss, double width, double mean_auc, double x[FORECAST_TERMS])
{
    x[FORECAST_CONSTANT] = 1;
    x[FORECAST_AUC] = auc;
    x[FORECAST_AUC2] = (auc - mean_auc) * (auc - mean_auc);
    x[FORECAST_LOSS] = loss;
    x[FORECAST_WIDTH] = log(width);
}

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

// Coefficients of the scaled terms in `set`, without the points of run `without` (-1: with all).
static int fit(const struct design *d, int set, int without, double b[FORECAST_TERMS])
{
    double a[FORECAST_TERMS][FORECAST_TERMS] = {{0}}, y[FORECAST_TERMS] = {0}, weight = 0;
    int column[FORECAST_TERMS], n = 0;
    for (int t = 0; t < FORECAST_TERMS; t++)
        if (in_set(set, t))
            column[n++] = t;
    for (int64_t i = 0; i < d->n; i++) {
        if (d->point[i].run == without)
            continue;
        weight += d->w[i];
        for (int r = 0; r < n; r++) {
            for (int c = 0; c < n; c++)
                a[r][c] += d->w[i] * d->x[i][column[r]] * d->x[i][column[c]];
            y[r] += d->w[i] * d->x[i][column[r]] * d->y[i];
        }
    }
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++)
            a[r][c] /= weight;
        y[r] /= weight;
    }
    if (solve(n, a, y) < 0)
        return -1;
    memset(b, 0, FORECAST_TERMS * sizeof *b);
    for (int r = 0; r < n; r++)
        b[column[r]] = y[r];
    return 0;
}

static double predict(const double b[FORECAST_TERMS], const double x[FORECAST_TERMS])
{
    double sum = 0;
    for (int t = 0; t < FORECAST_TERMS; t++)
        sum += b[t] * x[t];
    return sum;
}

// Weighted mean square of accuracy errors over runs that were left out; their logit residuals go to
// d->residual. -1: this set cannot be fitted without some run.
static double leave_out(const struct design *d, int set)
{
    double sum = 0, b[FORECAST_TERMS];
    for (int run = 0; run < d->runs; run++) {
        if (fit(d, set, run, b) < 0)
            return -1;
        for (int64_t i = 0; i < d->n; i++) {
            if (d->point[i].run != run)
                continue;
            double v = predict(b, d->x[i]), err = accuracy(v) - accuracy(d->y[i]);
            d->residual[i] = d->y[i] - v;
            sum += d->w[i] * err * err;
        }
    }
    return sum / d->runs;
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
        if (!isfinite(p[i].auc) || !isfinite(p[i].loss) || p[i].width < 1 || p[i].n < 1 ||
            p[i].correct < 0 || p[i].correct > p[i].n || p[i].run < 0 || p[i].run >= runs)
            return error_set(e, "evaluation %lld cannot be fitted: its numbers make no sense",
                             (long long)i);
    return 0;
}

static void design_fill(struct design *d)
{
    double mean_auc = 0;
    for (int64_t i = 0; i < d->n; i++) {
        int64_t same = 0;
        for (int64_t j = 0; j < d->n; j++)
            same += d->point[j].run == d->point[i].run;
        d->w[i] = 1.0 / (double)same;
        d->y[i] = logit((double)d->point[i].correct, (double)d->point[i].n);
        mean_auc += d->w[i] * d->point[i].auc / d->runs;
    }
    for (int64_t i = 0; i < d->n; i++) {
        const struct forecast_point *p = &d->point[i];
        terms(p->auc, p->loss, p->width, mean_auc, d->x[i]);
        for (int t = 1; t < FORECAST_TERMS; t++)
            d->mean[t] += d->w[i] * d->x[i][t] / d->runs;
    }
    for (int t = 1; t < FORECAST_TERMS; t++) {
        double square = 0;
        for (int64_t i = 0; i < d->n; i++)
            square += d->w[i] * pow(d->x[i][t] - d->mean[t], 2) / d->runs;
        d->scale[t] = sqrt(square) > 1e-9 * (1 + fabs(d->mean[t])) ? sqrt(square) : 0;
        for (int64_t i = 0; i < d->n; i++)
            d->x[i][t] = d->scale[t] > 0 ? (d->x[i][t] - d->mean[t]) / d->scale[t] : 0;
    }
    d->mean[FORECAST_CONSTANT] = mean_auc; // where the square is centred
}

static int design_init(struct design *d, const struct forecast_point *point, int64_t n, int runs,
                       struct error *e)
{
    size_t count = (size_t)n;
    *d = (struct design){.n = n, .runs = runs, .point = point};
    d->x = calloc(count, sizeof *d->x);
    d->y = calloc(count, sizeof *d->y);
    d->w = calloc(count, sizeof *d->w);
    d->residual = calloc(count, sizeof *d->residual);
    if (!d->x || !d->y || !d->w || !d->residual)
        return error_set(e, "out of memory for %lld evaluations", (long long)n);
    design_fill(d);
    return 0;
}

static void design_free(struct design *d)
{
    free(d->x);
    free(d->y);
    free(d->w);
    free(d->residual);
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

static int choose(const struct design *d)
{
    double error[SETS], least = INFINITY;
    for (int set = 0; set < SETS; set++) {
        double v = is_possible(d, set) ? leave_out(d, set) : -1;
        error[set] = v < 0 ? INFINITY : v;
        least = fmin(least, error[set]);
    }
    int best = -1;
    for (int set = 0; set < SETS; set++) {
        if (error[set] > least * PAYS * PAYS) // errors are squares here
            continue;
        int terms = __builtin_popcount((unsigned)set), before = __builtin_popcount((unsigned)best);
        if (best < 0 || terms < before || (terms == before && error[set] < error[best]))
            best = set;
    }
    return best;
}

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
static double quantile(const struct design *d, struct sized *s)
{
    double wanted = fmin(1, CONFIDENCE * (d->runs + 1) / d->runs) * d->runs, sum = 0;
    for (int64_t i = 0; i < d->n; i++)
        s[i] = (struct sized){fabs(d->residual[i]), d->w[i]};
    qsort(s, (size_t)d->n, sizeof *s, by_size);
    for (int64_t i = 0; i < d->n; i++)
        if ((sum += s[i].weight) >= wanted - 1e-9)
            return s[i].size;
    return s[d->n - 1].size;
}

// Coefficients of the plain terms from those of the centred and scaled ones.
static void take_coefficients(const struct design *d, const double b[FORECAST_TERMS],
                              struct forecast *f)
{
    double *c = f->coefficient, centre = d->mean[FORECAST_CONSTANT];
    c[FORECAST_CONSTANT] = b[FORECAST_CONSTANT];
    for (int t = 1; t < FORECAST_TERMS; t++) {
        if (!f->used[t])
            continue;
        c[t] = b[t] / d->scale[t];
        c[FORECAST_CONSTANT] -= c[t] * d->mean[t];
    }
    // c2 (auc - centre)^2 = c2 auc^2 - 2 c2 centre auc + c2 centre^2
    c[FORECAST_AUC] -= 2 * c[FORECAST_AUC2] * centre;
    c[FORECAST_CONSTANT] += c[FORECAST_AUC2] * centre * centre;
}

static void widen(struct forecast_range *r, double v)
{
    r->lo = fmin(r->lo, v);
    r->hi = fmax(r->hi, v);
}

static void take_range(const struct design *d, struct forecast *f)
{
    struct forecast_range none = {INFINITY, -INFINITY};
    f->auc = f->loss = f->width = f->accuracy = none;
    for (int64_t i = 0; i < d->n; i++) {
        const struct forecast_point *p = &d->point[i];
        widen(&f->auc, p->auc);
        widen(&f->loss, p->loss);
        widen(&f->width, p->width);
        widen(&f->accuracy, (double)p->correct / (double)p->n);
    }
}

// How much better than the mean of accuracies, in sample and for runs left out.
static void judge(const struct design *d, const double b[FORECAST_TERMS], double left_out,
                  struct forecast *f)
{
    double mean = 0, total = 0, inside = 0;
    for (int64_t i = 0; i < d->n; i++)
        mean += d->w[i] * accuracy(d->y[i]) / d->runs;
    for (int64_t i = 0; i < d->n; i++) {
        double a = accuracy(d->y[i]);
        total += d->w[i] * (a - mean) * (a - mean);
        inside += d->w[i] * pow(a - accuracy(predict(b, d->x[i])), 2);
    }
    f->r2 = total > 0 ? 1 - inside / total : 0;
    f->r2_left_out = total > 0 ? 1 - left_out * d->runs / total : 0;
    f->error_points = 100 * sqrt(left_out);
}

static int fit_best(const struct design *d, struct forecast *f, struct error *e)
{
    double b[FORECAST_TERMS];
    int set = choose(d);
    double left_out = set < 0 ? -1 : leave_out(d, set);
    if (left_out < 0 || fit(d, set, -1, b) < 0)
        return error_set(e, "the evaluations cannot be fitted");
    for (int t = 0; t < FORECAST_TERMS; t++)
        f->used[t] = in_set(set, t);
    take_coefficients(d, b, f);
    take_range(d, f);
    judge(d, b, left_out, f);
    struct sized *s = calloc((size_t)d->n, sizeof *s);
    if (!s)
        return error_set(e, "out of memory for %lld residuals", (long long)d->n);
    f->quantile = quantile(d, s);
    free(s);
    return 0;
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

int forecast_fit(const struct forecast_point *point, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e)
{
    struct design d = {0};
    memset(out, 0, sizeof *out);
    *unsupported = 0;
    if (check(point, n, runs, e) < 0)
        return -1;
    out->points = n;
    int rc = take_names(out, name, runs, e);
    if (rc == 0)
        rc = design_init(&d, point, n, runs, e);
    if (rc == 0)
        rc = fit_best(&d, out, e);
    design_free(&d);
    if (rc == 0 && !(out->r2_left_out > 0)) {
        *unsupported = 1;
        rc = error_set(e,
                       "these runs do not support a forecast: runs left out are foretold no "
                       "better than by the mean of the others (R2 %.2f, %.1f points)",
                       out->r2_left_out, out->error_points);
    }
    return rc;
}

void forecast_free(struct forecast *f)
{
    for (int i = 0; i < f->runs && f->run; i++)
        free(f->run[i]);
    free(f->run);
    memset(f, 0, sizeof *f);
}

// ---------------------------------------------------------------- its use

static int is_outside(const struct forecast_range *r, double v)
{
    double margin = MARGIN * (r->hi - r->lo);
    return v < r->lo - margin || v > r->hi + margin;
}

struct forecast_value forecast_at(const struct forecast *f, double auc, double loss, int width)
{
    struct forecast_value v = {FORECAST_UNKNOWN, NAN, NAN, NAN};
    struct forecast_range width_range = {log(f->width.lo), log(f->width.hi)};
    if (!isfinite(auc) || !isfinite(loss) || width < 1)
        return v;
    v.state = is_outside(&f->auc, auc) || is_outside(&f->loss, loss) ||
                      is_outside(&width_range, log(width))
                  ? FORECAST_EXTRAPOLATING
                  : FORECAST_OK;
    double x[FORECAST_TERMS];
    terms(auc, loss, width, 0, x);
    double at = predict(f->coefficient, x);
    v.value = accuracy(at);
    v.lo = accuracy(at - f->quantile);
    v.hi = accuracy(at + f->quantile);
    return v;
}
