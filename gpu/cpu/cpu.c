// The CPU device: oneDNN and LAPACK behind the device contract. The reference that other devices
// are checked against.
#include "gpu/cpu/cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/cpu/feed.h"
#include "gpu/cpu/ops.h"
#include "gpu/cpu/params.h"
#include "gpu/cpu/plan.h"
#include "metrics/base/clock.h"

// --- device ---
static void processor_name(char *name, size_t size)
{
    snprintf(name, size, "CPU");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !value)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", value + 2);
        break;
    }
    fclose(f);
}

static void cpu_close(struct device *device)
{
    struct cpu_device *d = (struct cpu_device *)device;
    spectrum_solver_free(d->solver);
    if (d->stream)
        dnnl_stream_destroy(d->stream);
    if (d->engine)
        dnnl_engine_destroy(d->engine);
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
    d->threads = threads;
    omp_set_num_threads(threads); // oneDNN takes the caller's setting
    omp_set_dynamic(0);
    d->kernels = kernels_pick();
    if (cpu_check(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "engine", e) < 0 ||
        cpu_check(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags), "stream",
                  e) < 0) {
        cpu_close(&d->base);
        return -1;
    }
    struct device_info *i = &d->base.info;
    const dnnl_version_t *v = dnnl_version();
    snprintf(i->kind, sizeof i->kind, "cpu");
    processor_name(i->name, sizeof i->name);
    i->threads = threads;
    __builtin_cpu_init();
    i->bf16 = __builtin_cpu_supports("avx512bf16") != 0;
    snprintf(i->detail, sizeof i->detail, "oneDNN %d.%d.%d, %s%s", v->major, v->minor, v->patch,
             d->kernels->name, i->bf16 ? ", avx512_bf16" : "");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    i->memory = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
    *out = &d->base;
    return 0;
}

static int cpu_spectrum(struct device *device, const struct moments *m, double *sigma, double *n,
                        struct error *e)
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
    return spectrum_from_moments(d->solver, m, sigma, n, e);
}

// --- images ---
static int cpu_images_new(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
                          const float *mean, const float *std, int changing, struct images **out,
                          struct error *e)
{
    (void)d;
    if (n < 1 || (c != 1 && c != 3) || h < 1 || w < 1)
        return error_set(e, "%lld images of %d x %d x %d cannot be used", (long long)n, c, h, w);
    struct cpu_images *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory opening the images");
    s->base.backend = &cpu_backend;
    s->pixels = pixels;
    s->n = n;
    s->c = c;
    s->h = h;
    s->w = w;
    memcpy(s->mean, mean, (size_t)c * sizeof *mean);
    memcpy(s->std, std, (size_t)c * sizeof *std);
    *out = &s->base;
    return 0;
}

static void cpu_images_free(struct images *images)
{
    struct cpu_images *s = (struct cpu_images *)images;
    for (int t = 0; t < s->readers; t++)
        pictures_reader_free(s->reader[t]);
    free(s->reader);
    free(s);
}

static int cpu_images_from(struct device *device, struct pictures *source, int h, int w,
                           const float *mean, const float *std, struct images **out,
                           struct error *e)
{
    int threads = ((struct cpu_device *)device)->threads;
    if (cpu_images_new(device, NULL, source->n, 3, h, w, mean, std, 0, out, e) < 0)
        return -1;
    struct cpu_images *s = (struct cpu_images *)*out;
    s->source = source;
    s->reader = calloc((size_t)threads, sizeof *s->reader);
    int rc = s->reader ? 0 : error_set(e, "out of memory opening the images");
    for (; rc == 0 && s->readers < threads; s->readers++)
        rc = pictures_reader_new(source, &s->reader[s->readers], e);
    if (rc < 0) {
        cpu_images_free(*out);
        *out = NULL;
    }
    return rc;
}

// --- a step ---
static int fresh(struct cpu_plan *p, struct error *e)
{
    if (!p->stale)
        return 0;
    for (int i = 0; i < REFRESHES; i++)
        if (cpu_run(p, &p->refresh[i], e) < 0)
            return -1;
    p->stale = 0;
    return 0;
}

static int cpu_forward(struct plan *plan, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    double t0 = clock_seconds();
    if (feed_take(p, e) < 0)
        return -1;
    double t1 = clock_seconds();
    if (fresh(p, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        if (cpu_run(p, &p->forward[v], e) < 0)
            return -1;
    if (cpu_run(p, &p->loss, e) < 0)
        return -1;
    plan->times.data = 1e3 * (t1 - t0);
    plan->times.forward = 1e3 * (clock_seconds() - t1);
    return 0;
}

static int seed(struct cpu_plan *p, int view, const float *dy, struct error *e)
{
    const struct tensor *t = p->tensor[p->net.n - 1];
    dnnl_memory_desc_t plain;
    dnnl_dims_t dims = {p->batch, t->c, t->h, t->w};
    int rows = t->layout == LAYOUT_ROWS;
    if (cpu_check(dnnl_memory_desc_init_by_tag(&plain, rows ? 2 : 4, dims, dnnl_f32,
                                               rows ? dnnl_nc : dnnl_nchw),
                  "gradient", e) < 0)
        return -1;
    return cpu_convert(p, &plain, dy, &t->outer_md, p->seed[view]->data, e);
}

static int cpu_backward(struct plan *plan, const float *const dy[2], struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    double t0 = clock_seconds();
    if (!dy != !!p->net.loss)
        return error_set(e, dy ? "the network has a loss" : "the network has no loss");
    for (int v = 0; v < VIEWS; v++) {
        if (dy && seed(p, v, dy[v], e) < 0)
            return -1;
        if (cpu_run(p, &p->backward[v], e) < 0)
            return -1;
    }
    plan->times.backward = 1e3 * (clock_seconds() - t0);
    return 0;
}

static int cpu_update(struct plan *plan, const struct update *u, struct error *e)
{
    double t0 = clock_seconds();
    if (params_update((struct cpu_plan *)plan, u, e) < 0)
        return -1;
    plan->times.update = 1e3 * (clock_seconds() - t0);
    return 0;
}

static int cpu_ema(struct plan *plan, double tau, struct error *e)
{
    double t0 = clock_seconds();
    if (params_ema((struct cpu_plan *)plan, tau, e) < 0)
        return -1;
    plan->times.update += 1e3 * (clock_seconds() - t0);
    return 0;
}

// --- features ---
static int has_features(const struct cpu_plan *p, struct error *e)
{
    return p->net.features >= 0 ? 0 : error_set(e, "the network has no features");
}

// The pooled output, rows of f32 in any precision.
static const float *features(const struct cpu_plan *p, int view)
{
    return p->tensor[p->net.features]->data[view];
}

static int cpu_features(struct plan *plan, int view, float *h, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    if (has_features(p, e) < 0)
        return -1;
    memcpy(h, features(p, view), (size_t)p->batch * p->feature_d * sizeof *h);
    return 0;
}

static int cpu_moments(struct plan *plan, struct moments *m, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    if (has_features(p, e) < 0)
        return -1;
    if (m->d != p->feature_d)
        return error_set(e, "moments of %d dimensions for features of %d", m->d, p->feature_d);
    for (int v = 0; v < VIEWS; v++)
        if (moments_add(m, features(p, v), p->batch, (size_t)p->feature_d, e) < 0)
            return -1;
    return 0;
}

static int cpu_evaluate(struct plan *plan, struct images *s, const int64_t *index, int n, float *h,
                        struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    if (has_features(p, e) < 0)
        return -1;
    if (n < 1 || n > p->batch)
        return error_set(e, "%d images do not fit a batch of %d", n, p->batch);
    if (feed_evaluate(p, s, index, n, e) < 0 || fresh(p, e) < 0 || cpu_run(p, &p->evaluate, e) < 0)
        return -1;
    memcpy(h, features(p, 0), (size_t)n * p->feature_d * sizeof *h);
    return 0;
}

// --- tests ---
// The first n images of a tensor.
static int canonical(struct cpu_plan *p, const struct tensor *t, const void *data, int n,
                     float *out, struct error *e)
{
    dnnl_memory_desc_t plain, part;
    dnnl_dims_t dims = {n, t->c, t->h, t->w}, from = {0};
    int rows = t->layout == LAYOUT_ROWS;
    if (cpu_check(dnnl_memory_desc_init_by_tag(&plain, rows ? 2 : 4, dims, dnnl_f32,
                                               rows ? dnnl_nc : dnnl_nchw),
                  "output", e) < 0 ||
        cpu_check(dnnl_memory_desc_init_submemory(&part, &t->outer_md, dims, from), "output", e) <
            0)
        return -1;
    return cpu_convert(p, &part, data, &plain, out, e);
}

static int cpu_output(struct plan *plan, int node, int view, int n, float *y, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    if (node < 0 || node >= p->net.n)
        return error_set(e, "there is no node %d", node);
    if (!p->tensor[node])
        return error_set(e, "the output of node %d is not kept: it is fused with what follows",
                         node);
    if (p->tensor[node]->lent)
        return error_set(e, "the output of node %d is not kept: it is frozen", node);
    return canonical(p, p->tensor[node], p->tensor[node]->data[view], n, y, e);
}

static int cpu_input_gradient(struct plan *plan, int view, float *dx, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    if (!p->input_gradient[0])
        return error_set(e, "the plan was compiled without the input's gradient");
    return canonical(p, p->tensor[0], p->input_gradient[view], p->batch, dx, e);
}

const struct backend cpu_backend = {
    .kind = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .spectrum = cpu_spectrum,
    .images_new = cpu_images_new,
    .images_from = cpu_images_from,
    .images_free = cpu_images_free,
    .compile = cpu_compile,
    .free = cpu_plan_free,
    .put = params_put,
    .get = params_get,
    .load = feed_load,
    .forward = cpu_forward,
    .backward = cpu_backward,
    .update = cpu_update,
    .ema = cpu_ema,
    .features = cpu_features,
    .moments = cpu_moments,
    .evaluate = cpu_evaluate,
    .input = feed_input,
    .output = cpu_output,
    .input_gradient = cpu_input_gradient,
};
