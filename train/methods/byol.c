// BYOL (Grill et al., NeurIPS 2020) as the collapse paper runs it: two-layer heads without biases
// and without a last batch norm, a target network that is the moving average of encoder and
// projector, and 2 - 2 cos summed over both directions. The projector has the name encoder.fc as
// SimSiam's has.
#include "train/methods/byol.h"

#include <stdio.h>

enum { DIM = 4, HIDDEN = 64 }; // times the width: 256 and 4096 at full size

// linear - batch norm - ReLU - linear.
static int mlp(struct net *net, int x, const char *prefix, int hidden, int out)
{
    char name[64];
    snprintf(name, sizeof name, "%s.0", prefix);
    x = net_linear(net, x, name, hidden, 0);
    snprintf(name, sizeof name, "%s.1", prefix);
    x = net_relu(net, net_bn(net, x, name, 1));
    snprintf(name, sizeof name, "%s.3", prefix);
    return net_linear(net, x, name, out, 0);
}

int byol_check(const struct options *o, struct error *e)
{
    if (!o->stop_gradient)
        return error_set(e, "--no-stop-gradient: byol's target takes no gradient in any case");
    if (o->proj_layers && o->proj_layers != 2)
        return error_set(e, "--proj-layers %d: byol's projector has 2", o->proj_layers);
    return 0;
}

void byol_heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    int dim = o->dim ? o->dim : DIM * encoder->width;
    int hidden = o->pred_dim ? o->pred_dim : HIDDEN * encoder->width;
    struct resnet_shape target = *encoder;
    net->group = GROUP_MAIN;
    int p = mlp(net, net->features, "encoder.fc", hidden, dim);
    if (o->predictor) {
        net->group = GROUP_PREDICTOR;
        p = mlp(net, p, "predictor", hidden, dim);
    }
    net->group = GROUP_MAIN;
    net->frozen = 1;
    target.prefix = "target.encoder";
    int z = mlp(net, resnet_build(net, &target), "target.encoder.fc", hidden, dim);
    net->frozen = 0;
    net_cosine(net, p, z);
    net_cosine_form(net, 4, 4, 1); // (2 - 2 cos) + (2 - 2 cos) of the two directions
    net_follow(net, "target.");
}
