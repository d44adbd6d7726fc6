// Residual networks, described for a device.
#ifndef SSLTOP_TRAIN_METHODS_RESNET_H
#define SSLTOP_TRAIN_METHODS_RESNET_H

#include "metrics/base/error.h"

struct net;

struct arch_row {
    const char *name, *doc;
    int blocks[4];
    int inner; // bottleneck blocks: their inner width at width 64; 0: basic blocks
};
extern const struct arch_row arch_table[]; // ends with a NULL name

struct resnet_shape {
    const char *prefix; // of every name: "encoder"
    const char *arch;   // a row of arch_table
    int width;
    int imagenet_stem; // 7 x 7 stride 2 with max pooling; else CIFAR's 3 x 3 stride 1
    int zero_residual; // the last batch norm of each block starts at 0
};

// Whether there is such a network: refusals of names and widths.
int resnet_check(const char *arch, int width, struct error *e);

// Append the encoder to a net that holds its input: stem, four stages, global pooling. Returns the
// pooled node, or -1 with the reason in net->error.
int resnet_build(struct net *net, const struct resnet_shape *s);

#endif
