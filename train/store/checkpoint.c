// Checkpoints. A file has its final name only when it is whole and on disk, so whatever is called
// ckpt-N can be resumed.
#include "train/store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"
#include "metrics/log/record.h"
#include "train/store/weights.h"

#define LIVE_MEAN     "optim.live.mean"
#define LIVE_SCATTER  "optim.live.scatter"
#define LIVE_WEIGHT   "optim.live.weight"
#define CROSS_MEAN    "optim.live.cross.mean"
#define CROSS_TARGET  "optim.live.cross.target"
#define CROSS_PRODUCT "optim.live.cross.product"
#define CROSS_STATE   "optim.live.cross.state"
enum { TENSORS_PER_PARAM = 2, MORE_TENSORS = 12, STATE = 4, NOT_FINITE = -2 };

static const char *const paced_matrix[CHECKPOINT_PACED] = {
    [CHECKPOINT_Z] = "optim.live.z.matrix", [CHECKPOINT_VIEWS] = "optim.live.views.matrix"};
static const char *const paced_state[CHECKPOINT_PACED] = {
    [CHECKPOINT_Z] = "optim.live.z.state", [CHECKPOINT_VIEWS] = "optim.live.views.state"};

void checkpoint_free(struct checkpoint *c)
{
    free(c->schedule);
    free(c->rates);
    free(c->guard);
    free(c->best);
    free(c->views);
    free(c->algorithms);
    free(c->device);
    free(c->precision);
    free(c->config);
    memset(c, 0, sizeof *c);
}

void checkpoint_name(int64_t step, char *name, size_t size)
{
    snprintf(name, size, "ckpt-%" PRId64 ".safetensors", step);
}

int64_t checkpoint_step(const char *name)
{
    char again[64];
    if (strncmp(name, "ckpt-", 5) != 0)
        return -1;
    errno = 0;
    long long step = strtoll(name + 5, NULL, 10);
    if (errno || step < 0)
        return -1;
    checkpoint_name(step, again, sizeof again);
    return strcmp(again, name) == 0 ? step : -1;
}

// ---------------------------------------------------------------- writing

// What the tensor list points to.
struct contents {
    struct tensor_source *source;
    size_t n;
    int64_t tracked;
    double weight[2], state[STATE], paced[CHECKPOINT_PACED][PACED_STATE];
    double *matrix[CHECKPOINT_PACED];
    double *scatter; // whole square, upper triangle zero
    float *zeros;
};

static void contents_free(struct contents *c)
{
    free(c->source);
    free(c->scatter);
    for (int i = 0; i < CHECKPOINT_PACED; i++)
        free(c->matrix[i]);
    free(c->zeros);
}

static struct tensor_source *add(struct contents *c, enum dtype dtype, const void *data)
{
    struct tensor_source *s = &c->source[c->n++];
    s->dtype = dtype;
    s->data = data;
    return s;
}

static void add_param(struct contents *c, const struct param *p)
{
    for (int momentum = 0; momentum <= param_trained(p); momentum++) {
        struct tensor_source *s = add(c, DTYPE_F32, NULL);
        snprintf(s->name, sizeof s->name, "%s%s", momentum ? WEIGHTS_MOMENTUM : "", p->name);
        s->ndim = p->ndim;
        memcpy(s->dim, p->dim, sizeof p->dim);
    }
    if (p->kind == PARAM_RUNNING_MEAN) {
        struct tensor_source *s = add(c, DTYPE_I64, &c->tracked);
        snprintf(s->name, sizeof s->name, "%.*s" WEIGHTS_TRACKED,
                 (int)(strrchr(p->name, '.') - p->name), p->name);
    }
}

static void add_live(struct contents *c, const struct moments *live)
{
    size_t d = (size_t)live->d;
    for (size_t i = 0; i < d; i++)
        memcpy(c->scatter + i * d, live->scatter + i * d, (i + 1) * sizeof(double));
    c->weight[0] = live->weight;
    c->weight[1] = live->weight2;
    struct tensor_source *s = add(c, DTYPE_F64, live->mean);
    snprintf(s->name, sizeof s->name, LIVE_MEAN);
    s->ndim = 1;
    s->dim[0] = live->d;
    s = add(c, DTYPE_F64, c->scatter);
    snprintf(s->name, sizeof s->name, LIVE_SCATTER);
    s->ndim = 2;
    s->dim[0] = s->dim[1] = live->d;
    s = add(c, DTYPE_F64, c->weight);
    snprintf(s->name, sizeof s->name, LIVE_WEIGHT);
    s->ndim = 1;
    s->dim[0] = 2;
}

static void add_doubles(struct contents *c, const char *name, const double *data, int64_t rows,
                        int64_t columns)
{
    struct tensor_source *s = add(c, DTYPE_F64, data);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->ndim = columns ? 2 : 1;
    s->dim[0] = rows;
    s->dim[1] = columns;
}

static void add_cross(struct contents *c, const struct cross *x)
{
    c->state[0] = x->weight;
    c->state[1] = x->weight2;
    c->state[2] = x->total;
    c->state[3] = x->lambda;
    add_doubles(c, CROSS_MEAN, x->mean, x->d, 0);
    add_doubles(c, CROSS_TARGET, x->target, x->targets, 0);
    add_doubles(c, CROSS_PRODUCT, x->product, x->d, x->targets);
    add_doubles(c, CROSS_STATE, c->state, STATE, 0);
}

static int add_paced(struct contents *c, int which, const struct paced *p, struct error *e)
{
    int lines = paced_lines(p);
    double *matrix = malloc((size_t)lines * (size_t)(p->d + 1) * sizeof *matrix);
    if (!matrix)
        return error_memory(e, "a checkpoint");
    c->matrix[which] = matrix;
    paced_export(p, matrix, c->paced[which]);
    add_doubles(c, paced_matrix[which], matrix, lines, p->d + 1);
    add_doubles(c, paced_state[which], c->paced[which], PACED_STATE, 0);
    return 0;
}

static int contents_make(struct contents *c, const struct checkpoint *of, const struct net *net,
                         const struct moments *live, struct error *e)
{
    size_t room = (size_t)net->n_param * TENSORS_PER_PARAM + MORE_TENSORS;
    char name[128];
    int frozen = weights_frozen_bias(net, name, NULL);

    memset(c, 0, sizeof *c);
    c->source = calloc(room, sizeof *c->source);
    c->scatter = calloc((size_t)live->d * (size_t)live->d, sizeof *c->scatter);
    c->zeros = calloc((size_t)frozen + 1, sizeof *c->zeros);
    if (!c->source || !c->scatter || !c->zeros)
        return error_memory(e, "a checkpoint");
    // Both views go through every batch norm, one after the other.
    c->tracked = 2 * of->step;
    for (int i = 0; i < net->n_param; i++)
        add_param(c, &net->param[i]);
    if (frozen) {
        struct tensor_source *s = add(c, DTYPE_F32, c->zeros);
        snprintf(s->name, sizeof s->name, "%s", name);
        s->ndim = 1;
        s->dim[0] = frozen;
    }
    add_live(c, live);
    if (of->cross && of->cross->d)
        add_cross(c, of->cross);
    int rc = 0;
    for (int i = 0; rc == 0 && i < CHECKPOINT_PACED; i++)
        if (of->paced[i] && of->paced[i]->d)
            rc = add_paced(c, i, of->paced[i], e);
    return rc;
}

static int fetch(void *context, const struct tensor_source *s, void *out, size_t bytes,
                 struct error *e)
{
    size_t n = bytes / sizeof(float);
    float *v = out;
    if (plan_get(context, s->name, v, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            error_set(e, "%s is not finite", s->name);
            return NOT_FINITE;
        }
    }
    return 0;
}

static int write_file(FILE *f, const struct checkpoint *c, const struct contents *t,
                      struct plan *plan, struct error *e)
{
    char step[24], steps[24], threads[16], crc[16];
    snprintf(step, sizeof step, "%" PRId64, c->step);
    snprintf(steps, sizeof steps, "%" PRId64, c->steps);
    snprintf(threads, sizeof threads, "%d", c->threads);
    snprintf(crc, sizeof crc, "%08" PRIx32, c->data_crc);
    const struct metadata meta[] = {
        {"format", "pt"},
        {"ssltop", "1"},
        {"step", step},
        {"steps", steps},
        {"plan", c->schedule},
        {"rates", c->rates},
        {"guard", c->guard},
        {"algorithms", c->algorithms},
        {"threads", threads},
        {"precision", c->precision},
        {"config", c->config},
        {"data_crc", crc},
        {"device", c->device},
        {"best", c->best ? c->best : ""},
        {"views", c->views ? c->views : ""},
    };
    return safetensors_write(f, t->source, t->n, meta, sizeof meta / sizeof *meta, fetch, plan, e);
}

int checkpoint_write(const char *dir, const struct checkpoint *c, const struct net *net,
                     struct plan *plan, const struct moments *live, void (*before)(void *),
                     void *context, struct error *e)
{
    char name[64];
    checkpoint_name(c->step, name, sizeof name);
    return checkpoint_write_as(dir, name, c, net, plan, live, before, context, e);
}

int checkpoint_write_as(const char *dir, const char *name, const struct checkpoint *c,
                        const struct net *net, struct plan *plan, const struct moments *live,
                        void (*before)(void *), void *context, struct error *e)
{
    struct contents t;
    struct file out;
    int rc = contents_make(&t, c, net, live, e);
    if (rc == 0)
        rc = file_create(&out, path_of("%s/%s", dir, name).s, FILE_PRIVATE | FILE_DURABLE, e);
    if (rc == 0) {
        rc = write_file(out.stream, c, &t, plan, e);
        if (rc == 0)
            rc = file_sync(&out, e);
        if (rc == 0 && before)
            before(context);
        rc = file_finish(&out, rc, e);
    }
    contents_free(&t);
    if (rc < 0)
        error_prefix(e, "can't write %s", name);
    return rc;
}

// ---------------------------------------------------------------- reading

static int64_t meta_number(struct safetensors *f, const char *key, int base, int64_t hi)
{
    const char *text = safetensors_meta(f, key);
    char *end;
    if (!text || !*text)
        return -1;
    errno = 0;
    long long v = strtoll(text, &end, base);
    return errno || *end || v < 0 || v > hi ? -1 : v;
}

static char *meta_text(struct safetensors *f, const char *key)
{
    const char *text = safetensors_meta(f, key);
    return strdup(text ? text : "");
}

int checkpoint_read(const char *path, struct checkpoint *out, struct error *e)
{
    struct safetensors *f;
    memset(out, 0, sizeof *out);
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    out->step = meta_number(f, "step", 10, INT64_MAX);
    out->steps = meta_number(f, "steps", 10, INT64_MAX);
    int64_t threads = meta_number(f, "threads", 10, INT32_MAX);
    int64_t crc = meta_number(f, "data_crc", 16, UINT32_MAX);
    out->threads = (int)threads;
    out->data_crc = (uint32_t)crc;
    out->schedule = meta_text(f, "plan");
    out->rates = meta_text(f, "rates");
    out->guard = meta_text(f, "guard");
    out->best = meta_text(f, "best");
    out->views = meta_text(f, "views");
    out->algorithms = meta_text(f, "algorithms");
    out->device = meta_text(f, "device");
    out->precision = meta_text(f, "precision");
    out->config = meta_text(f, "config");
    safetensors_close(f);
    int rc = 0;
    if (!out->schedule || !out->rates || !out->guard || !out->best || !out->views ||
        !out->algorithms || !out->device || !out->precision || !out->config)
        rc = error_set(e, "out of memory");
    else if (out->step < 0 || out->steps < 1 || threads < 0 || crc < 0 || !*out->schedule ||
             !*out->config)
        rc =
            error_set(e, "%s is not a checkpoint of a run: its metadata has no step or plan", path);
    if (rc < 0)
        checkpoint_free(out);
    return rc;
}

static int load_param(struct safetensors *f, const struct net *net, const struct param *p,
                      const char *prefix, struct plan *plan, float *v, struct error *e)
{
    char name[128];
    const struct weights w = {.f = f};
    snprintf(name, sizeof name, "%s%s", prefix, p->name);
    return weights_put(&w, net, p, weights_find(&w, name), name, plan, v, e);
}

// Whether the network has a place for this tensor, or knows why it needs none.
static int is_known(const struct net *net, const struct tensor *t)
{
    char frozen[128] = "";
    weights_frozen_bias(net, frozen, NULL);
    return net_param(net, t->name) ||
           strncmp(t->name, WEIGHTS_MOMENTUM, strlen(WEIGHTS_MOMENTUM)) == 0 ||
           weights_is_count(t->name) || strcmp(t->name, frozen) == 0;
}

static int refuse_extra(struct safetensors *f, const struct net *net, struct error *e)
{
    const char *first = NULL;
    size_t extra = 0;
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const struct tensor *t = safetensors_at(f, i);
        if (is_known(net, t))
            continue;
        if (!first)
            first = t->name;
        extra++;
    }
    if (!extra)
        return 0;
    char shown[128];
    text_clean(shown, sizeof shown, first);
    if (extra == 1)
        return error_set(e, "tensor %s has no place in the network", shown);
    return error_set(e, "tensor %s and %zu others have no place in the network", shown, extra - 1);
}

static int load_network(struct safetensors *f, const struct net *net, struct plan *plan,
                        int momentum, struct error *e)
{
    float *v = weights_room(net, e);
    if (!v)
        return -1;
    int rc = refuse_extra(f, net, e);
    for (int i = 0; rc == 0 && i < net->n_param; i++) {
        const struct param *p = &net->param[i];
        rc = load_param(f, net, p, "", plan, v, e);
        if (rc == 0 && momentum && param_trained(p))
            rc = load_param(f, net, p, WEIGHTS_MOMENTUM, plan, v, e);
    }
    free(v);
    return rc;
}

static int load_doubles(struct safetensors *f, const char *name, double *out, size_t n,
                        struct error *e)
{
    const struct tensor *t = safetensors_find(f, name);
    if (!t)
        return error_set(e, "tensor %s is missing", name);
    if (t->dtype != DTYPE_F64)
        return error_set(e, "tensor %s is not F64", name);
    if (safetensors_doubles(f, t, out, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return error_set(e, "tensor %s holds a value that is not finite", name);
    return 0;
}

static int load_live(struct safetensors *f, struct moments *live, struct error *e)
{
    size_t d = (size_t)live->d;
    double weight[2] = {0, 0};
    if (load_doubles(f, LIVE_MEAN, live->mean, d, e) < 0 ||
        load_doubles(f, LIVE_SCATTER, live->scatter, d * d, e) < 0 ||
        load_doubles(f, LIVE_WEIGHT, weight, 2, e) < 0)
        return -1;
    if (weight[0] < 0 || weight[1] < 0)
        return error_set(e, "tensor " LIVE_WEIGHT " is negative");
    live->weight = weight[0];
    live->weight2 = weight[1];
    return 0;
}

// Whether a tensor of this name has these sizes.
static int has(const struct safetensors *f, const char *name, int64_t rows, int64_t columns)
{
    const struct tensor *t = safetensors_find(f, name);
    return t && t->ndim == (columns ? 2 : 1) && t->dim[0] == rows &&
           (!columns || t->dim[1] == columns);
}

int checkpoint_load_cross(const char *path, struct cross *out, struct error *e)
{
    struct safetensors *f;
    double state[STATE];
    size_t d = (size_t)out->d, k = (size_t)out->targets;
    cross_reset(out);
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    int rc = 0, is_there = has(f, CROSS_MEAN, out->d, 0) && has(f, CROSS_TARGET, out->targets, 0) &&
                           has(f, CROSS_PRODUCT, out->d, out->targets) &&
                           has(f, CROSS_STATE, STATE, 0);
    if (is_there && (load_doubles(f, CROSS_MEAN, out->mean, d, e) < 0 ||
                     load_doubles(f, CROSS_TARGET, out->target, k, e) < 0 ||
                     load_doubles(f, CROSS_PRODUCT, out->product, d * k, e) < 0 ||
                     load_doubles(f, CROSS_STATE, state, STATE, e) < 0))
        rc = -1;
    if (rc == 0 && is_there && (state[0] < 0 || state[1] < 0 || state[2] < 0 || !(state[3] > 0)))
        rc = error_set(e, "tensor " CROSS_STATE " is negative");
    if (rc == 0 && is_there) {
        out->weight = state[0];
        out->weight2 = state[1];
        out->total = state[2];
        out->lambda = state[3];
    }
    safetensors_close(f);
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
}

int checkpoint_load_paced(const char *path, int which, struct paced *out, struct error *e)
{
    struct safetensors *f;
    double state[PACED_STATE];
    const char *name = paced_matrix[which], *numbers = paced_state[which];
    int lines = paced_lines(out);
    size_t n = (size_t)lines * (size_t)(out->d + 1);
    if (!out->d)
        return 0;
    paced_reset(out);
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    double *matrix = NULL;
    int rc = 0;
    if (has(f, name, lines, out->d + 1) && has(f, numbers, PACED_STATE, 0)) {
        matrix = malloc(n * sizeof *matrix);
        rc = matrix ? 0 : error_memory(e, "projections");
        if (rc == 0 && (load_doubles(f, name, matrix, n, e) < 0 ||
                        load_doubles(f, numbers, state, PACED_STATE, e) < 0))
            rc = -1;
        if (rc == 0 && paced_import(out, matrix, state) < 0)
            rc = error_set(e, "tensor %s can't be", numbers);
    }
    free(matrix);
    safetensors_close(f);
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
}

int checkpoint_load(const char *path, const struct net *net, struct plan *plan,
                    struct moments *live, struct error *e)
{
    struct safetensors *f;
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    int rc = load_network(f, net, plan, 1, e);
    if (rc == 0)
        rc = load_live(f, live, e);
    safetensors_close(f);
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
}
