// Residual networks, described for a device.
#ifndef SSLTOP_TRAIN_RESNET_H
#define SSLTOP_TRAIN_RESNET_H

#include "gpu/net.h"
#include "metrics/error.h"
#include "train/method.h"

// Append the encoder of `arch` to a net that holds its input: stem (3 x 3 stride 1, or ImageNet's 7
// x 7 stride 2 with max pooling), four stages of width, 2 width, 4 width, 8 width channels, global
// pooling. Sets net->features.
int resnet_build(struct net *net, const char *arch, int width, int imagenet_stem, struct error *e);

#endif
