// Methods and networks as tables: name -> network description (struct net) with heads and loss.
#ifndef SSLTOP_TRAIN_METHOD_H
#define SSLTOP_TRAIN_METHOD_H

#include "gpu/device.h"
#include "gpu/net.h"
#include "metrics/error.h"
#include "train/options.h"

struct arch_row {
    const char *name, *doc;
    int blocks[4];
};
extern const struct arch_row arch_table[]; // ends with a NULL name

struct method_row {
    const char *name, *doc;
    double loss_lo, loss_hi;
    // Append the heads and the loss after net->features.
    void (*heads)(struct net *net, const struct options *o, int width);
};
extern const struct method_row method_table[]; // ends with a NULL name

// The whole network for these options and image shape. `o->width` must be set (multiple of 4, >=
// 4).
int method_build(const struct options *o, int channels, int height, int width, struct net *out,
                 struct error *e);

// PyTorch's initial values (convolutions Kaiming normal fan-out, linears U(+-1/sqrt(in)), batch
// norm 1 and 0) into the plan.
int method_init(const struct net *net, uint64_t seed, struct plan *plan, struct error *e);

#endif
