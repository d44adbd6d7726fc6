// The whole step of SimSiam and BYOL against PyTorch's numbers (tests/fixtures/pytorch.py): loss,
// gradients, running statistics, features and three steps of SGD or of LARS with the moving average
// at width 8, gray and colour, both stems, f32 and bf16; BYOL on bottleneck blocks; and one step of
// SimSiam's ablations and of every network at a small width. The same numbers where ranks share the
// batch (threads that talk through memory); and those of PyTorch's DistributedDataParallel
// (tests/fixtures/ddp.py) where each normalises by itself.
#include <criterion/criterion.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "tests/kit/contract.h"
#include "tests/kit/crew.h"
#include "tests/kit/net_fixture.h"
#include "tests/kit/reference.h"
#include "train/methods/method.h"

// What holds in a precision. A tensor may be `FACTOR` times as far from f64 as PyTorch's own run of
// that precision, and up to the floor in any case: f32's is the specification's. In bf16 it is what
// a single node is allowed, for a gradient cannot be nearer than one rounded node; PyTorch's own
// gradients are three times that off and more.
enum { FACTOR = 3 };
static const struct tolerance {
    const char *key;
    double loss, gradient, state;
} tolerances[] = {
    [PRECISION_F32] = {"f32", 1e-5, 1e-4, 1e-5},
    [PRECISION_BF16] = {"bf16", 5e-3, 1e-2, 1e-2},
};

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

static int is_running(const struct param *p)
{
    return p->kind == PARAM_RUNNING_MEAN || p->kind == PARAM_RUNNING_VAR;
}

// A run: the fixture, the net, what compile made of it.
struct parity {
    const char *title;
    enum precision precision;
    const struct tolerance *tol;
    struct fixture f;
    struct net net;
    struct device *device;
    struct plan *plan;
    float *x[2];
    struct error e;
    int rank, batch; // of several: its number and its images; else 0 and all
    struct ranks *ranks;
    int together;
};

static void ok(struct parity *p, int rc)
{
    cr_assert(rc == 0, "%s: %s", p->title, p->e.text);
}

static void open_fixture(struct parity *p, const char *title)
{
    char path[128];
    memset(p, 0, sizeof *p);
    p->title = title;
    snprintf(path, sizeof path, "tests/fixtures/%s.fix", title);
    ok(p, fixture_open(path, &p->f, &p->e));
    ok(p, fixture_net(&p->f, &p->net, &p->e));
    p->batch = p->f.batch;
    size_t n = (size_t)p->f.batch * (size_t)p->f.channels * (size_t)p->f.size * (size_t)p->f.size;
    for (int v = 0; v < 2; v++) {
        p->x[v] = need(n, sizeof(float));
        cr_assert(fixture_view(&p->f, v, p->x[v]) == 0, "out of memory");
    }
}

static void put_all(struct parity *p)
{
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        float *v = need(q->count, sizeof *v);
        cr_assert(fixture_value(&p->f, q, v) == 0, "out of memory");
        ok(p, plan_put(p->plan, q->name, v, q->count, &p->e));
        free(v);
    }
}

static void close_fixture(struct parity *p)
{
    free(p->x[0]);
    free(p->x[1]);
    if (p->plan)
        plan_free(p->plan);
    if (p->device)
        device_close(p->device);
    net_free(&p->net);
    fixture_close(&p->f);
}

static struct fixture_tensor expected(struct parity *p, const char *name, size_t count)
{
    struct fixture_tensor t;
    ok(p, fixture_tensor(&p->f, name, &t, &p->e));
    cr_assert(t.count == (count + t.every - 1) / t.every, "%s: %s has %zu elements, not %zu",
              p->title, name, count, t.count * t.every);
    return t;
}

// Squares of the distance and of the wanted tensor, to be joined over tensors.
struct distance {
    double off, want, dot, got, own; // own: of PyTorch's run
};

static double relative(const struct distance *d)
{
    return sqrt(d->off / d->want);
}

static void measure(struct distance *d, const float *got, const struct fixture_tensor *t,
                    double own)
{
    double want = 0;
    for (size_t i = 0; i < t->count; i++) {
        double a = got[i * t->every], b = t->v[i];
        d->off += (a - b) * (a - b);
        d->dot += a * b;
        d->got += a * a;
        want += b * b;
    }
    d->want += want;
    d->own += own * own * want;
}

static double own_error(const struct parity *p, const struct fixture_tensor *t)
{
    return p->precision == PRECISION_BF16 ? t->bf16 : t->f32;
}

// One tensor within its bound; adds it to `joint` (or NULL).
static void check(struct parity *p, const char *name, const float *got, size_t count, double floor,
                  struct distance *joint)
{
    struct fixture_tensor t = expected(p, name, count);
    struct distance d = {0};
    double own = own_error(p, &t), bound = fmax(FACTOR * own, floor);
    measure(&d, got, &t, own);
    if (joint)
        measure(joint, got, &t, own);
    cr_expect(relative(&d) <= bound, "%s %s: %s is off by %.2e (PyTorch %.2e, allowed %.2e)",
              p->title, p->tol->key, name, relative(&d), own, bound);
    free(t.v);
}

static void check_gradients(struct parity *p)
{
    struct distance joint = {0};
    char name[128];
    size_t trained = 0;
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        if (!param_trained(q))
            continue;
        float *g = need(q->count, sizeof *g);
        snprintf(name, sizeof name, "grad.%s", q->name);
        ok(p, plan_get(p->plan, name, g, q->count, &p->e));
        check(p, name, g, q->count, p->tol->gradient, &joint);
        free(g);
        trained++;
    }
    cr_expect(trained == fixture_count(&p->f, "grad."), "%s: other parameters than PyTorch's",
              p->title);
    // All together luck evens out: no more than twice PyTorch's distance.
    double bound = fmax(2 * sqrt(joint.own / joint.want), p->tol->gradient);
    cr_expect(relative(&joint) <= bound, "%s %s: the whole gradient is off by %.2e (allowed %.2e)",
              p->title, p->tol->key, relative(&joint), bound);
}

static void check_running(struct parity *p)
{
    size_t running = 0;
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        if (!is_running(q))
            continue;
        float *v = need(q->count, sizeof *v);
        ok(p, plan_get(p->plan, q->name, v, q->count, &p->e));
        check(p, q->name, v, q->count, p->tol->state, NULL);
        free(v);
        running++;
    }
    size_t theirs = fixture_count(&p->f, "encoder.") + fixture_count(&p->f, "predictor.") +
                    fixture_count(&p->f, "target.");
    cr_expect(running == theirs, "%s: other running statistics than PyTorch's", p->title);
}

static void check_features(struct parity *p)
{
    size_t n = (size_t)p->f.batch * (size_t)p->net.node[p->net.features].c;
    float *h = need(n, sizeof *h);
    for (int v = 0; v < 2; v++) {
        ok(p, plan_features(p->plan, v, h, &p->e));
        check(p, v ? "features.1" : "features.0", h, n, p->tol->state, NULL);
    }
    free(h);
}

static void check_evaluation(struct parity *p)
{
    static const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {0.25f, 0.25f, 0.25f};
    int c = p->f.channels, size = p->f.size;
    size_t n = (size_t)p->f.batch, d = (size_t)p->net.node[p->net.features].c;
    uint8_t *pixels = need(n * (size_t)c * (size_t)size * (size_t)size, 1);
    int64_t *index = need(n, sizeof *index);
    float *h = need(n * d, sizeof *h);
    struct images *set = NULL;
    cr_assert(fixture_pixels(&p->f, pixels) == 0, "out of memory");
    for (size_t i = 0; i < n; i++)
        index[i] = (int64_t)i;
    ok(p, images_new(p->device, pixels, (int64_t)n, c, size, size, mean, std, &set, &p->e));
    ok(p, plan_evaluate(p->plan, set, index, (int)n, h, &p->e));
    check(p, "evaluate", h, n * d, p->tol->state, NULL);
    images_free(set);
    free(pixels);
    free(index);
    free(h);
}

static void forward(struct parity *p, int step)
{
    struct plan_scores s;
    size_t first = (size_t)p->rank * (size_t)p->batch * (size_t)p->f.channels * (size_t)p->f.size *
                   (size_t)p->f.size;
    for (int v = 0; v < 2; v++)
        ok(p, plan_input(p->plan, v, p->x[v] + first, &p->e));
    ok(p, plan_forward(p->plan, &p->e));
    ok(p, plan_scores(p->plan, &s, &p->e));
    double want = fixture_loss(&p->f, (size_t)step);
    // Later losses are those of other weights, in bf16: only the first is a matter of the step
    // alone.
    const struct method_row *m = method_find(p->f.method);
    double half = (m->loss_hi - m->loss_lo) / 2; // of its range, where that has an end
    // Without an end: in proportion, as states are, or as far as PyTorch's own run may be.
    double own = FACTOR * fixture_number(&p->f, "loss_error", p->tol->key);
    double allowed = isfinite(half) ? p->tol->loss * half : fmax(p->tol->state * fabs(want), own);
    if (step == 0 || p->precision == PRECISION_F32)
        cr_expect(fabs(s.loss - want) <= allowed, "%s %s: loss %d is %.9g, PyTorch's %.9g",
                  p->title, p->tol->key, step, s.loss, want);
}

static void update(struct parity *p)
{
    struct update u = {.momentum = fixture_number(&p->f, "momentum", NULL),
                       .weight_decay = fixture_number(&p->f, "wd", NULL)};
    u.lr[GROUP_MAIN] = fixture_number(&p->f, "lr_main", NULL);
    u.lr[GROUP_PREDICTOR] = fixture_number(&p->f, "lr_pred", NULL);
    double trust = fixture_number(&p->f, "trust", NULL), tau = fixture_number(&p->f, "tau", NULL);
    if (!isnan(trust)) {
        u.kind = UPDATE_LARS;
        u.trust = trust;
    }
    ok(p, plan_update(p->plan, &u, &p->e));
    if (!isnan(tau))
        ok(p, plan_ema(p->plan, tau, &p->e));
}

// What the three steps added to the parameters, against what PyTorch's did.
static void check_updates(struct parity *p)
{
    struct distance joint = {0};
    char name[128];
    size_t moved = 0;
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        if (is_running(q))
            continue;
        moved++;
        float *v = need(q->count, sizeof *v), *start = need(q->count, sizeof *start);
        cr_assert(fixture_value(&p->f, q, start) == 0, "out of memory");
        ok(p, plan_get(p->plan, q->name, v, q->count, &p->e));
        for (size_t k = 0; k < q->count; k++)
            v[k] -= start[k];
        snprintf(name, sizeof name, "update.%s", q->name);
        // 1e-2: the stored update has 8 bits, and each step starts from where the last one led.
        double floor = p->precision == PRECISION_F32 ? 1e-2 : INFINITY;
        check(p, name, v, q->count, floor, &joint);
        free(v);
        free(start);
    }
    cr_expect(moved == fixture_count(&p->f, "update."), "%s: other parameters than PyTorch's",
              p->title);
    double cosine = joint.dot / sqrt(joint.got * joint.want);
    double theirs = fixture_number(&p->f, "update_cosine", p->tol->key);
    double bound = p->precision == PRECISION_F32 ? 0.999 : 1 - FACTOR * FACTOR * (1 - theirs);
    cr_expect(cosine >= bound,
              "%s %s: the joint update has cosine %.6f (PyTorch %.6f, at least %.6f)", p->title,
              p->tol->key, cosine, theirs, bound);
}

static void compile(struct parity *p)
{
    struct plan_options o = {
        .batch = p->batch, .precision = p->precision, .ranks = p->ranks, .together = p->together};
    ok(p, device_compile(p->device, &p->net, &o, &p->plan, &p->e));
    put_all(p);
}

static void make_steps(struct parity *p)
{
    int steps = (int)json_array_size(json_object_get(p->f.header, "loss"));
    cr_assert(steps > 0);
    for (int step = 0; step < steps; step++) {
        forward(p, step);
        if (step == 0) {
            if (!p->ranks)
                check_features(p);
            if (!p->rank) // each has its own where they do not normalise together
                check_running(p);
        }
        ok(p, plan_backward(p->plan, &p->e));
        if (step == 0)
            check_gradients(p);
        update(p);
    }
    if (steps > 1)
        check_updates(p);
}

static void begin(struct parity *p, const char *title, enum precision precision)
{
    open_fixture(p, title);
    p->precision = precision;
    p->tol = &tolerances[precision];
    ok(p, device_open(contract_device(), 2, &p->device, &p->e));
    if (precision == PRECISION_BF16 && !device_info(p->device)->bf16) {
        close_fixture(p);
        cr_skip_test("this processor has no bf16: %s is not compared in bf16 here", title);
    }
}

static void run(const char *title, enum precision precision)
{
    struct parity p;
    begin(&p, title, precision);
    compile(&p);
    check_evaluation(&p);
    make_steps(&p);
    close_fixture(&p);
}

// The steps from the fixture's weights; all that is trained and known of the run, in one array.
static float *numbers_of(struct parity *p, size_t *n)
{
    float *all = NULL;
    compile(p);
    *n = 0;
    for (int step = 0; step < 3; step++) {
        forward(p, step);
        ok(p, plan_backward(p->plan, &p->e));
        update(p);
    }
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        all = realloc(all, (*n + q->count) * sizeof *all);
        cr_assert(all, "out of memory");
        ok(p, plan_get(p->plan, q->name, all + *n, q->count, &p->e));
        *n += q->count;
    }
    plan_free(p->plan);
    p->plan = NULL;
    return all;
}

// Twice the same numbers, to the last bit, and PyTorch's losses.
static void repeat(const char *title, enum precision precision)
{
    struct parity p;
    size_t n, again;
    begin(&p, title, precision);
    float *a = numbers_of(&p, &n), *b = numbers_of(&p, &again);
    cr_assert_eq(n, again);
    cr_expect_eq(memcmp(a, b, n * sizeof *a), 0, "%s %s: not twice the same", title, p.tol->key);
    free(a);
    free(b);
    close_fixture(&p);
}

Test(parity, repeats_f32)
{
    repeat("gray-cifar", PRECISION_F32);
    repeat("colour-imagenet", PRECISION_F32);
}

Test(parity, repeats_bf16)
{
    repeat("gray-cifar", PRECISION_BF16);
    repeat("colour-imagenet", PRECISION_BF16);
}

// Pairs of bf16 in blocks, where the processor has tiles too.
static void without_amx(void)
{
    cr_assert_eq(setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", 1), 0); // read once a process
}

Test(parity, repeats_bf16_without_amx)
{
    without_amx();
    repeat("gray-cifar", PRECISION_BF16);
    repeat("colour-imagenet", PRECISION_BF16);
}

Test(parity, gray_cifar_bf16_without_amx)
{
    without_amx();
    run("gray-cifar", PRECISION_BF16);
}

Test(parity, colour_imagenet_bf16_without_amx)
{
    without_amx();
    run("colour-imagenet", PRECISION_BF16);
}

Test(parity, gray_cifar_f32)
{
    run("gray-cifar", PRECISION_F32);
}

Test(parity, colour_cifar_f32)
{
    run("colour-cifar", PRECISION_F32);
}

Test(parity, gray_imagenet_f32)
{
    run("gray-imagenet", PRECISION_F32);
}

Test(parity, colour_imagenet_f32)
{
    run("colour-imagenet", PRECISION_F32);
}

// Blocks of 8 channels, and other algorithms, whatever the processor has.
static void run_without_avx512(const char *name)
{
    cr_assert_eq(setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1), 0); // read once a process
    run(name, PRECISION_F32);
}

Test(parity, gray_cifar_f32_without_avx512)
{
    run_without_avx512("gray-cifar");
}

Test(parity, colour_imagenet_f32_without_avx512)
{
    run_without_avx512("colour-imagenet");
}

Test(parity, odd_width_f32_without_avx512)
{
    run_without_avx512("odd-width");
}

Test(parity, gray_cifar_bf16)
{
    run("gray-cifar", PRECISION_BF16);
}

Test(parity, colour_cifar_bf16)
{
    run("colour-cifar", PRECISION_BF16);
}

Test(parity, gray_imagenet_bf16)
{
    run("gray-imagenet", PRECISION_BF16);
}

Test(parity, colour_imagenet_bf16)
{
    run("colour-imagenet", PRECISION_BF16);
}

Test(parity, odd_width_f32)
{
    run("odd-width", PRECISION_F32);
}

Test(parity, odd_width_bf16)
{
    run("odd-width", PRECISION_BF16);
}

Test(parity, byol_f32)
{
    run("byol-cifar", PRECISION_F32);
}

Test(parity, byol_bf16)
{
    run("byol-cifar-bf16", PRECISION_BF16);
}

Test(parity, byol_resnet50_f32)
{
    run("byol-resnet50", PRECISION_F32);
}

Test(parity, byol_resnet50_bf16)
{
    run("byol-resnet50", PRECISION_BF16);
}

Test(parity, vicreg_f32)
{
    run("vicreg", PRECISION_F32);
}

Test(parity, vicreg_bf16)
{
    run("vicreg", PRECISION_BF16);
}

Test(parity, barlow_f32)
{
    run("barlow", PRECISION_F32);
}

Test(parity, barlow_bf16)
{
    run("barlow", PRECISION_BF16);
}

static const char *const ablations[] = {"no-predictor", "no-stop-gradient"};

Test(parity, ablations_f32)
{
    for (size_t i = 0; i < sizeof ablations / sizeof *ablations; i++)
        run(ablations[i], PRECISION_F32);
}

Test(parity, ablations_bf16)
{
    for (size_t i = 0; i < sizeof ablations / sizeof *ablations; i++)
        run(ablations[i], PRECISION_BF16);
}

static const char *const networks[] = {
    "resnet34",
    "resnet50",
    "resnet18_bottleneck_w64",
    "resnet18_bottleneck_w96",
    "resnet18_bottleneck_w128",
    "resnet50_nobottleneck",
};

Test(parity, networks_f32)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        run(networks[i], PRECISION_F32);
}

Test(parity, networks_bf16)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        run(networks[i], PRECISION_BF16);
}

// --- a batch that ranks share: each a processor's threads, or a card of its own ---
static int is_cpu(void)
{
    return strcmp(contract_device(), "cpu") == 0;
}

struct member {
    const char *title;
    enum precision precision;
    struct crew *crew;
    int rank, size, together;
};

static void need_cards(int n)
{
    struct error e = {""};
    int there = is_cpu() ? n : device_count(device_kind(1), &e);
    if (there < n)
        cr_skip_test("%d ranks need as many cards, %d are there", n, there);
}

static void *share(void *context)
{
    const struct member *m = context;
    struct parity p;
    open_fixture(&p, m->title);
    p.precision = m->precision;
    p.tol = &tolerances[p.precision];
    p.rank = m->rank;
    p.batch = p.f.batch / m->size;
    p.together = m->together;
    char device[16];
    ok(&p, crew_join(m->crew, m->rank, &p.ranks, &p.e));
    snprintf(device, sizeof device, is_cpu() ? "%s" : "%s:%d", contract_device(), m->rank);
    ok(&p, device_open(device, 1, &p.device, &p.e));
    compile(&p);
    make_steps(&p);
    close_fixture(&p);
    ranks_close(p.ranks, 0);
    return NULL;
}

static void run_shared(const char *title, enum precision precision, int size, int together)
{
    struct member m[4];
    pthread_t thread[4];
    struct crew *crew = crew_new(size);
    for (int k = size - 1; k >= 0; k--) {
        m[k] = (struct member){title, precision, crew, k, size, together};
        if (k)
            cr_assert(pthread_create(&thread[k], NULL, share, &m[k]) == 0);
        else
            share(&m[k]);
    }
    for (int k = 1; k < size; k++)
        pthread_join(thread[k], NULL);
    crew_free(crew);
}

Test(shared, simsiam_byol_vicreg_and_barlow_are_those_of_one_process)
{
    static const char *const title[] = {"gray-cifar", "colour-imagenet", "byol-cifar", "vicreg",
                                        "barlow"};
    need_cards(2);
    for (size_t i = 0; i < sizeof title / sizeof *title; i++)
        run_shared(title[i], PRECISION_F32, 2, 1);
}

Test(shared, by_four)
{
    need_cards(4);
    run_shared("colour-cifar", PRECISION_F32, 4, 1);
}

Test(shared, in_bf16)
{
    struct device *d;
    struct error e;
    cr_assert(device_open(contract_device(), 1, &d, &e) == 0, "%s", e.text);
    int bf16 = device_info(d)->bf16;
    device_close(d);
    if (!bf16)
        cr_skip_test("this processor has no bf16");
    need_cards(2);
    run_shared("gray-cifar", PRECISION_BF16, 2, 1);
}

// One step without a check, of two; what came of it.
struct attempt {
    struct parity p;
    struct crew *crew;
    int rank, call, rc; // call: which of rank 1's fails; 0: none
};

static void *attempt(void *context)
{
    struct attempt *a = context;
    struct parity *p = &a->p;
    struct plan_scores s;
    struct update u = {.momentum = 0.9};
    p->rank = a->rank;
    p->batch = p->f.batch / 2;
    p->together = 1;
    ok(p, crew_join(a->crew, a->rank, &p->ranks, &p->e));
    ok(p, device_open("cpu", 1, &p->device, &p->e));
    compile(p);
    for (int v = 0; v < 2; v++)
        ok(p, plan_input(p->plan, v, p->x[v], &p->e));
    if (a->rank == 1)
        crew_fail(a->crew, 1, a->call);
    int before = crew_calls(a->crew, a->rank);
    a->rc = plan_forward(p->plan, &p->e) < 0 || plan_scores(p->plan, &s, &p->e) < 0 ||
                    plan_backward(p->plan, &p->e) < 0 || plan_update(p->plan, &u, &p->e) < 0
                ? -1
                : crew_calls(a->crew, a->rank) - before;
    if (a->rc < 0) // the last thing that is done with them
        ranks_give_up(p->ranks);
    return NULL;
}

// How many calls rank 1 makes; -1 where one failed.
static int attempt_both(int call)
{
    struct attempt a[2];
    pthread_t other;
    struct crew *crew = crew_new(2);
    for (int k = 0; k < 2; k++) {
        open_fixture(&a[k].p, "vicreg");
        a[k].p.tol = &tolerances[PRECISION_F32];
        a[k].crew = crew;
        a[k].rank = k;
        a[k].call = call;
    }
    cr_assert(pthread_create(&other, NULL, attempt, &a[1]) == 0);
    attempt(&a[0]);
    pthread_join(other, NULL);
    int rc = a[1].rc;
    cr_expect(rc >= 0 || strstr(a[1].p.e.text, "the crew has failed"), "%s", a[1].p.e.text);
    for (int k = 0; k < 2; k++) { // as a process does that gives up: nobody waits for the other
        ranks_give_up(a[k].p.ranks);
        close_fixture(&a[k].p);
        ranks_close(a[k].p.ranks, 1);
    }
    crew_free(crew);
    return rc;
}

// Whatever fails on one of them, both end with a sentence and nobody waits for ever.
Test(shared, every_call_fails_once)
{
    int calls = attempt_both(0);
    cr_assert(calls > 50, "%d", calls);
    for (int call = 1; call <= calls; call++)
        cr_expect(attempt_both(call) == -1, "call %d of %d", call, calls);
}

Test(shared, apart_they_are_pytorchs_distributed_data_parallel)
{
    need_cards(2);
    run_shared("ddp", PRECISION_F32, 2, 0);
}

// The double loops that measure the nodes give PyTorch's f64 numbers over a whole net. (2^-16: a
// gradient is stored in 24 bits.)
static void reference_run(const char *title)
{
    struct parity p;
    struct reference r;
    char name[128];
    open_fixture(&p, title);
    reference_new(&r, &p.net, p.f.batch);
    for (int i = 0; i < p.net.n_param; i++) {
        float *v = need(p.net.param[i].count, sizeof *v);
        cr_assert(fixture_value(&p.f, &p.net.param[i], v) == 0, "out of memory");
        reference_put(&r, i, v);
        free(v);
    }
    double *x[2];
    size_t n = reference_size(&r, 0);
    for (int v = 0; v < 2; v++) {
        x[v] = need(n, sizeof(double));
        for (size_t i = 0; i < n; i++)
            x[v][i] = p.x[v][i];
    }
    reference_forward(&r, (const double *const *)x);
    cr_expect(fabs(r.loss - fixture_loss(&p.f, 0)) <= 1e-10, "%s: loss %.15g, PyTorch's %.15g",
              title, r.loss, fixture_loss(&p.f, 0));
    reference_backward(&r, NULL);
    for (int i = 0; i < p.net.n_param; i++) {
        const struct param *q = &p.net.param[i];
        snprintf(name, sizeof name, "%s%s", is_running(q) ? "" : "grad.", q->name);
        struct fixture_tensor t = expected(&p, name, q->count);
        const double *mine = is_running(q) ? r.param[i] : r.grad[i];
        double off = 0, want = 0;
        for (size_t k = 0; k < t.count; k++) {
            double apart = mine[k * t.every] - t.v[k];
            off += apart * apart;
            want += (double)t.v[k] * t.v[k];
        }
        cr_expect(sqrt(off) <= 0x1p-16 * sqrt(want), "%s: %s is off by %.2e", title, name,
                  sqrt(off / want));
        free(t.v);
    }
    free(x[0]);
    free(x[1]);
    reference_free(&r);
    close_fixture(&p);
}

Test(parity, double_loops_equal_pytorch)
{
    reference_run("colour-cifar");
    reference_run("gray-imagenet");
    reference_run("vicreg");
    reference_run("barlow");
}

// Trained parameters as PyTorch counts them, of the encoder without its heads and of all.
Test(parity, parameter_counts)
{
    static const struct {
        int width, channels;
        const char *stem;
        int layers;
        int64_t encoder, all;
    } rows[] = {
        {64, 3, "imagenet", 3, 11176512, 14851648}, {64, 1, "imagenet", 3, 11170240, 14845376},
        {64, 3, "cifar", 2, 11168832, 14580800},    {64, 1, "cifar", 3, 11167680, 14842816},
        {32, 3, "cifar", 3, 2795040, 3715104},      {16, 1, "cifar", 3, 699888, 930544},
        {16, 1, "cifar", 2, 699888, 913904},        {8, 1, "imagenet", 3, 175928, 233912},
        {4, 3, "cifar", 3, 44292, 58948},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options o;
        struct net net;
        struct error e;
        options_default(&o);
        o.width = rows[i].width;
        o.proj_layers = rows[i].layers;
        snprintf(o.stem, sizeof o.stem, "%s", rows[i].stem);
        int rc = method_build(&o, rows[i].channels, 64, 64, &net, &e);
        cr_assert(rc == 0, "%s", e.text);
        int64_t encoder = 0;
        for (int k = 0; k < net.n_param; k++)
            if (!is_running(&net.param[k]) && net.param[k].node < net.features)
                encoder += (int64_t)net.param[k].count;
        cr_expect(encoder == rows[i].encoder,
                  "width %d, %s: the encoder has %lld parameters, not %lld", rows[i].width,
                  rows[i].stem, (long long)encoder, (long long)rows[i].encoder);
        cr_expect(net_count(&net) == rows[i].all, "width %d, %s: %lld parameters, not %lld",
                  rows[i].width, rows[i].stem, (long long)net_count(&net), (long long)rows[i].all);
        net_free(&net);
    }
}
