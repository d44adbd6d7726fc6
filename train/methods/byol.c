// BYOL (Grill et al., NeurIPS 2020) as the collapse paper runs it: two-layer heads without biases
// and without a last batch norm, a target network that is the moving average of encoder and
// projector, and 2 - 2 cos summed over both directions. The projector has the name encoder.fc as
// SimSiam's has.

#include "gpu/loss.h"
#include "train/methods/method.h"

enum { LAYERS = 2 }; // of every head

// (2 - 2 cos) + (2 - 2 cos) of the two directions.
static void loss(struct loss *l, const struct net *net)
{
    int p = loss_output(l, net->predicted), z = loss_output(l, net->projected);
    int dp = loss_gradient(l, net->predicted);
    loss_cosine(l, 4, 4, p, z);
    for (int v = 0; v < 2; v++)
        loss_cosine_gradient(l, dp + v, 4, p + v, z + !v);
}

static void heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    int dim = o->dim, hidden = o->pred_dim; // 256 and 4096 at full size
    struct resnet_shape target = *encoder;
    net->group = GROUP_MAIN;
    int p = method_mlp(net, net->features, "encoder.fc", LAYERS, hidden, dim);
    if (o->predictor) {
        net->group = GROUP_PREDICTOR;
        p = method_mlp(net, p, "predictor", LAYERS, hidden, dim);
    }
    net->group = GROUP_MAIN;
    net->frozen = 1;
    target.prefix = "target.encoder";
    int z = method_mlp(net, resnet_build(net, &target), "target.encoder.fc", LAYERS, hidden, dim);
    net->frozen = 0;
    net_outputs(net, p, z, loss);
    net_follow(net, "target.");
}

static const struct method_unused unused[] = {
    {"proj-layers", .but = "2", .because = "byol's projector has 2"},
    {"stop-gradient", .because = "byol's target takes no gradient in any case"},
    {.option = NULL}};

const struct method_row byol_method = {
    .name = "byol",
    .doc = "BYOL (Grill et al., NeurIPS 2020)",
    .loss_lo = 0,
    .loss_hi = 8,
    .defaults = {.lr = 0.6,
                 .wd = 1e-6,
                 .optimizer = "lars",
                 .augment = "byol",
                 .warmup = 10,
                 .tau = 0.99,
                 .dim = 4,
                 .pred_dim = 64,
                 .proj_layers = LAYERS},
    .unused = unused,
    .heads = heads,
};
