// A spectrum that is worked a few columns at a step is the one that is worked at once, of the rows
// that it was begun with.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/science/paced.h"

enum { ROWS = 64 };

// Rows of step t, whose directions have variances that fall.
static void rows_of(int64_t t, int d, float *x)
{
    struct rng r;
    rng_init(&r, 7, RNG_TEST, (uint64_t)t, 0);
    for (int i = 0; i < ROWS * d; i++)
        x[i] = (float)(rng_normal(&r) * exp(-3.0 * (i % d) / d) + 1);
}

static void spectrum_of(const struct moments *m, double *sigma, double *n)
{
    struct spectrum_solver *s;
    struct error e = {{0}};
    cr_assert_eq(spectrum_solver_new(m->d, &s, &e), 0, "%s", e.text);
    cr_assert_eq(spectrum_from_moments(s, m, sigma, n, &e), 0, "%s", e.text);
    spectrum_solver_free(s);
}

static int step(struct paced *p, int64_t t, double *sigma, double *n)
{
    struct error e = {{0}};
    float *x = malloc((size_t)ROWS * (size_t)p->d * sizeof *x);
    rows_of(t, p->d, x);
    if (paced_wants(p)) {
        paced_age(p, ROWS);
        cr_assert_eq(paced_add(p, x, ROWS, &e), 0);
    }
    free(x);
    int rc = paced_step(p, sigma, n, &e);
    cr_assert_geq(rc, 0, "%s", e.text);
    return rc;
}

static void check_width(int d)
{
    enum { STEPS = 400 };
    struct paced p;
    struct error e = {{0}};
    double *sigma = malloc((size_t)d * sizeof *sigma), *whole = malloc((size_t)d * sizeof *whole);
    double n, n_whole = 0;
    cr_assert_eq(paced_init(&p, d, &e), 0, "%s", e.text);
    int64_t told = 0, last = -1, takes = 0;
    for (int64_t t = 0; t < STEPS; t++) {
        takes += paced_wants(&p);
        int was = p.left;
        int got = step(&p, t, sigma, &n);
        if (got) {
            for (int i = 0; i < d; i++)
                cr_assert_float_eq(sigma[i], whole[i], 1e-9 * whole[0], "d %d, step %d, sigma %d",
                                   d, (int)t, i);
            cr_assert_float_eq(n, n_whole, 1e-9 * n_whole);
            cr_assert(last < 0 || t - last == (d + PACED_COLUMNS - 1) / PACED_COLUMNS);
            last = t;
            told++;
        }
        if (!was && p.n_eff > 0) // begun in this step
            spectrum_of(&p.live, whole, &n_whole);
        if (!was && got) // and ended
            for (int i = 0; i < d; i++)
                cr_assert_float_eq(sigma[i], whole[i], 1e-9 * whole[0]);
    }
    cr_assert_gt(told, 2, "%d spectra of %d", (int)told, d);
    int every = (d + PACED_SPARE - 1) / PACED_SPARE;
    cr_assert_eq(takes, (STEPS + every - 1) / every);
    paced_free(&p);
    free(sigma);
    free(whole);
}

Test(paced, a_slice_a_step_is_the_whole_at_once)
{
    static const int widths[] = {9, 16, 40, 128, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        check_width(widths[i]);
}

// The few that are done within the very step.
Test(paced, narrow_rows_have_a_spectrum_at_every_step)
{
    struct paced p;
    struct error e = {{0}};
    double sigma[8], whole[8], n, m;
    for (int d = 1; d <= 8; d++) {
        cr_assert_eq(paced_init(&p, d, &e), 0);
        for (int t = 0; t < 5; t++) {
            cr_assert_eq(step(&p, t, sigma, &n), 1);
            spectrum_of(&p.live, whole, &m);
            for (int i = 0; i < d; i++)
                cr_assert_float_eq(sigma[i], whole[i], 1e-9 * whole[0]);
        }
        paced_free(&p);
    }
}

Test(paced, what_was_exported_goes_on_to_the_same_bits)
{
    enum { D = 136, STEPS = 120 };
    struct error e = {{0}};
    static double sigma[D], again[D], matrix[(D + 3) * (D + 1)];
    double state[PACED_STATE], n, m;
    for (int cut = 3; cut < STEPS - 40; cut += 11) {
        struct paced p, q;
        cr_assert_eq(paced_init(&p, D, &e), 0);
        cr_assert_eq(paced_init(&q, D, &e), 0);
        int told = 0;
        for (int t = 0; t < cut; t++)
            step(&p, t, sigma, &n);
        p.told[1] = 12;
        paced_export(&p, matrix, state);
        cr_assert_eq(paced_import(&q, matrix, state), 0);
        cr_assert_eq(q.told[1], 12);
        for (int t = cut; t < STEPS; t++) {
            int rc = step(&p, t, sigma, &n);
            cr_assert_eq(step(&q, t, again, &m), rc);
            cr_assert(!rc || (n == m && memcmp(sigma, again, sizeof sigma) == 0), "cut at %d", cut);
            told += rc;
        }
        cr_assert_gt(told, 1);
        paced_free(&p);
        paced_free(&q);
    }
}

Test(paced, a_state_that_cannot_be_is_refused)
{
    struct paced p;
    struct error e = {{0}};
    static double matrix[13 * 11], state[PACED_STATE];
    cr_assert_eq(paced_init(&p, 10, &e), 0);
    paced_export(&p, matrix, state);
    static const struct {
        int at;
        double value;
    } bad[] = {{0, -1}, {1, NAN}, {2, -1}, {2, 1e300}, {3, 11}, {3, -1}, {4, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double wrong[PACED_STATE];
        memcpy(wrong, state, sizeof wrong);
        wrong[bad[i].at] = bad[i].value;
        cr_assert_lt(paced_import(&p, matrix, wrong), 0, "%zu", i);
    }
    cr_assert_eq(paced_import(&p, matrix, state), 0);
    paced_free(&p);
}

Test(paced, rows_that_are_not_finite_are_forgotten)
{
    enum { D = 16 };
    struct paced p;
    struct error e = {{0}};
    double sigma[D], n;
    float bad[D] = {NAN};
    cr_assert_eq(paced_init(&p, D, &e), 0);
    cr_assert_eq(paced_add(&p, bad, 1, &e), 0);
    int told = 0;
    for (int t = 0; t < 10; t++) {
        int rc = step(&p, t, sigma, &n);
        for (int i = 0; rc && i < D; i++)
            cr_assert(isfinite(sigma[i]));
        told += rc;
    }
    cr_assert_gt(told, 2);
    paced_free(&p);
}

Test(paced, wider_rows_are_not_looked_at)
{
    struct paced p;
    struct error e = {{0}};
    double sigma[1], n;
    cr_assert_eq(paced_init(&p, PACED_D + 1, &e), 0);
    cr_assert_eq(p.d, 0);
    cr_assert_eq(paced_wants(&p), 0);
    cr_assert_eq(paced_step(&p, sigma, &n, &e), 0);
    paced_reset(&p);
    paced_free(&p);
    cr_assert_lt(paced_init(&p, 0, &e), 0);
}
