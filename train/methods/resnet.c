// Residual networks as tables of stages (He et al., CVPR 2016), with torchvision's names and
// parameters: a new size is a new row. Bottleneck blocks stride in their 3 x 3 convolution.
#include "train/methods/resnet.h"
#include "gpu/net.h"

#include <stdio.h>
#include <string.h>

#include "metrics/base/text.h"

enum { EXPANSION = 4 };   // of a bottleneck block's output over the stage's width
enum { FULL_INNER = 64 }; // arch_row.inner is given for width 64

const struct arch_row arch_table[] = {
    {"resnet18", "ResNet-18: basic blocks [2, 2, 2, 2]", {2, 2, 2, 2}, 0},
    {"resnet34", "ResNet-34: basic blocks [3, 4, 6, 3]", {3, 4, 6, 3}, 0},
    {"resnet50", "ResNet-50: bottleneck blocks [3, 4, 6, 3]", {3, 4, 6, 3}, 64},
    {"resnet18_bottleneck_w64", "bottleneck blocks [2, 2, 2, 2], inner width 64", {2, 2, 2, 2}, 64},
    {"resnet18_bottleneck_w96", "bottleneck blocks [2, 2, 2, 2], inner width 96", {2, 2, 2, 2}, 96},
    {"resnet18_bottleneck_w128",
     "bottleneck blocks [2, 2, 2, 2], inner width 128",
     {2, 2, 2, 2},
     128},
    {"resnet50_nobottleneck", "basic blocks [5, 6, 9, 4]", {5, 6, 9, 4}, 0},
    {NULL, NULL, {0}, 0},
};

static const struct arch_row *find(const char *name)
{
    for (const struct arch_row *a = arch_table; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}

int resnet_check(const char *arch, int width, struct error *e)
{
    if (!find(arch)) {
        char names[256] = "";
        for (const struct arch_row *a = arch_table; a->name; a++)
            text_item(names, sizeof names, ", ", "%s", a->name);
        return error_set(e, "unknown architecture '%s'; there are %s", arch, names);
    }
    if (width < 1 || width > 1024)
        return error_set(e, "width %d is not possible: it is from 1 to 1024", width);
    return 0;
}

// A block: where it stands and what it turns its input into.
struct block {
    struct net *net;
    const struct resnet_shape *shape;
    int stage, index;
    int inner, out, stride;
};

// Convolution and batch norm, named conv/bn `n` of the block; `zero`: it starts as nothing.
static int conv_bn(const struct block *b, int x, int n, int out, int k, int stride, int zero)
{
    char name[64];
    const char *prefix = b->shape->prefix;
    snprintf(name, sizeof name, "%s.layer%d.%d.conv%d", prefix, b->stage + 1, b->index, n);
    x = net_conv(b->net, x, name, out, k, stride, k / 2);
    snprintf(name, sizeof name, "%s.layer%d.%d.bn%d", prefix, b->stage + 1, b->index, n);
    x = net_bn(b->net, x, name, 1);
    if (x >= 0)
        b->net->node[x].zero = zero && b->shape->zero_residual;
    return x;
}

// The input itself, or a 1 x 1 convolution of it where the shape changes.
static int shortcut(const struct block *b, int x)
{
    char name[64];
    const char *prefix = b->shape->prefix;
    if (x < 0 || (b->stride == 1 && b->net->node[x].c == b->out))
        return x;
    snprintf(name, sizeof name, "%s.layer%d.%d.downsample.0", prefix, b->stage + 1, b->index);
    x = net_conv(b->net, x, name, b->out, 1, b->stride, 0);
    snprintf(name, sizeof name, "%s.layer%d.%d.downsample.1", prefix, b->stage + 1, b->index);
    return net_bn(b->net, x, name, 1);
}

static int basic_block(const struct block *b, int x)
{
    int h = net_relu(b->net, conv_bn(b, x, 1, b->out, 3, b->stride, 0));
    h = conv_bn(b, h, 2, b->out, 3, 1, 1);
    return net_relu(b->net, net_add(b->net, h, shortcut(b, x)));
}

static int bottleneck_block(const struct block *b, int x)
{
    int h = net_relu(b->net, conv_bn(b, x, 1, b->inner, 1, 1, 0));
    h = net_relu(b->net, conv_bn(b, h, 2, b->inner, 3, b->stride, 0));
    h = conv_bn(b, h, 3, b->out, 1, 1, 1);
    return net_relu(b->net, net_add(b->net, h, shortcut(b, x)));
}

static int stem(struct net *net, const struct resnet_shape *s)
{
    char name[64];
    snprintf(name, sizeof name, "%s.conv1", s->prefix);
    int h = s->imagenet_stem ? net_conv(net, 0, name, s->width, 7, 2, 3)
                             : net_conv(net, 0, name, s->width, 3, 1, 1);
    snprintf(name, sizeof name, "%s.bn1", s->prefix);
    h = net_relu(net, net_bn(net, h, name, 1));
    return s->imagenet_stem ? net_maxpool(net, h, 3, 2, 1) : h;
}

int resnet_build(struct net *net, const struct resnet_shape *s)
{
    const struct arch_row *a = find(s->arch);
    if (!a)
        return error_set(&net->error, "unknown architecture '%s'", s->arch);
    int h = stem(net, s);
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < a->blocks[stage]; i++) {
            int width = s->width << stage;
            struct block b = {
                net, s, stage, i, width * a->inner / FULL_INNER, width, stage && !i ? 2 : 1};
            if (a->inner)
                b.out = EXPANSION * width;
            h = (a->inner ? bottleneck_block : basic_block)(&b, h);
        }
    return net_gap(net, h);
}
