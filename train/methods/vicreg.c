// VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906, and its published code,
// facebookresearch/vicreg, main_vicreg.py): no predictor, no stop-gradient, no target. Of the
// expander's outputs z, n images of d numbers in two views:
//
//   25 mean (z1 - z2)^2                                  over all n d numbers
//   + 25/2 sum over views of mean max(0, 1 - s_j)        s_j = sqrt(C_jj + 1e-4)
//   + 1 sum over views of 1/d sum over i != j of C_ij^2
//
// with C the covariance of a view's z, divided by n - 1 (unbiased, as the variances are its
// diagonal). The expander is three linear layers of one width, batch norm and ReLU behind the first
// two. The published code gives those two a bias, which the batch norm takes away again and which
// has no gradient: left out. There a learning rate falls to a thousandth of its peak, here to 0.
#include <math.h>

#include "gpu/loss.h"
#include "train/methods/method.h"

#define INVARIANCE 25.0
#define VARIANCE   25.0
#define COVARIANCE 1.0
#define EPSILON    1e-4

// A view's variance and covariance terms. What comes back is X C' with X the centred z: the
// gradient of both terms to z, but for a factor.
struct spread {
    int centred, pull;
};

static struct spread spread(struct loss *l, int z)
{
    int n = l->batch, d = loss_columns(l, z);
    int x = loss_centre(l, loss_work(l, n, d), z);
    int c = loss_product(l, loss_work(l, d, d), 1.0 / (n - 1), x, LOSS_TURNED, x, LOSS_AS_IS, 0);
    int s = loss_diagonal(l, loss_work(l, 1, d), c);
    loss_apply(l, s, LOSS_ROOT, 1, s, EPSILON);
    int missing = loss_apply(l, loss_work(l, 1, d), LOSS_POSITIVE, -1, s, 1);
    int is_low = loss_apply(l, loss_work(l, 1, d), LOSS_STEP, 1, missing, 0);
    loss_sum(l, VARIANCE / 2 / d, missing, is_low);
    loss_combine(l, missing, 0, missing, 0, missing);
    loss_put_diagonal(l, c, missing);
    loss_sum(l, COVARIANCE / d, c, c);
    // d/dx of the first is -25/(2d) x/((n - 1) s) where s < 1, of the second 4/(d (n - 1)) X C.
    loss_apply(l, s, LOSS_INVERSE, 1, s, 0);
    loss_multiply(l, s, -VARIANCE / (8 * COVARIANCE), s, is_low);
    loss_put_diagonal(l, c, s);
    return (struct spread){x, c};
}

static void loss(struct loss *l, const struct net *net)
{
    int z = loss_output(l, net->projected), dz = loss_gradient(l, net->projected);
    int n = l->batch, d = loss_columns(l, z);
    double all = (double)n * d;
    int apart = loss_combine(l, loss_work(l, n, d), 1, z, -1, z + 1);
    loss_sum(l, INVARIANCE / all, apart, apart);
    for (int v = 0; v < 2; v++) {
        struct spread of = spread(l, z + v);
        loss_combine(l, dz + v, (v ? -2 : 2) * INVARIANCE / all, apart, 0, apart);
        loss_product(l, dz + v, 4 * COVARIANCE / ((double)d * (n - 1)), of.centred, LOSS_AS_IS,
                     of.pull, LOSS_AS_IS, 1);
    }
}

static void heads(struct net *net, const struct options *o, const struct resnet_shape *encoder)
{
    (void)encoder;
    int z = method_mlp(net, net->features, "encoder.fc", o->proj_layers, o->dim, o->dim);
    net_outputs(net, z, z, loss);
}

static const struct method_unused unused[] = {
    {"predictor", .because = "vicreg has no predictor in any case"},
    {"pred-dim", .because = "vicreg has no predictor"},
    {"fix-pred-lr", .because = NULL},
    {"stop-gradient", .because = "vicreg's gradients go to both views in any case"},
    {"tau", .because = "vicreg has no target network"},
    {"tau-schedule", .because = NULL},
    {.option = NULL}};

const struct method_row vicreg_method = {
    .name = "vicreg",
    .doc = "VICReg (Bardes, Ponce & LeCun, ICLR 2022): no predictor, no stop-gradient, no target",
    .loss_lo = 0,
    .loss_hi = INFINITY,
    .defaults = {.lr = 0.3,
                 .wd = 1e-6,
                 .optimizer = "lars",
                 .augment = "byol", // the same as VICReg's
                 .warmup = 10,
                 .tau = -1,
                 .dim = 128,
                 .proj_layers = 3},
    .unused = unused,
    .heads = heads,
};
