// A network from its checkpoint, compiled for evaluation. What the checkpoint records about itself
// (architecture, precision, layers' algorithms) is obeyed where it can be.
#include "train/run/embed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset_table.h"
#include "gpu/device.h"
#include "metrics/base/cores.h"
#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "train/store/checkpoint.h"
#include "train/store/initial.h"
#include "train/methods/method.h"
#include "train/options/options.h"
#include "train/store/rundir.h"
#include "train/run/runs.h"
#include "train/run/setup.h"

struct embed {
    struct options o;
    struct checkpoint checkpoint;
    struct dataset data;
    struct device *device;
    struct net net;
    struct plan *plan;
    struct images *images[SPLIT_COUNT];
    int64_t *index; // a batch
    int d;
};

// The step that the word says, -1: it is none.
static int64_t which_step(const char *which)
{
    char *end;
    errno = 0;
    long long step = strtoll(which, &end, 10);
    return errno || *end || end == which || step < 0 ? -1 : step;
}

int embed_check_which(const char *which, struct error *e)
{
    if (strcmp(which, "last") == 0 || strcmp(which, "best") == 0 || which_step(which) >= 0)
        return 0;
    return error_set(e, "expected last, best or a step");
}

// The name of the checkpoint in a run's folder, which has those of `step`, n of them.
static int choose(const char *dir, const char *which, const int64_t *step, size_t n, char name[64],
                  struct error *e)
{
    int is_best = strcmp(which, "best") == 0, is_last = strcmp(which, "last") == 0;
    int64_t wanted = is_best || is_last ? -1 : which_step(which), best = rundir_best(dir);
    if (is_best && best < 0)
        return error_set(e, "%.300s has no best network: none was measured or foretold", dir);
    if (!is_best && !n && best < 0)
        return error_set(e, "%.300s has no checkpoint yet", dir);
    for (size_t i = n; i-- > 0 && !is_best;) {
        if (!is_last && step[i] != wanted)
            continue;
        checkpoint_name(step[i], name, 64);
        return 0;
    }
    if (!is_best && !is_last && best != wanted)
        return error_set(e, "%.300s has no checkpoint of step %lld", dir, (long long)wanted);
    snprintf(name, 64, CHECKPOINT_BEST);
    return 0;
}

int embed_find(const char *runs, const char *word, const char *which, char *path, size_t size,
               struct error *e)
{
    char dir[4096], name[64];
    int64_t *step = NULL;
    size_t n = 0;
    if (path_is_file(word)) {
        int length = snprintf(path, size, "%s", word);
        return (size_t)length < size ? 0 : error_set(e, "%.200s... is too long a path", word);
    }
    if (runs_find(runs, word, 0, dir, sizeof dir, e) < 0 ||
        rundir_checkpoints(dir, &step, &n, e) < 0)
        return -1;
    int rc = choose(dir, which ? which : "last", step, n, name, e);
    free(step);
    if (rc < 0)
        return -1;
    int length = snprintf(path, size, "%s/%s", dir, name);
    return (size_t)length < size ? 0 : error_set(e, "%.200s... is too long a path", dir);
}

static int read_options(struct embed *m, const char *checkpoint, struct error *e)
{
    options_default(&m->o);
    if (checkpoint_read(checkpoint, &m->checkpoint, e) < 0 ||
        options_from_json(&m->o, m->checkpoint.config, e) < 0 || method_resolve(&m->o, e) < 0)
        return -1;
    if (m->o.width < 1 || m->o.batch < 1)
        return error_set(e, "%.300s does not say the width and batch of its network", checkpoint);
    return 0;
}

// The data, normalised as in the training.
static int open_data(struct embed *m, const struct embed_options *o, struct error *e)
{
    if (o->data && snprintf(m->o.data, sizeof m->o.data, "%s", o->data) >= (int)sizeof m->o.data)
        return error_set(e, "the name of the data set is too long");
    if (dataset_open_unmeasured(m->o.data, m->o.seed, m->o.image_size, o->threads, &m->data, e) < 0)
        return -1;
    int given = options_normalize(&m->o, m->data.channels, m->data.mean, m->data.std, e);
    if (given < 0)
        return error_set(e,
                         "%.200s has images of %d channel%s: they cannot be normalised by %.100s, "
                         "as in the training",
                         m->data.name, m->data.channels, m->data.channels == 1 ? "" : "s",
                         m->o.normalize);
    return given ? 0 : dataset_measure(&m->data, e);
}

static int open_network(struct embed *m, const struct embed_options *o, const char *path,
                        struct error *e)
{
    char notice[INITIAL_NOTICE];
    const char *device = o->device ? o->device : m->o.device;
    cores_flush_denormals(); // before its threads are there
    if (device_open(device, o->threads, &m->device, e) < 0)
        return o->device ? -1 : error_prefix(e, "this was trained on %.20s; say --device", device);
    if (method_build(&m->o, m->data.channels, m->data.height, m->data.width, &m->net, e) < 0)
        return -1;
    if (m->net.features < 0)
        return error_set(e, "%s has no features", m->o.arch);
    m->d = m->net.node[m->net.features].c;
    int same = !o->data && strcmp(device, m->o.device) == 0;
    struct plan_options compile = {
        .batch = m->o.batch,
        .precision = strcmp(m->o.precision, "bf16") == 0 ? PRECISION_BF16 : PRECISION_F32,
        .algorithms = same ? m->checkpoint.algorithms : NULL,
    };
    if (setup_compile(m->device, &m->net, &compile, 1, &m->plan, e) < 0)
        return -1;
    return initial_load(path, &m->net, m->plan, notice, e);
}

static int open_images(struct embed *m, struct error *e)
{
    const struct dataset *d = &m->data;
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (d->split[s].n > 0 && images_of(m->device, d, (enum split)s, &m->images[s], e) < 0)
            return -1;
    m->index = malloc((size_t)m->o.batch * sizeof *m->index);
    return m->index ? 0 : error_memory(e, "a batch of %d images", m->o.batch);
}

int embed_open(const char *checkpoint, const struct embed_options *o, struct embed **out,
               struct error *e)
{
    *out = NULL;
    struct embed *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(e, "out of memory");
    if (read_options(m, checkpoint, e) == 0 && open_data(m, o, e) == 0 &&
        open_network(m, o, checkpoint, e) == 0 && open_images(m, e) == 0) {
        *out = m;
        return 0;
    }
    embed_close(m);
    return -1;
}

void embed_close(struct embed *m)
{
    if (!m)
        return;
    plan_free(m->plan);
    for (int s = 0; s < SPLIT_COUNT; s++)
        images_free(m->images[s]);
    if (m->net.node)
        net_free(&m->net);
    device_close(m->device);
    dataset_close(&m->data);
    checkpoint_free(&m->checkpoint);
    free(m->index);
    free(m);
}

int embed_d(const struct embed *m)
{
    return m->d;
}

int embed_threads(const struct embed *m)
{
    return device_info(m->device)->threads;
}

const struct dataset *embed_data(const struct embed *m)
{
    return &m->data;
}

int64_t embed_step(const struct embed *m)
{
    return m->checkpoint.step;
}

int embed_features(struct embed *m, enum split split, int64_t at, int64_t n, float *out,
                   struct error *e)
{
    if (at < 0 || n < 0 || at > m->data.split[split].n - n)
        return error_set(e, "there are no images %lld to %lld in a split of %lld", (long long)at,
                         (long long)(at + n), (long long)m->data.split[split].n);
    int rc = 0;
    for (int64_t from = 0; rc == 0 && from < n; from += m->o.batch) {
        int some = (int)(n - from < m->o.batch ? n - from : m->o.batch);
        for (int i = 0; i < some; i++)
            m->index[i] = at + from + i;
        rc = plan_evaluate(m->plan, m->images[split], m->index, some,
                           out + (size_t)from * (size_t)m->d, e);
    }
    return rc;
}

// ---------------------------------------------------------------- probes

// Images of a split, in data order, with their features and labels.
struct sample {
    int64_t n, *index;
    int32_t *label;
    float *x; // n x d
    struct memory memory;
};

static void sample_free(struct sample *s)
{
    memory_free(&s->memory);
}

// All that have labels.
static void sample_all(struct sample *s, int64_t first, int64_t n)
{
    s->n = n;
    for (int64_t i = 0; i < n; i++)
        s->index[i] = first + i;
}

// As many of each class, at most `wanted`, of the n labelled ones from `first` on.
static int sample_balanced(struct sample *s, const struct embed *m, enum split split, int64_t first,
                           int64_t n, int64_t wanted)
{
    int64_t *order = dataset_order(n, m->o.seed, split);
    unsigned char *chosen = calloc((size_t)n, 1);
    struct dataset_balance b = {m->data.split[split].labels + first,
                                calloc((size_t)m->data.classes, sizeof(int64_t))};
    int ok = order && chosen && b.room;
    if (ok)
        dataset_balance_share(&b, wanted, m->data.classes);
    for (int64_t i = 0; ok && i < n; i++)
        chosen[order[i]] = (unsigned char)dataset_balance_take(&b, order[i]);
    for (int64_t i = 0; ok && i < n; i++)
        if (chosen[i])
            s->index[s->n++] = first + i;
    free(order);
    free(chosen);
    free(b.room);
    return ok ? 0 : -1;
}

// Features and labels of `wanted` images (0: all that have labels).
static int sample_choose(struct sample *s, struct embed *m, enum split split, int64_t wanted,
                         struct error *e)
{
    int64_t first, labelled = dataset_labelled(&m->data, split, &first);
    size_t n = (size_t)labelled;
    int some = wanted > 0 && wanted < labelled;
    s->index = memory_take(&s->memory, n, sizeof *s->index);
    s->label = memory_take(&s->memory, n, sizeof *s->label);
    if (s->memory.failed || (some && sample_balanced(s, m, split, first, labelled, wanted) < 0))
        return error_memory(e, "%zu images", n);
    if (!some)
        sample_all(s, first, labelled);
    for (int64_t i = 0; i < s->n; i++)
        s->label[i] = m->data.split[split].labels[s->index[i]];
    s->x = memory_take(&s->memory, (size_t)s->n, (size_t)m->d * sizeof *s->x);
    if (!s->x)
        return error_memory(e, "the features of %lld images", (long long)s->n);
    return plan_evaluate_all(m->plan, m->images[split], s->index, s->n, m->d, s->x, e);
}

static int run_probes(struct embed *m, const struct probe_data *p, void (*say)(const char *),
                      struct embed_scores *out, struct error *e)
{
    const struct probe_rule rule[] = {probe_knn_weighted, probe_knn_plain};
    struct probe_score near[2];
    int threads = embed_threads(m);
    say("fast probe");
    if (probe_ridge(p, threads, &out->ridge, &out->lambda, e) < 0)
        return -1;
    say("nearest neighbours");
    if (probe_knn(p, rule, 2, threads, near, e) < 0)
        return -1;
    out->near = near[0];
    out->plain = near[1];
    say("linear probe");
    return probe_linear(p, threads, &out->linear, &out->fit, e);
}

int embed_probe(struct embed *m, int64_t images, void (*say)(const char *what),
                struct embed_scores *out, struct error *e)
{
    int64_t first;
    FREED_BY(sample_free) struct sample train = {0}, test = {0};
    if (m->data.classes < 2 || dataset_labelled(&m->data, SPLIT_TRAIN, &first) < 1 ||
        dataset_labelled(&m->data, SPLIT_TEST, &first) < 1)
        return error_set(e, "%.200s has no labels to probe with", m->data.name);
    say("features");
    if (sample_choose(&train, m, SPLIT_TRAIN, images, e) < 0 ||
        sample_choose(&test, m, SPLIT_TEST, 0, e) < 0)
        return -1;
    struct probe_data p = {
        .d = m->d,
        .classes = m->data.classes,
        .train = {train.n, train.x, train.label},
        .test = {test.n, test.x, test.label},
    };
    out->n_train = train.n;
    out->n_test = test.n;
    return run_probes(m, &p, say, out, e);
}
