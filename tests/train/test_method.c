// Methods, networks and rates as tables: what says auto, what is refused, parameter counts as
// torchvision publishes them.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "gpu/device.h"
#include "gpu/loss.h"
#include "train/methods/method.h"
#include "train/schedule/rates.h"

static void set(struct options *o, const char *name, const char *value)
{
    struct error e;
    cr_assert(options_set(o, name, value, &e) == 0, "%s", e.text);
}

static struct options resolved(const char *method, int width)
{
    struct options o;
    struct error e;
    options_default(&o);
    set(&o, "method", method);
    o.width = width;
    cr_assert(method_resolve(&o, &e) == 0, "%s", e.text);
    return o;
}

static struct net built(const struct options *o, int channels, int size)
{
    struct net net;
    struct error e;
    cr_assert(method_build(o, channels, size, size, &net, &e) == 0, "%s", e.text);
    return net;
}

static int is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

// --- options ---

Test(method, auto_follows_the_method)
{
    struct options s = resolved("simsiam", 8), b = resolved("byol", 8);
    cr_assert(s.lr == 0.5 && s.wd == 5e-4 && s.fix_pred_lr == 1 && s.tau == -1);
    cr_assert(is(s.optimizer, "sgd") && is(s.augment, "simsiam"));
    cr_assert(b.lr == 0.6 && b.wd == 1e-6 && b.fix_pred_lr == 0 && b.tau == 0.99);
    cr_assert(is(b.optimizer, "lars") && is(b.augment, "byol"));
    for (const struct method_row *const *m = method_table; *m; m++)
        cr_assert(augment_find((*m)->defaults.augment) && (*m)->loss_lo < (*m)->loss_hi, "%s",
                  (*m)->name);
}

Test(method, what_is_named_stays)
{
    static const char *const given[][2] = {
        {"method", "byol"},    {"lr", "0.25"},       {"wd", "0"},         {"tau", "0"},
        {"fix-pred-lr", "on"}, {"optimizer", "sgd"}, {"augment", "none"}, {"warmup", "2"}};
    struct options o;
    struct error e;
    options_default(&o);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        set(&o, given[i][0], given[i][1]);
    for (int twice = 0; twice < 2; twice++)
        cr_assert(method_resolve(&o, &e) == 0, "%s", e.text);
    cr_assert(o.lr == 0.25 && o.wd == 0 && o.tau == 0 && o.fix_pred_lr == 1 && o.warmup == 2);
    cr_assert(is(o.optimizer, "sgd") && is(o.augment, "none"));
}

Test(method, refuses_what_has_no_meaning)
{
    static const struct {
        const char *method, *option, *value, *because;
    } bad[] = {
        {"dino", "lr", "1", "simsiam, byol"},
        {"simsiam", "tau", "0.9", "no target"},
        {"byol", "stop-gradient", "off", "no gradient"},
        {"byol", "proj-layers", "3", "has 2"},
        {"vicreg", "predictor", "off", "no predictor"},
        {"vicreg", "pred-dim", "8", "no predictor"},
        {"vicreg", "stop-gradient", "off", "both views"},
        {"vicreg", "tau", "0.9", "no target"},
        {"barlow", "predictor", "off", "no predictor"},
        {"barlow", "pred-dim", "8", "no predictor"},
        {"barlow", "stop-gradient", "off", "both views"},
        {"barlow", "tau", "0.9", "no target"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct error e;
        options_default(&o);
        set(&o, "method", bad[i].method);
        set(&o, bad[i].option, bad[i].value);
        cr_assert(method_resolve(&o, &e) == -1, "%s %s", bad[i].method, bad[i].option);
        cr_expect(strstr(e.text, bad[i].because), "%s", e.text);
    }
    struct options o = resolved("simsiam", 8);
    struct net net;
    struct error e;
    set(&o, "arch", "resnet19");
    cr_assert(method_build(&o, 3, 32, 32, &net, &e) == -1);
    cr_expect(strstr(e.text, "resnet18, resnet34, resnet50"), "%s", e.text);
    set(&o, "arch", "resnet50");
    o.width = 1025;
    cr_assert(method_build(&o, 3, 32, 32, &net, &e) == -1);
    cr_expect(strstr(e.text, "width 1025 is not possible"), "%s", e.text);
}

// The number that an option's text gives for this method, "auto: 0.5 for simsiam"; NAN: none.
static double told(const char *option, const char *method)
{
    char behind[40], doc[2 * OPTION_TEXT];
    option_doc(option_find(options_table, option), doc, sizeof doc);
    const char *at = strstr(doc, "auto: ");
    snprintf(behind, sizeof behind, " for %s", method);
    for (; at && *at; at++) {
        char *end;
        double v = strtod(at, &end);
        if (end != at && !strncmp(end, behind, strlen(behind)))
            return v;
    }
    return NAN;
}

Test(method, help_tells_what_auto_is)
{
    for (const struct method_row *const *row = method_table; *row; row++) {
        const struct method_row *m = *row;
        const struct method_defaults *d = &m->defaults;
        cr_expect(told("lr", m->name) == d->lr, "%s: --lr", m->name);
        cr_expect(told("wd", m->name) == d->wd, "%s: --wd", m->name);
        cr_expect(!d->warmup || told("warmup", m->name) == d->warmup, "%s: --warmup", m->name);
        cr_expect(d->tau < 0 || told("tau", m->name) == d->tau, "%s: --tau", m->name);
    }
}

// --- networks ---

// Trained parameters up to the features, at width 64 on colour with the ImageNet stem.
static int64_t encoder_count(const struct net *net)
{
    int64_t n = 0;
    for (int i = 0; i < net->n_param; i++)
        if (param_trained(&net->param[i]) && net->param[i].node < net->features)
            n += (int64_t)net->param[i].count;
    return n;
}

// The first three are torchvision's published numbers with their classifier of 1000 classes; the
// others are what its code gives for the paper's arguments.
Test(method, networks_have_torchvisions_parameters)
{
    static const struct {
        const char *arch;
        int d;
        int64_t count;
    } rows[] = {
        {"resnet18", 512, 11689512},
        {"resnet34", 512, 21797672},
        {"resnet50", 2048, 25557032},
        {"resnet18_bottleneck_w64", 2048, 15995176},
        {"resnet18_bottleneck_w96", 2048, 26267688},
        {"resnet18_bottleneck_w128", 2048, 39673640},
        {"resnet50_nobottleneck", 512, 30799144},
    };
    size_t n = sizeof rows / sizeof *rows;
    cr_assert(!arch_table[n].name, "a network of the table is not counted here");
    for (size_t i = 0; i < n; i++) {
        struct options o = resolved("simsiam", 64);
        set(&o, "arch", rows[i].arch);
        set(&o, "stem", "imagenet");
        struct net net = built(&o, 3, 224);
        int d = net.node[net.features].c;
        cr_expect(d == rows[i].d, "%s: %d features", rows[i].arch, d);
        int64_t count = encoder_count(&net) + 1000 * ((int64_t)d + 1);
        cr_expect(count == rows[i].count, "%s: %lld parameters, not %lld", rows[i].arch,
                  (long long)count, (long long)rows[i].count);
        cr_expect(net.node[net.projected].c == 2048, "%s: projector", rows[i].arch);
        net_free(&net);
    }
}

Test(method, names_and_shapes_are_torchvisions)
{
    struct options o = resolved("byol", 64);
    set(&o, "arch", "resnet18_bottleneck_w96");
    set(&o, "stem", "imagenet");
    struct net net = built(&o, 3, 64);
    static const struct {
        const char *name;
        int64_t dim[2];
    } rows[] = {
        {"encoder.layer1.0.conv1.weight", {96, 64}},
        {"encoder.layer1.0.downsample.0.weight", {256, 64}},
        {"encoder.layer2.1.conv2.weight", {192, 192}},
        {"encoder.layer4.1.conv3.weight", {2048, 768}},
        {"encoder.fc.0.weight", {4096, 2048}},
        {"encoder.fc.3.weight", {256, 4096}},
        {"predictor.0.weight", {4096, 256}},
        {"predictor.3.weight", {256, 4096}},
        {"target.encoder.layer4.1.conv3.weight", {2048, 768}},
        {"target.encoder.fc.3.weight", {256, 4096}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct param *p = net_param(&net, rows[i].name);
        cr_assert(p, "%s is not there", rows[i].name);
        cr_expect(p->dim[0] == rows[i].dim[0] && p->dim[1] == rows[i].dim[1], "%s", rows[i].name);
        int follows = p->followed >= 0;
        cr_expect(follows == !strncmp(p->name, "target.", 7) && follows == p->frozen, "%s",
                  p->name);
        if (follows)
            cr_expect(is(net.param[p->followed].name, p->name + 7), "%s", p->name);
    }
    for (int i = 0; i < net.n_param; i++) // the stride is in the 3 x 3 convolution
        if (strstr(net.param[i].name, "layer2.0.conv"))
            cr_expect(net.node[net.param[i].node].stride ==
                      (strstr(net.param[i].name, "conv2") ? 2 : 1));
    cr_expect(!net_param(&net, "target.predictor.0.weight"));
    cr_expect(!net_param(&net, "encoder.fc.0.bias") && !net_param(&net, "predictor.3.bias"));
    net_free(&net);
}

// How many matrices the loss writes a gradient into.
static int gradients(const struct net *net)
{
    struct loss l;
    struct error e;
    int n = 0;
    cr_assert(loss_describe(net, 4, &l, &e) == 0, "%s", e.text);
    for (int i = 0; i < l.n_matrix; i++)
        n += l.matrix[i].source == LOSS_GRADIENT;
    return n;
}

Test(method, ablations_change_one_thing)
{
    struct options o = resolved("simsiam", 8);
    struct net whole = built(&o, 1, 28);
    set(&o, "predictor", "off");
    struct net without = built(&o, 1, 28);
    cr_expect(!net_param(&without, "predictor.0.weight"));
    cr_expect(without.predicted == without.projected);
    cr_expect(gradients(&whole) == 2 && gradients(&without) == 2);
    set(&o, "predictor", "on");
    set(&o, "stop-gradient", "off");
    struct net through = built(&o, 1, 28);
    cr_expect(gradients(&through) == 4);
    cr_expect(net_count(&through) == net_count(&whole));
    net_free(&whole);
    net_free(&without);
    net_free(&through);
}

Test(method, vicregs_expander_is_as_published)
{
    struct options o = resolved("vicreg", 64);
    set(&o, "arch", "resnet50");
    struct net net = built(&o, 3, 64);
    static const char *const names[] = {"encoder.fc.0.weight", "encoder.fc.3.weight",
                                        "encoder.fc.6.weight"};
    for (int i = 0; i < 3; i++) {
        const struct param *p = net_param(&net, names[i]);
        cr_assert(p && p->dim[0] == 8192 && p->dim[1] == (i ? 8192 : 2048), "%s", names[i]);
    }
    cr_expect(net_param(&net, "encoder.fc.4.weight") && !net_param(&net, "encoder.fc.7.weight"));
    cr_expect(net.predicted == net.projected && net.node[net.projected].op == NODE_LINEAR);
    net_free(&net);
}

Test(method, barlows_projector_is_as_published)
{
    struct options o = resolved("barlow", 64);
    set(&o, "arch", "resnet50");
    struct net net = built(&o, 3, 64);
    static const char *const names[] = {"encoder.fc.0.weight", "encoder.fc.3.weight",
                                        "encoder.fc.6.weight"};
    for (int i = 0; i < 3; i++) {
        const struct param *p = net_param(&net, names[i]);
        cr_assert(p && p->dim[0] == 8192 && p->dim[1] == (i ? 8192 : 2048), "%s", names[i]);
    }
    cr_expect(net_param(&net, "encoder.fc.7.running_var") && // compared, and without affine part
              !net_param(&net, "encoder.fc.7.weight"));
    cr_expect(net.node[net.projected].op == NODE_LINEAR && net.node[net.predicted].op == NODE_BN);
    net_free(&net);
}

// --- initial weights, moving average ---

struct lab {
    struct device *device;
    struct plan *plan;
    struct net net;
    struct error e;
};

static struct lab lab_open(const struct options *o)
{
    struct lab l = {0};
    struct plan_options p = {.batch = 4, .precision = PRECISION_F32};
    l.net = built(o, 1, 16);
    cr_assert(device_open("cpu", 1, &l.device, &l.e) == 0, "%s", l.e.text);
    cr_assert(device_compile(l.device, &l.net, &p, &l.plan, &l.e) == 0, "%s", l.e.text);
    cr_assert(method_init(&l.net, 3, l.plan, &l.e) == 0, "%s", l.e.text);
    return l;
}

static void lab_close(struct lab *l)
{
    plan_free(l->plan);
    device_close(l->device);
    net_free(&l->net);
}

static float *value(struct lab *l, int i)
{
    const struct param *p = &l->net.param[i];
    float *v = malloc(p->count * sizeof *v);
    cr_assert(v && plan_get(l->plan, p->name, v, p->count, &l->e) == 0, "%s", l->e.text);
    return v;
}

// Every parameter that follows is (1 - tau) of the way from `add` above its source to the source.
static void expect_targets(struct lab *l, double tau, float add)
{
    int followers = 0;
    for (int i = 0; i < l->net.n_param; i++) {
        const struct param *p = &l->net.param[i];
        if (p->followed < 0)
            continue;
        float *t = value(l, i), *s = value(l, p->followed);
        for (size_t k = 0; k < p->count; k++) {
            double want = tau * ((double)s[k] + add) + (1 - tau) * (double)s[k];
            cr_assert(fabs(t[k] - want) <= 1e-6, "%s[%zu]: %g, not %g", p->name, k, t[k], want);
        }
        followers++;
        free(t);
        free(s);
    }
    cr_assert(followers > 60);
}

Test(method, target_begins_as_the_encoder_and_follows_it)
{
    static const double taus[] = {1, 0.75, 0};
    struct options o = resolved("byol", 4);
    struct lab l = lab_open(&o);
    expect_targets(&l, 0, 0);
    for (size_t k = 0; k < sizeof taus / sizeof *taus; k++) {
        for (int i = 0; i < l.net.n_param; i++) {
            const struct param *p = &l.net.param[i];
            if (p->followed < 0)
                continue;
            float *v = value(&l, p->followed);
            for (size_t j = 0; j < p->count; j++)
                v[j] += 0.5f;
            cr_assert(plan_put(l.plan, p->name, v, p->count, &l.e) == 0, "%s", l.e.text);
            free(v);
        }
        cr_assert(plan_ema(l.plan, taus[k], &l.e) == 0, "%s", l.e.text);
        expect_targets(&l, taus[k], 0.5f);
    }
    float m[4];
    cr_expect(plan_get(l.plan, "optim.target.encoder.bn1.weight", m, 4, &l.e) == -1);
    cr_expect(plan_get(l.plan, "grad.target.encoder.bn1.weight", m, 4, &l.e) == -1);
    cr_expect(strstr(l.e.text, "not trained"), "%s", l.e.text);
    lab_close(&l);
}

Test(method, residual_branches_may_begin_as_nothing)
{
    struct options o = resolved("simsiam", 4);
    for (int zero = 0; zero < 2; zero++) {
        int nothing = 0;
        set(&o, "arch", zero ? "resnet50" : "resnet18");
        set(&o, "zero-init", zero ? "on" : "off");
        struct lab l = lab_open(&o);
        for (int i = 0; i < l.net.n_param; i++) {
            const char *name = l.net.param[i].name;
            if (l.net.node[l.net.param[i].node].op != NODE_BN ||
                l.net.param[i].kind != PARAM_WEIGHT)
                continue;
            float *v = value(&l, i);
            int wants = zero && strstr(name, ".bn3.weight") != NULL;
            cr_expect(v[0] == (wants ? 0 : 1), "%s begins at %g", name, v[0]);
            nothing += v[0] == 0;
            free(v);
        }
        cr_expect(nothing == (zero ? 16 : 0));
        lab_close(&l);
    }
}

// --- rates ---

static struct update at(const struct options *o, int64_t epoch, int64_t steps, int64_t t)
{
    struct update u;
    rates_update(o, epoch, steps, t, 1, &u);
    return u;
}

Test(rate, simsiam_falls_along_a_cosine_and_spares_the_predictor)
{
    struct options o = resolved("simsiam", 8);
    o.batch = 64;
    for (int64_t t = 0; t < 1000; t += 37) {
        struct update u = at(&o, 100, 1000, t);
        cr_assert(u.lr[GROUP_MAIN] == 0.125 * 0.5 * (1 + cos(M_PI * (double)t / 1000.0)));
        cr_assert(u.lr[GROUP_PREDICTOR] == 0.125);
        cr_assert(u.kind == UPDATE_SGD && u.momentum == 0.9 && u.weight_decay == 5e-4);
        cr_assert(rates_tau(&o, 1000, t) == -1);
    }
    struct update u;
    rates_update(&o, 100, 1000, 0, 0.5, &u);
    cr_assert(u.lr[GROUP_MAIN] == 0.0625);
    o.fix_pred_lr = 0;
    u = at(&o, 100, 1000, 700);
    cr_assert(u.lr[GROUP_PREDICTOR] == u.lr[GROUP_MAIN] && u.lr[GROUP_MAIN] < 0.1);
}

Test(rate, byol_warms_up)
{
    struct options o = resolved("byol", 8);
    o.batch = 256;
    // 10 epochs of 1000 steps in a run of 100 epochs
    cr_assert(rates_warmup(&o, 1000, 100000) == 10000);
    cr_assert(at(&o, 1000, 100000, 0).lr[GROUP_MAIN] == 0);
    cr_assert(fabs(at(&o, 1000, 100000, 2500).lr[GROUP_MAIN] - 0.15) < 1e-12);
    cr_assert(at(&o, 1000, 100000, 10000).lr[GROUP_MAIN] == 0.6);
    cr_assert(fabs(at(&o, 1000, 100000, 55000).lr[GROUP_PREDICTOR] - 0.3) < 1e-12);
    cr_assert(at(&o, 1000, 100000, 99999).lr[GROUP_MAIN] < 1e-8);
    cr_assert(at(&o, 1000, 100000, 5).kind == UPDATE_LARS);
    // A short run has a short warm-up, unless the user said how long.
    cr_assert(rates_warmup(&o, 100, 300) == 30);
    o.warmup = 2;
    cr_assert(rates_warmup(&o, 100, 300) == 200);
    o.warmup = 5; // longer than the run
    for (int64_t t = 0; t < 300; t++)
        cr_assert(at(&o, 100, 300, t).lr[GROUP_MAIN] == 0.6 * (double)t / 500);
}

Test(rate, tau_may_rise_to_one)
{
    struct options o = resolved("byol", 8);
    cr_assert(rates_tau(&o, 100, 0) == 0.99 && rates_tau(&o, 100, 99) == 0.99);
    set(&o, "tau-schedule", "cosine");
    cr_assert(fabs(rates_tau(&o, 100, 49) - 0.995) < 1e-12);
    cr_assert(rates_tau(&o, 100, 99) == 1);
    for (int64_t t = 1; t < 100; t++)
        cr_assert(rates_tau(&o, 100, t) > rates_tau(&o, 100, t - 1));
}

// --- augmentation ---

Test(method, byols_views_differ_as_published)
{
    enum { DRAWS = 4000, SIZE = 96 };
    const struct augment_recipe *r = augment_find("byol");
    for (int view = 0; view < 2; view++) {
        int blurred = 0, solarized = 0, jittered = 0;
        double least = 1, most_saturation = 0, most_contrast = 0;
        for (int i = 0; i < DRAWS; i++) {
            struct augment_view v;
            augment_draw(r, 5, 0, i, view, 3, SIZE, SIZE, SIZE, &v);
            blurred += v.sigma > 0;
            solarized += v.solarize;
            jittered += v.jitter;
            least = fmin(least, (double)v.height * v.width / (SIZE * SIZE));
            most_saturation = fmax(most_saturation, fabs(v.factor[JITTER_SATURATION] - 1));
            most_contrast = fmax(most_contrast, fabs(v.factor[JITTER_CONTRAST] - 1));
        }
        // Five deviations of a binomial of 4000 are at most 160.
        cr_expect(view ? abs(blurred - DRAWS / 10) < 100 : blurred == DRAWS, "%d", blurred);
        cr_expect(view ? abs(solarized - DRAWS / 5) < 130 : solarized == 0, "%d", solarized);
        cr_expect(abs(jittered - DRAWS * 8 / 10) < 130, "%d", jittered);
        cr_expect(least > 0.075 && least < 0.1, "%g", least);
        cr_expect(most_saturation > 0.19 && most_saturation <= 0.2001, "%g", most_saturation);
        cr_expect(most_contrast > 0.38 && most_contrast <= 0.4001, "%g", most_contrast);
    }
}

// What a calibration is for: the ablations are not the method.
Test(method, titles)
{
    static const struct {
        const char *option, *value, *title;
    } row[] = {
        {"lr", "2", "simsiam"},
        {"predictor", "off", "simsiam without predictor"},
        {"stop-gradient", "off", "simsiam without stop-gradient"},
        {"augment", "simsiam", "simsiam"},
        {"augment", "none", "simsiam on views none"},
        {"method", "byol", "byol"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (int resolved = 0; resolved < 2; resolved++) {
            struct options o;
            struct error e = {""};
            char title[METHOD_TITLE];
            options_default(&o);
            cr_assert(options_set(&o, row[i].option, row[i].value, &e) == 0, "%s", e.text);
            cr_assert(!resolved || method_resolve(&o, &e) == 0, "%s", e.text);
            method_title(&o, title, sizeof title);
            cr_expect_str_eq(title, row[i].title);
        }
}
