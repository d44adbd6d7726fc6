// Checkpoints, written. A file has its final name only when it is whole and on disk, so whatever is
// called ckpt-N can be resumed.
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
#include "train/store/checkpoint.h"
#include "train/store/checkpoint_tensors.h"
#include "train/store/weights.h"

enum { TENSORS_PER_PARAM = 2, MORE_TENSORS = 14, NOT_FINITE = -2 };

// What the tensor list points to.
struct contents {
    struct tensor_source *source;
    size_t n;
    int64_t tracked;
    double weight[2], state[CROSS_NUMBERS], paced[CHECKPOINT_PACED][PACED_STATE];
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
    add_doubles(c, CROSS_STATE, c->state, CROSS_NUMBERS, 0);
}

static void add_fewshot(struct contents *c, const struct fewshot *x)
{
    add_doubles(c, FEWSHOT_ROWS, x->rows, x->waiting, x->d);
    add_doubles(c, FEWSHOT_ASKED, x->asked, x->waiting, x->targets + x->clusters);
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
    if (of->fewshot && of->fewshot->waiting)
        add_fewshot(c, of->fewshot);
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
    if (rc < 0 && strncmp(e->text, "can't write ", strlen("can't write ")) != 0)
        error_prefix(e, "can't write %s", name);
    return rc;
}
