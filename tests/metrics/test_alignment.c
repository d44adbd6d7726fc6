// Alignment and uniformity against closed forms and a double loop over all pairs.
#include "metrics/science/alignment.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NEAR(a, b, tol)                                                                            \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        cr_assert(fabs(a_ - b_) <= (tol), "%s = %.17g, expected %.17g", #a, a_, b_);               \
    } while (0)

static void measure(const float *x, const float *y, int rows, int dim, double *a, double *u)
{
    struct alignment p;
    struct error e = {""};
    const float *const z[2] = {x, y};
    cr_assert(alignment_init(&p, rows, dim, &e) == 0, "%s", e.text);
    alignment_measure(&p, z, a, u);
    alignment_free(&p);
}

Test(pairs, orthogonal_rows)
{
    static const float x[] = {3, 0, 0, 0, 5, 0, 0, 0, 0.5f};
    double a, u;
    measure(x, x, 3, 3, &a, &u);
    NEAR(a, 0, 0);
    NEAR(u, -4, 1e-12); // every pair at squared distance 2
    static const float y[] = {-3, 0, 0, 0, -5, 0, 0, 0, -0.5f};
    measure(x, y, 3, 3, &a, &u);
    NEAR(a, 4, 1e-12);
}

Test(pairs, one_point)
{
    float x[5 * 7];
    double a, u;
    for (int i = 0; i < 35; i++)
        x[i] = (float)(i % 7 + 1) * (float)(1 + i / 7);
    measure(x, x, 5, 7, &a, &u);
    NEAR(a, 0, 1e-14);
    NEAR(u, 0, 1e-14);
}

// Of the two directions.
static double distance2(const float *p, const float *q, int dim)
{
    double pp = 0, qq = 0, sum = 0;
    for (int k = 0; k < dim; k++) {
        pp += (double)p[k] * p[k];
        qq += (double)q[k] * q[k];
    }
    for (int k = 0; k < dim; k++)
        sum += pow(p[k] / sqrt(pp) - q[k] / sqrt(qq), 2);
    return sum;
}

Test(pairs, agrees_with_a_double_loop)
{
    enum { N = 150, D = 11 };
    static float z[2][N * D];
    uint64_t state = 7;
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < N * D; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            z[v][i] = (float)(state >> 40) / (float)(1 << 24) - 0.4f;
        }
    double a, u, align = 0, even[2] = {0, 0};
    measure(z[0], z[1], N, D, &a, &u);
    for (int i = 0; i < ALIGNMENT_ROWS; i++) {
        align += distance2(z[0] + i * D, z[1] + i * D, D);
        for (int j = 0; j < i; j++)
            for (int v = 0; v < 2; v++)
                even[v] += exp(-2 * distance2(z[v] + i * D, z[v] + j * D, D));
    }
    double n = ALIGNMENT_ROWS * (ALIGNMENT_ROWS - 1) / 2.0;
    NEAR(a, align / ALIGNMENT_ROWS, 1e-12);
    NEAR(u, 0.5 * (log(even[0] / n) + log(even[1] / n)), 1e-12);
}

Test(pairs, rows_without_a_direction)
{
    float x[] = {1, 2, 0, 0}, y[] = {1, 2, 3, 4};
    double a, u;
    measure(x, y, 2, 2, &a, &u);
    cr_assert(isnan(a) && isnan(u));
    x[2] = NAN;
    measure(y, x, 2, 2, &a, &u);
    cr_assert(isnan(a) && isnan(u));
    measure(y, y, 1, 2, &a, &u);
    NEAR(a, 0, 0);
    cr_assert(isnan(u));
}

Test(pairs, impossible_sizes)
{
    struct alignment p;
    struct error e = {""};
    cr_assert_eq(alignment_init(&p, 0, 3, &e), -1);
    cr_assert_eq(alignment_init(&p, 3, 0, &e), -1);
    alignment_free(&p);
}
