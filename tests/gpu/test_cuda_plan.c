// What cuDNN itself says without a card: every convolution of every network has a plan on sm_80 and
// sm_90, for every pass, and what memory a training takes. On the real ssltop-cuda.so; each shape
// is planned once a device. Shown with `build/check --verbose`.
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "train/methods/method.h"

static void use_real(void)
{
    const char *path = getenv("SSLTOP_CUDA_REAL");
    if (!path)
        cr_skip_test("no CUDA toolkit was found by the build: no plans are made");
    cr_assert(setenv("SSLTOP_CUDA", path, 1) == 0);
}

static const struct row {
    int width, channels, size, batch;
    const char *stem;
    size_t least, most; // MB in bf16
} rows[] = {
    {64, 3, 32, 512, "cifar", 2500, 30000}, {64, 3, 224, 256, "imagenet", 5000, 70000},
    {64, 1, 28, 512, "cifar", 1500, 14000}, {16, 1, 28, 128, "cifar", 50, 1500},
    {8, 3, 96, 37, "imagenet", 20, 1500},   {4, 1, 28, 1, "cifar", 1, 100},
};
enum { ROWS = sizeof rows / sizeof *rows, RECIPES = 2 }; // RECIPES: the first rows

static void plan_row(struct device *d, const char *method, const char *arch, const struct row *r,
                     enum precision how)
{
    const char *card = device_info(d)->name, *type = how == PRECISION_BF16 ? "bf16" : "f32";
    struct options o;
    struct net net;
    struct plan *p;
    struct error e;
    struct plan_options po = {.batch = r->batch, .precision = how};
    options_default(&o);
    o.width = r->width;
    snprintf(o.method, sizeof o.method, "%s", method);
    snprintf(o.arch, sizeof o.arch, "%s", arch);
    snprintf(o.stem, sizeof o.stem, "%s", r->stem);
    cr_assert(method_build(&o, r->channels, r->size, r->size, &net, &e) == 0, "%s", e.text);
    int rc = device_compile(d, &net, &po, &p, &e);
    cr_expect(rc == 0, "%s, %s at width %d, %d images of %d, %s: %s", card, arch, r->width,
              r->batch, r->size, type, e.text);
    if (rc == 0) {
        size_t mb = plan_memory(p) >> 20;
        cr_log_info("%s: %s, %s %s, width %d, %d x %d x %d x %d: %zu MB", card, method, arch, type,
                    r->width, r->batch, r->channels, r->size, r->size, mb);
        // The target network of BYOL gives its memory back as it goes.
        size_t most = strcmp(method, "byol") == 0 ? r->most + r->most / 4 : r->most;
        if (how == PRECISION_BF16)
            cr_expect(mb >= r->least && mb <= most, "%s takes %zu MB", arch, mb);
        plan_free(p);
    }
    net_free(&net);
}

// The first network in all sizes and both precisions; of the others what the recipes train; all
// with a target network as well, whose convolutions have the same shapes.
static void plan_all(const char *card)
{
    struct device *d;
    struct error e;
    cr_assert(device_open(card, 1, &d, &e) == 0, "%s", e.text);
    for (const struct arch_row *a = arch_table; a->name; a++)
        for (int i = 0; i < (a == arch_table ? ROWS : RECIPES); i++) {
            plan_row(d, "simsiam", a->name, &rows[i], PRECISION_BF16);
            plan_row(d, "byol", a->name, &rows[i], PRECISION_BF16);
            plan_row(d, "simsiam", a->name, &rows[i], PRECISION_F32);
        }
    device_close(d);
}

Test(cuda_plan, every_convolution_on_sm_80)
{
    use_real();
    plan_all("cuda:sm_80");
}

Test(cuda_plan, every_convolution_on_sm_90)
{
    use_real();
    plan_all("cuda:sm_90");
}

// A planned card does everything but run.
Test(cuda_plan, cannot_run)
{
    struct device *d;
    struct options o;
    struct net net;
    struct plan *p;
    struct error e;
    struct plan_options po = {.batch = 4, .precision = PRECISION_BF16};
    use_real();
    options_default(&o);
    o.width = 4;
    cr_assert(device_open("cuda:sm_90", 1, &d, &e) == 0, "%s", e.text);
    cr_assert(method_build(&o, 1, 28, 28, &net, &e) == 0, "%s", e.text);
    cr_assert(device_compile(d, &net, &po, &p, &e) == 0, "%s", e.text);
    cr_expect(plan_forward(p, &e) < 0);
    cr_expect(strstr(e.text, "nothing to run on"), "%s", e.text);
    plan_free(p);
    net_free(&net);
    device_close(d);
}
