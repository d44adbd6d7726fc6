// The normal equations are summed once for every run and fold: a fit without some is a subtraction.
// Inputs are centred and scaled before, so that one and its square, which are nearly one line over
// a short range, can be told apart.
#include "metrics/forecast/design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------- columns

struct forecast_term design_term(int column)
{
    if (column < FORECAST_INPUTS)
        return (struct forecast_term){(enum forecast_in)column, FORECAST_INPUTS, 0};
    int a = 0;
    for (column -= FORECAST_INPUTS; column >= FORECAST_INPUTS - a; a++)
        column -= FORECAST_INPUTS - a;
    return (struct forecast_term){(enum forecast_in)a, (enum forecast_in)(a + column), 0};
}

int design_column(const struct forecast_term *t)
{
    int a = (int)t->a, b = (int)t->b;
    return b == FORECAST_INPUTS ? a
                                : FORECAST_INPUTS + a * FORECAST_INPUTS - a * (a - 1) / 2 + b - a;
}

// The constant, inputs, then products of a <= b, row by row.
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

double design_logit(const double *b, const double *x)
{
    double column[1 + DESIGN_COLUMNS], sum = 0;
    columns(x, column);
    for (int i = 0; i <= DESIGN_COLUMNS; i++)
        sum += b[i] * column[i];
    return sum;
}

int design_equations(const struct design *d, const int *column, int n,
                     const struct design_sums *one, const struct design_sums *two, int side,
                     double *a, double *y)
{
    double weight = d->all.weight - (one ? one->weight : 0) - (two ? two->weight : 0);
    if (!(weight > 0.5))
        return -1;
    for (int i = 0; i < n; i++) {
        int r = column[i];
        for (int j = 0; j < n; j++) {
            int c = column[j];
            double v = d->all.a[r][c] - (one ? one->a[r][c] : 0) - (two ? two->a[r][c] : 0);
            a[(size_t)i * (size_t)side + (size_t)j] = v / weight;
        }
        y[i] = (d->all.y[r] - (one ? one->y[r] : 0) - (two ? two->y[r] : 0)) / weight;
    }
    return 0;
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

static int is_offered(int input, enum design_rows rows)
{
    return (forecast_inputs[input].laws &
            (rows == DESIGN_EXACT ? FORECAST_EXACT_LAWS : FORECAST_LIVE_LAW)) != 0;
}

static void scale(struct design *d, enum design_rows rows)
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
        int is_told = deviation > 1e-9 * (1 + fabs(d->mean[k]));
        d->scale[k] = is_told && is_offered(k, rows) ? deviation : 0;
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
    memset(d, 0, sizeof *d);
    d->runs = runs;
    d->first = calloc((size_t)runs + 1, sizeof *d->first);
    d->row = calloc((size_t)n + 1, sizeof *d->row);
    d->sum = calloc((size_t)runs, sizeof *d->sum);
    d->fold = calloc(DESIGN_FOLDS, sizeof *d->fold);
    const struct forecast_point **last = calloc((size_t)runs, sizeof *last);
    if (!d->first || !d->row || !d->sum || !d->fold || !last) {
        free(last);
        return error_set(e, "out of memory for %lld evaluations", (long long)n);
    }
    take_rows(d, p, n, rows, last, target);
    free(last);
    for (int r = 0; r < runs; r++)
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++)
            d->row[i].w = 1.0 / (double)(d->first[r + 1] - d->first[r]);
    scale(d, rows);
    for (int c = 0; c < DESIGN_COLUMNS; c++) {
        struct forecast_term t = design_term(c);
        if (d->scale[t.a] > 0 && (t.b == FORECAST_INPUTS || d->scale[t.b] > 0))
            d->used[d->n_used++] = c;
    }
    for (int r = 0; r < runs; r++)
        for (int64_t i = d->first[r]; i < d->first[r + 1]; i++) {
            add(&d->sum[r], &d->row[i]);
            add(&d->fold[r % DESIGN_FOLDS], &d->row[i]);
            add(&d->all, &d->row[i]);
        }
    return 0;
}

void design_free(struct design *d)
{
    free(d->first);
    free(d->row);
    free(d->sum);
    free(d->fold);
}
