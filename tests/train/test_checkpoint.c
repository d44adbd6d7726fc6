// Checkpoints: everything that decides the next step comes back to the bit; what does not fit is
// named.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include "metrics/base/rng.h"
#include "tests/kit/runs.h"
#include "train/store/checkpoint.h"
#include "train/store/initial.h"
#include "train/methods/method.h"
#include "train/store/safetensors.h"

enum { BATCH = 4 };

// A network on a device, with its live moments.
struct side {
    struct device *device;
    struct net net;
    struct plan *plan;
    struct moments live;
    struct error e;
};

static void side_of(struct side *s, const char *method, int width, int layers, uint64_t seed)
{
    struct options o;
    memset(s, 0, sizeof *s);
    options_default(&o);
    snprintf(o.method, sizeof o.method, "%s", method);
    o.width = width;
    o.proj_layers = layers;
    cr_assert(method_resolve(&o, &s->e) == 0, "%s", s->e.text);
    cr_assert(method_build(&o, 1, 28, 28, &s->net, &s->e) == 0, "%s", s->e.text);
    cr_assert(device_open("cpu", 1, &s->device, &s->e) == 0, "%s", s->e.text);
    struct plan_options p = {.batch = BATCH, .precision = PRECISION_F32};
    cr_assert(device_compile(s->device, &s->net, &p, &s->plan, &s->e) == 0, "%s", s->e.text);
    cr_assert(method_init(&s->net, seed, s->plan, &s->e) == 0, "%s", s->e.text);
    cr_assert(moments_init(&s->live, s->net.node[s->net.features].c, &s->e) == 0);
}

static void side_open(struct side *s, int width, int layers, uint64_t seed)
{
    side_of(s, "simsiam", width, layers, seed);
}

static void side_close(struct side *s)
{
    moments_free(&s->live);
    plan_free(s->plan);
    net_free(&s->net);
    device_close(s->device);
}

// Fill every tensor with random numbers, momentum too.
static void scramble(struct side *s, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (int i = 0; i < s->net.n_param; i++) {
        const struct param *p = &s->net.param[i];
        float *v = malloc(p->count * sizeof *v);
        char name[128];
        for (int momentum = 0; momentum <= param_trained(p); momentum++) {
            for (size_t k = 0; k < p->count; k++)
                v[k] = (float)(0.5 + rng_uniform(&r));
            snprintf(name, sizeof name, "%s%s", momentum ? "optim." : "", p->name);
            cr_assert(plan_put(s->plan, name, v, p->count, &s->e) == 0, "%s", s->e.text);
        }
        free(v);
    }
    float x[BATCH * 64];
    for (int k = 0; k < BATCH * 64; k++)
        x[k] = (float)rng_normal(&r);
    cr_assert(moments_add(&s->live, x, BATCH, (size_t)s->live.d, &s->e) == 0);
}

static void same_tensor(struct side *a, struct side *b, const char *name, size_t n)
{
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    cr_assert(plan_get(a->plan, name, x, n, &a->e) == 0 &&
              plan_get(b->plan, name, y, n, &b->e) == 0);
    cr_assert(memcmp(x, y, n * sizeof *x) == 0, "%s differs", name);
    free(x);
    free(y);
}

static struct checkpoint describe(int64_t step)
{
    return (struct checkpoint){
        .step = step,
        .steps = 100,
        .schedule = "0:continual@20,40:multi-epoch@20",
        .rates = "12:0.5",
        .guard = "3,5!",
        .best = "probe:0.5:30:1:40",
        .algorithms = "a.b.c",
        .device = "some processor",
        .precision = "f32",
        .config = "{\"data\":\"synthetic\"}",
        .threads = 3,
        .data_crc = 0xdeadbeef,
    };
}

static void called(void *context)
{
    const char *final = context;
    cr_assert(access(final, F_OK) < 0, "the name comes last");
    *(char *)context = '!';
}

Test(checkpoint, brings_back_every_bit)
{
    struct lab lab;
    struct side a, b;
    struct checkpoint c = describe(41), d;
    char path[160], before[160];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    side_open(&b, 4, 3, 2);
    scramble(&a, 3);
    snprintf(path, sizeof path, "%s/ckpt-41.safetensors", lab.dir);
    strcpy(before, path);
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, called, before, &a.e) == 0,
              "%s", a.e.text);
    cr_assert(before[0] == '!', "it was told before the name");
    cr_assert(checkpoint_read(path, &d, &b.e) == 0, "%s", b.e.text);
    cr_assert(d.step == 41 && d.steps == 100 && d.threads == 3 && d.data_crc == 0xdeadbeef);
    cr_assert_str_eq(d.schedule, c.schedule);
    cr_assert_str_eq(d.rates, c.rates);
    cr_assert_str_eq(d.guard, c.guard);
    cr_assert_str_eq(d.best, c.best);
    cr_assert_str_eq(d.algorithms, c.algorithms);
    cr_assert_str_eq(d.device, c.device);
    cr_assert_str_eq(d.config, c.config);
    checkpoint_free(&d);
    cr_assert(checkpoint_load(path, &b.net, b.plan, &b.live, &b.e) == 0, "%s", b.e.text);
    for (int i = 0; i < a.net.n_param; i++) {
        const struct param *p = &a.net.param[i];
        char name[128];
        same_tensor(&a, &b, p->name, p->count);
        snprintf(name, sizeof name, "optim.%s", p->name);
        if (p->kind == PARAM_WEIGHT || p->kind == PARAM_BIAS)
            same_tensor(&a, &b, name, p->count);
    }
    size_t n = (size_t)a.live.d;
    cr_assert(a.live.weight == b.live.weight && a.live.weight2 == b.live.weight2);
    cr_assert(memcmp(a.live.mean, b.live.mean, n * sizeof(double)) == 0);
    for (size_t i = 0; i < n; i++)
        cr_assert(
            memcmp(a.live.scatter + i * n, b.live.scatter + i * n, (i + 1) * sizeof(double)) == 0);

    // What PyTorch expects besides.
    struct safetensors *s;
    cr_assert(safetensors_open(path, &s, &a.e) == 0);
    const struct tensor *tracked = safetensors_find(s, "encoder.bn1.num_batches_tracked");
    cr_assert(tracked && tracked->dtype == DTYPE_I64 && tracked->ndim == 0);
    const struct tensor *bias = safetensors_find(s, "encoder.fc.6.bias");
    float zeros[128];
    cr_assert(bias && bias->count == 128 && safetensors_floats(s, bias, zeros, 128, &a.e) == 0);
    for (int i = 0; i < 128; i++)
        cr_assert(zeros[i] == 0);
    cr_assert_str_eq(safetensors_meta(s, "format"), "pt");
    safetensors_close(s);
    side_close(&a);
    side_close(&b);
    lab_close(&lab);
}

// What is under way with the projections, too; a checkpoint that knows nothing of them, or is of
// others, leaves them as they begin.
Test(checkpoint, brings_back_projections)
{
    enum { DIM = 40, ROWS = 100 };
    static float x[ROWS * DIM];
    double sigma[DIM], n;
    struct lab lab;
    struct side a;
    struct paced p, q, other;
    struct error e;
    struct checkpoint c = describe(41);
    char path[160];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    cr_assert(paced_init(&p, DIM, &e) == 0 && paced_init(&q, DIM, &e) == 0);
    cr_assert(paced_init(&other, DIM + 1, &e) == 0);
    for (int i = 0; i < ROWS * DIM; i++)
        x[i] = (float)(i * i % 1009) / 1009;
    cr_assert(paced_add(&p, x, ROWS, &e) == 0);
    for (int t = 0; t < 3; t++)
        cr_assert_eq(paced_step(&p, sigma, &n, &e), 0);
    p.told[0] = 0.75;
    snprintf(path, sizeof path, "%s/ckpt-41.safetensors", lab.dir);
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &e) == 0);
    cr_assert(checkpoint_load_paced(path, CHECKPOINT_Z, &q, &e) == 0 && q.live.weight == 0);
    c.paced[CHECKPOINT_Z] = &p;
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &e) == 0);
    cr_assert(checkpoint_load_paced(path, CHECKPOINT_Z, &other, &e) == 0 && other.live.weight == 0);
    cr_assert(checkpoint_load_paced(path, CHECKPOINT_VIEWS, &q, &e) == 0 && q.live.weight == 0);
    cr_assert(checkpoint_load_paced(path, CHECKPOINT_Z, &q, &e) == 0, "%s", e.text);
    cr_assert(q.told[0] == 0.75 && q.told[1] == -1 && q.step == 3 && q.left == p.left && q.left);
    double again[DIM], m;
    int rc;
    while ((rc = paced_step(&p, sigma, &n, &e)) == 0)
        cr_assert_eq(paced_step(&q, again, &m, &e), 0);
    cr_assert(rc == 1 && paced_step(&q, again, &m, &e) == 1);
    cr_assert(n == m && memcmp(sigma, again, sizeof sigma) == 0);
    paced_free(&p);
    paced_free(&q);
    paced_free(&other);
    side_close(&a);
    lab_close(&lab);
}

Test(checkpoint, names)
{
    cr_assert(checkpoint_step("ckpt-0.safetensors") == 0);
    cr_assert(checkpoint_step("ckpt-1200.safetensors") == 1200);
    static const char *const other[] = {"ckpt-.safetensors",
                                        "ckpt-01.safetensors",
                                        "ckpt-1.safetensors.tmp",
                                        "ckpt--1.safetensors",
                                        "ckpt- 1.safetensors",
                                        "ckpt-99999999999999999999.safetensors",
                                        "ckpt-1",
                                        "model.safetensors"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        cr_assert(checkpoint_step(other[i]) == -1, "%s", other[i]);
}

// A file like a checkpoint but for one tensor: left out, renamed or with other numbers.
struct change {
    const char *tensor;
    const char *rename; // NULL: left out
    float value;        // put in its place everywhere, unless 0
};

static void rewrite(struct side *s, const char *path, const struct change *change)
{
    struct tensor_source *source = calloc((size_t)s->net.n_param + 1, sizeof *source);
    float **data = calloc((size_t)s->net.n_param + 1, sizeof *data);
    size_t n = 0;
    int extra = strcmp(change->tensor, "encoder.fc.6.bias") == 0;
    for (int i = 0; i < s->net.n_param + extra; i++) {
        const struct param *p =
            i < s->net.n_param ? &s->net.param[i] : net_param(&s->net, "encoder.fc.7.running_mean");
        const char *name = i < s->net.n_param ? p->name : change->tensor;
        int changed = strcmp(name, change->tensor) == 0;
        if (changed && !change->rename)
            continue;
        data[n] = malloc(p->count * sizeof **data);
        cr_assert(plan_get(s->plan, p->name, data[n], p->count, &s->e) == 0);
        for (size_t k = 0; changed && change->value != 0 && k < p->count; k++)
            data[n][k] = change->value;
        snprintf(source[n].name, sizeof source[n].name, "%s", changed ? change->rename : name);
        source[n].dtype = DTYPE_F32;
        source[n].ndim = p->ndim;
        memcpy(source[n].dim, p->dim, sizeof p->dim);
        source[n].data = data[n];
        n++;
    }
    FILE *f = fopen(path, "w");
    cr_assert(safetensors_write(f, source, n, NULL, 0, NULL, NULL, &s->e) == 0, "%s", s->e.text);
    cr_assert(fclose(f) == 0);
    while (n > 0)
        free(data[--n]);
    free(data);
    free(source);
}

Test(checkpoint, init_names_what_does_not_fit)
{
    static const struct {
        struct change change;
        const char *says; // NULL: it is taken
    } cases[] = {
        {{"nothing", NULL, 0}, NULL},
        {{"encoder.conv1.weight", NULL, 0}, "tensor encoder.conv1.weight is missing"},
        {{"encoder.bn1.running_var", NULL, 0}, "tensor encoder.bn1.running_var is missing"},
        {{"predictor.3.bias", "predictor.4.bias", 0},
         "tensor predictor.4.bias has no place in the network"},
        {{"encoder.bn1.weight", "encoder.bn1.weight", NAN},
         "encoder.bn1.weight holds a value that is not finite"},
        {{"encoder.bn1.weight", "encoder.bn1.weight", 3}, NULL},
        {{"encoder.fc.6.bias", "encoder.fc.6.bias", 0.25f}, NULL},
    };
    struct lab lab;
    struct side a, b, wide;
    char path[160];
    char notice[INITIAL_NOTICE];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    side_open(&b, 4, 3, 2);
    side_open(&wide, 8, 3, 2);
    snprintf(path, sizeof path, "%s/f.safetensors", lab.dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rewrite(&a, path, &cases[i].change);
        int rc = initial_load(path, &b.net, b.plan, notice, &b.e);
        if (cases[i].says)
            cr_assert(rc == -1 && strstr(b.e.text, cases[i].says), "%s: %s", cases[i].change.tensor,
                      b.e.text);
        else
            cr_assert(rc == 0, "%s: %s", cases[i].change.tensor, b.e.text);
    }
    same_tensor(&a, &b, "predictor.0.weight", net_param(&a.net, "predictor.0.weight")->count);
    // The last case had a bias before the last batch norm: it went into that one's running mean.
    float mean[128], was[128];
    cr_assert(plan_get(b.plan, "encoder.fc.7.running_mean", mean, 128, &b.e) == 0);
    cr_assert(plan_get(a.plan, "encoder.fc.7.running_mean", was, 128, &a.e) == 0);
    for (int i = 0; i < 128; i++)
        cr_assert(mean[i] == was[i] - 0.25f);
    cr_assert(initial_load(path, &wide.net, wide.plan, notice, &wide.e) == -1);
    cr_assert(
        strstr(wide.e.text,
               "encoder.conv1.weight has the shape [4, 1, 3, 3], the network needs [8, 1, 3, 3]"),
        "%s", wide.e.text);
    // It has no step and no momentum: not something to resume.
    struct checkpoint c;
    cr_assert(checkpoint_read(path, &c, &b.e) == -1);
    cr_assert(checkpoint_load(path, &b.net, b.plan, &b.live, &b.e) == -1);
    side_close(&a);
    side_close(&b);
    side_close(&wide);
    lab_close(&lab);
}

Test(checkpoint, a_full_disk_leaves_nothing)
{
    struct lab lab;
    struct side a;
    struct checkpoint c = describe(7);
    struct rlimit full = {65536, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    float *v;
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &a.e) == 0, "%s",
              a.e.text);
    c.step = 8;
    cr_assert(setrlimit(RLIMIT_FSIZE, &full) == 0);
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &a.e) == -1);
    cr_assert(strstr(a.e.text, "ckpt-8.safetensors") != NULL, "%s", a.e.text);
    cr_assert(setrlimit(RLIMIT_FSIZE, &all) == 0);
    cr_assert(!lab_exists(&lab, "ckpt-8.safetensors") &&
              !lab_exists(&lab, "ckpt-8.safetensors.part"));
    cr_assert(lab_exists(&lab, "ckpt-7.safetensors"));
    // Neither does a value that is not finite.
    size_t n = net_param(&a.net, "encoder.bn1.weight")->count;
    v = calloc(n, sizeof *v);
    v[n - 1] = INFINITY;
    cr_assert(plan_put(a.plan, "encoder.bn1.weight", v, n, &a.e) == 0);
    cr_assert(checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &a.e) == -2);
    cr_assert(strstr(a.e.text, "encoder.bn1.weight is not finite") != NULL, "%s", a.e.text);
    cr_assert(!lab_exists(&lab, "ckpt-8.safetensors") &&
              !lab_exists(&lab, "ckpt-8.safetensors.part"));
    free(v);
    side_close(&a);
    lab_close(&lab);
}

// An encoder alone as torchvision writes it: no prefix, a classifier at the end.
static void write_bare(struct side *s, const char *path, const char *extra)
{
    static const float zeros[10 * 32];
    struct tensor_source *source = calloc((size_t)s->net.n_param + 3, sizeof *source);
    float **data = calloc((size_t)s->net.n_param, sizeof *data);
    size_t n = 0;
    for (int i = 0; i < s->net.n_param; i++) {
        const struct param *p = &s->net.param[i];
        if (p->node > s->net.features)
            continue;
        data[n] = malloc(p->count * sizeof **data);
        cr_assert(plan_get(s->plan, p->name, data[n], p->count, &s->e) == 0);
        snprintf(source[n].name, sizeof source[n].name, "%s", p->name + strlen("encoder."));
        source[n].dtype = DTYPE_F32;
        source[n].ndim = p->ndim;
        memcpy(source[n].dim, p->dim, sizeof p->dim);
        source[n].data = data[n];
        n++;
    }
    size_t owned = n;
    source[n++] = (struct tensor_source){
        .name = "fc.weight", .dtype = DTYPE_F32, .ndim = 2, .dim = {10, 32}, .data = zeros};
    source[n++] = (struct tensor_source){
        .name = "fc.bias", .dtype = DTYPE_F32, .ndim = 1, .dim = {10}, .data = zeros};
    if (extra) {
        source[n] = source[n - 1];
        snprintf(source[n++].name, sizeof source[0].name, "%s", extra);
    }
    FILE *f = fopen(path, "w");
    cr_assert(safetensors_write(f, source, n, NULL, 0, NULL, NULL, &s->e) == 0, "%s", s->e.text);
    cr_assert(fclose(f) == 0);
    while (owned > 0)
        free(data[--owned]);
    free(data);
    free(source);
}

Test(checkpoint, init_takes_torchvisions_encoder_and_says_what_it_left_out)
{
    struct lab lab;
    struct side a, b, target;
    char path[160], notice[INITIAL_NOTICE];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    side_open(&b, 4, 3, 2);
    side_of(&target, "byol", 4, 0, 3);
    scramble(&a, 7);
    snprintf(path, sizeof path, "%s/f.safetensors", lab.dir);
    write_bare(&a, path, NULL);
    size_t heads = net_param(&b.net, "predictor.0.weight")->count;
    float *before = malloc(heads * sizeof *before), *after = malloc(heads * sizeof *after);
    cr_assert(before && after && plan_get(b.plan, "predictor.0.weight", before, heads, &b.e) == 0);
    int rc = initial_load(path, &b.net, b.plan, notice, &b.e);
    cr_assert(rc == 0, "%s", b.e.text);
    cr_assert(strstr(notice, "classifier") && strstr(notice, "at random"), "%s", notice);
    same_tensor(&a, &b, "encoder.layer4.1.conv2.weight", 32 * 32 * 9);
    same_tensor(&a, &b, "encoder.bn1.running_var", 4);
    cr_assert(plan_get(b.plan, "predictor.0.weight", after, heads, &b.e) == 0);
    cr_assert(memcmp(before, after, heads * sizeof *before) == 0, "the heads were touched");

    // A target network begins as the encoder.
    rc = initial_load(path, &target.net, target.plan, notice, &target.e);
    cr_assert(rc == 0, "%s", target.e.text);
    same_tensor(&a, &target, "encoder.layer4.1.conv2.weight", 32 * 32 * 9);
    float w[16], t[16];
    cr_assert(plan_get(a.plan, "encoder.layer2.0.bn1.running_mean", w, 8, &a.e) == 0);
    cr_assert(plan_get(target.plan, "target.encoder.layer2.0.bn1.running_mean", t, 8, &a.e) == 0);
    cr_assert(memcmp(w, t, 8 * sizeof *w) == 0, "the target did not begin as the encoder");

    write_bare(&a, path, "layer5.0.conv1.weight");
    cr_assert(initial_load(path, &b.net, b.plan, notice, &b.e) == -1);
    cr_assert(strstr(b.e.text, "layer5.0.conv1.weight has no place"), "%s", b.e.text);
    free(before);
    free(after);
    side_close(&a);
    side_close(&b);
    side_close(&target);
    lab_close(&lab);
}

// The parameters of a side under other names: `encoder` instead of "encoder.", `rest` before the
// others; up to the encoder (0), the projector (1) or all (2).
static void write_as(struct side *s, const char *path, const char *encoder, const char *rest,
                     int parts)
{
    struct tensor_source *source = calloc((size_t)s->net.n_param, sizeof *source);
    float **data = calloc((size_t)s->net.n_param, sizeof *data);
    size_t n = 0;
    for (int i = 0; i < s->net.n_param; i++) {
        const struct param *p = &s->net.param[i];
        int ours = strncmp(p->name, "encoder.", 8) == 0;
        int part = !ours ? 2 : strncmp(p->name, "encoder.fc.", 11) == 0;
        if (part > parts)
            continue;
        data[n] = malloc(p->count * sizeof **data);
        cr_assert(plan_get(s->plan, p->name, data[n], p->count, &s->e) == 0);
        source[n] = (struct tensor_source){.dtype = DTYPE_F32, .ndim = p->ndim, .data = data[n]};
        snprintf(source[n].name, sizeof source[n].name, "%s%s", ours ? encoder : rest,
                 p->name + (ours ? 8 : 0));
        memcpy(source[n++].dim, p->dim, sizeof p->dim);
    }
    FILE *f = fopen(path, "w");
    cr_assert(safetensors_write(f, source, n, NULL, 0, NULL, NULL, &s->e) == 0, "%s", s->e.text);
    cr_assert(fclose(f) == 0);
    while (n > 0)
        free(data[--n]);
    free(data);
    free(source);
}

static const float *value(struct side *s, const char *name)
{
    static float v[2][1 << 16];
    static int which;
    which = !which;
    cr_assert(plan_get(s->plan, name, v[which], net_param(&s->net, name)->count, &s->e) == 0, "%s",
              s->e.text);
    return v[which];
}

static int is_same(struct side *a, struct side *b, const char *name)
{
    const float *x = value(a, name), *y = value(b, name);
    return memcmp(x, y, net_param(&a->net, name)->count * sizeof *x) == 0;
}

// Names as people's files have them, and what is said of each.
Test(checkpoint, init_takes_names_with_what_wrappers_put_before_them)
{
    static const struct {
        const char *encoder, *rest;
        int parts;
        const char *says; // "": nothing
    } files[] = {
        {"encoder.", "", 2, ""},
        {"module.encoder.", "module.", 2, "names are taken without module.encoder."},
        {"_orig_mod.encoder.", "_orig_mod.", 2, "names are taken without _orig_mod.encoder."},
        {"module._orig_mod.encoder.", "module._orig_mod.", 2, "without module._orig_mod.encoder."},
        {"encoder._orig_mod.", "", 2, "without encoder._orig_mod."},
        {"encoder.", "", 0, "the encoder alone is taken: the heads begin at random"},
        {"encoder.", "", 1, "no predictor that fits: it begins at random"},
        {"", "", 1, "no predictor that fits: it begins at random"},
        {"", "", 0, "the encoder alone is taken: the heads begin at random"},
        {"backbone.", "", 0, "without backbone.; of the file the encoder alone"},
        {"module.encoder_q.", "", 0, "without module.encoder_q.; of the file the encoder alone"},
        {"model.backbone.", "", 0, "without model.backbone.; of the file the encoder alone"},
    };
    struct lab lab;
    struct side a, b;
    char path[160], notice[INITIAL_NOTICE];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    snprintf(path, sizeof path, "%s/f.safetensors", lab.dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        scramble(&a, 20 + i);
        side_open(&b, 4, 3, 2);
        write_as(&a, path, files[i].encoder, files[i].rest, files[i].parts);
        cr_assert(initial_load(path, &b.net, b.plan, notice, &b.e) == 0, "%zu: %s", i, b.e.text);
        cr_expect(is_same(&a, &b, "encoder.layer4.1.conv2.weight"), "%zu", i);
        cr_expect(is_same(&a, &b, "encoder.fc.0.weight") == (files[i].parts >= 1), "%zu", i);
        cr_expect(is_same(&a, &b, "predictor.0.weight") == (files[i].parts == 2), "%zu", i);
        cr_expect(*files[i].says ? strstr(notice, files[i].says) != NULL : !*notice, "%zu: %s", i,
                  notice);
        side_close(&b);
    }
    side_close(&a);
    lab_close(&lab);
}

// An encoder under `name`, its layers by numbers or not, and what follows it, all zeros, under
// `other` (NULL: none).
static void write_encoders(struct side *s, const char *path, const char *name, int numbered,
                           const char *other)
{
    static const struct {
        const char *ours, *number;
    } layer[] = {{"conv1.", "0."},  {"bn1.", "1."},    {"layer1.", "4."},
                 {"layer2.", "5."}, {"layer3.", "6."}, {"layer4.", "7."}};
    struct tensor_source *source = calloc(2 * (size_t)s->net.n_param, sizeof *source);
    size_t n = 0;
    for (int i = 0; i < s->net.n_param; i++) {
        const struct param *p = &s->net.param[i];
        const char *rest = p->name + 8, *number = "";
        if (strncmp(p->name, "encoder.", 8) != 0 || strncmp(rest, "fc.", 3) == 0)
            continue;
        for (int k = 0; k < 6 && numbered && !*number; k++)
            if (strncmp(rest, layer[k].ours, strlen(layer[k].ours)) == 0) {
                rest += strlen(layer[k].ours);
                number = layer[k].number;
            }
        for (int twin = 0; twin < 1 + (other != NULL); twin++) {
            float *data = calloc(p->count, sizeof *data);
            if (!twin)
                cr_assert(plan_get(s->plan, p->name, data, p->count, &s->e) == 0);
            source[n] = (struct tensor_source){.dtype = DTYPE_F32, .ndim = p->ndim, .data = data};
            snprintf(source[n].name, sizeof source[n].name, "%s%s%s", twin ? other : name, number,
                     rest);
            memcpy(source[n++].dim, p->dim, sizeof p->dim);
        }
    }
    FILE *f = fopen(path, "w");
    cr_assert(safetensors_write(f, source, n, NULL, 0, NULL, NULL, &s->e) == 0, "%s", s->e.text);
    cr_assert(fclose(f) == 0);
    while (n > 0)
        free((void *)(uintptr_t)source[--n].data);
    free(source);
}

// Whatever an encoder is called in a file, it is found by its layers; of two the one that learns.
Test(checkpoint, init_finds_the_encoder_by_its_layers)
{
    static const struct {
        const char *name, *other;
        int numbered;
        const char *says;
    } files[] = {
        {"student.backbone.", "teacher.backbone.", 0, "without student.backbone."},
        {"online_network.encoder.", "a.target_network.encoder.", 0, "without online_network."},
        {"state_dict.f.", "a_ema.", 0, "without state_dict.f."},
        {"resnet.", NULL, 0, "without resnet."},
        {"teacher.", NULL, 0, "without teacher."},
        {"backbone.", "backbone_momentum.", 1, "have the numbers of a Sequential"},
        {"", NULL, 1, "have the numbers of a Sequential"},
    };
    struct lab lab;
    struct side a, b;
    char path[160], notice[INITIAL_NOTICE];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    snprintf(path, sizeof path, "%s/f.safetensors", lab.dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        scramble(&a, 40 + i);
        side_open(&b, 4, 3, 2);
        write_encoders(&a, path, files[i].name, files[i].numbered, files[i].other);
        cr_assert(initial_load(path, &b.net, b.plan, notice, &b.e) == 0, "%zu: %s", i, b.e.text);
        cr_expect(is_same(&a, &b, "encoder.conv1.weight"), "%zu", i);
        cr_expect(is_same(&a, &b, "encoder.bn1.running_mean"), "%zu", i);
        cr_expect(is_same(&a, &b, "encoder.layer4.1.conv2.weight"), "%zu", i);
        cr_expect(!is_same(&a, &b, "encoder.fc.0.weight"), "%zu", i);
        cr_expect(strstr(notice, files[i].says), "%zu: %s", i, notice);
        cr_expect((strstr(notice, "left out") != NULL) == (files[i].other != NULL), "%s", notice);
        side_close(&b);
    }
    side_close(&a);
    lab_close(&lab);
}

// A checkpoint of another method gives its encoder, and the notice says so.
Test(checkpoint, init_takes_the_encoder_of_another_method)
{
    static const char *const method[] = {"simsiam", "byol"};
    struct lab lab;
    struct side a, b;
    char path[200], notice[INITIAL_NOTICE];
    lab_open(&lab);
    for (int i = 0; i < 2; i++) {
        side_of(&a, method[i], 4, 0, 1);
        side_of(&b, method[!i], 4, 0, 2);
        scramble(&a, 3);
        struct checkpoint c = describe(5 + i);
        int rc = checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &a.e);
        cr_assert(rc == 0, "%s", a.e.text);
        snprintf(path, sizeof path, "%s/ckpt-%d.safetensors", lab.dir, 5 + i);
        cr_assert(initial_load(path, &b.net, b.plan, notice, &b.e) == 0, "%s", b.e.text);
        cr_expect(is_same(&a, &b, "encoder.layer3.0.conv1.weight"));
        cr_expect(strstr(notice, "heads begin at random") && strstr(notice, "left out: "), "%s",
                  notice);
        side_close(&a);
        side_close(&b);
    }
    lab_close(&lab);
}

Test(checkpoint, init_refuses_a_variance_below_zero)
{
    struct lab lab;
    struct side a, b;
    char path[160], notice[INITIAL_NOTICE];
    lab_open(&lab);
    side_open(&a, 4, 3, 1);
    side_open(&b, 4, 3, 2);
    snprintf(path, sizeof path, "%s/f.safetensors", lab.dir);
    struct change below = {"encoder.bn1.running_var", "encoder.bn1.running_var", -0.5f};
    rewrite(&a, path, &below);
    cr_assert(initial_load(path, &b.net, b.plan, notice, &b.e) == -1);
    cr_assert(strstr(b.e.text, "encoder.bn1.running_var holds a variance below 0"), "%s", b.e.text);
    side_close(&a);
    side_close(&b);
    lab_close(&lab);
}

// All of BYOL's state comes back, and nothing is stored that a frozen parameter does not have.
Test(checkpoint, keeps_the_target_network)
{
    struct lab lab;
    struct side a, b;
    lab_open(&lab);
    side_of(&a, "byol", 4, 0, 1);
    side_of(&b, "byol", 4, 0, 2);
    scramble(&a, 3);
    struct checkpoint c = describe(5);
    int rc = checkpoint_write(lab.dir, &c, &a.net, a.plan, &a.live, NULL, NULL, &a.e);
    cr_assert(rc == 0, "%s", a.e.text);
    char path[200];
    snprintf(path, sizeof path, "%s/ckpt-5.safetensors", lab.dir);
    rc = checkpoint_load(path, &b.net, b.plan, &b.live, &b.e);
    cr_assert(rc == 0, "%s", b.e.text);
    for (int i = 0; i < a.net.n_param; i++)
        same_tensor(&a, &b, a.net.param[i].name, a.net.param[i].count);
    struct safetensors *s;
    cr_assert(safetensors_open(path, &s, &a.e) == 0);
    cr_assert(safetensors_find(s, "target.encoder.conv1.weight"));
    cr_assert(!safetensors_find(s, "optim.target.encoder.conv1.weight"));
    safetensors_close(s);
    side_close(&a);
    side_close(&b);
    lab_close(&lab);
}
