// Terms one by one, inputs and squares and products of those that are in, as long as each lowers
// the error on runs left out by 2 %.
#include <math.h>
#include <string.h>

#include "metrics/forecast/design.h"

static const double PAYS = 1.02; // a term has to lower the error by that
enum { TERMS = 12 };

// A choice of terms; those without coefficients.
struct set {
    int n;
    struct forecast_term term[TERMS];
};

static double set_logit(const struct set *set, const double *b, const double *x)
{
    double sum = b[0];
    for (int t = 0; t < set->n; t++) {
        const struct forecast_term *term = &set->term[t];
        sum += b[1 + t] * x[term->a] * (term->b == FORECAST_INPUTS ? 1 : x[term->b]);
    }
    return sum;
}

// ---------------------------------------------------------------- least squares

enum { SIDE = 1 + TERMS };

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
static int fit(const struct design *d, const struct set *set, int without, int nor, double *b)
{
    double a[SIDE][SIDE], y[SIDE];
    int at[SIDE] = {0}, n = 1 + set->n;
    const struct design_sums *one = without == DESIGN_NOBODY ? NULL : &d->sum[without],
                             *two = nor == DESIGN_NOBODY ? NULL : &d->sum[nor];
    for (int t = 0; t < set->n; t++)
        at[1 + t] = 1 + design_column(&set->term[t]);
    if (design_equations(d, at, n, one, two, SIDE, a[0], y) < 0)
        return -1;
    if (solve(n, a, y) < 0)
        return -1;
    memcpy(b, y, (size_t)n * sizeof *b);
    return 0;
}

// Mean square of accuracy errors over runs that were left out, without `run` from the beginning.
// Infinite: this set cannot be fitted without some run.
static double leave_out(const struct design *d, const struct set *set, int run)
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
            double off = forecast_accuracy(set_logit(set, b, row->x)) - forecast_accuracy(row->y);
            sum += row->w * off * off;
        }
        runs++;
    }
    return runs ? sum / runs : INFINITY;
}

// ---------------------------------------------------------------- the choice

static int has(const struct set *set, enum forecast_in a, enum forecast_in b)
{
    for (int t = 0; t < set->n; t++)
        if (set->term[t].a == a && set->term[t].b == b)
            return 1;
    return 0;
}

static int is_in(const struct set *set, enum forecast_in a)
{
    return has(set, a, FORECAST_INPUTS);
}

struct search {
    const struct design *d;
    int run;
    struct set best;
    double error, pays; // of the best so far, less what each further term must bring
};

// The set with one term more or two, if that is the best so far by what they must bring.
static void try(struct search *s, const struct set *set, const struct forecast_term *term, int n)
{
    struct set more = *set;
    if (set->n + n > TERMS)
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
static void try_all(struct search *s, const struct set *set)
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
static void drop(const struct design *d, int run, struct set *set)
{
    double error = leave_out(d, set, run);
    for (int t = 0; t < set->n;) {
        struct set less = *set;
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

static void choose(const struct design *d, int run, struct set *out)
{
    *out = (struct set){0};
    struct search s = {d, run, {0}, leave_out(d, out, run), 0};
    while (out->n < TERMS) {
        s.best = *out;
        try_all(&s, out);
        if (s.best.n == out->n)
            break;
        *out = s.best;
        s.error = leave_out(d, out, run);
    }
    drop(d, run, out);
}

int design_stepwise(const struct design *d, int without, double *b)
{
    struct set set;
    double own[SIDE];
    choose(d, without, &set);
    if (fit(d, &set, without, DESIGN_NOBODY, own) < 0)
        return -1;
    memset(b, 0, (1 + DESIGN_COLUMNS) * sizeof *b);
    b[0] = own[0];
    for (int t = 0; t < set.n; t++)
        b[1 + design_column(&set.term[t])] = own[1 + t];
    return 0;
}
