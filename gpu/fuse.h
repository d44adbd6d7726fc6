// Which nodes of a network become one stage: BN+ReLU, BN+add, BN+add+ReLU, at the place of the last
// of them; which tensors pass on and need no memory of their own; which are rows. Both devices
// compile by it.
#ifndef SSLTOP_GPU_FUSE_H
#define SSLTOP_GPU_FUSE_H

#include "gpu/net.h"

struct fusion { // by node
    int *uses;  // how often its output is wanted
    int *into;  // the node whose stage does this node's work, itself when not fused
    int *until; // the last node whose stage takes this node's output
};

// Free it with fusion_free in any case.
int fusion_new(struct fusion *f, const struct net *net, struct error *e);
void fusion_free(struct fusion *f);

// Which operand of an add was fused into it: 0, 1, or -1 for none.
int fusion_operand(const struct fusion *f, const struct net *net, const struct node *add);

// A frozen node's output that only frozen nodes take: nobody asks for it once they have run.
int fusion_passes(const struct fusion *f, const struct net *net, int node);

// Whether what this node gives are rows of numbers (c x 1 x 1): pooled features and what the heads
// make of them.
int node_gives_rows(const struct net *net, const struct node *d);

#endif
