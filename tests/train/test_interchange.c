// Weights between ssltop and PyTorch: a file that PyTorch wrote, read here; a checkpoint of ours,
// read by PyTorch where it is installed (tests/train/checkpoint_torch.py).
#include <criterion/criterion.h>

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/device.h"
#include "tests/kit/net_fixture.h"
#include "train/store/checkpoint.h"
#include "train/store/initial.h"
#include "train/store/safetensors.h"

#define FROM_TORCH "tests/fixtures/torch-w4.safetensors"
#define FEATURES   "tests/fixtures/torch-w4.fix"

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

// Every parameter of the net is in PyTorch's file under its name, in its shape, with the value that
// the script gave it; and nothing else is but batch counts and the projector's frozen bias, which
// are the two things that ours leave out.
Test(interchange, pytorchs_file_has_our_names_and_shapes)
{
    struct fixture f;
    struct net net;
    struct error e;
    struct safetensors *s = NULL;
    cr_assert(fixture_open(FEATURES, &f, &e) == 0, "%s", e.text);
    cr_assert(fixture_net(&f, &net, &e) == 0, "%s", e.text);
    cr_assert(safetensors_open(FROM_TORCH, &s, &e) == 0, "%s", e.text);
    for (int i = 0; i < net.n_param; i++) {
        const struct param *p = &net.param[i];
        const struct tensor *t = safetensors_find(s, p->name);
        cr_assert(t, "%s is not in PyTorch's file", p->name);
        cr_assert(t->ndim == p->ndim && t->count == p->count, "%s has another shape", p->name);
        for (int k = 0; k < p->ndim; k++)
            cr_assert(t->dim[k] == p->dim[k], "%s has another shape", p->name);
        float *got = need(p->count, sizeof *got), *want = need(p->count, sizeof *want);
        cr_assert(safetensors_floats(s, t, got, p->count, &e) == 0, "%s", e.text);
        cr_assert(fixture_value(&f, p, want) == 0, "out of memory");
        for (size_t k = 0; k < p->count; k++)
            cr_assert(got[k] == want[k], "%s[%zu] is %.9g, not %.9g", p->name, k, got[k], want[k]);
        free(got);
        free(want);
    }
    size_t others = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const char *name = safetensors_at(s, i)->name;
        if (net_param(&net, name))
            continue;
        const char *leaf = strrchr(name, '.');
        cr_assert(leaf);
        cr_expect(!strcmp(leaf, ".num_batches_tracked") || !strcmp(name, "encoder.fc.6.bias"),
                  "%s is in PyTorch's file and not in the net", name);
        others++;
    }
    cr_expect(others > 1);
    cr_expect(safetensors_count(s) == (size_t)net.n_param + others);
    safetensors_close(s);
    net_free(&net);
    fixture_close(&f);
}

// A net on the CPU and the images that the fixture's features are of.
struct side {
    struct fixture f;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct error e;
};

static void ok(struct side *s, int rc)
{
    cr_assert(rc == 0, "%s", s->e.text);
}

static void open_side(struct side *s, const char *fixture)
{
    memset(s, 0, sizeof *s);
    ok(s, fixture_open(fixture, &s->f, &s->e));
    ok(s, fixture_net(&s->f, &s->net, &s->e));
    ok(s, device_open("cpu", 2, &s->device, &s->e));
    struct plan_options o = {.batch = s->f.batch, .precision = PRECISION_F32};
    ok(s, device_compile(s->device, &s->net, &o, &s->plan, &s->e));
}

static void close_side(struct side *s)
{
    plan_free(s->plan);
    device_close(s->device);
    net_free(&s->net);
    fixture_close(&s->f);
}

// Features of the fixture's images in evaluation mode: batch x d, malloc'd.
static float *features(struct side *s, size_t *count)
{
    static const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {0.25f, 0.25f, 0.25f};
    size_t n = (size_t)s->f.batch, c = (size_t)s->f.channels, side = (size_t)s->f.size;
    uint8_t *pixels = need(n * c * side * side, 1);
    int64_t *index = need(n, sizeof *index);
    *count = n * (size_t)s->net.node[s->net.features].c;
    float *h = need(*count, sizeof *h);
    struct images *set = NULL;
    cr_assert(fixture_pixels(&s->f, pixels) == 0, "out of memory");
    for (size_t i = 0; i < n; i++)
        index[i] = (int64_t)i;
    ok(s, images_new(s->device, pixels, (int64_t)n, s->f.channels, s->f.size, s->f.size, mean, std,
                     &set, &s->e));
    ok(s, plan_evaluate(s->plan, set, index, (int)n, h, &s->e));
    images_free(set);
    free(pixels);
    free(index);
    return h;
}

// --init takes a state dict as torch saves it, and gives the features that PyTorch gives.
Test(interchange, init_takes_pytorchs_file)
{
    struct side s;
    struct fixture_tensor want;
    size_t n;
    double off = 0, square = 0;
    char notice[INITIAL_NOTICE];
    open_side(&s, FEATURES);
    ok(&s, initial_load(FROM_TORCH, &s.net, s.plan, notice, &s.e));
    float *h = features(&s, &n);
    ok(&s, fixture_tensor(&s.f, "evaluate", &want, &s.e));
    cr_assert(want.count == n);
    for (size_t i = 0; i < n; i++) {
        off += (h[i] - want.v[i]) * (h[i] - want.v[i]);
        square += want.v[i] * want.v[i];
    }
    cr_expect(sqrt(off) <= 1e-4 * sqrt(square), "features are off by %.1e", sqrt(off / square));
    free(want.v);
    free(h);
    close_side(&s);
}

// Two steps away from the fixture's weights, so that momentum and running statistics have moved.
static void train_a_little(struct side *s)
{
    struct update u = {.lr = {0.02, 0.05}, .momentum = 0.9, .weight_decay = 5e-4};
    size_t n = (size_t)s->f.batch * (size_t)s->f.channels * (size_t)s->f.size * (size_t)s->f.size;
    float *x = need(n, sizeof *x);
    for (int i = 0; i < s->net.n_param; i++) {
        const struct param *p = &s->net.param[i];
        float *v = need(p->count, sizeof *v);
        cr_assert(fixture_value(&s->f, p, v) == 0, "out of memory");
        ok(s, plan_put(s->plan, p->name, v, p->count, &s->e));
        free(v);
    }
    for (int step = 0; step < 2; step++) {
        for (int view = 0; view < 2; view++) {
            cr_assert(fixture_view(&s->f, view, x) == 0, "out of memory");
            ok(s, plan_input(s->plan, view, x, &s->e));
        }
        ok(s, plan_forward(s->plan, &s->e));
        ok(s, plan_backward(s->plan, &s->e));
        ok(s, plan_update(s->plan, &u, &s->e));
    }
    free(x);
}

static void write_file(const char *path, const void *v, size_t size, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(v, size, n, f) == n, "%s cannot be written", path);
    cr_assert(fclose(f) == 0, "%s cannot be written", path);
}

// Exit code of a program, or -1 when there is no such program.
static int run(char *const argv[])
{
    pid_t pid;
    int status, rc = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    if (rc == ENOENT)
        return -1;
    cr_assert(rc == 0, "%s cannot be started: %s", argv[0], strerror(rc));
    while (waitpid(pid, &status, 0) < 0)
        cr_assert(errno == EINTR, "waitpid: %s", strerror(errno));
    cr_assert(WIFEXITED(status), "%s was killed", argv[0]);
    return WEXITSTATUS(status);
}

Test(interchange, pytorch_loads_our_checkpoint)
{
    enum { SKIPPED = 77 };
    struct side s;
    struct moments live;
    struct checkpoint c = {.step = 2, .steps = 2, .threads = 2};
    char dir[] = "/tmp/ssltop-interchange-XXXXXX", *text = (char[]){""}, file[64];
    char checkpoint[128], output[128], count[16], size[16];
    size_t n;
    open_side(&s, "tests/fixtures/gray-cifar.fix");
    ok(&s, moments_init(&live, s.net.node[s.net.features].c, &s.e));
    train_a_little(&s);
    ok(&s, plan_moments(s.plan, &live, &s.e));
    cr_assert(mkdtemp(dir), "no temporary folder");
    c.schedule = c.rates = c.guard = c.algorithms = c.device = c.precision = c.config = text;
    ok(&s, checkpoint_write(dir, &c, &s.net, s.plan, &live, NULL, NULL, &s.e));
    checkpoint_name(2, file, sizeof file);
    snprintf(checkpoint, sizeof checkpoint, "%s/%s", dir, file);
    snprintf(output, sizeof output, "%s/features", dir);
    snprintf(count, sizeof count, "%d", s.f.batch);
    snprintf(size, sizeof size, "%d", s.f.size);
    float *h = features(&s, &n);
    write_file(output, h, sizeof *h, n);

    int rc = run((char *[]){"/usr/bin/python3", "tests/train/checkpoint_torch.py", checkpoint,
                            output, count, size, NULL});
    unlink(checkpoint);
    unlink(output);
    rmdir(dir);
    free(h);
    moments_free(&live);
    close_side(&s);
    if (rc == -1 || rc == SKIPPED)
        cr_skip_test("python3-torch is not installed: PyTorch did not read our checkpoint here");
    cr_expect(rc == 0, "PyTorch does not read our checkpoint, or sees other features in it");
}
