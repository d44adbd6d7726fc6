// The CUDA device on a stand-in for the card: steps beside the CPU device's, views, spectrum; work
// that runs only when it is waited for; and what a person is told where there is no card.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/contract.h"
#include "tests/kit/played.h"
#include "train/run/devices.h"

static void same_output(struct played *a, struct played *b, int node, double bound,
                        const char *what)
{
    const struct node *d = &a->net.node[node];
    size_t n = BATCH * (size_t)d->c * (size_t)d->h * (size_t)d->w;
    float *x = played_need(n, sizeof *x), *y = played_need(n, sizeof *y);
    for (int v = 0; v < 2; v++) {
        cr_assert(plan_output(a->plan, node, v, BATCH, x, &a->e) == 0, "%s", a->e.text);
        cr_assert(plan_output(b->plan, node, v, BATCH, y, &b->e) == 0, "%s", b->e.text);
        cr_expect(played_apart(x, y, n) <= bound, "%s of view %d: %.2e apart", what, v,
                  played_apart(x, y, n));
    }
    free(x);
    free(y);
}

static void same_parameters(struct played *a, struct played *b, double bound)
{
    for (int i = 0; i < a->net.n_param; i++) {
        const struct param *q = &a->net.param[i];
        float *x = played_need(q->count, sizeof *x), *y = played_need(q->count, sizeof *y);
        cr_assert(plan_get(a->plan, q->name, x, q->count, &a->e) == 0, "%s", a->e.text);
        cr_assert(plan_get(b->plan, q->name, y, q->count, &b->e) == 0, "%s", b->e.text);
        cr_expect(played_apart(x, y, q->count) <= bound, "%s: %.2e apart", q->name,
                  played_apart(x, y, q->count));
        free(x);
        free(y);
    }
}

// Asked for right behind a forward pass that nobody has waited for.
static void same_spectrum(struct played *a, struct played *b)
{
    struct played *r[2] = {a, b};
    struct moments m[2];
    double sigma[2][8], raw[2][8], n[2];
    for (int i = 0; i < 2; i++) {
        cr_assert(moments_init(&m[i], 8, &r[i]->e) == 0);
        cr_assert(plan_forward(r[i]->plan, &r[i]->e) == 0, "%s", r[i]->e.text);
        for (int k = 0; k < 2; k++) {
            moments_decay(&m[i], 0.5);
            cr_assert(plan_moments(r[i]->plan, &m[i], &r[i]->e) == 0, "%s", r[i]->e.text);
        }
        int rc;
        while ((rc = device_spectrum(r[i]->device, &m[i], sigma[i], raw[i], &n[i], &r[i]->e)) == 1)
            ;
        cr_assert(rc == 0, "%s", r[i]->e.text);
    }
    cr_expect(fabs(n[0] - n[1]) < 1e-9 * n[0], "n_eff %g and %g", n[0], n[1]);
    for (int i = 0; i < 8; i++)
        cr_expect(fabs(sigma[0][i] - sigma[1][i]) <= 1e-4 * sigma[0][0],
                  "singular value %d: %.9g and %.9g", i, sigma[0][i], sigma[1][i]);
    for (int i = 0; i < 8; i++)
        cr_expect(fabs(raw[0][i] - raw[1][i]) <= 1e-4 * raw[0][0],
                  "singular value %d, not centred: %.9g and %.9g", i, raw[0][i], raw[1][i]);
    moments_free(&m[0]);
    moments_free(&m[1]);
}

// Views, losses, parameters, features and spectrum beside the CPU device's.
static void beside_cpu(const char *device, int channels)
{
    struct played cpu, card;
    uint8_t *p = played_pixels(channels);
    cr_assert(played_start(&cpu, "cpu", channels, p, PRECISION_F32) == 0, "%s", cpu.e.text);
    cr_assert(played_start(&card, device, channels, p, PRECISION_F32) == 0, "%s", card.e.text);
    for (int t = 0; t < STEPS; t++) {
        struct plan_scores want, got;
        cr_assert(played_step(&cpu, t, channels, &want) == 0, "%s", cpu.e.text);
        cr_assert(played_step(&card, t, channels, &got) == 0, "%s", card.e.text);
        cr_expect(fabs(want.loss - got.loss) < 1e-4, "step %d: loss %.9g, the CPU's %.9g", t,
                  got.loss, want.loss);
        cr_expect(fabs(want.zstd - got.zstd) < 1e-4, "step %d: z-std %.9g, the CPU's %.9g", t,
                  got.zstd, want.zstd);
        same_output(&cpu, &card, 0, 1.0 / 255 / 0.2, "the input");
    }
    same_parameters(&cpu, &card, 2e-4);
    same_spectrum(&cpu, &card);
    int64_t index[BATCH] = {3, 11, 0};
    float h[2][BATCH * 8];
    for (int k = 1; k <= 2; k++) {
        cr_assert(plan_update_bn(cpu.plan, cpu.images, index, k, &cpu.e) == 0);
        cr_assert(plan_update_bn(card.plan, card.images, index, k, &card.e) == 0, "%s",
                  card.e.text);
    }
    same_parameters(&cpu, &card, 2e-4);
    cr_assert(plan_evaluate(cpu.plan, cpu.images, index, 3, h[0], &cpu.e) == 0);
    cr_assert(plan_evaluate(card.plan, card.images, index, 3, h[1], &card.e) == 0, "%s",
              card.e.text);
    cr_expect(played_apart(h[0], h[1], 3 * 8) < 1e-3, "features are %.2e apart",
              played_apart(h[0], h[1], 3 * 8));
    played_finish(&cpu);
    played_finish(&card);
    free(p);
}

// The same on the device of the contract tests, which may be a card (make gpu-check).
Test(contract, steps_as_the_cpu_makes_them)
{
    beside_cpu(contract_device(), 1);
    beside_cpu(contract_device(), 3);
}

static void play(const struct emu_control *c, int channels, unsigned seed, int lazy)
{
    c->seed(seed);
    c->lazy(lazy);
    beside_cpu("cuda", channels);
    cr_expect(c->graphs() >= 3 * (STEPS - 1), "%ld graphs were launched", c->graphs());
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
}

Test(cuda, steps_as_the_cpu_makes_them)
{
    play(played_open("plain"), 3, 0, 0);
}

Test(cuda, steps_in_any_order)
{
    play(played_open("check"), 1, 3, 0);
}

// Nothing runs before something waits for it: a missing event shows.
Test(cuda, steps_as_late_as_can_be)
{
    play(played_open("check"), 3, 11, 1);
}

// LARS, the moving average, the frozen branch.
Test(cuda, steps_of_a_target_network)
{
    const struct emu_control *c = played_open("check");
    struct played cpu, card;
    uint8_t *p = played_pixels(3);
    cr_assert(played_start_net(&cpu, "cpu", 3, p, PRECISION_F32, played_target_net) == 0, "%s",
              cpu.e.text);
    c->seed(5);
    c->lazy(1);
    cr_assert(played_start_net(&card, "cuda", 3, p, PRECISION_F32, played_target_net) == 0, "%s",
              card.e.text);
    for (int t = 0; t < STEPS; t++) {
        struct plan_scores want, got;
        cr_assert(played_step(&cpu, t, 3, &want) == 0, "%s", cpu.e.text);
        cr_assert(played_step(&card, t, 3, &got) == 0, "%s", card.e.text);
        cr_expect(fabs(want.loss - got.loss) < 4e-4, "step %d: loss %.9g, the CPU's %.9g", t,
                  got.loss, want.loss);
    }
    cr_expect(c->graphs() >= 4 * (STEPS - 1), "%ld graphs were launched", c->graphs());
    same_parameters(&cpu, &card, 2e-4);
    float v[8];
    for (int i = 0; i < 2; i++) {
        struct played *r = i ? &card : &cpu;
        int frozen = net_param(&r->net, "target.conv.weight")->node;
        cr_expect(plan_output(r->plan, frozen, 0, BATCH, v, &r->e) < 0);
        cr_expect(strstr(r->e.text, "frozen"), "says: %s", r->e.text);
        cr_expect(plan_get(r->plan, "grad.target.bn.weight", v, 8, &r->e) < 0);
        cr_expect(strstr(r->e.text, "is not trained"), "says: %s", r->e.text);
    }
    played_finish(&cpu);
    played_finish(&card);
    free(p);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
}

// Images that do not fit on the card go up with each batch.
Test(cuda, images_that_stay_with_the_host)
{
    const struct emu_control *c = played_open("check");
    c->memory(200ul << 20);
    uint8_t *p = played_pixels(3);
    struct played card, cpu;
    cr_assert(played_start(&cpu, "cpu", 3, p, PRECISION_F32) == 0, "%s", cpu.e.text);
    cr_assert(played_start(&card, "cuda", 3, p, PRECISION_F32) == 0, "%s", card.e.text);
    images_free(card.images);
    c->memory(1);
    cr_assert(images_new(card.device, p, IMAGES, 3, SIDE, SIDE, played_mean, played_deviation,
                         &card.images, &card.e) == 0);
    c->memory(200ul << 20);
    c->lazy(1);
    for (int t = 0; t < STEPS; t++) {
        struct plan_scores s;
        cr_assert(played_step(&cpu, t, 3, &s) == 0, "%s", cpu.e.text);
        cr_assert(played_step(&card, t, 3, &s) == 0, "%s", card.e.text);
        same_output(&cpu, &card, 0, 1.0 / 255 / 0.2, "the input");
    }
    played_finish(&cpu);
    played_finish(&card);
    free(p);
}

// A set of larger images after one of small ones, both with the host.
Test(cuda, images_of_several_sizes_that_stay_with_the_host)
{
    const struct emu_control *c = played_open("check");
    enum { LARGE = 2 * SIDE };
    struct played r;
    struct images *large[2];
    float h[2][2 * 8];
    int64_t index[2] = {1, 0};
    uint8_t *small = played_pixels(3), *p = played_need(2 * 3 * LARGE * LARGE, 1);
    for (int i = 0; i < 2 * 3 * LARGE * LARGE; i++)
        p[i] = (uint8_t)(i * 37 % 251);
    cr_assert(played_start(&r, "cuda", 3, small, PRECISION_F32) == 0, "%s", r.e.text);
    images_free(r.images);
    for (int resident = 1; resident >= 0; resident--) {
        c->memory(resident ? 0 : 1);
        cr_assert(images_new(r.device, p, 2, 3, LARGE, LARGE, played_mean, played_deviation,
                             &large[resident], &r.e) == 0);
    }
    cr_assert(images_new(r.device, small, IMAGES, 3, SIDE, SIDE, played_mean, played_deviation,
                         &r.images, &r.e) == 0);
    c->memory(0);
    cr_assert(plan_evaluate(r.plan, r.images, index, 2, h[0], &r.e) == 0, "%s", r.e.text);
    for (int i = 0; i < 2; i++)
        cr_assert(plan_evaluate(r.plan, large[i], index, 2, h[i], &r.e) == 0, "%s", r.e.text);
    cr_expect(played_apart(h[0], h[1], 2 * 8) == 0, "%.2e apart", played_apart(h[0], h[1], 2 * 8));
    images_free(large[0]);
    images_free(large[1]);
    played_finish(&r);
    free(small);
    free(p);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
}

// What was chosen can be asked for again, and only what fits is taken.
Test(cuda, algorithms_are_obeyed)
{
    played_open("plain");
    uint8_t *p = played_pixels(1);
    struct played r;
    cr_assert(played_start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
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
    played_finish(&r);
    free(p);
}

// --- sensors and clocks ---
Test(cuda, senses_the_card)
{
    const struct emu_control *c = played_open("plain");
    struct device *d;
    struct error e;
    struct device_sensors s;
    played_sensors();
    cr_assert(device_open("cuda", 1, &d, &e) == 0, "%s", e.text);
    cr_expect_str_eq(device_info(d)->bus, "0000:17:00.0");
    cr_expect(strstr(device_info(d)->detail, ", driver 580.65.06"), "%s", device_info(d)->detail);
    cr_assert(device_sense(d, &s));
    cr_expect_eq(s.temperature, 64);
    cr_expect_eq(s.others, 2);
    device_close(d);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
    cr_assert(device_open("cpu", 1, &d, &e) == 0, "%s", e.text);
    cr_expect(!device_sense(d, &s));
    device_close(d);
}

static const struct plan_work *work_of(const struct plan_work *kind, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(kind[i].name, name) == 0)
            return &kind[i];
    cr_assert(0, "no work is called %s", name);
    return NULL;
}

// The stand-in's clock says one millisecond of everything.
Test(cuda, profile_of_a_step)
{
    const struct emu_control *c = played_open("plain");
    uint8_t *p = played_pixels(3);
    struct played r;
    struct plan_scores s;
    struct plan_work kind[32];
    cr_assert(played_start_net(&r, "cuda", 3, p, PRECISION_F32, played_target_net) == 0, "%s",
              r.e.text);
    cr_expect(plan_profile(r.plan, kind, 32, &r.e) < 0);
    cr_expect(strstr(r.e.text, "before the first step"), "says: %s", r.e.text);
    cr_assert(played_step(&r, 0, 3, &s) == 0, "%s", r.e.text);
    int n = plan_profile(r.plan, kind, 32, &r.e);
    cr_assert(n > 0, "%s", r.e.text);
    const struct plan_work *conv = work_of(kind, n, "convolution");
    cr_expect_eq(conv->calls, 2);
    cr_expect_eq(conv->ms, 2);
    cr_expect_eq(conv->flops, 2.0 * 2 * (2 * BATCH) * 6 * 6 * 8 * 3 * 9); // two nets, two views
    cr_expect_eq(work_of(kind, n, "convolution, filter gradient")->calls, 1);
    cr_expect_eq(work_of(kind, n, "update")->calls, 1);
    cr_expect(work_of(kind, n, "moving average")->bytes > 0);
    cr_expect(plan_profile(r.plan, kind, 2, &r.e) == 2, "%s", r.e.text);
    cr_assert(played_step(&r, 1, 3, &s) == 0, "%s", r.e.text);
    played_finish(&r);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
    cr_assert(played_start(&r, "cpu", 3, p, PRECISION_F32) == 0, "%s", r.e.text);
    cr_expect(plan_profile(r.plan, kind, 32, &r.e) < 0);
    cr_expect(strstr(r.e.text, "does not clock"), "says: %s", r.e.text);
    played_finish(&r);
    free(p);
}

// --- why not ---
Test(cuda, says_why_not)
{
    const struct emu_control *c = played_open("plain");
    static const struct {
        int code, version, major;
        const char *spec, *says;
    } rows[] = {
        {35, 0, 9, "cuda", "no NVIDIA driver is installed"},
        {35, 11080, 9, "cuda", "too old: it knows CUDA 11.8, 1"}, // this or that is needed
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
        if (d && rows[i].code)
            cr_expect(strstr(device_info(d)->detail, "GPU not used: ") &&
                          strstr(device_info(d)->detail, rows[i].says),
                      "auto says: %s", device_info(d)->detail);
        if (d)
            device_close(d);
        cr_expect(c->live() == 0, "%ld objects are left after: %s", c->live(), rows[i].says);
    }
}

// Every card has its line, under the name that --device takes.
Test(cuda, lists_every_card)
{
    const struct emu_control *c = played_open("plain");
    static const char *const names[] = {"cuda  ", "cuda:0", "cuda:1", "cuda:2"};
    for (int cards = 1; cards <= 3; cards += 2) {
        char *text = NULL;
        size_t size;
        struct error e = {""};
        FILE *f = open_memstream(&text, &size);
        cr_assert(f);
        c->cards(cards);
        cr_assert(devices_print(f, 0, &e) == 0, "%s", e.text);
        cr_assert(fclose(f) == 0);
        for (int i = 0; i < 4; i++)
            cr_expect((strstr(text, names[i]) != NULL) == (cards == 1 ? i == 0 : i > 0), "%s: %s",
                      names[i], text);
        free(text);
    }
    c->cards(0);
    struct device *d;
    struct error e = {""};
    cr_expect(device_open("cuda", 1, &d, &e) < 0);
    cr_expect(strstr(e.text, "no GPU"), "says: %s", e.text);
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
    cr_expect_str_eq(device_info(d)->kind->name, "cpu");
    device_close(d);
}
