// From a tensor of a file to a parameter of a network: shape, finiteness, and what only one of the
// two has.
#include "train/store/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

int weights_frozen_bias(const struct net *net, char name[128], const struct node **bn)
{
    if (net->projected < 0)
        return 0;
    const struct node *z = &net->node[net->projected];
    if (z->op != NODE_BN || z->in[0] < 0)
        return 0;
    const struct node *linear = &net->node[z->in[0]];
    if (linear->op != NODE_LINEAR || linear->bias)
        return 0;
    snprintf(name, 128, "%s.bias", linear->name);
    if (bn)
        *bn = z;
    return linear->c;
}

#define ENCODER "encoder."

// A torchvision ResNet's children in their order; those between have no parameters.
static const struct {
    const char *number, *name;
} layer[] = {{"0.", "conv1."},  {"1.", "bn1."},    {"4.", "layer1."},
             {"5.", "layer2."}, {"6.", "layer3."}, {"7.", "layer4."}};
enum { LAYERS = sizeof layer / sizeof *layer };

const char *weights_layer(const struct weights *w, const char *name, const char **rest)
{
    *rest = name;
    for (int i = 0; w->numbered && i < LAYERS; i++)
        if (strncmp(name, layer[i].number, 2) == 0) {
            *rest = name + 2;
            return layer[i].name;
        }
    return "";
}

const struct tensor *weights_find(const struct weights *w, const char *name)
{
    char there[256];
    size_t n = strlen(ENCODER);
    int in_encoder = strncmp(name, ENCODER, n) == 0;
    if (!w->encoder)
        return safetensors_find(w->f, name);
    name += in_encoder ? n : 0;
    const char *number = "";
    for (int i = 0; in_encoder && w->numbered && i < LAYERS; i++)
        if (strncmp(name, layer[i].name, strlen(layer[i].name)) == 0) {
            number = layer[i].number;
            name += strlen(layer[i].name);
            break;
        }
    snprintf(there, sizeof there, "%s%s%s", in_encoder ? w->encoder : w->rest, number, name);
    return safetensors_find(w->f, there);
}

int weights_is_count(const char *name)
{
    size_t n = strlen(name), m = strlen(WEIGHTS_TRACKED);
    return n >= m && strcmp(name + n - m, WEIGHTS_TRACKED) == 0;
}

float *weights_room(const struct net *net, struct error *e)
{
    size_t most = 1;
    for (int i = 0; i < net->n_param; i++)
        if (net->param[i].count > most)
            most = net->param[i].count;
    float *v = malloc(most * sizeof *v);
    if (!v)
        error_memory(e, "parameters");
    return v;
}

int weights_fit(const struct param *p, const struct tensor *t)
{
    if (t->ndim != p->ndim)
        return 0;
    for (int i = 0; i < p->ndim; i++)
        if (t->dim[i] != p->dim[i])
            return 0;
    return 1;
}

static void shape_text(int ndim, const int64_t *dim, char *text, size_t size)
{
    snprintf(text, size, "[");
    for (int i = 0; i < ndim; i++)
        text_add(text, size, "%s%" PRId64, i ? ", " : "", dim[i]);
    text_add(text, size, "]");
}

static int read_finite(struct safetensors *f, const struct tensor *t, float *v, size_t n,
                       struct error *e)
{
    if (safetensors_floats(f, t, v, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return error_set(e, "tensor %s holds a value that is not finite", t->name);
    return 0;
}

// Take the frozen bias into the running mean of the batch norm behind it: BN(x + b) with mean m is
// BN(x) with m - b.
static int fold_bias(const struct weights *w, const struct net *net, const struct param *p,
                     float *v, struct error *e)
{
    char name[128];
    const struct node *bn;
    int n = weights_frozen_bias(net, name, &bn);
    if (!n || p->kind != PARAM_RUNNING_MEAN || &net->node[p->node] != bn)
        return 0;
    const struct tensor *t = weights_find(w, name);
    if (!t)
        return 0;
    if (t->ndim != 1 || t->dim[0] != n || (size_t)n != p->count)
        return error_set(e, "tensor %s should have the shape [%d]", name, n);
    float *b = malloc((size_t)n * sizeof *b);
    if (!b)
        return error_set(e, "out of memory");
    int rc = read_finite(w->f, t, b, (size_t)n, e);
    for (int i = 0; rc == 0 && i < n; i++)
        v[i] -= b[i];
    free(b);
    return rc;
}

int weights_put(const struct weights *w, const struct net *net, const struct param *p,
                const struct tensor *t, const char *name, struct plan *plan, float *v,
                struct error *e)
{
    char want[96], got[200];
    if (!t)
        return error_set(e, "tensor %s is missing", name);
    if (!weights_fit(p, t)) {
        shape_text(p->ndim, p->dim, want, sizeof want);
        shape_text(t->ndim, t->dim, got, sizeof got);
        return error_set(e, "tensor %s has the shape %s, the network needs %s", name, got, want);
    }
    if (read_finite(w->f, t, v, p->count, e) < 0 || fold_bias(w, net, p, v, e) < 0)
        return -1;
    for (size_t i = 0; p->kind == PARAM_RUNNING_VAR && i < p->count; i++)
        if (v[i] < 0)
            return error_set(e, "tensor %s holds a variance below 0: damaged, or averaged wrongly",
                             name);
    return plan_put(plan, name, v, p->count, e);
}
