// Components, clusters and what features say of them, against scikit-learn
// (tests/fixtures/surrogate.py), and sets of images with a known answer.
#include "metrics/science/surrogate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "metrics/npy.h"
#include "metrics/science/questions.h"
#include "metrics/science/ridge.h"

#define DIR "tests/fixtures/surrogate/"
enum { N = 900, PIXELS = 64, COMPONENTS = 50, TARGETS = 20, CLUSTERS = 10, D = 16 };

static double *read_npy(const char *name, int64_t n, int64_t d)
{
    struct npy a;
    struct error e = {""};
    char path[200];
    snprintf(path, sizeof path, DIR "%s.npy", name);
    cr_assert(npy_open(path, &a, &e) == 0, "%s", e.text);
    cr_assert(a.n == n && a.d == d);
    double *v = malloc((size_t)(n * d) * sizeof *v);
    cr_assert_not_null(v);
    npy_rows(&a, 0, n, v);
    npy_close(&a);
    return v;
}

static float *read_floats(const char *name, int64_t n, int64_t d)
{
    double *v = read_npy(name, n, d);
    float *x = malloc((size_t)(n * d) * sizeof *x);
    cr_assert_not_null(x);
    for (int64_t i = 0; i < n * d; i++)
        x[i] = (float)v[i];
    free(v);
    return x;
}

struct expected {
    double lambda, r2, class_lambda, share, inertia;
    double variance[COMPONENTS];
    int32_t label[N];
};

static void read_expected(struct expected *x)
{
    FILE *f = fopen(DIR "expected.txt", "r");
    cr_assert_not_null(f);
    cr_assert(fscanf(f, "%lf %lf %lf %lf %lf", &x->lambda, &x->r2, &x->class_lambda, &x->share,
                     &x->inertia) == 5);
    for (int i = 0; i < COMPONENTS; i++)
        cr_assert(fscanf(f, "%lf", &x->variance[i]) == 1);
    for (int i = 0; i < N; i++)
        cr_assert(fscanf(f, "%d", &x->label[i]) == 1);
    fclose(f);
}

Test(surrogate, components_agree_with_scikit_learn)
{
    static struct expected want;
    struct surrogate s;
    struct error e = {""};
    float *images = read_floats("images", N, PIXELS);
    double *component = read_npy("components", COMPONENTS, PIXELS);
    read_expected(&want);
    cr_assert(surrogate_fit(&s, images, N, PIXELS, &e) == 0, "%s", e.text);
    cr_assert(s.components == COMPONENTS && s.targets == TARGETS);
    for (int k = 0; k < COMPONENTS; k++) {
        cr_assert(fabs(s.variance[k] - want.variance[k]) < 1e-6 * want.variance[k],
                  "variance %d: %.12g, scikit-learn %.12g", k, s.variance[k], want.variance[k]);
        for (int j = 0; j < PIXELS; j++)
            cr_assert(fabs(s.component[k * PIXELS + j] - component[k * PIXELS + j]) < 1e-6,
                      "component %d, pixel %d", k, j);
    }
    surrogate_free(&s);
    free(images);
    free(component);
}

Test(surrogate, clusters_agree_with_scikit_learn_given_its_centres)
{
    static struct expected want;
    struct surrogate s;
    struct error e = {""};
    float *images = read_floats("images", N, PIXELS);
    double *centre = read_npy("centres", CLUSTERS, COMPONENTS);
    static double t[N * COMPONENTS];
    static int32_t got[N];
    read_expected(&want);
    cr_assert(surrogate_fit(&s, images, N, PIXELS, &e) == 0, "%s", e.text);
    cr_assert(s.clusters[0] == CLUSTERS);
    cr_assert(surrogate_project(&s, images, N, COMPONENTS, t, &e) == 0);
    // Its own clusters are about as good as those of scikit-learn.
    double inertia = 0;
    surrogate_assign(&s, 0, t, N, got);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < COMPONENTS; j++) {
            double far = t[i * COMPONENTS + j] - s.centre[0][got[i] * COMPONENTS + j];
            inertia += far * far;
        }
    cr_expect(inertia < 1.05 * want.inertia, "%g, scikit-learn %g", inertia, want.inertia);
    memcpy(s.centre[0], centre, (size_t)CLUSTERS * COMPONENTS * sizeof *centre);
    surrogate_assign(&s, 0, t, N, got);
    for (int i = 0; i < N; i++)
        cr_assert_eq(got[i], want.label[i], "image %d", i);
    surrogate_free(&s);
    free(images);
    free(centre);
}

// Fitted on the even rows, scored on the odd ones.
Test(surrogate, regressions_agree_with_scikit_learn)
{
    static struct expected want;
    static double y[2][N * TARGETS], t[N * COMPONENTS];
    static int32_t label[2][N];
    static int64_t row[2][N / 2];
    struct surrogate s;
    struct error e = {""};
    float *images = read_floats("images", N, PIXELS), *x = read_floats("features", N, D);
    read_expected(&want);
    cr_assert(surrogate_fit(&s, images, N, PIXELS, &e) == 0, "%s", e.text);
    cr_assert(surrogate_project(&s, images, N, COMPONENTS, t, &e) == 0);
    for (int i = 0; i < N; i++) {
        row[i % 2][i / 2] = i;
        label[i % 2][i / 2] = want.label[i];
        memcpy(y[i % 2] + i / 2 * TARGETS, t + i * COMPONENTS, TARGETS * sizeof(double));
    }
    const struct ridge_rows set[] = {{N / 2, x, row[0]}, {N / 2, x, row[1]}};
    for (int threads = 1; threads <= 3; threads++) {
        struct ridge_target target[] = {
            {.columns = CLUSTERS, .label = {label[0], label[1]}},
            {.columns = TARGETS, .y = {y[0], y[1]}},
        };
        cr_assert(ridge_run(set, D, target, 2, threads, &e) == 0, "%s", e.text);
        double share = (double)target[0].score.correct / (double)target[0].score.n;
        cr_assert(target[0].lambda == want.class_lambda && target[1].lambda == want.lambda,
                  "penalties %g %g, scikit-learn %g %g", target[0].lambda, target[1].lambda,
                  want.class_lambda, want.lambda);
        cr_assert(fabs(target[1].r2 - want.r2) < 1e-6, "R2 %.9f, scikit-learn %.9f", target[1].r2,
                  want.r2);
        cr_assert(fabs(share - want.share) < 1e-6, "share %.9f, scikit-learn %.9f", share,
                  want.share);
    }
    surrogate_free(&s);
    free(images);
    free(x);
}

// What is drawn, `pixels` numbers an image, of `kinds` images that differ, with a little noise.
static float *draw(int n, int pixels, int kinds, double noise)
{
    struct rng r;
    float *x = malloc((size_t)n * (size_t)pixels * sizeof *x);
    cr_assert_not_null(x);
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < pixels; j++)
            x[i * pixels + j] =
                (float)(0.5 + (j % kinds == i % kinds ? 0.3 : 0) + noise * rng_normal(&r));
    return x;
}

Test(surrogate, the_same_images_give_the_same)
{
    struct surrogate a, b;
    struct error e = {""};
    float *x = draw(2000, 20, 10, 0.05);
    cr_assert(surrogate_fit(&a, x, 2000, 20, &e) == 0 && surrogate_fit(&b, x, 2000, 20, &e) == 0);
    cr_assert(a.components == 20 && a.clusters[2] == 100);
    cr_assert_eq(memcmp(a.component, b.component, 400 * sizeof(double)), 0);
    for (int k = 0; k < SURROGATE_KINDS; k++)
        cr_assert_eq(memcmp(a.centre[k], b.centre[k], (size_t)a.clusters[k] * 20 * sizeof(double)),
                     0);
    surrogate_free(&a);
    surrogate_free(&b);
    free(x);
}

Test(surrogate, clusters_find_kinds_of_images)
{
    struct surrogate s;
    struct error e = {""};
    float *x = draw(1000, 20, 10, 0.01);
    static double t[1000 * 20];
    static int32_t got[1000];
    cr_assert(surrogate_fit(&s, x, 1000, 20, &e) == 0, "%s", e.text);
    cr_assert(surrogate_project(&s, x, 1000, s.components, t, &e) == 0);
    surrogate_assign(&s, 0, t, 1000, got);
    for (int i = 10; i < 1000; i++)
        cr_assert_eq(got[i], got[i % 10], "image %d", i);
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < i; j++)
            cr_assert_neq(got[i], got[j]);
    surrogate_free(&s);
    free(x);
}

Test(surrogate, images_that_are_all_the_same_have_no_components)
{
    struct surrogate s;
    struct questions q;
    struct answers a;
    struct error e = {""};
    static float x[50 * 9];
    for (int i = 0; i < 50 * 9; i++)
        x[i] = 0.25f;
    cr_assert(surrogate_fit(&s, x, 50, 9, &e) == 0, "%s", e.text);
    cr_assert_eq(s.components, 0);
    cr_assert(questions_init(&q, &s, x, 50, &e) == 0);
    cr_assert_eq(q.n, 0);
    cr_assert(questions_ask(&q, x, 9, 1, &a, &e) == 0 && isnan(a.pixel_r2) && isnan(a.pseudo[0]));
    questions_free(&q);
    surrogate_free(&s);
}

Test(surrogate, few_images_ask_little)
{
    struct surrogate s;
    struct questions q;
    struct error e = {""};
    float *x = draw(99, 12, 3, 0.1);
    cr_assert(surrogate_fit(&s, x, 1, 12, &e) == -1);
    cr_assert(surrogate_fit(&s, x, 99, 12, &e) == 0, "%s", e.text);
    cr_assert(s.components == 12 && s.clusters[0] == 0 && s.clusters[2] == 0);
    cr_assert(questions_init(&q, &s, x, 19, &e) == 0 && q.n == 0);
    cr_assert(questions_init(&q, &s, x, 99, &e) == 0 && q.n == 99 && q.targets == 12);
    questions_free(&q);
    surrogate_free(&s);
    free(x);
}

// Thirty clusters of 900 images are asked for, a hundred are not.
Test(surrogate, as_many_clusters_as_images_allow)
{
    struct surrogate s;
    struct questions q;
    struct answers a;
    struct error e = {""};
    float *x = draw(2000, 20, 10, 0.05);
    cr_assert(surrogate_fit(&s, x, 2000, 20, &e) == 0, "%s", e.text);
    cr_assert(questions_init(&q, &s, x, 900, &e) == 0, "%s", e.text);
    cr_assert(questions_ask(&q, x, 20, 1, &a, &e) == 0, "%s", e.text);
    cr_assert(isfinite(a.pseudo[0]) && isfinite(a.pseudo[1]) && isnan(a.pseudo[2]));
    questions_free(&q);
    surrogate_free(&s);
    free(x);
}

// Features that are the images tell everything, features that are noise nothing, features that are
// constant no more than the mean does.
Test(surrogate, answers_at_the_ends)
{
    enum { MANY = 1200 };
    struct surrogate s;
    struct questions q;
    struct answers a;
    struct error e = {""};
    struct rng r;
    float *x = draw(MANY, 20, 10, 0.05);
    static float noise[MANY * 5], constant[MANY * 5];
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (int i = 0; i < MANY * 5; i++) {
        noise[i] = (float)rng_normal(&r);
        constant[i] = 7;
    }
    cr_assert(surrogate_fit(&s, x, MANY, 20, &e) == 0, "%s", e.text);
    cr_assert(questions_init(&q, &s, x, MANY, &e) == 0, "%s", e.text);
    cr_assert(questions_ask(&q, x, 20, 2, &a, &e) == 0, "%s", e.text);
    cr_expect(a.pixel_r2 > 0.9999 && a.pseudo[0] > 0.95, "%g %g", a.pixel_r2, a.pseudo[0]);
    cr_assert(questions_ask(&q, noise, 5, 2, &a, &e) == 0, "%s", e.text);
    cr_expect(fabs(a.pixel_r2) < 0.03 && a.pseudo[0] < 0.25, "%g %g", a.pixel_r2, a.pseudo[0]);
    cr_assert(questions_ask(&q, constant, 5, 2, &a, &e) == 0, "%s", e.text);
    cr_expect(fabs(a.pixel_r2) < 0.03 && a.pseudo[0] < 0.25, "%g %g", a.pixel_r2, a.pseudo[0]);
    questions_free(&q);
    surrogate_free(&s);
    free(x);
}

// One feature is all but dead in the rows that are fitted, and lights up in one that is scored:
// what the others tell of all counts.
Test(surrogate, a_row_that_is_far_out_is_one_of_many)
{
    enum { ROWS = 600, WIDE = 4, COLUMNS = 2 };
    static float x[2][ROWS * WIDE];
    static double y[2][ROWS * COLUMNS];
    struct error e = {""};
    struct rng r;
    rng_init(&r, 3, RNG_SURROGATE, 0, 0);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < ROWS; i++) {
            float *row = x[half] + i * WIDE;
            for (int j = 0; j < WIDE; j++)
                row[j] = (float)(rng_below(&r, 1000) / 1000.0);
            for (int c = 0; c < COLUMNS; c++)
                y[half][i * COLUMNS + c] = row[c] + row[2] + 0.1 * (rng_below(&r, 1000) / 1000.0);
            row[WIDE - 1] *= 1e-6f;
        }
    const struct ridge_rows set[RIDGE_SETS] = {{ROWS, x[0], NULL}, {ROWS, x[1], NULL}};
    struct ridge_target t = {.columns = COLUMNS, .y = {y[0], y[1]}};
    cr_assert(ridge_run(set, WIDE, &t, 1, 1, &e) == 0, "%s", e.text);
    double before = t.r2;
    x[1][7 * WIDE + WIDE - 1] = 1;
    cr_assert(ridge_run(set, WIDE, &t, 1, 1, &e) == 0, "%s", e.text);
    cr_expect(before > 0.95 && t.r2 > before - 0.05, "%g, then %g", before, t.r2);
}
