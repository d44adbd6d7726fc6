// The CPU device: oneDNN and LAPACK behind the device contract. The reference that other devices
// are checked against.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/cpu/feed.h"
#include "gpu/cpu/isa.h"
#include "gpu/cpu/onednn.h"
#include "gpu/cpu/params.h"
#include "gpu/cpu/reduce.h"
#include "gpu/compile.h"
#include "gpu/ranks/ranks.h"
#include "metrics/base/clock.h"

struct cpu_device {
    struct device base;
    const struct kernels *kernels;
    struct onednn onednn;
    struct spectrum_solver *solver;
    int solver_d;
};

// --- device ---
static void cpu_close(struct device *device)
{
    struct cpu_device *d = (struct cpu_device *)device;
    spectrum_solver_free(d->solver);
    onednn_close(&d->onednn);
    free(d);
}

static int cpu_open(const char *argument, int threads, struct device **out, struct error *e)
{
    if (argument[0])
        return error_set(e, "the CPU device takes no argument, '%.32s' was given", argument);
    struct cpu_device *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(e, "out of memory opening the CPU device");
    d->base.backend = &cpu_backend;
    omp_set_num_threads(threads); // oneDNN takes the caller's setting
    omp_set_dynamic(0);
    d->kernels = kernels_pick();
    if (onednn_open(&d->onednn, e) < 0) {
        cpu_close(&d->base);
        return -1;
    }
    struct device_info *i = &d->base.info;
    char version[32];
    const char *bf16 = onednn_offers(&d->onednn, dnnl_bf16) ? isa_bf16() : NULL;
    onednn_version(version, sizeof version);
    isa_processor(i->name, sizeof i->name);
    i->threads = threads;
    i->bf16 = bf16 ? BF16_TO_BE_TIMED : BF16_NONE;
    snprintf(i->detail, sizeof i->detail, "%s, %s%s%s", version, d->kernels->name, bf16 ? ", " : "",
             bf16 ? bf16 : "");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    i->memory = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
    *out = &d->base;
    return 0;
}

static int cpu_spectrum(struct device *device, const struct moments *m, double *sigma, double *raw,
                        double *n, struct error *e)
{
    struct cpu_device *d = (struct cpu_device *)device;
    if (d->solver_d != m->d) {
        spectrum_solver_free(d->solver);
        d->solver = NULL;
        d->solver_d = 0;
        if (spectrum_solver_new(m->d, &d->solver, e) < 0)
            return -1;
        d->solver_d = m->d;
    }
    return raw ? spectrum_both(d->solver, m, sigma, raw, n, e)
               : spectrum_from_moments(d->solver, m, sigma, n, e);
}

// --- compiling ---
// "v3-7": the kernels and what is said of oneDNN.
static int cpu_begin(struct plan *p, char *prefix, size_t size, struct error *e)
{
    const struct cpu_device *d = (const struct cpu_device *)p->device;
    size_t most = 1, n = (size_t)p->net.n_param + 1;
    struct own *own = p->own = plan_heap(p, sizeof *own, e);
    if (!own)
        return -1;
    own->k = d->kernels;
    own->onednn = d->onednn;
    own->threads = d->base.info.threads;
    own->stale = 1;
    for (int i = 0; i < p->net.n; i++)
        if ((size_t)p->net.node[i].c > most)
            most = (size_t)p->net.node[i].c;
    own->trained = plan_heap(p, n * sizeof *own->trained, e);
    own->running = plan_heap(p, n * sizeof *own->running, e);
    own->partial = cpu_take(p, (size_t)own->threads * 2 * (most + 64) * sizeof *own->partial, e);
    size_t sums = 2 * (most + 64) * sizeof *own->sums;
    if (p->ranks && (!(own->sums = cpu_take(p, sums, e)) ||
                     !(own->all_sums = cpu_take(p, sums * (size_t)p->ranks->size, e))))
        return -1;
    char library[48];
    onednn_prefix(library, sizeof library);
    snprintf(prefix, size, "%s-%s", own->k->name, library);
    return own->trained && own->running && own->partial ? 0 : -1;
}

void *cpu_take(struct plan *p, size_t size, struct error *e)
{
    void *m = arena_take(&p->own->arena, size);
    if (!m)
        error_set(e,
                  "out of memory: the network needs more than %zu MB (a smaller --batch or "
                  "--width helps)",
                  p->own->arena.total >> 20);
    return m;
}

onednn_layout cpu_plain(struct plan *p, const struct tensor *t, dnnl_data_type_t type,
                        struct error *e)
{
    dnnl_dims_t dims = {p->batch, t->c, t->h, t->w};
    return onednn_layout_new(p, t->rows ? 2 : 4, dims, type, t->rows ? dnnl_nc : dnnl_nchw, e);
}

// The network's input has few channels: where only convolutions take it, it stays as it comes.
static int is_plain(const struct net *net, const struct node *d)
{
    int all_conv = d->op == NODE_INPUT && d->c < 4;
    for (int i = 1; i < net->n; i++)
        for (int k = 0; k < 2; k++)
            if (net->node[i].in[k] == 0)
                all_conv &= net->node[i].op == NODE_CONV;
    return all_conv;
}

// Layouts by measurement: with tiles, bf16 is 6 to 10 times as fast in channels last as in blocks,
// by oneDNN 2.6 as by 3.7; f32 in blocks 1.2 to 1.7 times as fast as in channels last.
static int cpu_tensor(struct plan *p, struct tensor *t, const struct node *d, int lend,
                      struct error *e)
{
    struct layout *l = t->layout = plan_heap(p, sizeof *l, e);
    if (!l)
        return -1;
    l->order = t->rows                                            ? ORDER_ROWS
               : is_plain(&p->net, d)                             ? ORDER_PLAIN
               : p->own->k->channels_last && t->type == TYPE_BF16 ? ORDER_LAST
                                                                  : ORDER_BLOCKED;
    int whole = l->order == ORDER_BLOCKED || l->order == ORDER_LAST;
    dnnl_dims_t outer = {p->batch, d->c, d->h, d->w},
                dims = {p->batch, whole ? padded(p, d->c) : d->c, d->h, d->w};
    const dnnl_format_tag_t tag[] = {[ORDER_PLAIN] = dnnl_nchw,
                                     [ORDER_BLOCKED] =
                                         p->own->k->block == 16 ? dnnl_nChw16c : dnnl_nChw8c,
                                     [ORDER_LAST] = dnnl_nhwc,
                                     [ORDER_ROWS] = dnnl_nc};
    dnnl_data_type_t type = type_dnnl(t->type);
    int n = t->rows ? 2 : 4;
    l->tag = tag[l->order];
    l->md = onednn_layout_new(p, n, dims, type, l->tag, e);
    l->outer_md = !l->md                   ? NULL
                  : l->order == ORDER_LAST ? onednn_layout_within(p, l->md, outer, e)
                                           : onednn_layout_new(p, n, outer, type, l->tag, e);
    if (!l->outer_md || !(l->plain_md = cpu_plain(p, t, dnnl_f32, e)))
        return -1;
    t->elements = onednn_bytes(l->md) / plan_element(t->type);
    if (plan_place(p, t, lend, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        if (onednn_memory(p, l->md, t->data[v], &l->memory[v], e) < 0)
            return -1;
    return 0;
}

static int run_sum(struct plan *p, const struct op *op, struct error *e)
{
    const struct tensor *t = op->stage->out;
    p->own->k->add[t->type](op->out, op->a, op->b, t->elements, p->own->threads);
    return 0;
}

static int cpu_end(struct plan *p, struct error *e)
{
    if (params_check(p, e) < 0 || reduce_init(p, e) < 0 || feed_init(p, e) < 0 ||
        onednn_scratch_place(p, e) < 0)
        return -1;
    p->memory = p->own->arena.total;
    return 0;
}

static void cpu_free(struct plan *p)
{
    feed_free(p);
    arena_free(&p->own->arena);
    free(p->own->scratch);
    for (int i = 0; i < REFRESHES; i++)
        free(p->own->refresh[i].op);
}

// --- a step ---
static int fresh(struct plan *p, struct error *e)
{
    if (!p->own->stale)
        return 0;
    for (int i = 0; i < REFRESHES; i++)
        if (plan_run(p, &p->own->refresh[i], e) < 0)
            return -1;
    p->own->stale = 0;
    return 0;
}

static double waited(const struct plan *p)
{
    return p->ranks ? p->ranks->waited : 0;
}

// Milliseconds since a moment, less those that were spent in waiting for other ranks.
static double spent(const struct plan *p, double since, double before)
{
    return 1e3 * (clock_seconds() - since - (waited(p) - before));
}

static int cpu_forward(struct plan *p, int direct, struct error *e)
{
    double t0 = clock_seconds();
    if (!direct && feed_take(p, e) < 0)
        return -1;
    double t1 = clock_seconds(), before = waited(p);
    if (fresh(p, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        if (plan_run(p, &p->forward[v], e) < 0)
            return -1;
    p->times.data = 1e3 * (t1 - t0);
    p->times.forward = spent(p, t1, before);
    return 0;
}

static int cpu_backward(struct plan *p, struct error *e)
{
    double t0 = clock_seconds(), before = waited(p);
    for (int v = 0; v < VIEWS; v++)
        if ((p->ranks && v == VIEWS - 1 ? reduce_backward(p, e) : plan_run(p, &p->backward[v], e)) <
            0)
            return -1;
    p->times.backward = spent(p, t0, before);
    return 0;
}

static int cpu_update(struct plan *p, const struct update *u, struct error *e)
{
    double t0 = clock_seconds();
    if (params_update(p, u, e) < 0)
        return -1;
    p->times.update = 1e3 * (clock_seconds() - t0);
    return 0;
}

static int cpu_ema(struct plan *p, double tau, struct error *e)
{
    double t0 = clock_seconds();
    if (params_ema(p, tau, e) < 0)
        return -1;
    p->times.update += 1e3 * (clock_seconds() - t0);
    return 0;
}

// --- features: the pooled output, rows of f32 in any precision ---
static const float *features(const struct plan *p, int view)
{
    return p->tensor[p->net.features]->data[view];
}

static int cpu_features(struct plan *p, int view, float *h, struct error *e)
{
    memcpy(h, features(p, view), (size_t)p->batch * (size_t)p->feature_d * sizeof *h);
    return 0;
}

static int cpu_moments(struct plan *p, struct moments *m, struct error *e)
{
    const float *const h[VIEWS] = {features(p, 0), features(p, 1)};
    if (p->ranks)
        return reduce_moments(p, h, m, e);
    for (int v = 0; v < VIEWS; v++)
        if (moments_add(m, h[v], p->batch, (size_t)p->feature_d, e) < 0)
            return -1;
    return 0;
}

static int evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                    struct error *e)
{
    if (feed_evaluate(p, s, index, n, e) < 0 || fresh(p, e) < 0 || plan_run(p, &p->evaluate, e) < 0)
        return -1;
    if (h)
        memcpy(h, features(p, 0), (size_t)n * (size_t)p->feature_d * sizeof *h);
    return 0;
}

// --- images: all that is kept of a set is what it is ---
static void images_release(struct images *s)
{
    free(s);
}

static int cpu_images(struct device *d, const struct images *described, int changing,
                      struct images **out, struct error *e)
{
    static const struct images_kind kind = {
        .load = feed_load, .evaluate = evaluate, .free = images_release};
    struct images *s = malloc(sizeof *s);
    if (!s)
        return error_set(e, "out of memory opening the images");
    *s = *described;
    s->kind = &kind;
    *out = s;
    return 0;
}

// --- whole tensors ---
static int cpu_bring(struct plan *p, const struct tensor *t, void *data, const float *x,
                     struct error *e)
{
    if (t->layout->order == ORDER_LAST) // a copy writes no padding there
        memset(data, 0, onednn_bytes(t->layout->md));
    return onednn_convert(p, t->layout->plain_md, x, t->layout->outer_md, data, e);
}

static int cpu_fetch(struct plan *p, const struct tensor *t, const void *data, int n, int late,
                     float *y, struct error *e)
{
    size_t image = (size_t)t->c * (size_t)t->h * (size_t)t->w * sizeof *y;
    if (t->rows) { // they lie as they are asked for
        memcpy(y, data, (size_t)n * image);
        return 0;
    }
    float *all = n == p->batch ? y : malloc((size_t)p->batch * image);
    if (!all)
        return error_set(e, "out of memory reading an output");
    int rc = onednn_convert(p, t->layout->outer_md, data, t->layout->plain_md, all, e);
    if (all != y) {
        memcpy(y, all, (size_t)n * image);
        free(all);
    }
    return rc;
}

const struct backend cpu_backend = {
    .open = cpu_open,
    .close = cpu_close,
    .spectrum = cpu_spectrum,
    .images = cpu_images,
    .decodes = 1,
    .what = "processor, oneDNN",
    .node = {[NODE_CONV] = &cpu_conv,
             [NODE_BN] = &cpu_norm,
             [NODE_RELU] = &cpu_relu,
             [NODE_ADD] = &cpu_add,
             [NODE_MAXPOOL] = &cpu_maxpool,
             [NODE_GAP] = &cpu_gap,
             [NODE_LINEAR] = &cpu_linear},
    .compile = compile_plan,
    .release = compile_free,
    .begin = cpu_begin,
    .take = cpu_take,
    .tensor = cpu_tensor,
    .sum = run_sum,
    .loss_value = cpu_loss_value,
    .loss_gradient = cpu_loss_gradient,
    .end = cpu_end,
    .free = cpu_free,
    .put = params_put,
    .get = params_get,
    .forward = cpu_forward,
    .backward = cpu_backward,
    .update = cpu_update,
    .ema = cpu_ema,
    .features = cpu_features,
    .moments = cpu_moments,
    .bring = cpu_bring,
    .fetch = cpu_fetch,
};
