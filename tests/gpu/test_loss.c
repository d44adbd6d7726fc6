// Every operation that a loss may be made of, on the device of the contract tests against plain
// double loops, through what it does to the loss and its gradients; and what is refused.
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "gpu/device.h"
#include "gpu/loss.h"
#include "tests/kit/contract.h"
#include "tests/kit/net_fixture.h"
#include "tests/kit/reference.h"

enum { BATCH = 7, WIDE = 37 };

// The outputs as they are, and where a case writes what is to be seen.
static int z_of(struct loss *l, const struct net *net)
{
    return loss_output(l, net->projected);
}

static int grad_of(struct loss *l, const struct net *net)
{
    return loss_gradient(l, net->projected);
}

// Each view of the gradient is A B of matrices of the batch's size and of the width's.
static void products(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    int rows =
        loss_product(l, loss_work(l, BATCH, BATCH), 0.5, z, LOSS_AS_IS, z + 1, LOSS_TURNED, 0);
    int cols =
        loss_product(l, loss_work(l, WIDE, WIDE), -0.25, z, LOSS_TURNED, z + 1, LOSS_AS_IS, 0);
    loss_product(l, g, 2, rows, LOSS_TURNED, z, LOSS_AS_IS, 0);
    loss_product(l, g, 1.5, z, LOSS_AS_IS, cols, LOSS_AS_IS, -3);
    loss_product(l, g + 1, 1, z, LOSS_AS_IS, cols, LOSS_TURNED, 0);
    loss_sum(l, 0.125, cols, cols);
}

static void centre(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    loss_centre(l, g, z);
    int c = loss_centre(l, loss_work(l, BATCH, WIDE), z + 1);
    loss_combine(l, g + 1, 1, c, 0, c);
    loss_sum(l, 1, c, z);
}

static void combine(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    loss_combine(l, g, 3, z, -0.5, z + 1);
    loss_combine(l, g + 1, 1, z, 2, z + 1);
    loss_combine(l, g + 1, 1, g + 1, 2, z); // in place
    loss_sum(l, -2, z, z + 1);
    loss_sum(l, 1, z, z);
}

static void multiply(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    loss_multiply(l, g, 4, z, z + 1);
    loss_multiply(l, g + 1, -1, z, z);
    loss_sum(l, 1, z, z + 1);
}

static void functions(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    int square = loss_multiply(l, loss_work(l, BATCH, WIDE), 1, z, z);
    int root = loss_apply(l, loss_work(l, BATCH, WIDE), LOSS_ROOT, 2, square, 0.5);
    int inverse = loss_apply(l, loss_work(l, BATCH, WIDE), LOSS_INVERSE, 1, root, 0.25);
    int positive = loss_apply(l, loss_work(l, BATCH, WIDE), LOSS_POSITIVE, -1, z, 0.0625);
    int step = loss_apply(l, loss_work(l, BATCH, WIDE), LOSS_STEP, 1, z + 1, 0.0625);
    int same = loss_apply(l, loss_work(l, BATCH, WIDE), LOSS_SAME, -2, z + 1, 3);
    loss_combine(l, g, 1, inverse, 1, positive);
    loss_combine(l, g + 1, 1, step, 1, same);
    loss_sum(l, 1, root, step);
}

static void diagonals(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    int cols = loss_product(l, loss_work(l, WIDE, WIDE), 1, z, LOSS_TURNED, z + 1, LOSS_AS_IS, 0);
    int diagonal = loss_diagonal(l, loss_work(l, 1, WIDE), cols);
    loss_sum(l, 1, diagonal, diagonal);
    int other = loss_apply(l, loss_work(l, 1, WIDE), LOSS_SAME, 3, diagonal, 1);
    loss_put_diagonal(l, cols, other);
    loss_sum(l, 0.5, cols, cols);
    loss_product(l, g, 1, z, LOSS_AS_IS, cols, LOSS_AS_IS, 0);
    loss_product(l, g + 1, 1, z + 1, LOSS_AS_IS, cols, LOSS_TURNED, 0);
}

// Two terms of the value, both ways.
static void cosines(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    loss_cosine(l, 3, 1, z, z);
    loss_cosine(l, 2, -4, z, z);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, g + v, 3, z + v, z + !v);
}

static const struct {
    const char *name;
    net_loss *loss;
} cases[] = {
    {"products", products}, {"centre", centre},       {"combine", combine},
    {"multiply", multiply}, {"functions", functions}, {"diagonals", diagonals},
    {"cosines", cosines},
};
enum { CASES = sizeof cases / sizeof *cases };

// z is the input itself, so that the gradient of z is the input's.
static void build(struct net *net, net_loss *loss)
{
    net_init(net, WIDE, 1, 1);
    int z = net_linear(net, 0, "z", WIDE, 0);
    net_outputs(net, z, z, loss);
    cr_assert(!net->error.text[0], "%s", net->error.text);
}

static void near(const char *name, const char *what, double got, double want, double size)
{
    cr_assert(fabs(got - want) <= 1e-5 * (fabs(want) + size), "%s: %s is %.9g, not %.9g", name,
              what, got, want);
}

static void check(struct device *d, int i)
{
    enum { N = BATCH * WIDE };
    struct net net;
    struct reference r;
    struct plan *plan;
    struct plan_scores s;
    struct error e;
    float one[WIDE * WIDE] = {0}, x[2][N], dx[N];
    double u[N], wide[2][N];
    const double *const views[2] = {wide[0], wide[1]};
    struct plan_options o = {.batch = BATCH, .precision = PRECISION_F32, .input_gradient = 1};
    build(&net, cases[i].loss);
    reference_new(&r, &net, BATCH);
    cr_assert(device_compile(d, &net, &o, &plan, &e) == 0, "%s: %s", cases[i].name, e.text);
    for (int k = 0; k < WIDE; k++)
        one[k * WIDE + k] = 1;
    cr_assert(plan_put(plan, "z.weight", one, WIDE * WIDE, &e) == 0, "%s", e.text);
    reference_put(&r, 0, one);
    for (int v = 0; v < 2; v++) {
        fixture_uniform(v ? "loss 1" : "loss 0", N, u);
        for (int k = 0; k < N; k++)
            wide[v][k] = x[v][k] = (float)u[k];
        cr_assert(plan_input(plan, v, x[v], &e) == 0, "%s", e.text);
    }
    reference_forward(&r, views);
    reference_backward(&r, NULL);
    for (int twice = 0; twice < 2; twice++) { // on a card the second is a recorded graph
        for (int v = 0; v < 2; v++)
            cr_assert(plan_input(plan, v, x[v], &e) == 0, "%s", e.text);
        cr_assert(plan_forward(plan, &e) == 0 && plan_scores(plan, &s, &e) == 0 &&
                      plan_backward(plan, &e) == 0,
                  "%s: %s", cases[i].name, e.text);
        near(cases[i].name, "the loss", s.loss, r.loss, 1e-2);
        near(cases[i].name, "z-std", s.zstd, r.zstd, 0);
        for (int v = 0; v < 2; v++) {
            cr_assert(plan_input_gradient(plan, v, dx, &e) == 0, "%s", e.text);
            for (int k = 0; k < N; k++)
                near(cases[i].name, v ? "a gradient of view 2" : "a gradient of view 1", dx[k],
                     r.dy[v][0][k], 0.5);
        }
    }
    plan_free(plan);
    reference_free(&r);
    net_free(&net);
}

Test(loss, every_operation_as_double_loops_have_it)
{
    struct device *d;
    struct error e;
    cr_assert(device_open(contract_device(), 2, &d, &e) == 0, "%s", e.text);
    for (int i = 0; i < CASES; i++)
        check(d, i);
    device_close(d);
}

// --- what is refused when it is described ---
static void misfit(struct loss *l, const struct net *net)
{
    int z = z_of(l, net);
    loss_product(l, loss_work(l, BATCH, BATCH), 1, z, LOSS_AS_IS, z, LOSS_AS_IS, 0);
}

static void into_output(struct loss *l, const struct net *net)
{
    int z = z_of(l, net);
    loss_combine(l, z, 1, z, 1, z + 1);
}

static void unwritten(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    loss_combine(l, g, 1, z, 1, z);
}

static void added_to_nothing(struct loss *l, const struct net *net)
{
    int z = z_of(l, net), g = grad_of(l, net);
    for (int v = 0; v < 2; v++)
        loss_combine(l, g + v, 1, z, 1, g + v);
}

static void of_another_node(struct loss *l, const struct net *net)
{
    (void)net;
    loss_output(l, 0);
}

static void too_many(struct loss *l, const struct net *net)
{
    (void)net;
    for (int i = 0; i <= LOSS_MATRICES; i++)
        loss_work(l, 2, 2);
}

Test(loss, refuses_what_does_not_fit)
{
    static const struct {
        net_loss *loss;
        const char *because;
    } bad[] = {
        {misfit, "does not fit"},          {into_output, "does not fit"},
        {unwritten, "is not written"},     {added_to_nothing, "is not written"},
        {of_another_node, "heads end in"}, {too_many, "more matrices than"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net net;
        struct loss l;
        struct error e = {""};
        build(&net, bad[i].loss);
        cr_expect(loss_describe(&net, BATCH, &l, &e) == -1, "%zu", i);
        cr_expect(strstr(e.text, bad[i].because), "%zu: %s", i, e.text);
        net_free(&net);
    }
}
