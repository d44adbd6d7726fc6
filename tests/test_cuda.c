// The CUDA device on a stand-in for the card (tests/cuda/): its own sources compiled for the host.
// Steps beside the CPU device's, views, spectrum; work that runs only when it is waited for; every
// call made to fail; planted bugs. Where no toolkit is there is nothing to test, and that is said.
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/augment.h"
#include "gpu/backend.h"
#include "gpu/device.h"
#include "tests/cuda/control.h"
#include "tests/net_fixture.h"

enum { BATCH = 4, STEPS = 5, IMAGES = 12, SIDE = 12 };

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

// The stand-in that the build made in this mode; the test is skipped where none was made.
static const struct emu_control *play(const char *mode)
{
    const char *where = getenv("SSLTOP_PLAYED");
    char path[4096];
    if (!where)
        cr_skip_test("no CUDA toolkit was found by the build: the CUDA device is not tested");
    const char *bug = getenv("SSLTOP_BUG"); // stands in for every mode
    snprintf(path, sizeof path, "%s/%s/ssltop-cuda.so", where, bug ? bug : mode);
    cr_assert(setenv("SSLTOP_CUDA", path, 1) == 0);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert(library, "%s", dlerror());
    const struct emu_control *(*entry)(void);
    void *symbol = dlsym(library, "emu_control");
    memcpy(&entry, &symbol, sizeof entry);
    cr_assert(symbol, "%s has no controls", path);
    return entry();
}

// --- the same steps on two devices ---
struct run {
    struct device *device;
    struct images *images;
    struct plan *plan;
    struct net net;
    struct error e;
};

static uint8_t *pixels(int c)
{
    size_t n = IMAGES * (size_t)c * SIDE * SIDE;
    uint8_t *p = need(n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((i * 2654435761u >> 7) % 256);
    return p;
}

static const float mean[3] = {0.4f, 0.5f, 0.6f}, deviation[3] = {0.2f, 0.25f, 0.3f};

// A net small enough to be run a thousand times: one block of each kind.
static void small_net(struct net *net, int c)
{
    net_init(net, c, SIDE, SIDE);
    int x = net_relu(net, net_bn(net, net_conv(net, 0, "conv1", 8, 3, 1, 1), "bn1", 1));
    x = net_maxpool(net, x, 3, 2, 1);
    int a = net_bn(net, net_conv(net, x, "conv2", 8, 3, 1, 1), "bn2", 1);
    x = net_relu(net, net_add(net, a, x));
    net->features = net_gap(net, x);
    int z = net_bn(net, net_linear(net, net->features, "fc", 16, 0), "fc.bn", 0);
    net->group = GROUP_PREDICTOR;
    int p = net_relu(net, net_bn(net, net_linear(net, z, "p0", 4, 0), "p1", 1));
    net_cosine(net, net_linear(net, p, "p3", 16, 1), z);
}

static int start(struct run *r, const char *device, int c, const uint8_t *p, enum precision how)
{
    struct plan_options o = {.batch = BATCH, .precision = how};
    memset(r, 0, sizeof *r);
    small_net(&r->net, c);
    cr_assert(r->net.error.text[0] == '\0', "%s", r->net.error.text);
    if (device_open(device, 1, &r->device, &r->e) < 0 ||
        images_new(r->device, p, IMAGES, c, SIDE, SIDE, mean, deviation, &r->images, &r->e) < 0 ||
        device_compile(r->device, &r->net, &o, &r->plan, &r->e) < 0)
        return -1;
    for (int i = 0; i < r->net.n_param; i++) {
        const struct param *q = &r->net.param[i];
        float *v = need(q->count, sizeof *v);
        cr_assert(fixture_value(NULL, q, v) == 0);
        int rc = plan_put(r->plan, q->name, v, q->count, &r->e);
        free(v);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static void finish(struct run *r)
{
    if (r->plan)
        plan_free(r->plan);
    if (r->images)
        images_free(r->images);
    if (r->device)
        device_close(r->device);
    net_free(&r->net);
}

static int load(struct run *r, int step, int c)
{
    const struct augment_recipe *recipe = augment_find("simsiam");
    struct augment_view view[2][BATCH];
    const struct augment_view *const views[2] = {view[0], view[1]};
    int64_t index[BATCH];
    for (int i = 0; i < BATCH; i++) {
        index[i] = (step * 5 + i * 3) % IMAGES;
        for (int v = 0; v < 2; v++) {
            augment_draw(recipe, 7, step, index[i], v, c, SIDE, SIDE, &view[v][i]);
            if (i == 1) { // what the recipe leaves out for small images
                view[v][i].sigma = 0.9f + (float)v;
                view[v][i].solarize = 1;
            }
        }
    }
    return plan_load(r->plan, r->images, index, views, &r->e);
}

static int backward_and_update(struct run *r, int step)
{
    struct update u = {.lr = {0.05 / (step + 1), 0.1}, .momentum = 0.9, .weight_decay = 1e-3};
    return plan_backward(r->plan, &r->e) < 0 ? -1 : plan_update(r->plan, &u, &r->e);
}

// One step as the trainer makes it: the next batch is queued before this one is worked.
static int step(struct run *r, int t, int c, struct plan_scores *scores)
{
    if ((t == 0 && load(r, 0, c) < 0) || load(r, t + 1, c) < 0 || plan_forward(r->plan, &r->e) < 0)
        return -1;
    plan_scores(r->plan, scores);
    return backward_and_update(r, t);
}

static double apart(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = d > most || d != d ? d : most;
    }
    return most;
}

static void same_output(struct run *a, struct run *b, int node, double bound, const char *what)
{
    const struct node *d = &a->net.node[node];
    size_t n = BATCH * (size_t)d->c * (size_t)d->h * (size_t)d->w;
    float *x = need(n, sizeof *x), *y = need(n, sizeof *y);
    for (int v = 0; v < 2; v++) {
        cr_assert(plan_output(a->plan, node, v, x, &a->e) == 0, "%s", a->e.text);
        cr_assert(plan_output(b->plan, node, v, y, &b->e) == 0, "%s", b->e.text);
        cr_expect(apart(x, y, n) <= bound, "%s of view %d: %.2e apart", what, v, apart(x, y, n));
    }
    free(x);
    free(y);
}

static void same_parameters(struct run *a, struct run *b, double bound)
{
    for (int i = 0; i < a->net.n_param; i++) {
        const struct param *q = &a->net.param[i];
        float *x = need(q->count, sizeof *x), *y = need(q->count, sizeof *y);
        cr_assert(plan_get(a->plan, q->name, x, q->count, &a->e) == 0, "%s", a->e.text);
        cr_assert(plan_get(b->plan, q->name, y, q->count, &b->e) == 0, "%s", b->e.text);
        cr_expect(apart(x, y, q->count) <= bound, "%s: %.2e apart", q->name, apart(x, y, q->count));
        free(x);
        free(y);
    }
}

// Asked for right behind a forward pass that nobody has waited for.
static void same_spectrum(struct run *a, struct run *b)
{
    struct run *r[2] = {a, b};
    struct moments m[2];
    double sigma[2][8], n[2];
    for (int i = 0; i < 2; i++) {
        cr_assert(moments_init(&m[i], 8, &r[i]->e) == 0);
        cr_assert(plan_forward(r[i]->plan, &r[i]->e) == 0, "%s", r[i]->e.text);
        for (int k = 0; k < 2; k++) {
            moments_decay(&m[i], 0.5);
            cr_assert(plan_moments(r[i]->plan, &m[i], &r[i]->e) == 0, "%s", r[i]->e.text);
        }
        int rc;
        while ((rc = device_spectrum(r[i]->device, &m[i], sigma[i], &n[i], &r[i]->e)) == 1)
            ;
        cr_assert(rc == 0, "%s", r[i]->e.text);
    }
    cr_expect(fabs(n[0] - n[1]) < 1e-9 * n[0], "n_eff %g and %g", n[0], n[1]);
    for (int i = 0; i < 8; i++)
        cr_expect(fabs(sigma[0][i] - sigma[1][i]) <= 1e-4 * sigma[0][0],
                  "singular value %d: %.9g and %.9g", i, sigma[0][i], sigma[1][i]);
    moments_free(&m[0]);
    moments_free(&m[1]);
}

// Views, losses, parameters, features and spectrum beside the CPU device's.
static void beside_cpu(const struct emu_control *c, int channels, unsigned seed, int lazy)
{
    struct run cpu, card;
    uint8_t *p = pixels(channels);
    cr_assert(start(&cpu, "cpu", channels, p, PRECISION_F32) == 0, "%s", cpu.e.text);
    c->seed(seed);
    c->lazy(lazy);
    cr_assert(start(&card, "cuda", channels, p, PRECISION_F32) == 0, "%s", card.e.text);
    for (int t = 0; t < STEPS; t++) {
        struct plan_scores want, got;
        cr_assert(step(&cpu, t, channels, &want) == 0, "%s", cpu.e.text);
        cr_assert(step(&card, t, channels, &got) == 0, "%s", card.e.text);
        cr_expect(fabs(want.loss - got.loss) < 1e-4, "step %d: loss %.9g, the CPU's %.9g", t,
                  got.loss, want.loss);
        cr_expect(fabs(want.zstd - got.zstd) < 1e-4, "step %d: z-std %.9g, the CPU's %.9g", t,
                  got.zstd, want.zstd);
        same_output(&cpu, &card, 0, 1.0 / 255 / 0.2, "the input");
    }
    cr_expect(c->graphs() >= 3 * (STEPS - 1), "%ld graphs were launched", c->graphs());
    same_parameters(&cpu, &card, 2e-4);
    same_spectrum(&cpu, &card);
    int64_t index[BATCH] = {3, 11, 0};
    float h[2][BATCH * 8];
    cr_assert(plan_evaluate(cpu.plan, cpu.images, index, 3, h[0], &cpu.e) == 0);
    cr_assert(plan_evaluate(card.plan, card.images, index, 3, h[1], &card.e) == 0, "%s",
              card.e.text);
    cr_expect(apart(h[0], h[1], 3 * 8) < 1e-3, "features are %.2e apart", apart(h[0], h[1], 3 * 8));
    finish(&cpu);
    finish(&card);
    free(p);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
}

Test(cuda, steps_as_the_cpu_makes_them)
{
    const struct emu_control *c = play("plain");
    beside_cpu(c, 3, 0, 0);
}

Test(cuda, steps_in_any_order)
{
    const struct emu_control *c = play("check");
    beside_cpu(c, 1, 3, 0);
}

// Nothing runs before something waits for it: a missing event shows.
Test(cuda, steps_as_late_as_can_be)
{
    const struct emu_control *c = play("check");
    beside_cpu(c, 3, 11, 1);
}

// Images that do not fit on the card go up with each batch.
Test(cuda, images_that_stay_with_the_host)
{
    const struct emu_control *c = play("check");
    c->memory(200ul << 20);
    uint8_t *p = pixels(3);
    struct run card, cpu;
    cr_assert(start(&cpu, "cpu", 3, p, PRECISION_F32) == 0, "%s", cpu.e.text);
    cr_assert(start(&card, "cuda", 3, p, PRECISION_F32) == 0, "%s", card.e.text);
    images_free(card.images);
    c->memory(1);
    cr_assert(images_new(card.device, p, IMAGES, 3, SIDE, SIDE, mean, deviation, &card.images,
                         &card.e) == 0);
    c->memory(200ul << 20);
    c->lazy(1);
    for (int t = 0; t < STEPS; t++) {
        struct plan_scores s;
        cr_assert(step(&cpu, t, 3, &s) == 0, "%s", cpu.e.text);
        cr_assert(step(&card, t, 3, &s) == 0, "%s", card.e.text);
        same_output(&cpu, &card, 0, 1.0 / 255 / 0.2, "the input");
    }
    finish(&cpu);
    finish(&card);
    free(p);
}

// What was chosen can be asked for again, and only what fits is taken.
Test(cuda, algorithms_are_obeyed)
{
    play("plain");
    uint8_t *p = pixels(1);
    struct run r;
    cr_assert(start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
    char algorithms[256];
    snprintf(algorithms, sizeof algorithms, "%s", plan_algorithms(r.plan));
    struct plan_options o = {.batch = BATCH, .algorithms = algorithms};
    struct plan *again;
    cr_assert(device_compile(r.device, &r.net, &o, &again, &r.e) == 0, "%s", r.e.text);
    cr_expect_str_eq(plan_algorithms(again), algorithms);
    plan_free(again);
    algorithms[strlen(algorithms) - 1] = '\0';
    cr_expect(device_compile(r.device, &r.net, &o, &again, &r.e) < 0);
    cr_expect(strstr(r.e.text, "another network"), "%s", r.e.text);
    o.algorithms = "x86-64-v3-1:dd";
    cr_expect(device_compile(r.device, &r.net, &o, &again, &r.e) < 0);
    cr_expect(strstr(r.e.text, "another card"), "%s", r.e.text);
    finish(&r);
    free(p);
}

// --- why not ---
Test(cuda, says_why_not)
{
    const struct emu_control *c = play("plain");
    static const struct {
        int code, version, major;
        const char *spec, *says;
    } rows[] = {
        {35, 0, 9, "cuda", "no NVIDIA driver is installed"},
        {35, 12040, 9, "cuda", "too old: it knows CUDA 12.4, 13.0 is needed"},
        {100, 13000, 9, "cuda", "no GPU that it can use"},
        {0, 13000, 7, "cuda", "architecture sm_70"},
        {0, 13000, 9, "cuda:4", "there is no GPU '4' (there are 1"},
        {0, 13000, 9, "cuda:x", "there is no GPU 'x'"},
        {0, 13000, 9, "cuda:sm_12", "sm_80, sm_90"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct device *d;
        struct error e = {""};
        c->driver(rows[i].code, rows[i].version, rows[i].major);
        cr_expect(device_open(rows[i].spec, 1, &d, &e) < 0, "%s opened", rows[i].spec);
        cr_expect(strstr(e.text, rows[i].says), "says: %s", e.text);
        cr_expect(device_open("auto", 1, &d, &e) == 0 || rows[i].code == 0, "%s", e.text);
        if (d)
            device_close(d);
        cr_expect(c->live() == 0, "%ld objects are left after: %s", c->live(), rows[i].says);
    }
}

Test(cuda, refuses_a_library_that_is_none)
{
    struct device *d;
    struct error e;
    cr_assert(setenv("SSLTOP_CUDA", "/nonexistent/ssltop-cuda.so", 1) == 0);
    cr_expect(device_open("cuda", 1, &d, &e) < 0);
    cr_expect(strstr(e.text, "cannot be loaded"), "%s", e.text);
    cr_assert(setenv("SSLTOP_CUDA", "libm.so.6", 1) == 0);
    cr_expect(device_open("cuda", 1, &d, &e) < 0);
    cr_expect(strstr(e.text, "another version"), "%s", e.text);
    cr_expect(device_open("auto", 1, &d, &e) == 0, "%s", e.text);
    cr_expect_str_eq(device_info(d)->kind, "cpu");
    device_close(d);
}

// --- every call fails once ---
// All that a training does, up to the first error.
static int whole(struct run *r, const uint8_t *p, double *loss)
{
    struct plan_scores s = {NAN, NAN};
    struct moments m;
    double sigma[8], n;
    float h[BATCH * 8];
    int64_t index[BATCH] = {1, 2, 3, 4};
    int rc = start(r, "cuda", 1, p, PRECISION_BF16);
    for (int t = 0; t < 2 && rc == 0; t++)
        rc = step(r, t, 1, &s);
    if (rc < 0)
        return -1;
    *loss = s.loss;
    cr_assert(moments_init(&m, 8, &r->e) == 0);
    rc = plan_moments(r->plan, &m, &r->e);
    while (rc >= 0 && (rc = device_spectrum(r->device, &m, sigma, &n, &r->e)) == 1)
        ;
    moments_free(&m);
    if (rc == 0)
        rc = plan_evaluate(r->plan, r->images, index, 4, h, &r->e);
    if (rc == 0)
        rc = plan_features(r->plan, 1, h, &r->e);
    return rc;
}

// Some failures are made good: an engine that cannot be built or clocked, a step that cannot be
// recorded, a clock that cannot be read. Then the numbers are right all the same; all others are
// told.
static void every_call_fails(const char *mode, int others)
{
    const struct emu_control *c = play(mode);
    uint8_t *p = pixels(1);
    struct run first;
    double clean = NAN;
    int told = 0;
    cr_assert(whole(&first, p, &clean) == 0, "%s", first.e.text);
    finish(&first);
    for (int n = 1; n < 20000; n++) {
        struct run r;
        c->fail(n, others);
        double loss = NAN;
        int rc = whole(&r, p, &loss), hit = c->fail_hit();
        cr_assert(rc == 0 || hit, "without a failing call: %s", r.e.text);
        cr_assert(rc == 0 || r.e.text[0], "call %d failed without a word", n);
        cr_assert(rc < 0 || fabs(loss - clean) < 1e-2,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, loss, clean);
        told += rc < 0;
        c->fail(0, 0);
        finish(&r);
        cr_assert(c->live() == 0, "call %d failed (%s): %ld objects are left", n, r.e.text,
                  c->live());
        if (!hit)
            break;
    }
    cr_expect(told >= (others ? 10 : 500), "only %d failures were told", told);
    free(p);
}

// The same for one step out of its graphs.
Test(cuda, every_call_of_a_recorded_step_fails_once)
{
    const struct emu_control *c = play("plain");
    uint8_t *p = pixels(1);
    double clean = NAN;
    int told = 0;
    for (int n = 0; n < 200; n++) {
        struct run r;
        struct plan_scores s = {NAN, NAN};
        cr_assert(start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
        for (int t = 0; t < 3; t++)
            cr_assert(step(&r, t, 1, &s) == 0, "%s", r.e.text);
        c->fail(n, 0);
        int rc = step(&r, 3, 1, &s);
        if (rc == 0)
            rc = plan_forward(r.plan, &r.e);
        plan_scores(r.plan, &s);
        int hit = c->fail_hit();
        c->fail(0, 0);
        clean = n ? clean : s.loss;
        told += rc < 0 || isnan(s.loss);
        cr_expect(rc < 0 || isnan(s.loss) || fabs(s.loss - clean) < 1e-6,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, s.loss, clean);
        finish(&r);
        cr_assert(c->live() == 0, "call %d failed (%s): %ld objects are left", n, r.e.text,
                  c->live());
        if (n && !hit)
            break;
    }
    cr_expect(told >= 20, "only %d failures were told", told);
    free(p);
}

Test(cuda, every_call_of_the_steps_fails_once)
{
    every_call_fails("plain", 0);
}

Test(cuda, every_call_of_the_spectrum_fails_once)
{
    every_call_fails("plain", 1);
}

// --- the test of the tests: each planted bug must be seen ---
static int child(const char *library, const char *filter)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    cr_assert(n > 0);
    self[n] = '\0';
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        unsetenv("BXFI_MAP"); // by which Criterion tells its workers from its main process
        setenv("SSLTOP_BUG", library, 1);
        execl(self, self, "-j1", "--filter", filter, "--quiet", (char *)NULL);
        _exit(127);
    }
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const struct bug {
    int number;
    const char *what, *seen_by;
} bugs[] = {
    {0, "none", "cuda/steps_*"},
    {1, "a barrier is missing before memory is used again", "cuda/steps_in_any_order"},
    {2, "a barrier is missing in a sum", "cuda/steps_in_any_order"},
    {3, "a row too many is read", "cuda/steps_in_any_order"},
    {4, "an element too many is written", "cuda/steps_in_any_order"},
    {5, "a barrier is missing between two passes", "cuda/steps_in_any_order"},
    {6, "a number is read before it is there", "cuda/steps_as_late_as_can_be"},
    {7, "an event between two streams is missing", "cuda/steps_as_late_as_can_be"},
    {8, "an error is not looked at", "cuda/every_call_of_a_recorded_step_fails_once"},
};

Test(cuda, planted_bugs_are_seen)
{
    play("check");
    if (getenv("SSLTOP_BUG"))
        return;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        char library[32] = "check";
        if (bugs[i].number)
            snprintf(library, sizeof library, "bug%d", bugs[i].number);
        int code = child(library, bugs[i].seen_by);
        if (bugs[i].number)
            cr_expect(code == 1, "bug %d (%s) was not seen by %s: exit %d", bugs[i].number,
                      bugs[i].what, bugs[i].seen_by, code);
        else
            cr_expect(code == 0, "without a bug the tests exit with %d", code);
    }
}
