// Moments against sums in the plain way, and singular values against matrices whose spectrum is
// known exactly.
#include "metrics/science/spectrum.h"

#include <cblas.h>
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/blas.h"

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
    return ((double)(next(state) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    double r = sqrt(-2 * log(uniform(state)));
    return r * cos(6.283185307179586 * uniform(state));
}

static void *need(size_t n)
{
    void *p = calloc(n, 1);
    cr_assert(p);
    return p;
}

// Rows of correlated normals far from the origin: what makes sums of squares lose their digits.
static float *rows(int n, int d, size_t stride, uint64_t seed)
{
    float *x = need((size_t)n * stride * sizeof *x);
    for (size_t i = 0; i < (size_t)n * stride; i++)
        x[i] = NAN; // between the rows: never to be read
    for (int i = 0; i < n; i++) {
        double common = normal(&seed);
        for (int j = 0; j < d; j++)
            x[(size_t)i * stride + (size_t)j] =
                (float)(1000.0 + j + common * (j % 3) + normal(&seed) / (1 + j));
    }
    return x;
}

static struct moments fresh(int d)
{
    struct moments m;
    struct error e = {0};
    cr_assert_eq(moments_init(&m, d, &e), 0, "%s", e.text);
    return m;
}

static void add(struct moments *m, const float *x, int64_t n, size_t stride)
{
    struct error e = {0};
    cr_assert_eq(moments_add(m, x, n, stride, &e), 0, "%s", e.text);
}

// mean and scatter of weighted rows in long double, two passes.
static void naive(const float *x, const double *w, int n, int d, size_t stride, double *mean,
                  double *scatter)
{
    long double sum = 0;
    for (int i = 0; i < n; i++)
        sum += w[i];
    for (int j = 0; j < d; j++) {
        long double s = 0;
        for (int i = 0; i < n; i++)
            s += (long double)w[i] * x[(size_t)i * stride + (size_t)j];
        mean[j] = (double)(s / sum);
    }
    for (int j = 0; j < d; j++)
        for (int k = 0; k <= j; k++) {
            long double s = 0;
            for (int i = 0; i < n; i++)
                s += (long double)w[i] *
                     ((long double)x[(size_t)i * stride + (size_t)j] - mean[j]) *
                     ((long double)x[(size_t)i * stride + (size_t)k] - mean[k]);
            scatter[j * d + k] = (double)s;
        }
}

static void compare(const struct moments *m, const double *mean, const double *scatter, double tol)
{
    double top = 0;
    for (int j = 0; j < m->d; j++)
        top = fmax(top, scatter[j * m->d + j]);
    for (int j = 0; j < m->d; j++) {
        cr_assert(fabs(m->mean[j] - mean[j]) <= tol * fabs(mean[j]), "mean %d: %.17g, not %.17g", j,
                  m->mean[j], mean[j]);
        for (int k = 0; k <= j; k++) {
            double a = m->scatter[j * m->d + k], b = scatter[j * m->d + k];
            cr_assert(fabs(a - b) <= tol * top, "scatter %d %d: %.17g, not %.17g", j, k, a, b);
        }
        for (int k = j + 1; k < m->d; k++)
            cr_assert(m->scatter[j * m->d + k] == 0, "the upper triangle was written");
    }
}

Test(spectrum, moments_match_sums_in_any_split)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t s = seed;
        int n = 1 + (int)(next(&s) % 700), d = 1 + (int)(next(&s) % 24);
        size_t stride = (size_t)d + next(&s) % 5;
        float *x = rows(n, d, stride, seed);
        double *w = need((size_t)n * sizeof *w), *mean = need((size_t)d * sizeof *mean);
        double *scatter = need((size_t)(d * d) * sizeof *scatter);
        for (int i = 0; i < n; i++)
            w[i] = 1;
        naive(x, w, n, d, stride, mean, scatter);
        struct moments once = fresh(d), split = fresh(d);
        add(&once, x, n, stride);
        for (int i = 0; i < n;) {
            int part = (int)(next(&s) % 130);
            part = part > n - i ? n - i : part;
            add(&split, x + (size_t)i * stride, part, stride);
            i += part;
        }
        cr_assert(once.weight == n && once.weight2 == n && split.weight == n && split.weight2 == n);
        compare(&once, mean, scatter, 1e-11);
        compare(&split, mean, scatter, 1e-11);
        moments_free(&once);
        moments_free(&split);
        free(x);
        free(w);
        free(mean);
        free(scatter);
    }
}

Test(spectrum, decay_weighs_samples)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t s = seed * 77;
        enum { STEPS = 12 };
        int d = 1 + (int)(next(&s) % 16), batch = 1 + (int)(next(&s) % 40), n = batch * STEPS;
        float *x = rows(n, d, (size_t)d, seed);
        double *w = need((size_t)n * sizeof *w), *mean = need((size_t)d * sizeof *mean);
        double *scatter = need((size_t)(d * d) * sizeof *scatter), sum = 0, sum2 = 0;
        struct moments m = fresh(d);
        for (int t = 0; t < STEPS; t++) {
            double factor = 0.2 + 0.8 * uniform(&s);
            moments_decay(&m, factor);
            for (int i = 0; i < batch * t; i++)
                w[i] *= factor;
            for (int i = batch * t; i < batch * (t + 1); i++)
                w[i] = 1;
            add(&m, x + (size_t)(batch * t * d), batch, (size_t)d);
        }
        for (int i = 0; i < n; i++) {
            sum += w[i];
            sum2 += w[i] * w[i];
        }
        cr_assert(fabs(m.weight / sum - 1) < 1e-13 && fabs(m.weight2 / sum2 - 1) < 1e-13);
        naive(x, w, n, d, (size_t)d, mean, scatter);
        compare(&m, mean, scatter, 1e-11);
        double norm = 0;
        for (int j = 0; j < d; j++)
            norm += mean[j] * mean[j];
        cr_assert(fabs(moments_mean_norm(&m) / sqrt(norm) - 1) < 1e-12);
        moments_free(&m);
        free(x);
        free(w);
        free(mean);
        free(scatter);
    }
}

// The state is the four fields: a copy of them goes on to the same bits.
Test(spectrum, four_fields_are_the_state)
{
    enum { D = 33, B = 50 };
    float *x = rows(4 * B, D, D, 3);
    struct moments a = fresh(D), b = fresh(D);
    add(&a, x, 2 * B, D);
    b.weight = a.weight;
    b.weight2 = a.weight2;
    memcpy(b.mean, a.mean, D * sizeof *a.mean);
    memcpy(b.scatter, a.scatter, D * D * sizeof *a.scatter);
    struct moments *both[2] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        moments_decay(both[i], 0.75);
        add(both[i], x + 2 * B * D, B, D);
        add(both[i], x + 3 * B * D, B, D);
    }
    cr_assert_eq(memcmp(a.mean, b.mean, D * sizeof *a.mean), 0);
    cr_assert_eq(memcmp(a.scatter, b.scatter, D * D * sizeof *a.scatter), 0);
    cr_assert(a.weight == b.weight && a.weight2 == b.weight2);
    moments_free(&a);
    moments_free(&b);
    free(x);
}

// Dead features end as zeros, not as denormals; living ones are left alone.
Test(spectrum, dead_features_become_zero)
{
    enum { D = 4 };
    float alive[2 * D] = {1, 2, 3, 4, 5, 7, 11, 13}, dead[2 * D] = {0, 2, 0, 4, 0, 7, 0, 13};
    struct moments m = fresh(D);
    add(&m, alive, 2, D);
    for (int i = 0; i < 5000; i++) {
        moments_decay(&m, 0.5);
        add(&m, dead, 2, D);
    }
    for (int j = 0; j < D; j++)
        for (int k = 0; k <= j; k++)
            if (j % 2 && k % 2)
                cr_assert(fabs(m.scatter[j * D + k]) > 1);
            else
                cr_assert(m.scatter[j * D + k] == 0);
    cr_assert(m.mean[0] == 0 && m.mean[2] == 0 && fabs(m.mean[1] - 4.5) < 1e-12);
    moments_free(&m);
}

static int parity(unsigned v)
{
    return __builtin_popcount(v) & 1;
}

// X = H_n diag(s) H_d / sqrt(d) with Hadamard matrices, the constant column of H_n left out:
// centred, and its singular values are s_j sqrt(n). With integer s every entry is exact in float.
static void known_spectrum(int d, int n, double offset, uint64_t seed)
{
    double *s = need((size_t)d * sizeof *s), *sigma = need((size_t)d * sizeof *sigma);
    float *x = need((size_t)n * (size_t)d * sizeof *x);
    double root = sqrt(d);
    for (int j = 0; j < d; j++)
        s[j] = 1 + (double)(next(&seed) % 1000);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++) {
            double v = 0;
            for (int j = 0; j < d; j++)
                v += (parity((unsigned)i & (unsigned)(j + 1)) ^ parity((unsigned)j & (unsigned)k))
                         ? -s[j]
                         : s[j];
            x[(size_t)i * (size_t)d + (size_t)k] = (float)(v / root + offset);
            cr_assert(x[(size_t)i * (size_t)d + (size_t)k] == v / root + offset,
                      "not exact: bad test");
        }
    struct moments m = fresh(d);
    struct spectrum_solver *solver;
    struct error e = {0};
    double n_eff = 0;
    cr_assert_eq(spectrum_solver_new(d, &solver, &e), 0, "%s", e.text);
    for (int i = 0; i < n; i += 32)
        add(&m, x + (size_t)i * (size_t)d, 32, (size_t)d);
    cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n_eff, &e), 0, "%s", e.text);
    cr_assert(n_eff == n);
    for (int i = 0; i < d; i++) // s in descending order
        for (int j = i + 1; j < d; j++)
            if (s[j] > s[i]) {
                double t = s[i];
                s[i] = s[j];
                s[j] = t;
            }
    for (int j = 0; j < d; j++) {
        double want = s[j] * sqrt(n);
        cr_assert(fabs(sigma[j] - want) <= 1e-9 * want, "d %d sigma %d: %.17g, not %.17g", d, j,
                  sigma[j], want);
        cr_assert(j == 0 || sigma[j] <= sigma[j - 1]);
    }
    spectrum_solver_free(solver);
    moments_free(&m);
    free(s);
    free(sigma);
    free(x);
}

Test(spectrum, of_known_matrices)
{
    known_spectrum(4, 32, 0, 1);
    known_spectrum(16, 64, 0, 2);
    known_spectrum(16, 64, 512, 3);
    known_spectrum(64, 128, 0, 4);
    known_spectrum(64, 128, 4096, 5);
    known_spectrum(256, 512, 0, 6);
}

Test(spectrum, rank_deficient_is_not_negative)
{
    enum { D = 40, N = 10 };
    float *x = rows(N, D, D, 8);
    struct moments m = fresh(D);
    struct spectrum_solver *solver;
    struct error e = {0};
    double sigma[D], n = 0;
    cr_assert_eq(spectrum_solver_new(D, &solver, &e), 0);
    add(&m, x, N, D);
    cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), 0);
    for (int j = 0; j < D; j++)
        cr_assert(sigma[j] >= 0 &&
                      (j < N - 1 ? sigma[j] > 1e-4 * sigma[0] : sigma[j] < 1e-6 * sigma[0]),
                  "sigma %d of %g", j, sigma[j]);
    // Constant features have a spectrum of zeros, which is not an error.
    moments_reset(&m);
    for (int i = 0; i < N * D; i++)
        x[i] = 7;
    add(&m, x, N, D);
    cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), 0);
    for (int j = 0; j < D; j++)
        cr_assert(sigma[j] == 0);
    cr_assert(n == N);
    spectrum_solver_free(solver);
    moments_free(&m);
    free(x);
}

// Decay scales weight and scatter together: the spectrum per sample stays, n_eff falls only with
// new weights.
Test(spectrum, n_eff)
{
    enum { D = 5, N = 64 };
    float *x = rows(2 * N, D, D, 9);
    struct moments m = fresh(D);
    struct spectrum_solver *solver;
    struct error e = {0};
    double sigma[D], later[D], n = 0, n_later = 0;
    cr_assert_eq(spectrum_solver_new(D, &solver, &e), 0);
    add(&m, x, N, D);
    cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), 0);
    moments_decay(&m, 0.5);
    cr_assert_eq(spectrum_from_moments(solver, &m, later, &n_later, &e), 0);
    cr_assert(n == N && n_later == N);
    for (int j = 0; j < D; j++)
        cr_assert(fabs(later[j] / sigma[j] - 1) < 1e-12);
    add(&m, x + N * D, N, D);
    cr_assert_eq(spectrum_from_moments(solver, &m, later, &n_later, &e), 0);
    cr_assert(fabs(n_later - N * 1.5 * 1.5 / 1.25) < 1e-9);
    spectrum_solver_free(solver);
    moments_free(&m);
    free(x);
}

Test(spectrum, not_finite_is_refused_until_reset)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    enum { D = 6, N = 20 };
    struct spectrum_solver *solver;
    struct error e = {0};
    cr_assert_eq(spectrum_solver_new(D, &solver, &e), 0);
    for (int where = 0; where < N * D; where += 7)
        for (int k = 0; k < 3; k++) {
            float *x = rows(N, D, D, 10);
            struct moments m = fresh(D);
            double sigma[D] = {-1}, n = -1;
            add(&m, x, N, D);
            x[where] = odd[k];
            add(&m, x, N, D);
            x[where] = 1;
            moments_decay(&m, 0.5);
            add(&m, x, N, D);
            e.text[0] = '\0';
            cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), -1);
            cr_assert(strstr(e.text, "not finite") && sigma[0] == -1 && n == -1);
            moments_reset(&m);
            cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), -1);
            add(&m, x, N, D);
            cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), 0, "%s", e.text);
            moments_free(&m);
            free(x);
        }
    spectrum_solver_free(solver);
}

Test(spectrum, what_cannot_be_is_refused)
{
    struct moments m;
    struct spectrum_solver *solver;
    struct error e = {0};
    static const int bad[] = {0, -1, INT32_MIN, 32769, INT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(moments_init(&m, bad[i], &e), -1);
        cr_assert(e.text[0]);
        moments_free(&m);
        cr_assert_eq(spectrum_solver_new(bad[i], &solver, &e), -1);
        cr_assert_null(solver);
    }
    m = fresh(4);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    double sigma[8], n;
    cr_assert_eq(moments_add(&m, x, -1, 4, &e), -1);
    cr_assert_eq(moments_add(&m, x, 2, 3, &e), -1);
    cr_assert(m.weight == 0);
    cr_assert_eq(spectrum_solver_new(8, &solver, &e), 0);
    add(&m, x, 2, 4);
    cr_assert_eq(spectrum_from_moments(solver, &m, sigma, &n, &e), -1);
    spectrum_solver_free(solver);
    spectrum_solver_free(NULL);
    moments_free(&m);
    moments_free(&m);
}

Test(spectrum, blas_has_one_thread)
{
    struct moments m = fresh(3);
    cr_assert_eq(openblas_get_num_threads(), 1);
    moments_free(&m);
}

#ifdef __x86_64__
// The kernels that the program's linear algebra takes, by its own words; "" without any.
static const char *kernels_of_program(void)
{
    static char name[64];
    char line[256], command[4096];
    name[0] = 0;
    snprintf(command, sizeof command, "OPENBLAS_VERBOSE=2 '%s' --version 2>&1", getenv("SSLTOP"));
    FILE *said = popen(command, "r");
    cr_assert_not_null(said);
    while (fgets(line, sizeof line, said))
        sscanf(line, "Core: %63s", name); // the last one counts: it may have started itself again
    cr_assert_eq(pclose(said), 0);
    return name;
}

// A library that is older than the processor would take those of 2004.
Test(spectrum, blas_has_the_kernels_for_this_processor)
{
    unsetenv("OPENBLAS_CORETYPE");
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        cr_skip_test("no AVX2");
    cr_assert_neq(kernels_of_program()[0], 0);
    cr_assert_str_neq(kernels_of_program(), "Prescott");
    // What a person asks for stands.
    cr_assert_eq(setenv("OPENBLAS_CORETYPE", "Prescott", 1), 0);
    cr_assert_null(blas_kernels());
    cr_assert_str_eq(kernels_of_program(), "Prescott");
}
#endif
