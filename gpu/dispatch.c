// The contract: chooses a device, refuses what cannot be, and forwards the rest to the backend.
#include "gpu/device.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/nvml.h"
#include "gpu/plan.h"
#include "gpu/ranks/ranks.h"
#include "gpu/registry.h"
#include "gpu/views/staged.h"
#include "metrics/base/cores.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "metrics/science/blas.h"

// NCCL's order of a sum depends on the algorithm that it takes. What the switch of a machine adds
// (NVLS) promises none; rings and trees do. A person's own choice stands.
#define NCCL_ALGORITHMS "Ring,Tree"

void device_prepare(char **argv)
{
    const char *blas = getenv("OPENBLAS_NUM_THREADS"), *kernels = blas_kernels();
    int spins = getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY");
    if (setenv("NCCL_ALGO", NCCL_ALGORITHMS, 0) < 0 ||
        (spins && blas && strcmp(blas, "1") == 0 && !kernels))
        return;
    struct path self = path_program();
    if (!self.s[0] || (!spins && setenv("GOMP_SPINCOUNT", "1000", 1) < 0) ||
        setenv("OPENBLAS_NUM_THREADS", "1", 1) < 0 ||
        (kernels && setenv("OPENBLAS_CORETYPE", kernels, 1) < 0))
        return;
    execv(self.s, argv); // by its path: the process keeps its name
}

// The sensors of a card, where it says which it is; it computes without them as well.
static void watch(struct device *d)
{
    struct device_info *i = &d->info;
    struct error why = {""};
    char version[80];
    if (!i->bus[0])
        return;
    d->sensors = nvml_open(i->bus, version, sizeof version, &why);
    if (version[0])
        text_add(i->detail, sizeof i->detail, ", driver %s", version);
    if (!d->sensors)
        text_add(i->detail, sizeof i->detail, ", %s", why.text);
}

static int open_kind(const struct device_kind *k, const char *argument, int threads,
                     struct device **out, struct error *e)
{
    const struct backend *b = registry_backend(k, e);
    if (!b || b->open(argument, threads, out, e) < 0)
        return -1;
    (*out)->info.kind = k;
    watch(*out);
    return 0;
}

// The last kind that can be used, and why not those behind it.
static int open_auto(int threads, struct device **out, struct error *e)
{
    struct error why = {""};
    int at = 0;
    while (registry_kind(at + 1))
        at++;
    for (; at > 0; at--)
        if (registry_expected(registry_kind(at)) &&
            open_kind(registry_kind(at), "", threads, out, &why) == 0)
            return 0;
    if (open_kind(registry_kind(0), "", threads, out, e) < 0)
        return -1;
    struct device_info *i = &(*out)->info;
    if (why.text[0])
        text_add(i->detail, sizeof i->detail, ", GPU not used: %s", why.text);
    return 0;
}

const struct device_kind *device_kind(int i)
{
    return registry_kind(i);
}

int device_count(const struct device_kind *kind, struct error *e)
{
    const struct backend *b = registry_backend(kind, e);
    if (!b)
        return -1;
    return b->count ? b->count(e) : 1;
}

static int refuse(const char *spec, struct error *e)
{
    char known[200] = "auto";
    for (int i = 0; registry_kind(i); i++)
        text_add(known, sizeof known, ", %s", registry_kind(i)->specs);
    return error_set(e, "unknown device '%.64s' (there are: %s)", spec, known);
}

int device_open(const char *spec, int threads, struct device **out, struct error *e)
{
    *out = NULL;
    size_t n = strcspn(spec, ":");
    const char *argument = spec[n] ? spec + n + 1 : "";
    if (threads < 0 || threads > 1024)
        return error_set(e, "%d threads are not possible (1 to 1024)", threads);
    if (!threads)
        threads = cores_usable();
    if (!strcmp(spec, "auto"))
        return open_auto(threads, out, e);
    for (int i = 0; registry_kind(i); i++) {
        const struct device_kind *k = registry_kind(i);
        if (strlen(k->name) == n && !strncmp(spec, k->name, n))
            return open_kind(k, argument, threads, out, e);
    }
    return refuse(spec, e);
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

int device_spectrum(struct device *d, const struct moments *m, double *sigma, double *raw,
                    double *n, struct error *e)
{
    return d->backend->spectrum(d, m, sigma, raw, n, e);
}

// --- images ---
static int images_open(const struct images *described, struct images **out, struct error *e)
{
    const struct images *s = described;
    if (s->n < 1 || (s->c != 1 && s->c != 3) || s->h < 1 || s->w < 1)
        return error_set(e, "%lld images of %d x %d x %d cannot be used", (long long)s->n, s->c,
                         s->h, s->w);
    if (s->source && !s->device->backend->decodes)
        return staged_new(s, out, e);
    return s->device->backend->images(s->device, s, 0, out, e);
}

int images_new(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
               const float *mean, const float *std, struct images **out, struct error *e)
{
    struct images s = {.device = d, .pixels = pixels, .n = n, .c = c, .h = h, .w = w};
    for (int i = 0; i < c && i < 3; i++) {
        s.mean[i] = mean[i];
        s.std[i] = std[i];
    }
    return images_open(&s, out, e);
}

int images_from(struct device *d, struct pictures *source, int h, int w, const float *mean,
                const float *std, struct images **out, struct error *e)
{
    struct images s = {.device = d, .source = source, .n = source->n, .c = 3, .h = h, .w = w};
    memcpy(s.mean, mean, sizeof s.mean);
    memcpy(s.std, std, sizeof s.std);
    return images_open(&s, out, e);
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
    if (s)
        s->kind->free(s);
}

// --- plan ---
int device_compile(struct device *d, const struct net *net, const struct plan_options *o,
                   struct plan **out, struct error *e)
{
    *out = NULL;
    if (o->batch < 1 || o->batch > 1 << 16)
        return error_set(e, "a batch of %d is not possible", o->batch);
    if (o->ranks && o->ranks->size > (1 << 16) / o->batch)
        return error_set(e, "%d batches of %d are not possible", o->ranks->size, o->batch);
    return d->backend->compile(d, net, o, out, e);
}

void plan_free(struct plan *p)
{
    if (p)
        p->backend->release(p);
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

// --- what is asked of a plan: refused here, where it cannot be, for every device ---
static int usable(const struct plan *p, struct error *e)
{
    return p->device->planned ? error_set(e, "%s: there is nothing to run on", p->device->info.name)
                              : 0;
}

static int has_features(const struct plan *p, struct error *e)
{
    return p->feature_d ? usable(p, e) : error_set(e, "the network has no features");
}

static int has_view(const struct plan *p, int view, struct error *e)
{
    return view < 0 || view >= VIEWS ? error_set(e, "there is no view %d", view) : usable(p, e);
}

static int suits(const struct plan *p, const struct images *s, struct error *e)
{
    if (s->c != p->net.node[0].c)
        return error_set(e, "images of %d channels do not fit a network for %d", s->c,
                         p->net.node[0].c);
    return usable(p, e);
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
    out->data += p->waited;
    if (p->ranks && !p->backend->settle) // the host is what works the step
        out->reduce = 1e3 * (p->ranks->waited - p->met);
}

// The parameter behind a name and which of its arrays the prefix asks for; -1: there is none.
static int lookup(const struct plan *p, const char *name, size_t n, enum array *which,
                  struct error *e)
{
    const char *base = name;
    *which = ARRAY_VALUE;
    if (!strncmp(name, "optim.", 6)) {
        *which = ARRAY_MOMENTUM;
        base += 6;
    } else if (!strncmp(name, "grad.", 5)) {
        *which = ARRAY_GRADIENT;
        base += 5;
    }
    const struct param *param = net_param(&p->net, base);
    if (!param)
        return error_set(e, "the network has no tensor '%.96s'", base);
    if (param->count != n)
        return error_set(e, "%s has %zu elements, not %zu", param->name, param->count, n);
    if (!param_trained(param) && *which != ARRAY_VALUE)
        return error_set(e, "%s is not trained", param->name);
    return (int)(param - p->net.param);
}

int plan_put(struct plan *p, const char *name, const float *v, size_t n, struct error *e)
{
    enum array which;
    int i = lookup(p, name, n, &which, e);
    if (i < 0)
        return -1;
    if (which == ARRAY_GRADIENT)
        return error_set(e, "a gradient cannot be set");
    // Where nothing runs there is nowhere to put it, and nobody will ask.
    return p->device->planned ? 0 : p->backend->put(p, i, which, v, e);
}

int plan_get(struct plan *p, const char *name, float *v, size_t n, struct error *e)
{
    enum array which;
    int i = lookup(p, name, n, &which, e);
    return i < 0 || usable(p, e) < 0 ? -1 : p->backend->get(p, i, which, v, e);
}

int plan_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e)
{
    return suits(p, s, e) < 0 ? -1 : s->kind->load(p, s, index, view, e);
}

int plan_forward(struct plan *p, struct error *e)
{
    int direct = p->direct;
    if (usable(p, e) < 0)
        return -1;
    p->direct = 0;
    p->met = p->ranks ? p->ranks->waited : 0;
    if (direct && direct != (1 << VIEWS) - 1)
        return error_set(e, "only one view's input was set");
    if (p->feeding && !direct && p->feeding->kind->deliver(p, p->feeding, e) < 0)
        return -1;
    return p->backend->forward(p, direct, e);
}

static int backward(struct plan *p, const float *const dy[2], struct error *e)
{
    if (usable(p, e) < 0)
        return -1;
    if (!dy != !!p->net.loss)
        return error_set(e, dy ? "the network has a loss" : "the network has no loss");
    for (int v = 0; v < VIEWS && dy; v++)
        if (p->backend->bring(p, p->tensor[p->net.n - 1], p->seed[v], dy[v], e) < 0)
            return -1;
    return p->backend->backward(p, e);
}

int plan_backward(struct plan *p, struct error *e)
{
    return backward(p, NULL, e);
}

int plan_backward_from(struct plan *p, const float *const dy[2], struct error *e)
{
    return backward(p, dy, e);
}

int plan_update(struct plan *p, const struct update *u, struct error *e)
{
    return usable(p, e) < 0 ? -1 : p->backend->update(p, u, e);
}

int plan_ema(struct plan *p, double tau, struct error *e)
{
    return usable(p, e) < 0 ? -1 : p->backend->ema(p, tau, e);
}

int plan_features(struct plan *p, int view, float *h, struct error *e)
{
    return has_features(p, e) < 0 || has_view(p, view, e) < 0 ? -1
                                                              : p->backend->features(p, view, h, e);
}

int plan_output(struct plan *p, int node, int view, int n, float *y, struct error *e)
{
    if (n < 1 || n > p->batch || view < 0 || view > 1)
        return error_set(e, "there are no %d images of view %d in a batch of %d", n, view,
                         p->batch);
    if (node < 0 || node >= p->net.n)
        return error_set(e, "there is no node %d", node);
    const struct tensor *t = p->tensor[node];
    if (!t || t->lent)
        return error_set(e, "the output of node %d is not kept: it is %s", node,
                         t ? "frozen" : "fused with what follows");
    return usable(p, e) < 0 ? -1 : p->backend->fetch(p, t, t->data[view], n, 0, y, e);
}

int plan_moments(struct plan *p, struct moments *m, struct error *e)
{
    if (has_features(p, e) < 0)
        return -1;
    if (p->ranks && p->ranks->rank > 0)
        m = NULL;
    if (m && m->d != p->feature_d)
        return error_set(e, "moments of %d dimensions for features of %d", m->d, p->feature_d);
    return p->backend->moments(p, m, e);
}

int plan_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e)
{
    if (has_features(p, e) < 0 || suits(p, s, e) < 0)
        return -1;
    if (n < 1 || n > p->batch)
        return error_set(e, "%d images do not fit a batch of %d", n, p->batch);
    return s->kind->evaluate(p, s, index, n, h, e);
}

int plan_update_bn(struct plan *p, struct images *s, const int64_t *index, int k, struct error *e)
{
    if (has_features(p, e) < 0 || suits(p, s, e) < 0)
        return -1;
    if (k < 1)
        return error_set(e, "batches are counted from 1 on, not from %d", k);
    p->bn_batch = k;
    int rc = s->kind->evaluate(p, s, index, p->batch, NULL, e);
    p->bn_batch = 0;
    return rc;
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
                         p->device->info.kind->name);
    return usable(p, e) < 0 ? -1 : p->backend->profile(p, kind, max, e);
}

int plan_input(struct plan *p, int view, const float *x, struct error *e)
{
    struct tensor *t = p->tensor[0];
    if (has_view(p, view, e) < 0 || p->backend->bring(p, t, t->data[view], x, e) < 0)
        return -1;
    p->direct |= 1 << view;
    return 0;
}

int plan_input_gradient(struct plan *p, int view, float *dx, struct error *e)
{
    if (has_view(p, view, e) < 0)
        return -1;
    if (!p->input_gradient[0])
        return error_set(e, "the plan was compiled without the input's gradient");
    return p->backend->fetch(p, p->tensor[0], p->input_gradient[view], p->batch, 1, dx, e);
}
