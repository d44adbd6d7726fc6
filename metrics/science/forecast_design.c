// Weighted least squares on the logit of accuracy. Runs are left out by the hundred, one to judge
// by and for each of those one more to choose the terms by, so the normal equations are summed once
// for every run and a fit without some is a subtraction. Inputs are centred and scaled before, so
// that one and its square, which are nearly one line over a short range, can be told apart.
#include "metrics/science/forecast_design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PAYS = 1.02; // a term has to lower the error by that

// ---------------------------------------------------------------- columns

// Where the term's column is: inputs, then products of a <= b, row by row.
static int column(const struct forecast_term *t)
{
    int a = (int)t->a, b = (int)t->b;
    return b == FORECAST_INPUTS
               ? 1 + a
               : 1 + FORECAST_INPUTS + a * FORECAST_INPUTS - a * (a - 1) / 2 + b - a;
}

static void columns(const double *x, double *out)
{
    int n = 0;
    out[n++] = 1;
    for (int a = 0; a < FORECAST_INPUTS; a++)
        out[n++] = x[a];
    for (int a = 0; a < FORECAST_INPUTS; a++)
        for (int b = a; b < FORECAST_INPUTS; b++)
            out[n++] = x[a] * x[b];
}

double design_logit(const struct design_set *set, const double *b, const double *x)
{
    double sum = b[0];
    for (int t = 0; t < set->n; t++) {
        const struct forecast_term *term = &set->term[t];
        sum += b[1 + t] * x[term->a] * (term->b == FORECAST_INPUTS ? 1 : x[term->b]);
    }
    return sum;
}

// ---------------------------------------------------------------- least squares

enum { SIDE = 1 + FORECAST_TERMS };

// Solve the n x n system a b = y by Gauss with pivots, in place; the answer in y. -1: singular.
static int solve(int n, double a[SIDE][SIDE], double y[SIDE])
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

// Without one run or two.
static int fit(const struct design *d, const struct design_set *set, int without, int nor,
               double *b)
{
    double a[SIDE][SIDE], y[SIDE];
    int at[SIDE] = {0}, n = 1 + set->n;
    const struct design_sums *one = without == DESIGN_NOBODY ? NULL : &d->sum[without],
                             *two = nor == DESIGN_NOBODY ? NULL : &d->sum[nor];
    double weight = d->all.weight - (one ? one->weight : 0) - (two ? two->weight : 0);
    if (!(weight > 0.5) || n < 1 || n > SIDE)
        return -1;
    for (int t = 0; t < set->n; t++)
        at[1 + t] = column(&set->term[t]);
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++) {
            double v = d->all.a[at[r]][at[c]];
            v -= one ? one->a[at[r]][at[c]] : 0;
            v -= two ? two->a[at[r]][at[c]] : 0;
            a[r][c] = v / weight;
        }
        y[r] = d->all.y[at[r]] - (one ? one->y[at[r]] : 0) - (two ? two->y[at[r]] : 0);
        y[r] /= weight;
    }
    if (solve(n, a, y) < 0)
        return -1;
    memcpy(b, y, (size_t)n * sizeof *b);
    return 0;
}

int design_fit(const struct design *d, const struct design_set *set, int without, double *b)
{
    return fit(d, set, without, DESIGN_NOBODY, b);
}

// Mean square of accuracy errors over runs that were left out, without `run` from the beginning.
// Infinite: this set cannot be fitted without some run.
static double leave_out(const struct design *d, const struct design_set *set, int run)
{
    double sum = 0, b[SIDE];
    int runs = 0;
    for (int r = 0; r < d->runs; r++) {
        if (r == run)
            continue;
        if (fit(d, set, r, run, b) < 0)
            return INFINITY;
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++) {
            const struct design_row *row = &d->row[i];
            double off =
                forecast_accuracy(design_logit(set, b, row->x)) - forecast_accuracy(row->y);
            sum += row->w * off * off;
        }
        runs++;
    }
    return runs ? sum / runs : INFINITY;
}

// ---------------------------------------------------------------- the choice

static int has(const struct design_set *set, enum forecast_in a, enum forecast_in b)
{
    for (int t = 0; t < set->n; t++)
        if (set->term[t].a == a && set->term[t].b == b)
            return 1;
    return 0;
}

static int is_in(const struct design_set *set, enum forecast_in a)
{
    return has(set, a, FORECAST_INPUTS);
}

struct search {
    const struct design *d;
    int run;
    struct design_set best;
    double error, pays; // of the best so far, less what each further term must bring
};

// The set with one term more or two, if that is the best so far by what they must bring.
static void try(struct search *s, const struct design_set *set, const struct forecast_term *term,
                int n)
{
    struct design_set more = *set;
    if (set->n + n > FORECAST_TERMS)
        return;
    memcpy(&more.term[more.n], term, (size_t)n * sizeof *term);
    more.n += n;
    double error = leave_out(s->d, &more, s->run) * pow(PAYS, 2 * n); // errors are squares
    if (error < s->error) {
        s->error = error;
        s->best = more;
    }
}

// An input, alone or with its square or its product with one that is in; a square or a product of
// those that are in.
static void try_all(struct search *s, const struct design_set *set)
{
    const enum forecast_in none = FORECAST_INPUTS;
    for (enum forecast_in a = 0; a < none; a++) {
        if (s->d->scale[a] == 0)
            continue;
        int is_new = !is_in(set, a);
        if (is_new)
            try(s, set, &(struct forecast_term){a, none, 0}, 1);
        for (enum forecast_in b = 0; b < none; b++) {
            enum forecast_in lo = a < b ? a : b, hi = a < b ? b : a;
            struct forecast_term term[2] = {{lo, hi, 0}, {a, none, 0}};
            if ((a != b && !is_in(set, b)) || has(set, lo, hi) || (!is_new && b < a))
                continue;
            try(s, set, term, 1 + is_new);
        }
    }
}

// What was taken early may be said by what came later.
static void drop(const struct design *d, int run, struct design_set *set)
{
    double error = leave_out(d, set, run);
    for (int t = 0; t < set->n;) {
        struct design_set less = *set;
        memmove(&less.term[t], &less.term[t + 1], (size_t)(--less.n - t) * sizeof *less.term);
        double without = leave_out(d, &less, run);
        if (without <= error * PAYS * PAYS) {
            *set = less;
            error = without;
            t = 0;
        } else {
            t++;
        }
    }
}

void design_choose(const struct design *d, int run, struct design_set *out)
{
    *out = (struct design_set){0};
    struct search s = {d, run, {0}, leave_out(d, out, run), 0};
    while (out->n < FORECAST_TERMS) {
        s.best = *out;
        try_all(&s, out);
        if (s.best.n == out->n)
            break;
        *out = s.best;
        s.error = leave_out(d, out, run);
    }
    drop(d, run, out);
}

// ---------------------------------------------------------------- the design

// Whether there is a row of what was known just before p; `before`: the evaluation of the same run
// before it, or NULL.
static int is_between(const struct forecast_point *p, const struct forecast_point *before)
{
    return before && isfinite(p->live[FORECAST_AUC]);
}

// What p says of itself is known at once; of metrics, what the evaluation before said, and live
// values.
static void row_between(struct design_row *r, const struct forecast_point *p,
                        const struct forecast_point *before)
{
    for (enum forecast_in i = 0; i < FORECAST_INPUTS; i++)
        r->x[i] = forecast_inputs[i].metric ? before->in.v[i] : p->in.v[i];
    for (enum forecast_in i = 0; i < FORECAST_INPUTS; i++)
        if (forecast_inputs[i].live != FORECAST_INPUTS)
            r->x[forecast_inputs[i].live] = p->live[i];
}

static void scale(struct design *d)
{
    double weight = 0;
    for (int64_t i = 0; i < d->n; i++)
        weight += d->row[i].w;
    for (int k = 0; k < FORECAST_INPUTS; k++) {
        double square = 0;
        for (int64_t i = 0; i < d->n; i++) // NaN where one is not known
            d->mean[k] += d->row[i].w * d->row[i].x[k] / weight;
        for (int64_t i = 0; i < d->n; i++)
            square += d->row[i].w * pow(d->row[i].x[k] - d->mean[k], 2) / weight;
        double deviation = sqrt(square);
        d->scale[k] = deviation > 1e-9 * (1 + fabs(d->mean[k])) ? deviation : 0;
        for (int64_t i = 0; i < d->n; i++) {
            double *x = d->row[i].x;
            x[k] = d->scale[k] > 0 ? (x[k] - d->mean[k]) / d->scale[k] : 0;
        }
    }
}

static void add(struct design_sums *to, const struct design_row *row)
{
    double x[1 + DESIGN_COLUMNS];
    columns(row->x, x);
    for (int r = 0; r <= DESIGN_COLUMNS; r++) {
        for (int c = 0; c <= DESIGN_COLUMNS; c++)
            to->a[r][c] += row->w * x[r] * x[c];
        to->y[r] += row->w * x[r] * row->y;
    }
    to->weight += row->w;
}

// The rows, sorted by run. `last` is of each run the point before; NULL at first.
static void take_rows(struct design *d, const struct forecast_point *p, int64_t n,
                      enum design_rows rows, const struct forecast_point **last,
                      double (*target)(const struct forecast_point *point))
{
    for (int counting = 1; counting >= 0; counting--) {
        memset(last, 0, (size_t)d->runs * sizeof *last);
        for (int64_t i = 0; i < n; i++) {
            const struct forecast_point *before = last[p[i].run];
            last[p[i].run] = &p[i];
            if (rows == DESIGN_BETWEEN && !is_between(&p[i], before))
                continue;
            // first[r + 1] counts run r's rows; then it is where they go, and so where they end.
            int64_t at = d->first[p[i].run + 1]++;
            if (counting)
                continue;
            struct design_row *row = &d->row[at];
            row->y = target(&p[i]);
            row->share = p[i].in.v[FORECAST_SHARE];
            if (rows == DESIGN_BETWEEN)
                row_between(row, &p[i], before);
            else
                memcpy(row->x, p[i].in.v, sizeof row->x);
        }
        int64_t sum = 0;
        for (int r = 0; counting && r < d->runs; r++) {
            int64_t count = d->first[r + 1];
            d->first[r + 1] = sum;
            sum += count;
        }
    }
    d->n = d->first[d->runs];
}

int design_init(struct design *d, const struct forecast_point *p, int64_t n, int runs,
                enum design_rows rows, double (*target)(const struct forecast_point *point),
                struct error *e)
{
    *d = (struct design){.runs = runs};
    d->first = calloc((size_t)runs + 1, sizeof *d->first);
    d->row = calloc((size_t)n + 1, sizeof *d->row);
    d->sum = calloc((size_t)runs, sizeof *d->sum);
    const struct forecast_point **last = calloc((size_t)runs, sizeof *last);
    if (!d->first || !d->row || !d->sum || !last) {
        free(last);
        return error_set(e, "out of memory for %lld evaluations", (long long)n);
    }
    take_rows(d, p, n, rows, last, target);
    free(last);
    for (int r = 0; r < runs; r++)
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++)
            d->row[i].w = 1.0 / (double)(d->first[r + 1] - d->first[r]);
    scale(d);
    for (int r = 0; r < runs; r++)
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++) {
            add(&d->sum[r], &d->row[i]);
            add(&d->all, &d->row[i]);
        }
    return 0;
}

void design_free(struct design *d)
{
    free(d->first);
    free(d->row);
    free(d->sum);
}
