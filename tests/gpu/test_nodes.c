// Every kind of node alone, on the CPU device against plain double loops: output, gradients of
// parameters and input, running statistics, in f32 and bf16, for the shapes that a ResNet of any
// width has.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "gpu/loss.h"
#include "tests/kit/contract.h"
#include "tests/kit/net_fixture.h"
#include "tests/kit/reference.h"

enum { BATCH = 5, PROBES = 10 };

// A net of one node, or of the few that a device may fuse.
struct node_case {
    const char *title;
    void (*build)(struct net *net, const struct node_case *c);
    int c, h, w;             // input
    int out, k, stride, pad; // conv, maxpool, linear
    int flag;                // batch norm: affine; linear: bias; cosine: stop-gradient
};

static void build_conv(struct net *net, const struct node_case *c)
{
    net_conv(net, 0, "conv", c->out, c->k, c->stride, c->pad);
}

static void build_bn(struct net *net, const struct node_case *c)
{
    net_bn(net, 0, "bn", c->flag);
}

static void build_bn_relu(struct net *net, const struct node_case *c)
{
    net_relu(net, net_bn(net, 0, "bn", c->flag));
}

static void build_bn_add_relu(struct net *net, const struct node_case *c)
{
    net_relu(net, net_add(net, net_bn(net, 0, "bn", c->flag), 0));
}

static void build_bn_add_bn_relu(struct net *net, const struct node_case *c)
{
    int a = net_bn(net, 0, "bn.a", c->flag);
    net_relu(net, net_add(net, a, net_bn(net, 0, "bn.b", c->flag)));
}

static void build_relu(struct net *net, const struct node_case *c)
{
    (void)c;
    net_relu(net, 0);
}

static void build_add(struct net *net, const struct node_case *c)
{
    (void)c;
    net_add(net, net_relu(net, 0), 0);
}

static void build_maxpool(struct net *net, const struct node_case *c)
{
    net_maxpool(net, 0, c->k, c->stride, c->pad);
}

static void build_gap(struct net *net, const struct node_case *c)
{
    (void)c;
    net_gap(net, 0);
}

static void build_linear(struct net *net, const struct node_case *c)
{
    net_linear(net, 0, "linear", c->out, c->flag);
}

// SimSiam's loss, and another form of it; with and without stop-gradient.
static void cosine_of(struct loss *l, const struct net *net, double scale, double offset,
                      int through)
{
    int p = loss_output(l, net->predicted), z = loss_output(l, net->projected);
    int dp = loss_gradient(l, net->predicted);
    loss_cosine(l, scale, offset, p, z);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, dp + v, scale, p + v, z + !v);
    int dz = through ? loss_gradient(l, net->projected) : -1;
    for (int v = 0; v < 2 && through; v++)
        loss_cosine_gradient(l, dz + v, scale, z + v, p + !v);
}

static void cosine(struct loss *l, const struct net *net)
{
    cosine_of(l, net, 1, 0, 0);
}

static void cosine_through(struct loss *l, const struct net *net)
{
    cosine_of(l, net, 1, 0, 1);
}

static void cosine_form(struct loss *l, const struct net *net)
{
    cosine_of(l, net, 4, 4, 0);
}

static void cosine_form_through(struct loss *l, const struct net *net)
{
    cosine_of(l, net, 4, 4, 1);
}

static void build_cosine(struct net *net, const struct node_case *c)
{
    int z = net_linear(net, 0, "z", c->out, 0); // reached by gradients through p only
    net_outputs(net, net_linear(net, z, "p", c->out, 1), z, cosine);
}

static void build_cosine_form(struct net *net, const struct node_case *c)
{
    int z = net_linear(net, 0, "z", c->out, 0);
    net_outputs(net, net_linear(net, z, "p", c->out, 1), z,
                c->flag ? cosine_form : cosine_form_through);
}

// Without a predictor: p is z.
static void build_cosine_same(struct net *net, const struct node_case *c)
{
    int z = net_bn(net, net_linear(net, 0, "z", c->out, 0), "bn", 0);
    net_outputs(net, z, z, c->flag ? cosine : cosine_through);
}

// Against a frozen branch, as BYOL's target is; no gradient comes from it. (Whole frozen networks
// are compared with PyTorch's: test_parity.c.)
static int branch(struct net *net, const struct node_case *c, const char *prefix)
{
    char name[64];
    snprintf(name, sizeof name, "%sbn", prefix);
    int h = net_bn(net, 0, name, 1);
    snprintf(name, sizeof name, "%slinear", prefix);
    return net_linear(net, h, name, c->out, 1);
}

static void build_cosine_target(struct net *net, const struct node_case *c)
{
    int p = branch(net, c, "");
    net->frozen = 1;
    int z = branch(net, c, "target.");
    net->frozen = 0;
    net_outputs(net, p, z, cosine_form);
    net_follow(net, "target.");
}

static const struct node_case cases[] = {
    {"conv 3x3 4->4", build_conv, 4, 9, 11, 4, 3, 1, 1, 0},
    {"conv 3x3 8->8", build_conv, 8, 8, 8, 8, 3, 1, 1, 0},
    {"conv 3x3 12->20", build_conv, 12, 7, 7, 20, 3, 1, 1, 0},
    {"conv 3x3 16->16", build_conv, 16, 10, 9, 16, 3, 1, 1, 0},
    {"conv 3x3 16->48", build_conv, 16, 8, 8, 48, 3, 1, 1, 0},
    {"conv 3x3 48->48", build_conv, 48, 6, 6, 48, 3, 1, 1, 0},
    {"conv 3x3 64->64", build_conv, 64, 8, 8, 64, 3, 1, 1, 0},
    {"conv 3x3 64->64 on 7x5", build_conv, 64, 7, 5, 64, 3, 1, 1, 0},
    {"conv 3x3 64->128", build_conv, 64, 4, 4, 128, 3, 1, 1, 0},
    {"conv 3x3 48->48 on 2x2", build_conv, 48, 2, 2, 48, 3, 1, 1, 0},
    {"conv 3x3 stride 2 4->8", build_conv, 4, 9, 9, 8, 3, 2, 1, 0},
    {"conv 3x3 stride 2 8->16", build_conv, 8, 8, 8, 16, 3, 2, 1, 0},
    {"conv 3x3 stride 2 20->12", build_conv, 20, 7, 6, 12, 3, 2, 1, 0},
    {"conv 3x3 stride 2 16->48", build_conv, 16, 8, 8, 48, 3, 2, 1, 0},
    {"conv 1x1 8->16", build_conv, 8, 6, 6, 16, 1, 1, 0, 0},
    {"conv 1x1 20->12", build_conv, 20, 5, 5, 12, 1, 1, 0, 0},
    {"conv 1x1 stride 2 4->8", build_conv, 4, 9, 9, 8, 1, 2, 0, 0},
    {"conv 1x1 stride 2 12->20", build_conv, 12, 8, 8, 20, 1, 2, 0, 0},
    {"conv 1x1 stride 2 16->48", build_conv, 16, 7, 7, 48, 1, 2, 0, 0},
    {"conv 3x3 3->16", build_conv, 3, 12, 12, 16, 3, 1, 1, 0},
    {"conv 3x3 1->8", build_conv, 1, 12, 12, 8, 3, 1, 1, 0},
    {"conv 3x3 1->4", build_conv, 1, 9, 10, 4, 3, 1, 1, 0},
    {"conv 7x7 stride 2 3->16", build_conv, 3, 16, 18, 16, 7, 2, 3, 0},
    {"conv 7x7 stride 2 1->8", build_conv, 1, 15, 15, 8, 7, 2, 3, 0},
    {"batch norm 4", build_bn, 4, 7, 7, 0, 0, 0, 0, 1},
    {"batch norm 20", build_bn, 20, 5, 6, 0, 0, 0, 0, 1},
    {"batch norm 48", build_bn, 48, 4, 4, 0, 0, 0, 0, 1},
    {"batch norm 16, one place", build_bn, 16, 1, 1, 0, 0, 0, 0, 1},
    {"batch norm 16, not affine", build_bn, 16, 5, 5, 0, 0, 0, 0, 0},
    {"batch norm 64, one place, not affine", build_bn, 64, 1, 1, 0, 0, 0, 0, 0},
    {"batch norm, ReLU 8", build_bn_relu, 8, 7, 9, 0, 0, 0, 0, 1},
    {"batch norm, ReLU 16", build_bn_relu, 16, 6, 6, 0, 0, 0, 0, 1},
    {"batch norm, ReLU 20, one place", build_bn_relu, 20, 1, 1, 0, 0, 0, 0, 1},
    {"batch norm, add, ReLU 12", build_bn_add_relu, 12, 5, 5, 0, 0, 0, 0, 1},
    {"batch norm, add, ReLU 48", build_bn_add_relu, 48, 4, 5, 0, 0, 0, 0, 1},
    {"batch norm, add batch norm, ReLU 16", build_bn_add_bn_relu, 16, 6, 6, 0, 0, 0, 0, 1},
    {"ReLU 8", build_relu, 8, 7, 7, 0, 0, 0, 0, 0},
    {"ReLU 20", build_relu, 20, 3, 5, 0, 0, 0, 0, 0},
    {"add 16", build_add, 16, 5, 5, 0, 0, 0, 0, 0},
    {"max pool 8", build_maxpool, 8, 12, 12, 0, 3, 2, 1, 0},
    {"max pool 20", build_maxpool, 20, 11, 13, 0, 3, 2, 1, 0},
    {"average pool 12", build_gap, 12, 7, 7, 0, 0, 0, 0, 0},
    {"average pool 48", build_gap, 48, 2, 3, 0, 0, 0, 0, 0},
    {"linear 32->32", build_linear, 32, 1, 1, 32, 0, 0, 0, 0},
    {"linear 12->20 with bias", build_linear, 12, 1, 1, 20, 0, 0, 0, 1},
    {"linear 64->256 with bias", build_linear, 64, 1, 1, 256, 0, 0, 0, 1},
    {"cosine 20", build_cosine, 12, 1, 1, 20, 0, 0, 0, 0},
    {"cosine 128", build_cosine, 32, 1, 1, 128, 0, 0, 0, 0},
    {"cosine 20 of 4 and 4", build_cosine_form, 12, 1, 1, 20, 0, 0, 0, 1},
    {"cosine 20 without stop-gradient", build_cosine_form, 12, 1, 1, 20, 0, 0, 0, 0},
    {"cosine 24 without predictor", build_cosine_same, 16, 1, 1, 24, 0, 0, 0, 1},
    {"cosine 24 without both", build_cosine_same, 16, 1, 1, 24, 0, 0, 0, 0},
    {"cosine of a frozen branch 20", build_cosine_target, 12, 1, 1, 20, 0, 0, 0, 0},
    {"cosine of a frozen branch 64", build_cosine_target, 32, 1, 1, 64, 0, 0, 0, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

static float to_bf16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits += 0x7FFF + ((bits >> 16) & 1);
    bits &= 0xFFFF0000;
    memcpy(&v, &bits, sizeof bits);
    return v;
}

// n numbers that both sides hold exactly, none nearer to 0 than 1/16: a ReLU's sign is never a
// matter of rounding.
static float *numbers(const char *key, int salt, size_t n)
{
    char name[160];
    snprintf(name, sizeof name, "%s %d", key, salt);
    double *u = need(n, sizeof *u);
    float *v = need(n, sizeof *v);
    fixture_uniform(name, n, u);
    for (size_t i = 0; i < n; i++)
        v[i] = to_bf16((float)(u[i] * 15 / 16 + (u[i] < 0 ? -1.0 : 1.0) / 16));
    free(u);
    return v;
}

// Planes in which no value comes twice: a permutation of multiples of 1/32 that bf16 holds.
static void distinct(float *v, size_t n, size_t plane)
{
    for (size_t i = 0; i < n; i++)
        v[i] = ((float)((i % plane * 89 + i / plane * 31) % plane) - (float)(plane / 2)) / 32;
}

static double parameter(const struct param *p, double u)
{
    if (p->kind == PARAM_RUNNING_MEAN)
        return 0.25 * u;
    if (p->kind == PARAM_RUNNING_VAR || (p->kind == PARAM_WEIGHT && p->ndim == 1))
        return 1 + 0.5 * u;
    if (p->kind == PARAM_BIAS)
        return 0.5 * u;
    return sqrt(3.0 / (double)((int64_t)p->count / p->dim[0])) * u;
}

static void put_parameters(const struct net *net, struct plan *plan, struct reference *r)
{
    struct error e;
    for (int i = 0; i < net->n_param; i++) {
        const struct param *p = &net->param[i];
        float *v = numbers(p->name, 0, p->count);
        for (size_t k = 0; k < p->count; k++)
            v[k] = to_bf16((float)parameter(p, v[k]));
        cr_assert(plan_put(plan, p->name, v, p->count, &e) == 0, "%s", e.text);
        reference_put(r, i, v);
        free(v);
    }
}

// Is `got` the reference to `tol`: as a whole, and each element with the tensor's root mean square
// as the floor.
static void compare(const char *title, const char *what, const float *got, const double *want,
                    size_t n, double tol)
{
    double square = 0, off = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        square += want[i] * want[i];
        off += (got[i] - want[i]) * (got[i] - want[i]);
    }
    double rms = sqrt(square / (double)n);
    for (size_t i = 0; i < n; i++) {
        double d = fabs(got[i] - want[i]), allowed = fabs(want[i]) + 2 * rms;
        double ratio = allowed > 0 ? d / allowed : d;
        worst = ratio <= worst ? worst : ratio; // NaN stays
    }
    cr_expect(sqrt(off) <= tol * sqrt(square), "%s: %s is off by %.2e (allowed %.0e)", title, what,
              sqrt(off / square), tol);
    cr_expect(worst <= tol, "%s: an element of %s is off by %.2e (allowed %.0e)", title, what,
              worst, tol);
}

// One node on both sides.
struct bench {
    const struct node_case *c;
    struct net net;
    struct reference r;
    double *x[2], *dy[2]; // dy NULL for a net with a loss
    size_t n_in, n_out;
};

static void bench_open(struct bench *b, const struct node_case *c)
{
    memset(b, 0, sizeof *b);
    b->c = c;
    net_init(&b->net, c->c, c->h, c->w);
    c->build(&b->net, c);
    cr_assert(!b->net.error.text[0], "%s: %s", c->title, b->net.error.text);
    reference_new(&b->r, &b->net, BATCH);
    b->n_in = reference_size(&b->r, 0);
    b->n_out = reference_size(&b->r, b->net.n - 1);
}

static void bench_close(struct bench *b)
{
    for (int v = 0; v < 2; v++) {
        free(b->x[v]);
        free(b->dy[v]);
    }
    reference_free(&b->r);
    net_free(&b->net);
}

// The same numbers as double.
static double *widened(const float *v, size_t n)
{
    double *d = need(n, sizeof *d);
    for (size_t i = 0; i < n; i++)
        d[i] = v[i];
    return d;
}

static void make_input(struct bench *b, float *x[2])
{
    for (int v = 0; v < 2; v++) {
        x[v] = numbers(b->c->title, v, b->n_in);
        if (b->c->build == build_maxpool)
            distinct(x[v], b->n_in, (size_t)(b->c->h * b->c->w));
        b->x[v] = widened(x[v], b->n_in);
    }
}

// dL/dy; zero where the last ReLU's input is so near to 0 that rounding may decide its sign.
static void make_gradient(struct bench *b, float *dy[2])
{
    const struct node *last = &b->net.node[b->net.n - 1];
    for (int v = 0; v < 2 && !b->net.loss; v++) {
        dy[v] = numbers(b->c->title, 2 + v, b->n_out);
        for (size_t i = 0; i < b->n_out && last->op == NODE_RELU; i++)
            if (fabs(b->r.y[v][last->in[0]][i]) < 1.0 / 32)
                dy[v][i] = 0;
        b->dy[v] = widened(dy[v], b->n_out);
    }
}

static void reference_step(struct bench *b)
{
    reference_backward(&b->r, !b->net.loss ? (const double *const *)b->dy : NULL);
}

static void compare_parameters(struct bench *b, struct plan *plan, double tol)
{
    struct error e;
    char name[128];
    for (int i = 0; i < b->net.n_param; i++) {
        const struct param *p = &b->net.param[i];
        int running = p->kind == PARAM_RUNNING_MEAN || p->kind == PARAM_RUNNING_VAR;
        float *v = need(p->count, sizeof *v);
        if (p->frozen && !running) {
            snprintf(name, sizeof name, "grad.%s", p->name);
            cr_expect(plan_get(plan, name, v, p->count, &e) == -1, "%s: %s has a gradient",
                      b->c->title, p->name);
            free(v);
            continue;
        }
        snprintf(name, sizeof name, "%s%s", running ? "" : "grad.", p->name);
        cr_assert(plan_get(plan, name, v, p->count, &e) == 0, "%s: %s", b->c->title, e.text);
        compare(b->c->title, name, v, running ? b->r.param[i] : b->r.grad[i], p->count, tol);
        free(v);
    }
}

static void check_case(struct device *d, const struct node_case *c, enum precision precision)
{
    struct error e;
    struct bench b;
    struct plan *plan = NULL;
    double tol = precision == PRECISION_BF16 ? 1e-2 : 1e-5;
    struct plan_options o = {.batch = BATCH, .precision = precision, .input_gradient = 1};
    float *x[2], *dy[2] = {NULL, NULL};
    bench_open(&b, c);
    cr_assert(device_compile(d, &b.net, &o, &plan, &e) == 0, "%s: %s", c->title, e.text);
    put_parameters(&b.net, plan, &b.r);
    make_input(&b, x);
    reference_forward(&b.r, (const double *const *)b.x);
    make_gradient(&b, dy);
    reference_step(&b);

    for (int v = 0; v < 2; v++)
        cr_assert(plan_input(plan, v, x[v], &e) == 0, "%s: %s", c->title, e.text);
    cr_assert(plan_forward(plan, &e) == 0, "%s: %s", c->title, e.text);
    float *y = need(b.n_out, sizeof *y), *dx = need(b.n_in, sizeof *dx);
    if (!b.net.loss) {
        for (int v = 0; v < 2; v++) {
            cr_assert(plan_output(plan, b.net.n - 1, v, BATCH, y, &e) == 0, "%s: %s", c->title,
                      e.text);
            compare(c->title, v ? "output 2" : "output 1", y, b.r.y[v][b.net.n - 1], b.n_out, tol);
        }
        int rc = plan_backward_from(plan, (const float *const *)dy, &e);
        cr_assert(rc == 0, "%s: %s", c->title, e.text);
    } else {
        struct plan_scores s;
        cr_assert(plan_scores(plan, &s, &e) == 0, "%s: %s", c->title, e.text);
        cr_expect(fabs(s.loss - b.r.loss) <= tol, "%s: loss %.9g, not %.9g", c->title, s.loss,
                  b.r.loss);
        cr_expect(fabs(s.zstd - b.r.zstd) <= tol, "%s: z-std %.9g, not %.9g", c->title, s.zstd,
                  b.r.zstd);
        cr_expect(s.zstd <= sqrt(b.r.batch / (b.r.batch - 1.0)) + tol && s.zstd >= 0, "%s: %.9g",
                  c->title, s.zstd);
        cr_assert(plan_backward(plan, &e) == 0, "%s: %s", c->title, e.text);
    }
    for (int v = 0; v < 2; v++) {
        cr_assert(plan_input_gradient(plan, v, dx, &e) == 0, "%s: %s", c->title, e.text);
        compare(c->title, v ? "input gradient 2" : "input gradient 1", dx, b.r.dy[v][0], b.n_in,
                tol);
    }
    compare_parameters(&b, plan, tol);
    for (int v = 0; v < 2; v++) {
        free(x[v]);
        free(dy[v]);
    }
    free(y);
    free(dx);
    plan_free(plan);
    bench_close(&b);
}

static struct device *open_cpu(void)
{
    struct error e;
    struct device *d = NULL;
    cr_assert(device_open(contract_device(), 2, &d, &e) == 0, "%s", e.text);
    return d;
}

Test(nodes, f32)
{
    struct device *d = open_cpu();
    for (int i = 0; i < CASES; i++)
        check_case(d, &cases[i], PRECISION_F32);
    device_close(d);
}

Test(nodes, bf16)
{
    struct device *d = open_cpu();
    int has = device_info(d)->bf16;
    for (int i = 0; has && i < CASES; i++)
        check_case(d, &cases[i], PRECISION_BF16);
    device_close(d);
    if (!has)
        cr_skip_test("this processor has no bf16: nodes are not checked in bf16 here");
}

// --- what is no number ---

// Where the reference is not finite neither is `got`; the rest may have caught it.
static void not_hidden(const struct node_case *c, const char *what, float special, const float *got,
                       const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_assert(isfinite(want[i]) || !isfinite(got[i]), "%s: %g of %s is hidden at %zu: %g",
                  c->title, (double)special, what, i, (double)got[i]);
}

// A step with one number of `which` replaced: 0 an input, 1 a gradient of the output, 2 a
// parameter.
static void check_special(struct device *d, const struct node_case *c, enum precision precision,
                          int which, float special)
{
    static const char *const where[] = {"the input", "the gradient", "a parameter"};
    struct error e;
    struct bench b;
    struct plan *plan = NULL;
    struct plan_options o = {.batch = BATCH, .precision = precision, .input_gradient = 1};
    float *x[2], *dy[2] = {NULL, NULL};
    bench_open(&b, c);
    cr_assert(device_compile(d, &b.net, &o, &plan, &e) == 0, "%s: %s", c->title, e.text);
    put_parameters(&b.net, plan, &b.r);
    if (which == 2) {
        const struct param *p = &b.net.param[0];
        float *v = numbers(p->name, 0, p->count);
        v[p->count / 2] = special;
        cr_assert(plan_put(plan, p->name, v, p->count, &e) == 0, "%s", e.text);
        reference_put(&b.r, 0, v);
        free(v);
    }
    make_input(&b, x);
    if (which == 0)
        b.x[0][b.n_in / 2] = x[0][b.n_in / 2] = special;
    reference_forward(&b.r, (const double *const *)b.x);
    make_gradient(&b, dy);
    if (which == 1)
        b.dy[0][b.n_out / 2] = dy[0][b.n_out / 2] = special;
    reference_step(&b);
    for (int v = 0; v < 2; v++)
        cr_assert(plan_input(plan, v, x[v], &e) == 0, "%s: %s", c->title, e.text);
    cr_assert(plan_forward(plan, &e) == 0, "%s: %s", c->title, e.text);
    float *y = need(b.n_out, sizeof *y), *dx = need(b.n_in, sizeof *dx);
    if (!b.net.loss) {
        cr_assert(plan_output(plan, b.net.n - 1, 0, BATCH, y, &e) == 0, "%s: %s", c->title, e.text);
        not_hidden(c, where[which], special, y, b.r.y[0][b.net.n - 1], b.n_out);
        cr_assert(plan_backward_from(plan, (const float *const *)dy, &e) == 0, "%s", e.text);
    } else {
        struct plan_scores s;
        cr_assert(plan_scores(plan, &s, &e) == 0, "%s: %s", c->title, e.text);
        cr_assert(isfinite(b.r.loss) || !isfinite(s.loss), "%s: loss %g", c->title, s.loss);
        cr_assert(isfinite(b.r.zstd) || !isfinite(s.zstd), "%s: z-std %g", c->title, s.zstd);
        cr_assert(plan_backward(plan, &e) == 0, "%s: %s", c->title, e.text);
    }
    cr_assert(plan_input_gradient(plan, 0, dx, &e) == 0, "%s: %s", c->title, e.text);
    not_hidden(c, where[which], special, dx, b.r.dy[0][0], b.n_in);
    for (int v = 0; v < 2; v++) {
        free(x[v]);
        free(dy[v]);
    }
    free(y);
    free(dx);
    plan_free(plan);
    bench_close(&b);
}

static void check_specials(enum precision precision)
{
    struct device *d = open_cpu();
    int has = precision == PRECISION_F32 || device_info(d)->bf16,
        ours = strcmp(contract_device(), "cpu");
    for (int i = 0; has && i < CASES; i++)
        for (int which = 0; which < 3; which++) {
            struct net net;
            net_init(&net, cases[i].c, cases[i].h, cases[i].w);
            cases[i].build(&net, &cases[i]);
            int there = which == 0 || (which == 1 ? !net.loss : net.n_param > 0);
            // The stand-in for a card is slow, and what it multiplies with is not the card's.
            int foreign = ours && (cases[i].build == build_conv || cases[i].build == build_linear);
            net_free(&net);
            if (there && !foreign)
                check_special(d, &cases[i], precision, which, (i + which) % 2 ? INFINITY : NAN);
        }
    device_close(d);
    if (!has)
        cr_skip_test("this processor has no bf16: nodes are not checked in bf16 here");
}

Test(nodes, hide_no_special_number_f32)
{
    check_specials(PRECISION_F32);
}

Test(nodes, hide_no_special_number_bf16)
{
    check_specials(PRECISION_BF16);
}

// --- the reference itself ---

// What the reference's backward is the gradient of.
static double objective(struct bench *b)
{
    reference_forward(&b->r, (const double *const *)b->x);
    if (b->net.loss)
        return b->r.loss;
    double s = 0;
    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < b->n_out; i++)
            s += b->dy[v][i] * b->r.y[v][b->net.n - 1][i];
    return s;
}

// Central differences at some places of v[0..n) against grad[0..n).
static void differences(struct bench *b, const char *what, double *v, const double *grad, size_t n)
{
    const double h = 1e-4;
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += grad[i] * grad[i];
    for (size_t k = 0; k < PROBES && k < n; k++) {
        size_t i = (k * 7919 + 3) % n;
        double at = v[i];
        v[i] = at + h;
        double up = objective(b);
        v[i] = at - h;
        double slope = (up - objective(b)) / (2 * h);
        v[i] = at;
        double allowed = 2e-6 * (fabs(grad[i]) + sqrt(square / (double)n)) + 1e-10;
        cr_expect(fabs(slope - grad[i]) <= allowed, "%s: %s[%zu] has slope %.9g, not %.9g",
                  b->c->title, what, i, slope, grad[i]);
    }
}

static void check_reference(const struct node_case *c)
{
    struct bench b;
    float *x[2], *dy[2] = {NULL, NULL};
    bench_open(&b, c);
    for (int i = 0; i < b.net.n_param; i++) {
        const struct param *p = &b.net.param[i];
        float *v = numbers(p->name, 0, p->count);
        for (size_t k = 0; k < p->count; k++)
            v[k] = (float)parameter(p, v[k]);
        reference_put(&b.r, i, v);
        free(v);
    }
    make_input(&b, x);
    reference_forward(&b.r, (const double *const *)b.x);
    make_gradient(&b, dy);
    reference_step(&b);
    // z is a constant to the cosine.
    int constant = b.net.loss == cosine || b.net.loss == cosine_form;
    for (int v = 0; v < 2 && constant; v++) {
        size_t n = reference_size(&b.r, b.net.projected);
        b.r.fixed[v] = need(n, sizeof(double));
        memcpy(b.r.fixed[v], b.r.y[v][b.net.projected], n * sizeof(double));
    }
    for (int i = 0; i < b.net.n_param; i++)
        if (param_trained(&b.net.param[i]))
            differences(&b, b.net.param[i].name, b.r.param[i], b.r.grad[i], b.net.param[i].count);
    for (int v = 0; v < 2; v++)
        differences(&b, "input", b.x[v], b.r.dy[v][0], b.n_in);
    for (int v = 0; v < 2; v++) {
        free(b.r.fixed[v]);
        free(x[v]);
        free(dy[v]);
    }
    bench_close(&b);
}

Test(nodes, finite_differences_agree_with_the_reference)
{
    for (int i = 0; i < CASES; i++)
        check_reference(&cases[i]);
}

// --- what a node gave ---

// The first images of any of the batch, however many numbers they have together.
Test(nodes, output_of_some_images)
{
    enum { MANY = 80, IN = 2, OUT = 65536, SOME = 3 };
    struct device *d = open_cpu();
    struct error e;
    struct net net;
    struct plan *plan = NULL;
    struct plan_options o = {.batch = MANY, .precision = PRECISION_F32};
    float x[MANY * IN], *w = need((size_t)OUT * IN, sizeof *w),
                        *y = need((size_t)OUT * (MANY + 1), sizeof *y);
    net_init(&net, IN, 1, 1);
    int last = net_linear(&net, 0, "linear", OUT, 0);
    cr_assert(device_compile(d, &net, &o, &plan, &e) == 0, "%s", e.text);
    for (int i = 0; i < OUT * IN; i++) // whole numbers: no device rounds them
        w[i] = (float)(i * 7 % 31 - 15);
    cr_assert(plan_put(plan, "linear.weight", w, OUT * IN, &e) == 0, "%s", e.text);
    for (int v = 0; v < 2; v++) {
        for (int i = 0; i < MANY * IN; i++)
            x[i] = (float)(i * (v + 7) % 23 - 11);
        cr_assert(plan_input(plan, v, x, &e) == 0, "%s", e.text);
    }
    cr_assert(plan_forward(plan, &e) == 0, "%s", e.text);
    for (int n = SOME; n <= MANY; n += MANY - SOME) {
        y[n * OUT] = -1000;
        cr_assert(plan_output(plan, last, 1, n, y, &e) == 0, "%s", e.text);
        for (int i = 0; i < n * OUT; i++) {
            const float *row = x + i / OUT * IN, *to = w + i % OUT * IN;
            float want = row[0] * to[0] + row[1] * to[1];
            cr_assert(y[i] == want, "%d images, [%d]: %g, not %g", n, i, y[i], want);
        }
        cr_assert(y[n * OUT] == -1000, "more than was asked for");
    }
    cr_expect(plan_output(plan, last, 1, MANY + 1, y, &e) == -1);
    cr_expect(plan_output(plan, last, 2, 1, y, &e) == -1);
    free(w);
    free(y);
    plan_free(plan);
    net_free(&net);
    device_close(d);
}

// --- evaluation mode ---

// Running statistics instead of the batch's, over an average pool because features are what
// evaluation gives.
static void check_evaluation(struct device *d, int affine, int relu, enum precision precision)
{
    enum { SIDE = 8, CHANNELS = 3, IMAGES = 7, D = 12, N = 4 };
    static const float mean[CHANNELS] = {0.5f, 0.5f, 0.5f}, std[CHANNELS] = {0.25f, 0.25f, 0.25f};
    const char *title = affine ? relu ? "affine, ReLU" : "affine" : "not affine";
    struct error e;
    struct net net;
    struct reference r;
    struct plan *plan = NULL;
    struct images *set = NULL;
    struct plan_options o = {.batch = BATCH, .precision = precision};
    double tol = precision == PRECISION_BF16 ? 1e-2 : 1e-5;

    net_init(&net, CHANNELS, SIDE, SIDE);
    int y = net_bn(&net, net_conv(&net, 0, "conv", D, 3, 1, 1), "bn", affine);
    net.features = net_gap(&net, relu ? net_relu(&net, y) : y);
    cr_assert(!net.error.text[0], "%s", net.error.text);
    reference_new(&r, &net, BATCH);
    cr_assert(device_compile(d, &net, &o, &plan, &e) == 0, "%s", e.text);
    put_parameters(&net, plan, &r);

    // Images of differing brightness; evaluated in another order than they lie, and fewer than a
    // batch.
    enum { IMAGE = CHANNELS * SIDE * SIDE };
    static const int64_t index[N] = {6, 0, 3, 2};
    uint8_t pixels[IMAGES * IMAGE];
    double u[IMAGES * IMAGE];
    fixture_uniform("evaluation", IMAGES * IMAGE, u);
    for (int i = 0; i < IMAGES * IMAGE; i++)
        pixels[i] = (uint8_t)((u[i] + 1) * (40 + 12 * (double)(i / IMAGE)));
    double x[BATCH * IMAGE] = {0};
    for (int i = 0; i < N * IMAGE; i++)
        x[i] = (pixels[index[i / IMAGE] * IMAGE + i % IMAGE] / 255.0 - 0.5) / 0.25;
    reference_evaluate(&r, x);

    float h[BATCH * D] = {0};
    int rc = images_new(d, pixels, IMAGES, CHANNELS, SIDE, SIDE, mean, std, &set, &e);
    cr_assert(rc == 0, "%s", e.text);
    cr_assert(plan_evaluate(plan, set, index, N, h, &e) == 0, "%s", e.text);
    compare(title, "features", h, r.y[0][net.features], N * D, tol);
    // It leaves the running statistics alone, to the last bit.
    for (int i = 0; i < net.n_param; i++) {
        float v[D * CHANNELS * 9];
        cr_assert(plan_get(plan, net.param[i].name, v, net.param[i].count, &e) == 0, "%s", e.text);
        for (size_t k = 0; k < net.param[i].count; k++)
            cr_assert(v[k] == r.param[i][k], "evaluation changed %s", net.param[i].name);
    }
    plan_free(plan);
    images_free(set);
    reference_free(&r);
    net_free(&net);
}

Test(nodes, evaluation_f32)
{
    struct device *d = open_cpu();
    for (int kind = 0; kind < 3; kind++)
        check_evaluation(d, kind > 0, kind > 1, PRECISION_F32);
    device_close(d);
}

Test(nodes, evaluation_bf16)
{
    struct device *d = open_cpu();
    int has = device_info(d)->bf16;
    for (int kind = 0; has && kind < 3; kind++)
        check_evaluation(d, kind > 0, kind > 1, PRECISION_BF16);
    device_close(d);
    if (!has)
        cr_skip_test("this processor has no bf16: evaluation is not checked in bf16 here");
}
