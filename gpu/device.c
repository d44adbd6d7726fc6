// Chooses a device and forwards the contract to its backend.
#include "gpu/device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/backend.h"
#include "gpu/nvml.h"
#include "gpu/views/staged.h"
#include "metrics/base/cores.h"
#include "metrics/base/path.h"

void device_prepare(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    struct path self = path_program();
    if (!self.s[0] || setenv("GOMP_SPINCOUNT", "1000", 1) < 0)
        return;
    execv(self.s, argv); // by its path: the process keeps its name
}

static int open_cuda(const char *argument, int threads, struct device **out, struct error *e)
{
    const struct backend *b = backend_cuda(e);
    if (!b || b->open(argument, threads, out, e) < 0)
        return -1;
    struct device_info *i = &(*out)->info;
    struct error why = {""};
    char version[80];
    size_t at = strlen(i->detail);
    if (!i->bus[0]) // nothing but planned
        return 0;
    nvml_driver(version, sizeof version);
    if (version[0])
        snprintf(i->detail + at, sizeof i->detail - at, ", driver %s", version);
    at = strlen(i->detail);
    if (!((*out)->sensors = nvml_open(i->bus, &why))) // it computes without them as well
        snprintf(i->detail + at, sizeof i->detail - at, ", %s", why.text);
    return 0;
}

// A usable GPU, else the CPU, which says why. Without NVIDIA's driver there is nothing to say, and
// nobody waits for CUDA's libraries to load.
static int open_auto(int threads, struct device **out, struct error *e)
{
    struct error why = {""};
    void *driver = getenv("SSLTOP_CUDA") ? NULL : dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if ((driver || getenv("SSLTOP_CUDA")) && open_cuda("", threads, out, &why) == 0)
        return 0;
    if (cpu_backend.open("", threads, out, e) < 0)
        return -1;
    struct device_info *i = &(*out)->info;
    size_t at = strlen(i->detail);
    if (why.text[0])
        snprintf(i->detail + at, sizeof i->detail - at, ", GPU not used: %s", why.text);
    return 0;
}

int device_count(const char *kind, struct error *e)
{
    const struct backend *b = strcmp(kind, "cuda") == 0 ? backend_cuda(e) : &cpu_backend;
    if (!b)
        return -1;
    return b->count ? b->count(e) : 1;
}

int device_open(const char *spec, int threads, struct device **out, struct error *e)
{
    *out = NULL;
    size_t kind = strcspn(spec, ":");
    const char *argument = spec[kind] ? spec + kind + 1 : "";
    if (threads < 0 || threads > 1024)
        return error_set(e, "%d threads are not possible (1 to 1024)", threads);
    if (!threads)
        threads = cores_usable();
    if (!strcmp(spec, "auto"))
        return open_auto(threads, out, e);
    if (kind == 3 && !strncmp(spec, "cpu", kind))
        return cpu_backend.open(argument, threads, out, e);
    if (kind == 4 && !strncmp(spec, "cuda", kind))
        return open_cuda(argument, threads, out, e);
    return error_set(e, "unknown device '%.64s' (there are: auto, cpu, cuda, cuda:N, cuda:sm_90)",
                     spec);
}

void device_close(struct device *d)
{
    if (!d)
        return;
    nvml_close(d->sensors);
    d->backend->close(d);
}

size_t device_held(const struct device *d)
{
    return d->held;
}

int device_sense(struct device *d, struct device_sensors *out)
{
    if (d->sensors)
        nvml_newest(d->sensors, out);
    return d->sensors != NULL;
}

const struct device_info *device_info(const struct device *d)
{
    return &d->info;
}

int device_spectrum(struct device *d, const struct moments *m, double *sigma, double *n,
                    struct error *e)
{
    return d->backend->spectrum(d, m, sigma, n, e);
}

int images_new(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
               const float *mean, const float *std, struct images **out, struct error *e)
{
    return d->backend->images_new(d, pixels, n, c, h, w, mean, std, 0, out, e);
}

int images_from(struct device *d, struct pictures *source, int h, int w, const float *mean,
                const float *std, struct images **out, struct error *e)
{
    if (!d->backend->images_from)
        return staged_new(d, source, h, w, mean, std, out, e);
    return d->backend->images_from(d, source, h, w, mean, std, out, e);
}

int images_of(struct device *d, const struct dataset *data, enum split split, struct images **out,
              struct error *e)
{
    const struct dataset_split *s = &data->split[split];
    if (s->source)
        return images_from(d, s->source, data->height, data->width, data->mean, data->std, out, e);
    return images_new(d, s->images, s->n, data->channels, data->height, data->width, data->mean,
                      data->std, out, e);
}

void images_free(struct images *s)
{
    if (s && s->staged)
        staged_free(s);
    else if (s)
        s->backend->images_free(s);
}

int device_compile(struct device *d, const struct net *net, const struct plan_options *o,
                   struct plan **out, struct error *e)
{
    *out = NULL;
    if (o->batch < 1 || o->batch > 1 << 16)
        return error_set(e, "a batch of %d is not possible", o->batch);
    if (d->backend->compile(d, net, o, out, e) < 0)
        return -1;
    (*out)->batch = o->batch;
    return 0;
}

void plan_free(struct plan *p)
{
    if (p)
        p->backend->free(p);
}

const char *plan_algorithms(const struct plan *p)
{
    return p->algorithms;
}

size_t plan_memory(const struct plan *p)
{
    return p->memory;
}

const char *plan_notice(const struct plan *p)
{
    return p->notice;
}

int plan_scores(struct plan *p, struct plan_scores *out, struct error *e)
{
    int rc = p->backend->settle ? p->backend->settle(p, e) : 0;
    *out = p->scores;
    return rc;
}

void plan_times(const struct plan *p, struct plan_times *out)
{
    *out = p->times;
    if (p->feeding)
        out->data += staged_waited(p->feeding);
}

int plan_put(struct plan *p, const char *name, const float *v, size_t n, struct error *e)
{
    return p->backend->put(p, name, v, n, e);
}

int plan_get(struct plan *p, const char *name, float *v, size_t n, struct error *e)
{
    return p->backend->get(p, name, v, n, e);
}

int plan_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e)
{
    if (s->staged)
        return staged_load(p, s, index, view, e);
    return p->backend->load(p, s, index, view, e);
}

int plan_forward(struct plan *p, struct error *e)
{
    if (p->feeding && staged_deliver(p, e) < 0)
        return -1;
    return p->backend->forward(p, e);
}

int plan_backward(struct plan *p, struct error *e)
{
    return p->backend->backward(p, NULL, e);
}

int plan_backward_from(struct plan *p, const float *const dy[2], struct error *e)
{
    return p->backend->backward(p, dy, e);
}

int plan_update(struct plan *p, const struct update *u, struct error *e)
{
    return p->backend->update(p, u, e);
}

int plan_ema(struct plan *p, double tau, struct error *e)
{
    return p->backend->ema(p, tau, e);
}

int plan_features(struct plan *p, int view, float *h, struct error *e)
{
    return p->backend->features(p, view, h, e);
}

int plan_output(struct plan *p, int node, int view, int n, float *y, struct error *e)
{
    if (n < 1 || n > p->batch || view < 0 || view > 1)
        return error_set(e, "there are no %d images of view %d in a batch of %d", n, view,
                         p->batch);
    return p->backend->output(p, node, view, n, y, e);
}

int plan_moments(struct plan *p, struct moments *m, struct error *e)
{
    return p->backend->moments(p, m, e);
}

int plan_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e)
{
    if (s->staged)
        return staged_evaluate(p, s, index, n, h, e);
    return p->backend->evaluate(p, s, index, n, h, e);
}

int plan_evaluate_all(struct plan *p, struct images *s, const int64_t *index, int64_t n, int d,
                      float *h, struct error *e)
{
    for (int64_t at = 0; at < n; at += p->batch) {
        int some = (int)(n - at < p->batch ? n - at : p->batch);
        if (plan_evaluate(p, s, index + at, some, h + (size_t)at * (size_t)d, e) < 0)
            return -1;
    }
    return 0;
}

int plan_profile(struct plan *p, struct plan_work *kind, int max, struct error *e)
{
    if (!p->backend->profile)
        return error_set(e, "the %s device does not clock its work piece by piece",
                         p->backend->kind);
    return p->backend->profile(p, kind, max, e);
}

int plan_input(struct plan *p, int view, const float *x, struct error *e)
{
    return p->backend->input(p, view, x, e);
}

int plan_input_gradient(struct plan *p, int view, float *dx, struct error *e)
{
    return p->backend->input_gradient(p, view, dx, e);
}
