// The network as a list of nodes: shapes inferred and checked as it is built, parameters named as
// PyTorch does.
#include "gpu/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"

// Larger than any image or channel count that could be meant; keeps products of shapes far from
// overflow.
enum { NET_EXTENT_MAX = 1 << 16, NET_COUNT_MAX = 1 << 30 };

static int add_param(struct net *net, int node, enum param_kind kind, const char *suffix, int ndim,
                     const int64_t *dim)
{
    if (memory_grow(net->param, net->cap_param, net->n_param + 1) < 0)
        return error_set(&net->error, "out of memory describing the network");
    struct param *p = &net->param[net->n_param];
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s.%s", net->node[node].name, suffix);
    p->kind = kind;
    p->node = node;
    p->group = net->node[node].group;
    p->frozen = net->node[node].frozen;
    p->followed = -1;
    p->ndim = ndim;
    p->count = 1;
    for (int i = 0; i < ndim; i++) {
        p->dim[i] = dim[i];
        p->count *= (size_t)dim[i];
        if (p->count > NET_COUNT_MAX)
            return error_set(&net->error, "%s has more than 2^30 elements", p->name);
    }
    net->n_param++;
    return 0;
}

// Append a node that takes `a` (and `b`); the caller sets the shape afterwards. Returns NULL after
// an error.
static struct node *add_node(struct net *net, enum node_op op, int a, int b, const char *name)
{
    if (net->error.text[0])
        return NULL;
    if (op != NODE_INPUT && (a < 0 || a >= net->n || b >= net->n)) {
        error_set(&net->error, "a node takes an input that does not exist");
        return NULL;
    }
    if (name && strlen(name) >= sizeof net->node[0].name) {
        error_set(&net->error, "the node name %.40s... is too long", name);
        return NULL;
    }
    if (memory_grow(net->node, net->cap, net->n + 1) < 0) {
        error_set(&net->error, "out of memory describing the network");
        return NULL;
    }
    struct node *d = &net->node[net->n++];
    memset(d, 0, sizeof *d);
    d->op = op;
    d->in[0] = a;
    d->in[1] = b;
    d->group = net->group;
    d->frozen = net->frozen;
    if (name)
        snprintf(d->name, sizeof d->name, "%s", name);
    if (a >= 0) {
        d->c = net->node[a].c;
        d->h = net->node[a].h;
        d->w = net->node[a].w;
    }
    return d;
}

// Whatever was added last, or -1 if anything has gone wrong.
static int last(const struct net *net)
{
    return net->error.text[0] ? -1 : net->n - 1;
}

void net_init(struct net *net, int channels, int height, int width)
{
    memset(net, 0, sizeof *net);
    net->features = net->projected = net->predicted = -1;
    struct node *d = add_node(net, NODE_INPUT, -1, -1, NULL);
    if (!d)
        return;
    if (channels < 1 || height < 1 || width < 1 || channels > NET_EXTENT_MAX ||
        height > NET_EXTENT_MAX || width > NET_EXTENT_MAX)
        error_set(&net->error, "an input of %d x %d x %d is not possible", channels, height, width);
    d->c = channels;
    d->h = height;
    d->w = width;
}

void net_free(struct net *net)
{
    free(net->node);
    free(net->param);
    memset(net, 0, sizeof *net);
}

int net_copy(struct net *to, const struct net *from, struct error *e)
{
    size_t nodes = (size_t)from->n * sizeof *to->node,
           params = (size_t)from->n_param * sizeof *to->param;
    *to = *from;
    to->node = malloc(nodes);
    to->param = malloc(params + 1); // there may be none
    if (!to->node || !to->param)
        return error_set(e, "out of memory compiling the network");
    memcpy(to->node, from->node, nodes);
    if (params)
        memcpy(to->param, from->param, params);
    return 0;
}

// Shape of a sliding window; 0, or -1 when nothing is left.
static int slide(struct net *net, struct node *d, int k, int stride, int pad)
{
    d->k = k;
    d->stride = stride;
    d->pad = pad;
    if (k < 1 || stride < 1 || pad < 0 || d->h + 2 * pad < k || d->w + 2 * pad < k)
        return error_set(&net->error, "a %d x %d window with padding %d does not fit into %d x %d",
                         k, k, pad, d->h, d->w);
    d->h = (d->h + 2 * pad - k) / stride + 1;
    d->w = (d->w + 2 * pad - k) / stride + 1;
    return 0;
}

int net_conv(struct net *net, int in, const char *name, int out, int k, int stride, int pad)
{
    struct node *d = add_node(net, NODE_CONV, in, -1, name);
    if (!d || slide(net, d, k, stride, pad) < 0)
        return -1;
    int ic = d->c;
    if (out < 1 || out > NET_EXTENT_MAX) {
        error_set(&net->error, "%s with %d output channels is not possible", name, out);
        return -1;
    }
    d->c = out;
    add_param(net, net->n - 1, PARAM_WEIGHT, "weight", 4, (int64_t[]){out, ic, k, k});
    return last(net);
}

int net_bn(struct net *net, int in, const char *name, int affine)
{
    struct node *d = add_node(net, NODE_BN, in, -1, name);
    if (!d)
        return -1;
    d->affine = affine;
    int i = net->n - 1;
    int64_t c = d->c;
    if (affine) {
        add_param(net, i, PARAM_WEIGHT, "weight", 1, &c);
        add_param(net, i, PARAM_BIAS, "bias", 1, &c);
    }
    add_param(net, i, PARAM_RUNNING_MEAN, "running_mean", 1, &c);
    add_param(net, i, PARAM_RUNNING_VAR, "running_var", 1, &c);
    return last(net);
}

int net_relu(struct net *net, int in)
{
    return add_node(net, NODE_RELU, in, -1, NULL) ? last(net) : -1;
}

int net_add(struct net *net, int a, int b)
{
    if (!add_node(net, NODE_ADD, a, b, NULL))
        return -1;
    const struct node *x = &net->node[a], *y = &net->node[b];
    if (x->c != y->c || x->h != y->h || x->w != y->w)
        error_set(&net->error, "cannot add %d x %d x %d and %d x %d x %d", x->c, x->h, x->w, y->c,
                  y->h, y->w);
    return last(net);
}

int net_maxpool(struct net *net, int in, int k, int stride, int pad)
{
    struct node *d = add_node(net, NODE_MAXPOOL, in, -1, NULL);
    return d && slide(net, d, k, stride, pad) == 0 ? last(net) : -1;
}

int net_gap(struct net *net, int in)
{
    struct node *d = add_node(net, NODE_GAP, in, -1, NULL);
    if (d)
        d->h = d->w = 1;
    return last(net);
}

int net_linear(struct net *net, int in, const char *name, int out, int bias)
{
    struct node *d = add_node(net, NODE_LINEAR, in, -1, name);
    if (!d)
        return -1;
    if (d->h != 1 || d->w != 1 || out < 1 || out > NET_EXTENT_MAX) {
        error_set(&net->error, "%s: a linear layer takes c x 1 x 1 and gives at least one output",
                  name);
        return -1;
    }
    int64_t dim[2] = {out, d->c};
    d->c = out;
    d->bias = bias;
    add_param(net, net->n - 1, PARAM_WEIGHT, "weight", 2, dim);
    if (bias)
        add_param(net, net->n - 1, PARAM_BIAS, "bias", 1, dim);
    return last(net);
}

void net_outputs(struct net *net, int p, int z, net_loss *loss)
{
    if (net->error.text[0])
        return;
    const struct node *x = &net->node[p], *y = &net->node[z];
    if (x->c != y->c || x->h != 1 || x->w != 1 || y->h != 1 || y->w != 1)
        error_set(&net->error, "the loss takes two vectors of one length");
    net->predicted = p;
    net->projected = z;
    net->loss = loss;
}

int net_follow(struct net *net, const char *prefix)
{
    size_t n = strlen(prefix);
    for (int i = 0; i < net->n_param && !net->error.text[0]; i++) {
        struct param *p = &net->param[i];
        if (!p->frozen || (p->kind != PARAM_WEIGHT && p->kind != PARAM_BIAS) ||
            strncmp(p->name, prefix, n) != 0)
            continue;
        const struct param *q = net_param(net, p->name + n);
        if (!q || q->ndim != p->ndim || memcmp(q->dim, p->dim, sizeof p->dim) != 0)
            return error_set(&net->error, "%s has nothing of its shape to follow", p->name);
        p->followed = (int)(q - net->param);
    }
    return net->error.text[0] ? -1 : 0;
}

const struct param *net_param(const struct net *net, const char *name)
{
    for (int i = 0; i < net->n_param; i++)
        if (!strcmp(net->param[i].name, name))
            return &net->param[i];
    return NULL;
}

int param_trained(const struct param *p)
{
    return !p->frozen && (p->kind == PARAM_WEIGHT || p->kind == PARAM_BIAS);
}

int64_t net_count(const struct net *net)
{
    int64_t n = 0;
    for (int i = 0; i < net->n_param; i++)
        if (param_trained(&net->param[i]))
            n += (int64_t)net->param[i].count;
    return n;
}
