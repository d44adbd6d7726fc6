// SimSiam: projector, predictor and loss.
#ifndef SSLTOP_TRAIN_SIMSIAM_H
#define SSLTOP_TRAIN_SIMSIAM_H

#include "gpu/net.h"
#include "train/options.h"

// Append projector (o->proj_layers linear layers, the last to o->dim, default 32 * width),
// predictor (bottleneck o->pred_dim, default 8 * width) and loss after net->features.
void simsiam_heads(struct net *net, const struct options *o, int width);

#endif
