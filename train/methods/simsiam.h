// SimSiam: projector, predictor and loss.
#ifndef SSLTOP_TRAIN_METHODS_SIMSIAM_H
#define SSLTOP_TRAIN_METHODS_SIMSIAM_H

#include "gpu/net.h"
#include "train/options/options.h"
#include "train/methods/resnet.h"

int simsiam_check(const struct options *o, struct error *e);

// Append projector (o->proj_layers linear layers, default 3, the last to o->dim, default 32 *
// width), predictor (bottleneck o->pred_dim, default 8 * width; left out without o->predictor) and
// loss after net->features.
void simsiam_heads(struct net *net, const struct options *o, const struct resnet_shape *encoder);

#endif
