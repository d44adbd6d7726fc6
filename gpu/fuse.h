// How a network becomes stages, for both devices: BN+ReLU, BN+add, BN+add+ReLU are one stage, at
// the place of the last of them; which tensors pass on and need no memory of their own; which are
// rows.
#ifndef SSLTOP_GPU_FUSE_H
#define SSLTOP_GPU_FUSE_H

#include "gpu/net.h"

struct fused {               // a stage
    const struct node *node; // what it is: the first of its nodes
    int in, in2;             // the nodes whose outputs it takes, -1 for none; of a BN in2 is added
    int relu;                // of a BN: a ReLU comes last
};

// What a device does at each stage, in order. `out` is the node whose output the stage gives.
struct fused_builder {
    // Make room for that output. lend: only frozen nodes take it, so that nobody asks for it once
    // `forget` is called.
    int (*tensor)(void *context, int out, int lend, struct error *e);
    int (*stage)(void *context, int out, const struct fused *s, struct error *e);
    void (*forget)(void *context, int node);
};
int fused_build(const struct net *net, const struct fused_builder *b, void *context,
                struct error *e);

// Whether what this node gives are rows of numbers (c x 1 x 1): pooled features and what the heads
// make of them.
int node_gives_rows(const struct net *net, const struct node *d);

#endif
