// Residual networks as tables of stages (He et al., CVPR 2016): a new size is a new row.
#include "train/resnet.h"

#include <stdio.h>
#include <string.h>

const struct arch_row arch_table[] = {
    {"resnet18", "ResNet-18: basic blocks [2, 2, 2, 2]", {2, 2, 2, 2}},
    {NULL, NULL, {0}},
};

static const struct arch_row *find(const char *name)
{
    for (const struct arch_row *a = arch_table; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}

// The prefix of block `j` of stage `s`, and a name under it.
static const char *under(char buf[64], int s, int j, const char *leaf)
{
    snprintf(buf, 64, "encoder.layer%d.%d.%s", s + 1, j, leaf);
    return buf;
}

// conv-bn-relu-conv-bn (+ shortcut) -relu. The shortcut is a 1 x 1 convolution where the shape
// changes.
static int basic_block(struct net *net, int x, int s, int j, int out, int stride)
{
    char name[64];
    int h = net_conv(net, x, under(name, s, j, "conv1"), out, 3, stride, 1);
    h = net_bn(net, h, under(name, s, j, "bn1"), 1);
    h = net_relu(net, h);
    h = net_conv(net, h, under(name, s, j, "conv2"), out, 3, 1, 1);
    h = net_bn(net, h, under(name, s, j, "bn2"), 1);
    int shortcut = x;
    if (x >= 0 && (stride != 1 || net->node[x].c != out)) {
        shortcut = net_conv(net, x, under(name, s, j, "downsample.0"), out, 1, stride, 0);
        shortcut = net_bn(net, shortcut, under(name, s, j, "downsample.1"), 1);
    }
    return net_relu(net, net_add(net, h, shortcut));
}

int resnet_build(struct net *net, const char *arch, int width, int imagenet_stem, struct error *e)
{
    const struct arch_row *a = find(arch);
    if (!a)
        return error_set(e, "unknown architecture '%s' (there is: resnet18)", arch);
    if (width < 4 || width % 4 || width > 1024)
        return error_set(e, "width %d is not possible: a multiple of 4 from 4 to 1024", width);
    int h = imagenet_stem ? net_conv(net, 0, "encoder.conv1", width, 7, 2, 3)
                          : net_conv(net, 0, "encoder.conv1", width, 3, 1, 1);
    h = net_relu(net, net_bn(net, h, "encoder.bn1", 1));
    if (imagenet_stem)
        h = net_maxpool(net, h, 3, 2, 1);
    for (int s = 0; s < 4; s++)
        for (int j = 0; j < a->blocks[s]; j++)
            h = basic_block(net, h, s, j, width << s, s && !j ? 2 : 1);
    net->features = net_gap(net, h);
    if (net->error.text[0])
        return error_set(e, "%s", net->error.text);
    return 0;
}
