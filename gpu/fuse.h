// How a network becomes stages, whatever the device: BN+ReLU, BN+add, BN+add+ReLU are one stage, at
// the place of the last of them; which tensors pass on and need no memory of their own; which are
// rows.
#ifndef SSLTOP_GPU_FUSE_H
#define SSLTOP_GPU_FUSE_H

#include "gpu/net.h"

struct fusion { // by node
    int *uses;  // how often its output is wanted
    int *into;  // the node whose stage does this node's work, itself when not fused
    int *until; // the last node whose stage takes this node's output
};
// fuse_free also after an error.
int fuse_new(struct fusion *f, const struct net *net, struct error *e);
void fuse_free(struct fusion *f);

struct fused {               // a stage
    const struct node *node; // what it is: the first of its nodes
    int in, in2;             // the nodes whose outputs it takes, -1 for none; of a BN in2 is added
    int relu;                // of a BN: a ReLU comes last
};
// The stage at node i, which is not fused into a later one.
struct fused fuse_stage(const struct fusion *f, const struct net *net, int i);

// Whether this is a frozen node's output that only frozen nodes take: its memory may be lent.
int fuse_passes(const struct fusion *f, const struct net *net, int i);

// Whether what this node gives are rows of numbers (c x 1 x 1): pooled features and what the heads
// make of them.
int fuse_gives_rows(const struct net *net, const struct node *d);

#endif
