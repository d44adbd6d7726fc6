// BYOL: projector, predictor, target network and loss.
#ifndef SSLTOP_TRAIN_METHODS_BYOL_H
#define SSLTOP_TRAIN_METHODS_BYOL_H

#include "gpu/net.h"
#include "train/options/options.h"
#include "train/methods/resnet.h"

int byol_check(const struct options *o, struct error *e);

// Append projector and predictor (hidden layer o->pred_dim, default 64 * width; output o->dim,
// default 4 * width), the target network (frozen; it follows encoder and projector) and the loss.
void byol_heads(struct net *net, const struct options *o, const struct resnet_shape *encoder);

#endif
