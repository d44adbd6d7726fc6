// Limited-memory BFGS with a bisecting search for a step that satisfies the weak Wolfe conditions
// (Lewis, Overton, 2013): with them every pair has positive curvature.
#include "metrics/science/lbfgs.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/blas.h"

enum { MEMORY = 12, TRIES = 40 };
static const double DECREASE = 1e-4, CURVATURE = 0.9;

struct work {
    int n;         // numbers
    double *s, *y; // MEMORY x n: steps, and the changes of the gradient
    double rho[MEMORY];
    int pairs, next; // kept, where the next goes
    double *x, *g;   // where the search is, and the gradient there
    double *g0;      // gradient at the start of the search
    double *direction;
};

static double largest(const double *v, int n)
{
    return fabs(v[cblas_idamax(n, v, 1)]);
}

// direction = -H g by the two loops.
static void descend(struct work *w)
{
    double alpha[MEMORY] = {0};
    size_t n = (size_t)w->n;
    for (size_t i = 0; i < n; i++)
        w->direction[i] = -w->g0[i];
    for (int k = 1; k <= w->pairs; k++) {
        int i = (w->next - k + MEMORY) % MEMORY;
        alpha[i] = w->rho[i] * cblas_ddot(w->n, w->s + (size_t)i * n, 1, w->direction, 1);
        cblas_daxpy(w->n, -alpha[i], w->y + (size_t)i * n, 1, w->direction, 1);
    }
    if (w->pairs) {
        int i = (w->next - 1 + MEMORY) % MEMORY;
        const double *y = w->y + (size_t)i * n;
        cblas_dscal(w->n, 1 / (w->rho[i] * cblas_ddot(w->n, y, 1, y, 1)), w->direction, 1);
    }
    for (int k = w->pairs; k >= 1; k--) {
        int i = (w->next - k + MEMORY) % MEMORY;
        double beta = w->rho[i] * cblas_ddot(w->n, w->y + (size_t)i * n, 1, w->direction, 1);
        cblas_daxpy(w->n, alpha[i] - beta, w->s + (size_t)i * n, 1, w->direction, 1);
    }
}

// A step from x along the direction; w->x and w->g are where it leads. 0: there is none.
static double search(struct lbfgs *l, struct work *w, const double *x, double first)
{
    double lo = 0, hi = INFINITY, t = first, from = l->value;
    double slope = cblas_ddot(w->n, w->g0, 1, w->direction, 1);
    if (!(slope < 0))
        return 0;
    for (int i = 0; i < TRIES; i++) {
        memcpy(w->x, x, (size_t)w->n * sizeof *x);
        cblas_daxpy(w->n, t, w->direction, 1, w->x, 1);
        double value = l->fn(l->context, w->x, w->g);
        if (!(value <= from + DECREASE * t * slope)) { // too far, or not a number
            hi = t;
        } else if (cblas_ddot(w->n, w->g, 1, w->direction, 1) < CURVATURE * slope) {
            lo = t;
        } else {
            l->value = value;
            return t;
        }
        t = isinf(hi) ? 2 * t : 0.5 * (lo + hi);
    }
    return 0;
}

static void remember(struct work *w, double t)
{
    size_t n = (size_t)w->n;
    double *s = w->s + (size_t)w->next * n, *y = w->y + (size_t)w->next * n;
    for (size_t i = 0; i < n; i++) {
        s[i] = t * w->direction[i];
        y[i] = w->g[i] - w->g0[i];
    }
    double sy = cblas_ddot(w->n, s, 1, y, 1);
    if (!(sy > 0))
        return;
    w->rho[w->next] = 1 / sy;
    w->next = (w->next + 1) % MEMORY;
    if (w->pairs < MEMORY)
        w->pairs++;
}

static void minimise(struct lbfgs *l, struct work *w, double *x)
{
    size_t bytes = (size_t)w->n * sizeof *x;
    while (!(l->converged = largest(w->g0, w->n) <= l->gradient) && l->made < l->iterations) {
        descend(w);
        double first = w->pairs ? 1 : 1 / fmax(1, cblas_dnrm2(w->n, w->g0, 1));
        double t = search(l, w, x, first);
        if (t == 0) {
            if (!w->pairs)
                return;   // rounding ends here
            w->pairs = 0; // once more along the gradient
            continue;
        }
        remember(w, t);
        memcpy(x, w->x, bytes);
        memcpy(w->g0, w->g, bytes);
        l->made++;
    }
}

int lbfgs_minimise(struct lbfgs *l, double *x, size_t n, struct error *e)
{
    struct work w = {.n = (int)n};
    double *memory = NULL;
    l->made = l->converged = 0;
    if (blas_begin(1, e) < 0)
        return -1;
    if (n >= 1 && n <= 1u << 30)
        memory = calloc((2 * MEMORY + 4) * n, sizeof *memory);
    if (!memory)
        return error_memory(e, "%zu parameters", n);
    w.s = memory;
    w.y = w.s + MEMORY * n;
    w.x = w.y + MEMORY * n;
    w.g = w.x + n;
    w.g0 = w.g + n;
    w.direction = w.g0 + n;
    l->value = l->fn(l->context, x, w.g0);
    int rc = isfinite(l->value) ? 0 : error_set(e, "the first value is not finite");
    if (rc == 0)
        minimise(l, &w, x);
    l->largest = largest(w.g0, w.n);
    free(memory);
    return rc;
}
