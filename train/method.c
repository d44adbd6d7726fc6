// From options to a network: encoder by its table, heads and loss by the method's row, PyTorch's
// initial values.
#include "train/method.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/rng.h"
#include "train/resnet.h"
#include "train/simsiam.h"

const struct method_row method_table[] = {
    {"simsiam", "SimSiam (Chen & He, CVPR 2021)", -1, 1, simsiam_heads},
    {NULL, NULL, 0, 0, NULL},
};

// A stem that halves small images twice leaves nothing to look at: CIFAR's below 64 pixels.
static int wants_imagenet_stem(const struct options *o, int height, int width)
{
    if (!strcmp(o->stem, "imagenet"))
        return 1;
    if (!strcmp(o->stem, "cifar"))
        return 0;
    return height >= 64 && width >= 64;
}

int method_build(const struct options *o, int channels, int height, int width, struct net *out,
                 struct error *e)
{
    const struct method_row *m = method_table;
    while (m->name && strcmp(m->name, o->method))
        m++;
    if (!m->name)
        return error_set(e, "unknown method '%s' (there is: simsiam)", o->method);
    net_init(out, channels, height, width);
    if (resnet_build(out, o->arch, o->width, wants_imagenet_stem(o, height, width), e) < 0)
        goto fail;
    m->heads(out, o, o->width);
    if (out->error.text[0]) {
        error_set(e, "%s", out->error.text);
        goto fail;
    }
    return 0;
fail:
    net_free(out);
    return -1;
}

static double fan_in(const struct param *p)
{
    return (double)p->count / (double)p->dim[0];
}

// torch.nn.init as torchvision's ResNet and nn.Linear use it.
static void fill(const struct net *net, int index, uint64_t seed, float *v)
{
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
        float one = p->kind == PARAM_WEIGHT || p->kind == PARAM_RUNNING_VAR ? 1.0f : 0.0f;
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
        return error_set(e, "out of memory for initial weights");
    int rc = 0;
    for (int i = 0; i < net->n_param && rc == 0; i++) {
        fill(net, i, seed, v);
        rc = plan_put(plan, net->param[i].name, v, net->param[i].count, e);
    }
    free(v);
    return rc;
}
