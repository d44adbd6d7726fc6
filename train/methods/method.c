// From options to a network: encoder by its table, heads and loss by the method's row, PyTorch's
// initial values.
#include "train/methods/method.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "gpu/device.h"
#include "gpu/net.h"
#include "metrics/base/text.h"

#define METHODS(ROW)                                                                               \
    ROW(simsiam)                                                                                   \
    ROW(byol)                                                                                      \
    ROW(vicreg)                                                                                    \
    ROW(barlow)                                                                                    \
    /* a row a method: its file NAME.c gives NAME_method */

#define DECLARE(name) extern const struct method_row name##_method;
METHODS(DECLARE)
#define POINT(name) &name##_method,
const struct method_row *const method_table[] = {METHODS(POINT) NULL};

const struct method_row *method_find(const char *name)
{
    for (const struct method_row *const *m = method_table; *m; m++)
        if (!strcmp((*m)->name, name))
            return *m;
    return NULL;
}

void method_loss_range(const char *name, double *lo, double *hi)
{
    const struct method_row *m = method_find(name);
    *lo = m ? m->loss_lo : -INFINITY;
    *hi = m ? m->loss_hi : INFINITY;
}

static int unknown_method(const char *name, struct error *e)
{
    char names[128] = "";
    for (const struct method_row *const *m = method_table; *m; m++)
        text_item(names, sizeof names, ", ", "%s", (*m)->name);
    return error_set(e, "unknown method '%s'; there are %s", name, names);
}

// Options that make no sense with this method, where they say something.
static int check(const struct method_row *m, const struct options *o, struct error *e)
{
    for (const struct method_unused *u = m->unused; u->option; u++) {
        const struct option_row *row = option_find(options_table, u->option);
        char value[OPTION_TEXT];
        option_value(row, o, value, sizeof value);
        int flag = row->type == OPTION_FLAG, says = strcmp(value, row->fallback) != 0;
        if (says && u->because && !(u->but && !strcmp(value, u->but)))
            return error_set(e, "--%s%s%s%s: %s", flag && !strcmp(value, "off") ? "no-" : "",
                             row->name, flag ? "" : " ", flag ? "" : value, u->because);
    }
    return 0;
}

static void text_auto(char *field, size_t size, const char *value)
{
    if (!strcmp(field, "auto")) {
        memset(field, 0, size); // equal options are equal bytes
        snprintf(field, size, "%s", value);
    }
}

int method_resolve(struct options *o, struct error *e)
{
    const struct method_row *m = method_find(o->method);
    if (!m)
        return unknown_method(o->method, e);
    if (check(m, o, e) < 0)
        return -1;
    const struct method_defaults *d = &m->defaults;
    if (o->lr < 0)
        o->lr = d->lr;
    if (o->wd < 0)
        o->wd = d->wd;
    if (o->fix_pred_lr < 0)
        o->fix_pred_lr = d->fix_pred_lr;
    if (o->tau < 0)
        o->tau = d->tau;
    text_auto(o->optimizer, sizeof o->optimizer, d->optimizer);
    text_auto(o->augment, sizeof o->augment, d->augment);
    return 0;
}

int method_auto(const struct option_row *row, int i, char *text, size_t size)
{
    for (const struct method_row *const *m = method_table; *m; m++) {
        const struct method_defaults *d = &(*m)->defaults;
        const struct method_unused *u = (*m)->unused;
        struct options o;
        char value[OPTION_TEXT];
        options_default(&o);
        snprintf(o.method, sizeof o.method, "%s", (*m)->name);
        while (u->option && (u->but || strcmp(u->option, row->name) != 0))
            u++;
        if (u->option || method_resolve(&o, NULL) < 0)
            continue;
        o.dim = d->dim;
        o.pred_dim = d->pred_dim;
        o.proj_layers = d->proj_layers;
        o.warmup = d->warmup > 0 ? d->warmup : -1;
        option_value(row, &o, value, sizeof value);
        if (strcmp(value, row->fallback) != 0 && i-- == 0) {
            snprintf(text, size, "%.40s for %s", value, (*m)->name);
            return 1;
        }
    }
    return 0;
}

void method_title(const struct options *o, char *out, size_t size)
{
    const struct method_row *m = method_find(o->method);
    const char *views =
        m && strcmp(o->augment, m->defaults.augment) != 0 && strcmp(o->augment, "auto") != 0
            ? o->augment
            : "";
    snprintf(out, size, "%s%s%s%s%s", o->method, o->predictor ? "" : " without predictor",
             o->stop_gradient ? "" : " without stop-gradient", *views ? " on views " : "", views);
}

// A stem that halves small images twice leaves nothing to look at: CIFAR's below 64 pixels.
const char *method_stem(const struct options *o, int height, int width)
{
    if (strcmp(o->stem, "auto") != 0)
        return o->stem;
    return height >= 64 && width >= 64 ? "imagenet" : "cifar";
}

int method_build(const struct options *o, int channels, int height, int width, struct net *out,
                 struct error *e)
{
    const struct method_row *m = method_find(o->method);
    if (!m)
        return unknown_method(o->method, e);
    if (resnet_check(o->arch, o->width, e) < 0)
        return -1;
    struct resnet_shape encoder = {.prefix = "encoder",
                                   .arch = o->arch,
                                   .width = o->width,
                                   .imagenet_stem =
                                       !strcmp(method_stem(o, height, width), "imagenet"),
                                   .zero_residual = o->zero_init};
    net_init(out, channels, height, width);
    out->features = resnet_build(out, &encoder);
    const struct method_defaults *usual = &m->defaults;
    struct options sized = *o;
    sized.dim = o->dim ? o->dim : usual->dim * o->width;
    sized.pred_dim = o->pred_dim ? o->pred_dim : usual->pred_dim * o->width;
    sized.proj_layers = o->proj_layers ? o->proj_layers : usual->proj_layers;
    m->heads(out, &sized, &encoder);
    if (out->error.text[0]) {
        error_pass(e, &out->error);
        net_free(out);
        return -1;
    }
    return 0;
}

int method_mlp(struct net *net, int x, const char *prefix, int layers, int hidden, int out)
{
    char name[64];
    for (int layer = 0; layer < layers; layer++) {
        int last = layer == layers - 1;
        snprintf(name, sizeof name, "%s.%d", prefix, 3 * layer);
        x = net_linear(net, x, name, last ? out : hidden, 0);
        snprintf(name, sizeof name, "%s.%d", prefix, 3 * layer + 1);
        x = last ? x : net_relu(net, net_bn(net, x, name, 1));
    }
    return x;
}

static double fan_in(const struct param *p)
{
    return (double)p->count / (double)p->dim[0];
}

// torch.nn.init as torchvision's ResNet and nn.Linear use it.
static void fill(const struct net *net, int index, uint64_t seed, float *v)
{
    if (net->param[index].followed >= 0)
        index = net->param[index].followed;
    const struct param *p = &net->param[index];
    enum node_op op = net->node[p->node].op;
    struct rng r;
    rng_init(&r, seed, RNG_INIT, (uint64_t)index, 0);
    if (op == NODE_CONV) {
        double fan_out = (double)(p->dim[0] * p->dim[2] * p->dim[3]);
        double std = sqrt(2.0 / fan_out);
        for (size_t i = 0; i < p->count; i++)
            v[i] = (float)(std * rng_normal(&r));
    } else if (op == NODE_LINEAR) {
        // The bias is bounded by the fan-in of the weight that stands just before it.
        double bound = 1.0 / sqrt(fan_in(p->kind == PARAM_WEIGHT ? p : p - 1));
        for (size_t i = 0; i < p->count; i++)
            v[i] = (float)(bound * (2 * rng_uniform(&r) - 1));
    } else {
        int weight = p->kind == PARAM_WEIGHT && !net->node[p->node].zero;
        float one = weight || p->kind == PARAM_RUNNING_VAR ? 1.0f : 0.0f;
        for (size_t i = 0; i < p->count; i++)
            v[i] = one;
    }
}

int method_init(const struct net *net, uint64_t seed, struct plan *plan, struct error *e)
{
    size_t most = 1;
    for (int i = 0; i < net->n_param; i++)
        if (net->param[i].count > most)
            most = net->param[i].count;
    float *v = malloc(most * sizeof *v);
    if (!v)
        return error_memory(e, "initial weights");
    int rc = 0;
    for (int i = 0; i < net->n_param && rc == 0; i++) {
        fill(net, i, seed, v);
        rc = plan_put(plan, net->param[i].name, v, net->param[i].count, e);
    }
    free(v);
    return rc;
}
