// How far the running statistics of an encoder's batch norms are behind its weights. Evaluations,
// and whoever loads a checkpoint, take them; training takes those of its batch. At a high learning
// rate the two are of different networks, and what is measured is not what trains.
#ifndef SSLTOP_GPU_NORM_LAG_H
#define SSLTOP_GPU_NORM_LAG_H

#include "gpu/device.h"

// From here on it shows. SimSiam on Fashion-MNIST, width 4, lr 4: probe 61 % and 50 % at 0.28 and
// 0.017, 10 % at 13.7, where settled statistics have 53 %; trainings at lr 1 have at most 0.005.
#define NORM_LAG_FAR 0.05

struct norm_lag {
    float *before, *now; // running statistics, parameter by parameter
    size_t n;
};

// Of the norms that the features of `net` are made by; n 0: it has none. norm_lag_free is needed
// after 0 only.
int norm_lag_init(struct norm_lag *o, const struct net *net, struct error *e);
void norm_lag_free(struct norm_lag *o); // takes a zeroed struct too

// Before a step: they are kept as they are.
int norm_lag_keep(struct norm_lag *o, const struct net *net, struct plan *p, struct error *e);
// After its forward pass, whose batch follows from how it moved them (both views of it; the second
// weighs a tenth more): the Kullback-Leibler divergence of a channel's Gaussian in the batch from
// that of the statistics kept, the mean of all channels, in nats. 0: they are the same; NaN: there
// are none.
int norm_lag_measure(struct norm_lag *o, const struct net *net, struct plan *p, double *lag,
                     struct error *e);

#endif
