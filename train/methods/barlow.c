// Barlow Twins (Zbontar, Jing, Misra, LeCun, Deny, ICML 2021, arXiv 2103.03230, and its published
// code, facebookresearch/barlowtwins, main.py): no predictor, no stop-gradient, no target. Of the
// projector's outputs z, n images of d numbers in two views, y is z through a batch norm without
// affine part, per view (mean 0, biased variance 1, epsilon 1e-5), and
//
//   C = y1^T y2 / n        loss = sum of (C_ii - 1)^2 + 0.0051 sum over i != j of C_ij^2
//
// The projector is three linear layers of one width without biases, batch norm and ReLU behind the
// first two. There a learning rate falls to a thousandth of its peak, here to 0, and batch norms
// learn at a rate of their own, 0.0048 to the weights' 0.2; here all learn at one.
#include <math.h>
#include <stdio.h>

#include "gpu/loss.h"
#include "train/methods/method.h"

#define LAMBDA 0.0051

static void loss(struct loss *l, const struct net *net)
{
    int y = loss_output(l, net->predicted), dy = loss_gradient(l, net->predicted);
    int d = loss_columns(l, y);
    double n = l->batch;
    int c = loss_product(l, loss_work(l, d, d), 1 / n, y, LOSS_TURNED, y + 1, LOSS_AS_IS, 0);
    int miss = loss_diagonal(l, loss_work(l, 1, d), c);
    loss_apply(l, miss, LOSS_SAME, 1, miss, -1);
    loss_sum(l, 1, miss, miss);
    loss_put_diagonal(l, c, loss_combine(l, loss_work(l, 1, d), 0, miss, 0, miss));
    loss_sum(l, LAMBDA, c, c);
    // d/dC is 2 lambda C off the diagonal, and on it 2 (C - 1).
    loss_combine(l, miss, 1 / LAMBDA, miss, 0, miss);
    loss_put_diagonal(l, c, miss);
    loss_product(l, dy, 2 * LAMBDA / n, y + 1, LOSS_AS_IS, c, LOSS_TURNED, 0);
    loss_product(l, dy + 1, 2 * LAMBDA / n, y, LOSS_AS_IS, c, LOSS_AS_IS, 0);
}

static void heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    char name[32];
    (void)encoder;
    int z = method_mlp(net, net->features, "encoder.fc", o->proj_layers, o->dim, o->dim);
    snprintf(name, sizeof name, "encoder.fc.%d", 3 * o->proj_layers - 2);
    net_outputs(net, net_bn(net, z, name, 0), z, loss);
}

static const struct method_unused unused[] = {
    {"predictor", .because = "barlow has no predictor in any case"},
    {"pred-dim", .because = "barlow has no predictor"},
    {"fix-pred-lr", .because = NULL},
    {"stop-gradient", .because = "barlow's gradients go to both views in any case"},
    {"tau", .because = "barlow has no target network"},
    {"tau-schedule", .because = NULL},
    {.option = NULL}};

const struct method_row barlow_method = {
    .name = "barlow",
    .doc = "Barlow Twins (Zbontar et al., ICML 2021): no predictor, no stop-gradient, no target",
    .loss_lo = 0,
    .loss_hi = INFINITY,
    .defaults = {.lr = 0.3,
                 .wd = 1e-6,
                 .optimizer = "lars",
                 .augment = "byol", // the same as Barlow Twins'
                 .warmup = 10,
                 .tau = -1,
                 .dim = 128,
                 .proj_layers = 3},
    .unused = unused,
    .heads = heads,
};
