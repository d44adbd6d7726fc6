// From evaluations to a calibration: what is chosen and fitted (design.h), and how good it
// is on runs that had no part in it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/forecast/design.h"

static const double CONFIDENCE = 0.95, LEVELS = 0.0025, NEAR = 0.4, GOOD = 0.7, QUARTER_LO = 0.2,
                    QUARTER_HI = 0.3;
enum {
    MANY = 20,     // runs, from which on an interval depends on where it is,
    VERY_MANY = 40 // and from which on a law of all terms is tried
};
static const double BETTER = 0.97; // than one of few terms, which is easier to understand

// ---------------------------------------------------------------- what is given

static int makes_sense(const struct forecast_point *p, int runs)
{
    const double *v = p->in.v;
    return isfinite(v[FORECAST_AUC]) && isfinite(v[FORECAST_LOSS]) && isfinite(v[FORECAST_ZSTD]) &&
           v[FORECAST_WIDTH] >= 0 && isfinite(v[FORECAST_WIDTH]) && p->n >= 1 && p->correct >= 0 &&
           p->correct <= p->n && p->run >= 0 && p->run < runs;
}

static int check(const struct forecast_point *p, int64_t n, int runs, struct error *e)
{
    if (runs < FORECAST_RUNS_LEAST)
        return error_set(e,
                         "%d runs with a measured probe are too few to judge a forecast by: at "
                         "least %d are needed",
                         runs, FORECAST_RUNS_LEAST);
    for (int64_t i = 0; i < n; i++)
        if (!makes_sense(&p[i], runs))
            return error_set(e, "evaluation %lld cannot be fitted: its numbers make no sense",
                             (long long)i);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median of exact - live of each input; 0 where no live value was seen.
static int usual_offsets(const struct forecast_point *p, int64_t n, double out[FORECAST_INPUTS],
                         struct error *e)
{
    double *v = malloc((size_t)n * sizeof *v);
    if (!v)
        return error_set(e, "out of memory for %lld evaluations", (long long)n);
    for (int k = 0; k < FORECAST_INPUTS; k++) {
        int64_t m = 0;
        for (int64_t i = 0; i < n; i++)
            if (forecast_inputs[k].live != FORECAST_INPUTS && isfinite(p[i].in.v[k] - p[i].live[k]))
                v[m++] = p[i].in.v[k] - p[i].live[k];
        qsort(v, (size_t)m, sizeof *v, by_value);
        out[k] = m ? (v[(m - 1) / 2] + v[m / 2]) / 2 : 0;
    }
    free(v);
    return 0;
}

static double logit(double accuracy)
{
    return log(accuracy / (1 - accuracy));
}

static double measured_now(const struct forecast_point *p)
{
    return logit(((double)p->correct + 0.5) / ((double)p->n + 1));
}

static double measured_at_end(const struct forecast_point *p)
{
    double n = (double)p->n;
    return logit((p->end * n + 0.5) / (n + 1));
}

static double measured_by_linear(const struct forecast_point *p)
{
    double n = (double)p->linear_n;
    return logit((p->linear * n + 0.5) / (n + 1));
}

static double end_of(const struct forecast_point *p)
{
    return p->end;
}

static double linear_of(const struct forecast_point *p)
{
    return p->linear_n >= 1 ? p->linear : NAN;
}

// ---------------------------------------------------------------- the interval

struct sized {
    double at, size, weight; // logit, distance
};

static int by_place(const void *a, const void *b)
{
    double x = ((const struct sized *)a)->at, y = ((const struct sized *)b)->at;
    return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b)
{
    double x = ((const struct sized *)a)->size, y = ((const struct sized *)b)->size;
    return (x > y) - (x < y);
}

// The size that holds this share of the weight of m of them.
static double quantile(struct sized *s, int64_t m, double share)
{
    double weight = 0, sum = 0;
    for (int64_t i = 0; i < m; i++)
        weight += s[i].weight;
    double wanted = share * weight;
    qsort(s, (size_t)m, sizeof *s, by_size);
    for (int64_t i = 0; i < m; i++)
        if ((sum += s[i].weight) >= wanted - 1e-9)
            return s[i].size;
    return m ? s[m - 1].size : 0;
}

// Knots at even shares of the forecasts, each the quantile `level` of those nearest to it: where
// little is left to foretell the interval is narrow, where runs begin to collapse it is wide.
// `without` a run.
static void take_knots(const struct design *d, int without, double level, struct sized *s,
                       struct sized *near, struct forecast_law *law)
{
    int64_t m = 0;
    double weight = 0;
    for (int r = 0; r < d->runs; r++)
        for (int64_t i = d->first[r]; r != without && i < d->first[r + 1]; i++) {
            s[m++] = (struct sized){d->row[i].at, fabs(d->row[i].residual), d->row[i].w};
            weight += d->row[i].w;
        }
    qsort(s, (size_t)m, sizeof *s, by_place);
    int knots = d->runs < MANY ? 1 : FORECAST_KNOTS;
    double share = knots == 1 ? 1 : NEAR, seen = 0;
    int64_t at = 0;
    law->knots = 0;
    for (int k = 0; k < knots; k++) {
        while (at < m - 1 && seen + s[at].weight < weight * (k + 0.5) / knots)
            seen += s[at++].weight;
        int64_t lo = at, hi = at; // the nearest to both sides, from lo to hi
        for (double had = s[at].weight; had < share * weight - 1e-9;) {
            int down =
                lo > 0 && (hi == m - 1 || s[at].at - s[lo - 1].at <= s[hi + 1].at - s[at].at);
            had += down ? s[--lo].weight : s[++hi].weight;
        }
        memcpy(near, s + lo, (size_t)(hi - lo + 1) * sizeof *near);
        struct forecast_knot knot = {s[at].at, quantile(near, hi - lo + 1, level)};
        if (!law->knots || knot.at > law->knot[law->knots - 1].at)
            law->knot[law->knots++] = knot;
    }
}

// The share of a run that the interval of the others holds, over all runs.
static double held(const struct design *d, double level, struct sized *s, struct sized *near)
{
    double sum = 0;
    for (int r = 0; r < d->runs; r++) {
        struct forecast_law other = {0};
        take_knots(d, r, level, s, near, &other);
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++)
            sum += fabs(d->row[i].residual) <= forecast_interval(&other, d->row[i].at) ? d->row[i].w
                                                                                       : 0;
    }
    return sum / d->all.weight;
}

// The knots, of the least quantiles by which 95 % of runs left out are held: evaluations of a run
// err alike, so that of few runs a quantile of theirs holds less of the next one. Of very few, as
// if the next one were worse than all.
static int take_interval(const struct design *d, struct forecast_law *law, struct error *e)
{
    struct sized *s = calloc((size_t)d->n, sizeof *s), *near = calloc((size_t)d->n, sizeof *near);
    double level = fmin(1, CONFIDENCE * (d->runs + 1) / d->runs);
    if (!s || !near) {
        free(s);
        free(near);
        return error_set(e, "out of memory for %lld residuals", (long long)d->n);
    }
    law->covered = held(d, level, s, near);
    if (d->runs >= MANY) {
        level = CONFIDENCE;
        while ((law->covered = held(d, level, s, near)) < CONFIDENCE && level < 1)
            level = fmin(1, level + LEVELS);
    }
    take_knots(d, DESIGN_NOBODY, level, s, near, law);
    free(s);
    free(near);
    return 0;
}

// ---------------------------------------------------------------- how good it is

struct mean {
    double sum, weight;
};

static void mean_add(struct mean *m, const struct design_row *r, double logit)
{
    double err = forecast_accuracy(logit) - forecast_accuracy(r->y);
    m->sum += r->w * err * err;
    m->weight += r->w;
}

static double points(const struct mean *m)
{
    return m->weight > 0 ? 100 * sqrt(m->sum / m->weight) : NAN;
}

// Each run foretold by what was chosen and fitted without it; against the mean of all.
static int judge(struct design *d, design_fitter *fitter, const double *b, struct forecast_law *law,
                 struct error *e)
{
    law->left_out = calloc((size_t)d->n + 1, sizeof *law->left_out);
    if (!law->left_out)
        return error_set(e, "out of memory for %lld evaluations", (long long)d->n);
    struct mean inside = {0}, outside = {0}, good = {0}, quarter = {0};
    double mean = 0, total = 0, own[1 + DESIGN_COLUMNS];
    for (int64_t i = 0; i < d->n; i++)
        mean += d->row[i].w * forecast_accuracy(d->row[i].y) / d->all.weight;
    for (int run = 0; run < d->runs; run++) {
        if (fitter(d, run, own) < 0)
            return error_set(e, "the evaluations cannot be fitted without run %d of them", run + 1);
        for (int64_t i = d->first[run]; i < d->first[run + 1]; i++) {
            struct design_row *r = &d->row[i];
            total += r->w * pow(forecast_accuracy(r->y) - mean, 2);
            mean_add(&inside, r, design_logit(b, r->x));
            r->at = design_logit(own, r->x);
            r->residual = r->y - r->at;
            law->left_out[law->n_left_out++] =
                (struct forecast_left_out){forecast_accuracy(r->at), forecast_accuracy(r->y)};
            mean_add(&outside, r, r->at);
            if (forecast_accuracy(r->y) > GOOD)
                mean_add(&good, r, r->at);
            if (r->share >= QUARTER_LO && r->share <= QUARTER_HI)
                mean_add(&quarter, r, r->at);
        }
    }
    law->r2 = total > 0 ? 1 - inside.sum / total : 0;
    law->r2_left_out = total > 0 ? 1 - outside.sum / total : 0;
    law->error_points = points(&outside);
    law->error_points_good = points(&good);
    law->error_points_quarter = points(&quarter);
    return take_interval(d, law, e);
}

// ---------------------------------------------------------------- the law

static void widen(struct forecast_range *r, double v)
{
    r->lo = fmin(r->lo, v);
    r->hi = fmax(r->hi, v);
}

static const struct forecast_range nothing = {INFINITY, -INFINITY};

static int uses(const struct forecast_law *law, int input)
{
    for (int t = 0; t < law->terms; t++)
        if ((int)law->term[t].a == input || (int)law->term[t].b == input)
            return 1;
    return 0;
}

static void take_law(const struct design *d, const double *b, struct forecast_law *law)
{
    law->constant = b[0];
    memcpy(law->centre, d->mean, sizeof law->centre);
    for (int c = 0; c < DESIGN_COLUMNS; c++) {
        struct forecast_term term = design_term(c);
        if (b[1 + c] == 0)
            continue;
        double scale = d->scale[term.a] * (term.b == FORECAST_INPUTS ? 1 : d->scale[term.b]);
        term.coefficient = b[1 + c] / scale;
        law->term[law->terms++] = term;
    }
    law->accuracy = nothing;
    for (int k = 0; k < FORECAST_INPUTS; k++) {
        law->range[k] = nothing;
        if (!uses(law, k))
            law->centre[k] = 0;
        for (int64_t i = 0; uses(law, k) && i < d->n; i++)
            widen(&law->range[k], d->mean[k] + d->scale[k] * d->row[i].x[k]);
    }
    for (int64_t i = 0; i < d->n; i++)
        widen(&law->accuracy, forecast_accuracy(d->row[i].y));
}

static int runs_with_rows(const struct design *d)
{
    int n = 0;
    for (int r = 0; r < d->runs; r++)
        n += d->first[r + 1] > d->first[r];
    return n;
}

static int fit_by(struct design *d, design_fitter *fitter, struct forecast_law *law,
                  struct error *e)
{
    double b[1 + DESIGN_COLUMNS];
    if (fitter(d, DESIGN_NOBODY, b) < 0)
        return error_set(e, "the evaluations cannot be fitted");
    take_law(d, b, law);
    return judge(d, fitter, b, law, e);
}

// All terms instead of a few, where other runs are foretold better by them.
static int fit_better(struct design *d, struct forecast_law *law, struct error *e)
{
    struct forecast_law full = {0};
    int rc = fit_by(d, design_ridge, &full, e);
    if (rc == 0 && full.error_points < BETTER * law->error_points) {
        struct forecast_law few = *law;
        *law = full;
        full = few;
    }
    free(full.left_out);
    return rc;
}

// None where too few runs have such rows.
static int fit_law(const struct forecast_point *p, int64_t n, int runs, enum design_rows rows,
                   double (*target)(const struct forecast_point *), struct forecast_law *law,
                   struct error *e)
{
    struct design d;
    int rc = design_init(&d, p, n, runs, rows, target, e);
    int has = rc == 0 ? runs_with_rows(&d) : 0;
    if (has >= FORECAST_RUNS_LEAST)
        rc = fit_by(&d, design_stepwise, law, e);
    if (rc == 0 && has >= VERY_MANY)
        rc = fit_better(&d, law, e);
    design_free(&d);
    return rc;
}

// ---------------------------------------------------------------- the whole

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

static double now_of(const struct forecast_point *p)
{
    return (double)p->correct / (double)p->n;
}

// A law from the runs of which `accuracy` is known. Without one where these are few, or say nothing
// of it.
static int fit_some(const struct forecast_point *p, int64_t n, int runs, enum design_rows rows,
                    double (*accuracy)(const struct forecast_point *),
                    double (*target)(const struct forecast_point *), struct forecast_law *law,
                    struct error *e)
{
    struct forecast_point *some = malloc((size_t)n * sizeof *some + 1);
    int *number = calloc((size_t)runs, sizeof *number), kept = 0, rc = 0;
    int64_t m = 0;
    if (!some || !number)
        rc = error_set(e, "out of memory for %lld evaluations", (long long)n);
    for (int64_t i = 0; i < n && rc == 0; i++) {
        double end = accuracy(&p[i]);
        if (!(end >= 0 && end <= 1))
            continue;
        if (!number[p[i].run])
            number[p[i].run] = ++kept;
        some[m] = p[i];
        some[m++].run = number[p[i].run] - 1;
    }
    if (rc == 0 && kept >= FORECAST_RUNS_LEAST)
        rc = fit_law(some, m, kept, rows, target, law, e);
    if (!(law->r2_left_out >= FORECAST_R2_LEAST)) {
        free(law->left_out);
        *law = (struct forecast_law){0};
    }
    free(some);
    free(number);
    return rc;
}

int forecast_fit(const struct forecast_point *p, int64_t n, char *const *name, int runs,
                 struct forecast *out, int *unsupported, struct error *e)
{
    memset(out, 0, sizeof *out);
    *unsupported = 0;
    if (check(p, n, runs, e) < 0)
        return -1;
    out->points = n;
    out->zstd = nothing;
    for (int64_t i = 0; i < n; i++)
        widen(&out->zstd, p[i].in.v[FORECAST_ZSTD]);
    if (take_names(out, name, runs, e) < 0 || usual_offsets(p, n, out->offset, e) < 0 ||
        fit_law(p, n, runs, DESIGN_EXACT, measured_now, &out->now, e) < 0)
        return -1;
    if (!(out->now.r2_left_out >= FORECAST_R2_LEAST)) {
        *unsupported = 1;
        return error_set(e,
                         "these runs do not support a forecast: runs left out are foretold %s than "
                         "by the mean of all (R2 %.2f, %.1f points)",
                         out->now.r2_left_out < 0 ? "worse" : "hardly better", out->now.r2_left_out,
                         out->now.error_points);
    }
    if (fit_some(p, n, runs, DESIGN_BETWEEN, now_of, measured_now, &out->live, e) < 0 ||
        fit_some(p, n, runs, DESIGN_EXACT, end_of, measured_at_end, &out->end, e) < 0)
        return -1;
    return fit_some(p, n, runs, DESIGN_EXACT, linear_of, measured_by_linear, &out->linear, e);
}
