// Checkpoints, read: bit for bit what was written (checkpoint_write.c).
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
#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/log/record.h"
#include "train/store/checkpoint_tensors.h"
#include "train/store/weights.h"

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
    double state[CROSS_NUMBERS];
    size_t d = (size_t)out->d, k = (size_t)out->targets;
    cross_reset(out);
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    int rc = 0, is_there = has(f, CROSS_MEAN, out->d, 0) && has(f, CROSS_TARGET, out->targets, 0) &&
                           has(f, CROSS_PRODUCT, out->d, out->targets) &&
                           has(f, CROSS_STATE, CROSS_NUMBERS, 0);
    if (is_there && (load_doubles(f, CROSS_MEAN, out->mean, d, e) < 0 ||
                     load_doubles(f, CROSS_TARGET, out->target, k, e) < 0 ||
                     load_doubles(f, CROSS_PRODUCT, out->product, d * k, e) < 0 ||
                     load_doubles(f, CROSS_STATE, state, CROSS_NUMBERS, e) < 0))
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

int checkpoint_load_fewshot(const char *path, struct fewshot *out, struct error *e)
{
    struct safetensors *f;
    int width = out->targets + out->clusters;
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    const struct tensor *t = safetensors_find(f, FEWSHOT_ROWS);
    int64_t n = t && t->dim[0] < FEWSHOT_IMAGES ? t->dim[0] : 0;
    int rc = 0,
        is_there = n > 0 && has(f, FEWSHOT_ROWS, n, out->d) && has(f, FEWSHOT_ASKED, n, width);
    if (is_there && (load_doubles(f, FEWSHOT_ROWS, out->rows, (size_t)(n * out->d), e) < 0 ||
                     load_doubles(f, FEWSHOT_ASKED, out->asked, (size_t)(n * width), e) < 0))
        rc = -1;
    out->waiting = rc == 0 && is_there ? (int)n : 0;
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
