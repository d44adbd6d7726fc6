// SimSiam (Chen & He, CVPR 2021, sec. 3 and its published code): a projector whose last batch norm
// has no affine part, a bottleneck predictor, and the symmetric negative cosine loss with
// stop-gradient. Predictor and stop-gradient can be left out: the paper's ablations, which
// collapse.
#include <stdio.h>

#include "gpu/loss.h"
#include "train/methods/method.h"

static void loss(struct loss *l, const struct net *net)
{
    int p = loss_output(l, net->predicted), z = loss_output(l, net->projected);
    int dp = loss_gradient(l, net->predicted);
    loss_cosine(l, 1, 0, p, z);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, dp + v, 1, p + v, z + !v);
}

static void loss_through(struct loss *l, const struct net *net)
{
    loss(l, net);
    int p = loss_output(l, net->predicted), z = loss_output(l, net->projected);
    int dz = loss_gradient(l, net->projected);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, dz + v, 1, z + v, p + !v);
}

static void heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    int d = net->features >= 0 ? net->node[net->features].c : 0;
    int dim = o->dim, hidden = o->pred_dim, layers = o->proj_layers;
    char name[32];
    net->group = GROUP_MAIN;
    snprintf(name, sizeof name, "encoder.fc.%d", 3 * layers - 2);
    int z = net_bn(net, method_mlp(net, net->features, "encoder.fc", layers, d, dim), name, 0);

    int p = z;
    if (o->predictor) {
        net->group = GROUP_PREDICTOR;
        p = net_linear(net, z, "predictor.0", hidden, 0);
        p = net_relu(net, net_bn(net, p, "predictor.1", 1));
        p = net_linear(net, p, "predictor.3", dim, 1);
    }
    net_outputs(net, p, z, o->stop_gradient ? loss : loss_through);
}

static const struct method_unused unused[] = {{"tau", .because = "simsiam has no target network"},
                                              {"tau-schedule", .because = NULL},
                                              {.option = NULL}};

const struct method_row simsiam_method = {
    .name = "simsiam",
    .doc = "SimSiam (Chen & He, CVPR 2021)",
    .loss_lo = -1,
    .loss_hi = 1,
    .defaults = {.lr = 0.5,
                 .wd = 5e-4,
                 .fix_pred_lr = 1,
                 .optimizer = "sgd",
                 .augment = "simsiam",
                 .tau = -1,
                 .dim = 32,
                 .pred_dim = 8,
                 .proj_layers = 3},
    .unused = unused,
    .heads = heads,
};
