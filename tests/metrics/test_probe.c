// The probes against scikit-learn (tests/fixtures/probe.py), against a plain search, and on data
// whose answer is known.
#include "metrics/science/probe.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/lbfgs.h"
#include "metrics/npy.h"

#define DIR "tests/fixtures/probe/"

struct fixture {
    struct probe_data p;
    float *x;
    int32_t *label;
    int correct, near;
    double objective;
};

static double *read_npy(const char *path, int64_t *n, int64_t *d)
{
    struct npy a;
    struct error e = {""};
    cr_assert(npy_open(path, &a, &e) == 0, "%s", e.text);
    *n = a.n;
    *d = a.d;
    double *v = malloc((size_t)(a.n * a.d) * sizeof *v);
    cr_assert_not_null(v);
    npy_rows(&a, 0, a.n, v);
    npy_close(&a);
    return v;
}

static void fixture_open(struct fixture *f)
{
    int64_t n, d, one;
    int train, test;
    FILE *in = fopen(DIR "expected.txt", "r");
    cr_assert(in && fscanf(in, "%d %d %d %d %lf %d", &train, &test, &f->p.classes, &f->correct,
                           &f->objective, &f->near) == 6);
    fclose(in);
    double *x = read_npy(DIR "features.npy", &n, &d), *y = read_npy(DIR "labels.npy", &n, &one);
    cr_assert(n == train + test);
    f->x = malloc((size_t)(n * d) * sizeof *f->x);
    f->label = malloc((size_t)n * sizeof *f->label);
    cr_assert(f->x && f->label);
    for (int64_t i = 0; i < n * d; i++)
        f->x[i] = (float)x[i];
    for (int64_t i = 0; i < n; i++)
        f->label[i] = (int32_t)y[i];
    f->p.d = (int)d;
    f->p.train = (struct probe_set){train, f->x, f->label};
    f->p.test = (struct probe_set){test, f->x + train * d, f->label + train};
    free(x);
    free(y);
}

static void fixture_close(struct fixture *f)
{
    free(f->x);
    free(f->label);
}

Test(probe, linear_agrees_with_scikit_learn)
{
    struct fixture f;
    fixture_open(&f);
    for (int threads = 1; threads <= 3; threads++) {
        struct probe_score s;
        struct probe_fit fit;
        struct error e = {""};
        cr_assert(probe_linear(&f.p, threads, &s, &fit, &e) == 0, "%s", e.text);
        cr_assert(fit.converged, "%d iterations, gradient %g", fit.iterations, fit.gradient);
        cr_assert(fabs(fit.loss - f.objective) < 1e-6, "objective %.9f, scikit-learn %.9f",
                  fit.loss, f.objective);
        cr_assert(s.n == f.p.test.n && llabs(s.correct - f.correct) <= 2, "%lld correct, %d",
                  (long long)s.correct, f.correct); // half a point of 400
        cr_assert(s.top5 > s.correct && s.top5 <= s.n);
    }
    fixture_close(&f);
}

Test(probe, ridge_agrees_with_scikit_learn)
{
    struct fixture f;
    fixture_open(&f);
    for (int threads = 1; threads <= 3; threads++) {
        struct probe_score s;
        struct error e = {""};
        double lambda = 0, penalty;
        int correct, found = 0;
        cr_assert(probe_ridge(&f.p, threads, &s, &lambda, &e) == 0, "%s", e.text);
        FILE *in = fopen(DIR "expected.txt", "r");
        cr_assert(in && fscanf(in, "%*[^\n]") == 0);
        while (fscanf(in, "%lf %d", &penalty, &correct) == 2) {
            if (fabs(lambda / penalty - 1) > 1e-9)
                continue;
            found++;
            cr_assert(s.n == f.p.test.n && s.correct == correct, "penalty %g: %lld correct, %d",
                      lambda, (long long)s.correct, correct);
        }
        fclose(in);
        cr_assert(found == 1, "penalty %g", lambda);
    }
    fixture_close(&f);
}

static double noise(uint64_t *state)
{
    double sum = -6; // of twelve uniform numbers: variance 1
    for (int i = 0; i < 12; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum;
}

// The penalty is what the rows held out like best, and both ends of the grid can be that. Many
// features that say a little each, and hardly more rows than features: a small penalty learns the
// noise by heart. A class that is the small difference of two features alike: a large one sees none
// of it.
Test(probe, ridge_chooses_by_the_rows_held_out)
{
    enum { N = 240, TEST = 2000, D = 180 };
    float *x = malloc((size_t)(N + TEST) * D * sizeof *x);
    static int32_t label[N + TEST];
    cr_assert_not_null(x);
    for (int alike = 0; alike < 2; alike++) {
        int d = alike ? 2 : D;
        uint64_t state = 1;
        for (int i = 0; i < N + TEST; i++) {
            label[i] = i / 3 % 2; // not in step with every fifth row
            double side = label[i] ? 1 : -1, common = noise(&state);
            if (!alike && i < N && i % 7 == 0) // a wrong label, to be learnt by heart only
                label[i] = !label[i];
            for (int j = 0; j < d; j++)
                x[i * d + j] = alike ? (float)(common + (j ? 2e-3 * (side + noise(&state) / 3) : 0))
                                     : (float)(0.15 * side + noise(&state));
        }
        struct probe_data p = {d, 2, {N, x, label}, {TEST, x + N * d, label + N}};
        for (int threads = 1; threads <= 3; threads += 2) {
            struct probe_score s;
            struct error e = {""};
            double lambda = 0;
            cr_assert(probe_ridge(&p, threads, &s, &lambda, &e) == 0, "%s", e.text);
            cr_log_info("%d: penalty %g, %lld correct", alike, lambda, (long long)s.correct);
            cr_expect(alike ? lambda <= 1e-5 : lambda >= 1, "%d: penalty %g", alike, lambda);
            cr_expect(s.correct > (alike ? 0.9 : 0.8) * TEST, "%d: %lld correct", alike,
                      (long long)s.correct);
        }
    }
    free(x);
}

Test(probe, neighbours_agree_with_scikit_learn)
{
    struct fixture f;
    fixture_open(&f);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct probe_score s;
        struct error e = {""};
        cr_assert(probe_knn(&f.p, &probe_knn_weighted, 1, threads, &s, &e) == 0, "%s", e.text);
        cr_assert(s.n == f.p.test.n && llabs(s.correct - f.near) <= 1, "%lld correct, %d",
                  (long long)s.correct, f.near);
    }
    fixture_close(&f);
}

// All similarities sorted, the definition word for word.
static int plain_search(const struct probe_data *p, const struct probe_rule *rule)
{
    int correct = 0;
    int64_t n = p->train.n;
    double *s = malloc((size_t)n * sizeof *s);
    cr_assert_not_null(s);
    for (int64_t t = 0; t < p->test.n; t++) {
        double vote[64] = {0}, near[64] = {0};
        const float *q = p->test.x + t * p->d;
        for (int64_t i = 0; i < n; i++) {
            const float *r = p->train.x + i * p->d;
            double qr = 0, qq = 0, rr = 0;
            for (int j = 0; j < p->d; j++) {
                qr += (double)q[j] * r[j];
                qq += (double)q[j] * q[j];
                rr += (double)r[j] * r[j];
            }
            s[i] = qr / sqrt(qq * rr);
        }
        for (int k = 0; k < rule->k && k < n; k++) {
            int64_t best = 0;
            for (int64_t i = 1; i < n; i++)
                if (s[i] > s[best])
                    best = i;
            int c = p->train.label[best];
            vote[c] += rule->temperature > 0 ? exp(s[best] / rule->temperature) : 1;
            near[c] += s[best];
            s[best] = -INFINITY;
        }
        int winner = 0;
        for (int c = 1; c < p->classes; c++)
            if (vote[c] > vote[winner] || (vote[c] == vote[winner] && near[c] > near[winner]))
                winner = c;
        correct += winner == p->test.label[t];
    }
    free(s);
    return correct;
}

Test(probe, neighbours_agree_with_a_plain_search)
{
    static const struct probe_rule rule[] = {{200, 0.1}, {20, 0}, {1, 0}, {7, 0.5}, {100000, 0.1}};
    enum { RULES = sizeof rule / sizeof *rule };
    struct fixture f;
    struct probe_score s[RULES];
    struct error e = {""};
    fixture_open(&f);
    cr_assert(probe_knn(&f.p, rule, RULES, 2, s, &e) == 0, "%s", e.text);
    for (int r = 0; r < RULES; r++)
        cr_assert(llabs(s[r].correct - plain_search(&f.p, &rule[r])) <= 1, "rule %d: %lld", r,
                  (long long)s[r].correct); // floats may order two equals the other way
    fixture_close(&f);
}

// The cosine has no scale: neither of all rows nor of each.
Test(probe, neighbours_at_every_scale)
{
    static const int power[] = {0, -120, -80, 70, 110};
    struct fixture f;
    struct error e = {""};
    struct probe_score want, got;
    fixture_open(&f);
    int64_t n = f.p.train.n + f.p.test.n;
    cr_assert(probe_knn(&f.p, &probe_knn_weighted, 1, 2, &want, &e) == 0, "%s", e.text);
    float *x = malloc((size_t)(n * f.p.d) * sizeof *x);
    cr_assert_not_null(x);
    struct probe_data p = f.p;
    p.train.x = x;
    p.test.x = x + p.train.n * p.d;
    for (int k = 0; k < 6; k++) { // the last time every row has another one
        for (int64_t i = 0; i < n; i++)
            for (int j = 0; j < p.d; j++)
                x[i * p.d + j] = ldexpf(f.x[i * p.d + j], k < 5 ? power[k] : power[i % 5]);
        cr_assert(probe_knn(&p, &probe_knn_weighted, 1, 2, &got, &e) == 0, "%s", e.text);
        cr_assert(llabs(got.correct - want.correct) <= 1, "2^%d: %lld correct, not %lld",
                  k < 5 ? power[k] : 0, (long long)got.correct, (long long)want.correct);
    }
    free(x);
    fixture_close(&f);
}

// Two classes, one of them along a line, and a feature that says nothing because it is constant.
Test(probe, separable)
{
    float x[40 * 3];
    int32_t label[40];
    for (int i = 0; i < 40; i++) {
        label[i] = i % 2;
        x[3 * i] = (float)(label[i] ? 1 : -1) + 0.01f * (float)(i % 7);
        x[3 * i + 1] = 1e6f;
        x[3 * i + 2] = (float)(i % 5);
    }
    struct probe_data p = {3, 2, {30, x, label}, {10, x + 90, label + 30}};
    struct probe_score s;
    struct probe_fit fit;
    struct error e = {""};
    cr_assert(probe_ridge(&p, 2, &s, NULL, &e) == 0, "%s", e.text);
    cr_assert(s.correct == 10 && s.n == 10 && s.top5 == -1);
    cr_assert(probe_linear(&p, 2, &s, &fit, &e) == 0, "%s", e.text);
    cr_assert(s.correct == 10 && fit.converged);
}

// Features that carry nothing, or are all the same, score what guessing scores.
Test(probe, collapsed_features)
{
    static float x[300 * 4];
    static int32_t label[300];
    for (int i = 0; i < 300; i++)
        label[i] = i % 10;
    for (int constant = 0; constant < 2; constant++) {
        for (int i = 0; i < 1200; i++)
            x[i] = (float)constant;
        struct probe_data p = {4, 10, {200, x, label}, {100, x + 800, label + 200}};
        struct probe_score s[2];
        struct probe_fit fit;
        struct error e = {""};
        double lambda = 0;
        cr_assert(probe_ridge(&p, 2, &s[0], &lambda, &e) == 0, "%s", e.text);
        cr_assert(s[0].correct == 10 && s[0].top5 == 50);
        cr_assert(lambda == 10, "of equals the largest penalty, not %g", lambda);
        cr_assert(probe_linear(&p, 2, &s[0], &fit, &e) == 0, "%s", e.text);
        cr_assert(s[0].correct == 10);
        cr_assert(probe_knn(&p, &probe_knn_weighted, 1, 2, s, &e) == 0, "%s", e.text);
        cr_assert(s[0].correct == 10);
    }
}

Test(probe, refuses_what_cannot_be)
{
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t label[] = {0, 1, 0, 1};
    struct probe_data good = {2, 2, {2, x, label}, {2, x + 4, label + 2}}, p = good;
    struct probe_score s;
    struct error e = {""};
    cr_assert(probe_knn(&good, &probe_knn_weighted, 1, 1, &s, &e) == 0, "%s", e.text);
    p.train.n = 0;
    cr_assert(probe_ridge(&p, 1, &s, NULL, &e) == -1 && strstr(e.text, "no training images"));
    p = good;
    p.classes = 1;
    cr_assert(probe_ridge(&p, 1, &s, NULL, &e) == -1);
    p = good;
    label[3] = 2;
    cr_assert(probe_knn(&p, &probe_knn_plain, 1, 1, &s, &e) == -1 && strstr(e.text, "label 2"));
    label[3] = -1;
    cr_assert(probe_knn(&p, &probe_knn_plain, 1, 1, &s, &e) == -1);
    label[3] = 1;
    x[1] = NAN;
    struct probe_fit fit;
    cr_assert(probe_linear(&p, 1, &s, &fit, &e) == -1 && strstr(e.text, "not finite"));
}

Test(probe, interval)
{
    struct probe_share s = probe_interval(90, 100); // Wilson, by hand: 0.8256 .. 0.9448
    cr_assert(s.share == 0.9 && fabs(s.lo - 0.8256343) < 1e-6 && fabs(s.hi - 0.9447708) < 1e-6,
              "%.7f %.7f", s.lo, s.hi);
    s = probe_interval(0, 10);
    cr_assert(s.lo == 0 && fabs(s.hi - 0.2775328) < 1e-6, "%.7f", s.hi);
    s = probe_interval(10, 10);
    cr_assert(fabs(s.lo - 0.7224672) < 1e-6 && s.hi <= 1, "%.7f", s.lo);
}

// Rosenbrock's valley, whose minimum is at ones.
static double rosenbrock(void *context, const double *x, double *g)
{
    int n = *(int *)context;
    double sum = 0;
    memset(g, 0, (size_t)n * sizeof *g);
    for (int i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        sum += 100 * a * a + b * b;
        g[i] += -400 * a * x[i] - 2 * b;
        g[i + 1] += 200 * a;
    }
    return sum;
}

Test(lbfgs, finds_the_minimum)
{
    double x[10] = {-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1};
    int n = 10;
    struct lbfgs l = {.fn = rosenbrock, .context = &n, .gradient = 1e-8, .iterations = 500};
    struct error e = {""};
    cr_assert(lbfgs_minimise(&l, x, 10, &e) == 0, "%s", e.text);
    cr_assert(l.converged && l.largest <= 1e-8);
    double at_one = fabs(x[0] + 1) < 0.1 ? -1 : 1; // the valley's second minimum begins at -1
    cr_assert(fabs(x[0] - at_one) < 1e-2 && fabs(x[9] - 1) < 1e-2, "%g %g", x[0], x[9]);
    struct lbfgs few = {.fn = rosenbrock, .context = &n, .gradient = 1e-8, .iterations = 2};
    double y[10] = {-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1};
    cr_assert(lbfgs_minimise(&few, y, 10, &e) == 0 && !few.converged && few.made == 2);
}
