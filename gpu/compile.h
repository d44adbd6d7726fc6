// From a network to a plan, for every device: the order of its stages, what is fused, where
// gradients lie and how they flow, the lists of operations that a step runs through, what is named
// and what is checked. A device brings its nodes and its memory (struct backend).
#ifndef SSLTOP_GPU_COMPILE_H
#define SSLTOP_GPU_COMPILE_H

#include "gpu/plan.h"

// As device_compile and plan_free.
int compile_plan(struct device *d, const struct net *net, const struct plan_options *o,
                 struct plan **out, struct error *e);
void compile_free(struct plan *p);

#endif
