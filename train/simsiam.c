// SimSiam's heads (Chen & He, CVPR 2021, sec. 3 and its published code): a projector whose last
// batch norm has no affine part, a bottleneck predictor, and the symmetric negative cosine loss
// with stop-gradient.
#include "train/simsiam.h"

#include <stdio.h>

void simsiam_heads(struct net *net, const struct options *o, int width)
{
    int d = net->features >= 0 ? net->node[net->features].c : 0;
    int dim = o->dim ? o->dim : 32 * width;
    int hidden = o->pred_dim ? o->pred_dim : 8 * width;
    char name[32];
    int z = net->features, at = 0;
    net->group = GROUP_MAIN;
    for (int layer = 1; layer < o->proj_layers; layer++, at += 3) {
        snprintf(name, sizeof name, "encoder.fc.%d", at);
        z = net_linear(net, z, name, d, 0);
        snprintf(name, sizeof name, "encoder.fc.%d", at + 1);
        z = net_relu(net, net_bn(net, z, name, 1));
    }
    snprintf(name, sizeof name, "encoder.fc.%d", at);
    z = net_linear(net, z, name, dim, 0);
    snprintf(name, sizeof name, "encoder.fc.%d", at + 1);
    z = net_bn(net, z, name, 0);

    net->group = GROUP_PREDICTOR;
    int p = net_linear(net, z, "predictor.0", hidden, 0);
    p = net_relu(net, net_bn(net, p, "predictor.1", 1));
    p = net_linear(net, p, "predictor.3", dim, 1);
    net_cosine(net, p, z);
}
