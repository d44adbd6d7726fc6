// SimSiam's heads (Chen & He, CVPR 2021, sec. 3 and its published code): a projector whose last
// batch norm has no affine part, a bottleneck predictor, and the symmetric negative cosine loss
// with stop-gradient. Predictor and stop-gradient can be left out: the paper's ablations, which
// collapse.
#include "train/methods/simsiam.h"

#include <stdio.h>

enum { DIM = 32, HIDDEN = 8, LAYERS = 3 }; // the first two times the width

int simsiam_check(const struct options *o, struct error *e)
{
    if (o->tau >= 0)
        return error_set(e, "--tau: simsiam has no target network");
    return 0;
}

void simsiam_heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    int d = net->features >= 0 ? net->node[net->features].c : 0;
    int dim = o->dim ? o->dim : DIM * encoder->width;
    int hidden = o->pred_dim ? o->pred_dim : HIDDEN * encoder->width;
    int layers = o->proj_layers ? o->proj_layers : LAYERS;
    char name[32];
    int z = net->features, at = 0;
    net->group = GROUP_MAIN;
    for (int layer = 1; layer < layers; layer++, at += 3) {
        snprintf(name, sizeof name, "encoder.fc.%d", at);
        z = net_linear(net, z, name, d, 0);
        snprintf(name, sizeof name, "encoder.fc.%d", at + 1);
        z = net_relu(net, net_bn(net, z, name, 1));
    }
    snprintf(name, sizeof name, "encoder.fc.%d", at);
    z = net_linear(net, z, name, dim, 0);
    snprintf(name, sizeof name, "encoder.fc.%d", at + 1);
    z = net_bn(net, z, name, 0);

    int p = z;
    if (o->predictor) {
        net->group = GROUP_PREDICTOR;
        p = net_linear(net, z, "predictor.0", hidden, 0);
        p = net_relu(net, net_bn(net, p, "predictor.1", 1));
        p = net_linear(net, p, "predictor.3", dim, 1);
    }
    net_cosine(net, p, z);
    net_cosine_form(net, 1, 0, o->stop_gradient);
}
