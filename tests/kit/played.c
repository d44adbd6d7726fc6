// Small trainings on a stand-in for the card; see played.h.
#include "tests/kit/played.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/augment.h"
#include "gpu/loss.h"
#include "tests/kit/net_fixture.h"

void *played_need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

const struct emu_control *played_open(const char *mode)
{
    const char *where = getenv("SSLTOP_PLAYED");
    char path[4096];
    if (!where)
        cr_skip_test("no CUDA toolkit was found by the build: the CUDA device is not tested");
    const char *bug = getenv("SSLTOP_BUG"); // stands in for every mode
    snprintf(path, sizeof path, "%s/%s/ssltop-cuda.so", where, bug ? bug : mode);
    cr_assert(setenv("SSLTOP_CUDA", path, 1) == 0);
    // No run remembers what another has clocked, unless the test is about that.
    cr_assert(setenv("XDG_CACHE_HOME", "/dev/null", 1) == 0);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert(library, "%s", dlerror());
    const struct emu_control *(*entry)(void);
    void *symbol = dlsym(library, "emu_control");
    memcpy(&entry, &symbol, sizeof entry);
    cr_assert(symbol, "%s has no controls", path);
    return entry();
}

void played_sensors(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    cr_assert(n > 0);
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/fake/libnvidia-ml.so.1"); // beside this program
    cr_assert(access(path, R_OK) == 0, "%s is not there", path);
    cr_assert(setenv("SSLTOP_NVML", path, 1) == 0);
}

uint8_t *played_pixels(int c)
{
    size_t n = IMAGES * (size_t)c * SIDE * SIDE;
    uint8_t *p = played_need(n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((i * 2654435761u >> 7) % 256);
    return p;
}

const float played_mean[3] = {0.4f, 0.5f, 0.6f}, played_deviation[3] = {0.2f, 0.25f, 0.3f};

static void cosine(struct loss *l, const struct net *net, double scale, double offset)
{
    int p = loss_output(l, net->predicted), z = loss_output(l, net->projected);
    int dp = loss_gradient(l, net->predicted);
    loss_cosine(l, scale, offset, p, z);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, dp + v, scale, p + v, z + !v);
}

static void small_loss(struct loss *l, const struct net *net)
{
    cosine(l, net, 1, 0);
}

static void target_loss(struct loss *l, const struct net *net)
{
    cosine(l, net, 4, 4);
}

// A net small enough to be run a thousand times: one block of each kind.
void played_small_net(struct net *net, int c)
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
    net_outputs(net, net_linear(net, p, "p3", 16, 1), z, small_loss);
}

// The same as BYOL has it: a frozen copy that follows, another form of the loss.
static int branch(struct net *net, const char *prefix)
{
    char name[3][64];
    const char *part[3] = {"conv", "bn", "fc"};
    for (int i = 0; i < 3; i++)
        snprintf(name[i], sizeof name[i], "%s%s", prefix, part[i]);
    int x = net_relu(net, net_bn(net, net_conv(net, 0, name[0], 8, 3, 2, 1), name[1], 1));
    int h = net_gap(net, x);
    if (net->features < 0)
        net->features = h;
    return net_linear(net, h, name[2], 130, 0);
}

void played_target_net(struct net *net, int c)
{
    net_init(net, c, SIDE, SIDE);
    int z = branch(net, "");
    net->group = GROUP_PREDICTOR;
    int p = net_linear(net, z, "p", 130, 1); // more than one piece of an update
    net->group = GROUP_MAIN;
    net->frozen = 1;
    int t = branch(net, "target.");
    net->frozen = 0;
    net_outputs(net, p, t, target_loss);
    net_follow(net, "target.");
}

int played_start_net(struct played *r, const char *device, int c, const uint8_t *p,
                     enum precision how, void (*build)(struct net *net, int c))
{
    struct plan_options o = {.batch = BATCH, .precision = how};
    memset(r, 0, sizeof *r);
    build(&r->net, c);
    cr_assert(r->net.error.text[0] == '\0', "%s", r->net.error.text);
    if (device_open(device, 1, &r->device, &r->e) < 0 ||
        images_new(r->device, p, IMAGES, c, SIDE, SIDE, played_mean, played_deviation, &r->images,
                   &r->e) < 0 ||
        device_compile(r->device, &r->net, &o, &r->plan, &r->e) < 0)
        return -1;
    for (int i = 0; i < r->net.n_param; i++) {
        const struct param *q = &r->net.param[i];
        float *v = played_need(q->count, sizeof *v);
        cr_assert(fixture_value(NULL, q, v) == 0);
        int rc = plan_put(r->plan, q->name, v, q->count, &r->e);
        free(v);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int played_start(struct played *r, const char *device, int c, const uint8_t *p, enum precision how)
{
    return played_start_net(r, device, c, p, how, played_small_net);
}

void played_finish(struct played *r)
{
    if (r->plan)
        plan_free(r->plan);
    if (r->images)
        images_free(r->images);
    if (r->device)
        device_close(r->device);
    net_free(&r->net);
}

int played_load(struct played *r, int step, int c)
{
    const struct augment_recipe *recipe = augment_find("simsiam");
    struct augment_view view[2][BATCH];
    const struct augment_view *const views[2] = {view[0], view[1]};
    int64_t index[BATCH];
    for (int i = 0; i < BATCH; i++) {
        index[i] = (step * 5 + i * 3) % IMAGES;
        for (int v = 0; v < 2; v++) {
            augment_draw(recipe, 7, step, index[i], v, c, SIDE, SIDE, SIDE, &view[v][i]);
            if (i == 1) { // what the recipe leaves out for small images
                view[v][i].sigma = 0.9f + (float)v;
                view[v][i].solarize = 1;
            }
        }
    }
    return plan_load(r->plan, r->images, index, views, &r->e);
}

// SGD; where there is a target LARS, and the target follows.
int played_update(struct played *r, int step)
{
    struct update u = {.lr = {0.05 / (step + 1), 0.1}, .momentum = 0.9, .weight_decay = 1e-3};
    int target = net_param(&r->net, "target.fc.weight") != NULL;
    if (target) {
        u.kind = UPDATE_LARS;
        u.lr[0] = u.lr[1] = 10;
        u.trust = 1e-3;
    }
    if (plan_backward(r->plan, &r->e) < 0 || plan_update(r->plan, &u, &r->e) < 0)
        return -1;
    return target ? plan_ema(r->plan, 0.9, &r->e) : 0;
}

// One step as the trainer makes it: the next batch is queued before this one is worked.
int played_step(struct played *r, int t, int c, struct plan_scores *scores)
{
    if ((t == 0 && played_load(r, 0, c) < 0) || played_load(r, t + 1, c) < 0 ||
        plan_forward(r->plan, &r->e) < 0 || plan_scores(r->plan, scores, &r->e) < 0)
        return -1;
    return played_update(r, t);
}

double played_apart(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = d > most || d != d ? d : most;
    }
    return most;
}
