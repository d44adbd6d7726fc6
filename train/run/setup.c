// From options to a network that is ready for its first step. What can be refused is refused in
// order of its price: words first, then the data, then what needs the device.
#include "data/sets/dataset_table.h"
#include "train/run/setup.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/cores.h"
#include "metrics/base/text.h"
#include "metrics/science/blas.h"
#include "train/methods/method.h"
#include "train/run/precision.h"
#include "train/schedule/schedule_text.h"

enum { REFUSED = 2, FAILED = 1 };

// A data set that is a place on disk: "DIR" or "FILE".
static int has_place(const struct dataset_kind *k)
{
    return k && k->argument && k->argument[0] != '[';
}

int setup_names_data(const struct options *o, struct error *e)
{
    const struct dataset_kind *k = dataset_kind(o->data);
    const char *colon = strchr(o->data, ':');
    if (!has_place(k) || (colon && colon[1]))
        return 0;
    if (*o->recipe)
        return error_set(e, "recipe %s does not say where the data are: --data %s:%s", o->recipe,
                         k->name, k->argument);
    return error_set(e, "--data %s does not say where the data are: --data %s:%s", o->data, k->name,
                     k->argument);
}

// Take this place if it is text that can be recorded and read back.
static int set_place(struct options *o, const struct dataset_kind *k, const char *path)
{
    char spec[OPTION_TEXT];
    int n = snprintf(spec, sizeof spec, "%s:%s", k->name, path);
    return n > 0 && (size_t)n < sizeof spec && options_set(o, "data", spec, NULL) == 0;
}

// A relative path would mean another one when the run is resumed from elsewhere. Behind a link may
// be a name with control characters: then the link's own is kept.
static void make_absolute(struct options *o)
{
    const struct dataset_kind *k = dataset_kind(o->data);
    const char *colon = strchr(o->data, ':');
    char typed[OPTION_TEXT], full[2 * PATH_MAX];
    if (!has_place(k) || !colon || colon[1] == '/' || colon[1] == '\0')
        return;
    snprintf(typed, sizeof typed, "%s", colon + 1);
    char *path = realpath(typed, NULL), *here = path ? realpath(".", NULL) : NULL;
    if (here && !set_place(o, k, path) &&
        snprintf(full, sizeof full, "%s/%s", here, typed) < (int)sizeof full)
        set_place(o, k, full);
    free(path);
    free(here);
}

static int check_augment(const char *name, struct error *e)
{
    char names[200] = "";
    if (augment_find(name))
        return 0;
    for (const struct augment_recipe *r = augment_table; r->name; r++)
        text_item(names, sizeof names, ", ", "%s", r->name);
    return error_set(e, "unknown augmentation '%.32s'; there are %s", name, names);
}

int setup_resolve(struct options *o, struct error *e)
{
    struct guard guard;
    if (method_resolve(o, e) < 0 || check_augment(o->augment, e) < 0 ||
        guard_parse(&guard, o->guard, e) < 0 ||
        resnet_check(o->arch, o->width ? o->width : device_kind(0)->width, e) < 0)
        return -1;
    make_absolute(o);
    return 0;
}

// Words that name nothing, before anything is loaded.
static int check_words(struct setup *s, struct error *e)
{
    if (setup_names_data(&s->o, e) < 0 || setup_resolve(&s->o, e) < 0)
        return -1;
    s->recipe = augment_find(s->o.augment);
    return guard_parse(&s->guard, s->o.guard, e);
}

static int open_data(struct setup *s, const struct progress *p, struct error *e)
{
    p->say(p->context, "reading the data");
    if (dataset_open_unmeasured(s->o.data, s->o.seed, s->o.image_size, s->o.threads, &s->data, e) <
        0)
        return FAILED;
    s->data_crc = dataset_crc(&s->data);
    int given = options_normalize(&s->o, s->data.channels, s->data.mean, s->data.std, e);
    if (given < 0)
        return error_prefix(e, "--normalize '%s'", s->o.normalize), REFUSED;
    if (!given && dataset_measure(&s->data, e) < 0)
        return FAILED;
    // What the data said the record says: who looks at other data with this network needs it.
    if (!given)
        options_keep_normalize(&s->o, s->data.channels, s->data.mean, s->data.std);
    if (options_subset(&s->o, s->data.trained, &s->n, e) < 0)
        return REFUSED;
    return 0;
}

// Of several cards each rank of a host takes its own, unless one is named.
static void choose_card(const struct setup *s, char *spec, size_t size)
{
    const struct device_kind *kind;
    int n, is_auto = strcmp(s->o.device, "auto") == 0;
    snprintf(spec, size, "%s", s->o.device);
    for (int i = 1; s->ranks && (kind = device_kind(i)); i++)
        if ((is_auto || strcmp(s->o.device, kind->name) == 0) && (n = device_count(kind, NULL)) > 0)
            snprintf(spec, size, "%.16s:%d", kind->name, s->ranks->local % n);
}

// Ranks of one host that may use the same cores share them.
static int threads(const struct setup *s)
{
    int share = s->ranks && !s->o.threads ? cores_usable() / s->ranks->sharing : 0;
    return s->o.threads || !s->ranks ? s->o.threads : share > 0 ? share : 1;
}

static int open_device(struct setup *s, const struct progress *p, struct error *e)
{
    struct options *o = &s->o;
    char spec[sizeof o->device];
    p->say(p->context, "opening the device");
    choose_card(s, spec, sizeof spec);
    cores_flush_denormals(); // before its threads are there
    if (device_open(spec, threads(s), &s->device, e) < 0)
        return FAILED;
    const struct device_info *info = device_info(s->device);
    if (strcmp(o->device, "auto") == 0)
        snprintf(o->device, sizeof o->device, "%s", info->kind->name);
    o->threads = info->threads;
    if (blas_begin(o->threads, e) < 0) // what evaluations need is there from the start
        return FAILED;
    if (!o->width) // the published recipes need a GPU's
        o->width = info->kind->width;
    if (!o->batch)
        o->batch = info->kind->batch;
    return 0;
}

// Whether processes can share a batch: as many images each, and two where each normalises by
// itself.
static int check_share(const struct options *o, int ranks, struct error *e)
{
    int below = o->batch / ranks * ranks;
    char lower[32] = "";
    if (below)
        snprintf(lower, sizeof lower, "%d or ", below);
    if (o->batch % ranks != 0)
        return error_set(e, "batch %d can't be shared by %d processes: %s%d can", o->batch, ranks,
                         lower, below + ranks);
    if (ranks > 1 && !o->sync_bn && o->batch < 2 * ranks)
        return error_set(e,
                         "with --no-sync-bn each of %d processes needs two images or more to "
                         "normalise over: batch %d can, or --sync-bn",
                         ranks, 2 * ranks);
    return 0;
}

static int make_schedule(struct setup *s, struct error *e)
{
    struct options *o = &s->o;
    if (o->batch > s->n)
        return error_set(e, "batch %d is larger than the data set (%lld images): at most %lld",
                         o->batch, (long long)s->n, (long long)s->n);
    if (check_share(o, s->ranks ? s->ranks->size : 1, e) < 0)
        return -1;
    int64_t epoch = s->epoch = s->n / o->batch;
    s->steps = o->steps ? o->steps : schedule_steps(s->n, o->batch, o->epochs);
    if (s->steps < 1 || s->steps > (int64_t)1e15)
        return error_set(e, "%lld epochs are too many steps to count", (long long)o->epochs);
    struct schedule_facts facts = {
        .seed = o->seed, .n = s->n, .batch = o->batch, .steps = s->steps, .chunks = o->chunks};
    if (schedule_text_parse(&s->schedule, &facts, o->schedule, e) < 0)
        return -1;
    o->chunks = s->schedule.facts.chunks;
    if (!o->eval_every)
        o->eval_every = epoch;
    if (!o->checkpoint_every)
        o->checkpoint_every = epoch;
    s->order = malloc((size_t)s->n * sizeof *s->order);
    if (!s->order)
        return error_memory(e, "the order of %lld images", (long long)s->n);
    return schedule_order(o->seed, s->data.trained, s->n, s->order, e);
}

static void keep_stem(struct options *o, const struct dataset *d)
{
    char stem[sizeof o->stem] = ""; // equal options are equal bytes
    snprintf(stem, sizeof stem, "%s", method_stem(o, d->height, d->width));
    memcpy(o->stem, stem, sizeof stem);
}

int setup_compile(struct device *d, const struct net *net, const struct plan_options *o,
                  int inexact, struct plan **out, struct error *e)
{
    struct plan_options own = *o;
    struct error second;
    if (device_compile(d, net, o, out, e) == 0)
        return 0;
    own.algorithms = NULL;
    if (!o->algorithms || device_compile(d, net, &own, out, &second) < 0)
        return -1; // the first reason stands
    if (inexact)
        return 0;
    plan_free(*out);
    *out = NULL;
    second = *e;
    return error_set(e, "%.400s: not the same to the last bit; --inexact allows it", second.text);
}

static int choose_precision(struct setup *s, const struct progress *p, struct error *e)
{
    struct options *o = &s->o;
    struct precision_choice c;
    if (strcmp(o->precision, "auto") != 0)
        return 0;
    p->say(p->context, "comparing f32 and bf16");
    if (precision_choose(s->device, &s->net, o->batch, &c, e) < 0)
        return -1;
    snprintf(o->precision, sizeof o->precision, "%s",
             c.precision == PRECISION_BF16 ? "bf16" : "f32");
    if (isfinite(c.gain))
        snprintf(s->compared, sizeof s->compared,
                 "precision %s: bf16 takes %.2f times as long as f32 here%s%s%s", o->precision,
                 1 / c.gain, c.remembered ? ", as was measured earlier" : "", *c.why ? "; " : "",
                 c.why);
    return 0;
}

static int build(struct setup *s, const char *algorithms, const struct progress *p, struct error *e)
{
    struct options *o = &s->o;
    const struct dataset *data = &s->data;
    keep_stem(o, data);
    if (method_build(o, data->channels, data->height, data->width, &s->net, e) < 0)
        return REFUSED;
    if (s->net.features < 0 || !s->net.loss)
        return error_set(e, "%s with %s has no features or no loss", o->arch, o->method), REFUSED;
    s->d = s->net.node[s->net.features].c;
    if (!o->eval_images)
        o->eval_images = 16 * (int64_t)s->d;
    if (o->eval_images > s->n)
        o->eval_images = s->n;

    if (choose_precision(s, p, e) < 0)
        return FAILED;
    struct plan_options compile = {
        .batch = setup_share(s),
        .ranks = s->ranks,
        .together = o->sync_bn,
        .precision = strcmp(o->precision, "bf16") == 0 ? PRECISION_BF16 : PRECISION_F32,
        .algorithms = algorithms,
    };
    p->say(p->context, "compiling the network");
    if (images_of(s->device, data, SPLIT_TRAIN, &s->images, e) < 0 ||
        setup_compile(s->device, &s->net, &compile, o->inexact, &s->plan, e) < 0 ||
        method_init(&s->net, o->seed, s->plan, e) < 0)
        return FAILED;
    return 0;
}

int setup_share(const struct setup *s)
{
    return s->ranks ? s->o.batch / s->ranks->size : s->o.batch;
}

int setup_open(struct setup *s, const struct options *o, const char *algorithms,
               struct ranks *ranks, const struct progress *p, struct error *e)
{
    memset(s, 0, sizeof *s);
    s->o = *o;
    s->ranks = ranks;
    if (check_words(s, e) < 0)
        return REFUSED;
    int rc = open_data(s, p, e);
    if (rc == 0)
        rc = open_device(s, p, e);
    if (rc == 0 && make_schedule(s, e) < 0)
        rc = REFUSED;
    if (rc == 0)
        rc = build(s, algorithms, p, e);
    return rc;
}

int setup_asks(const struct setup *s)
{
    return strcmp(s->o.surrogates, "off") != 0;
}

void setup_close(struct setup *s)
{
    plan_free(s->plan);
    images_free(s->images);
    if (s->net.node)
        net_free(&s->net);
    device_close(s->device);
    schedule_free(&s->schedule);
    free(s->order);
    surrogates_free(&s->surrogates);
    dataset_close(&s->data);
    memset(s, 0, sizeof *s);
}
