// Parameters of a network out of a file of tensors, one at a time.
#ifndef SSLTOP_TRAIN_STORE_WEIGHTS_H
#define SSLTOP_TRAIN_STORE_WEIGHTS_H

#include "gpu/device.h"
#include "gpu/net.h"
#include "metrics/base/error.h"
#include "train/store/safetensors.h"

#define WEIGHTS_MOMENTUM "optim."               // before the name of what has a momentum
#define WEIGHTS_TRACKED  ".num_batches_tracked" // which PyTorch counts and nobody needs

struct weights {
    struct safetensors *f;
    const char *encoder, *rest; // what the file has instead of "encoder.", and before other names;
                                // NULL: it has our names
    int numbered; // the encoder's layers have numbers instead of names: an nn.Sequential
};
// Of a name of the file behind `encoder`: its layer as we call it, or "" with all in *rest.
const char *weights_layer(const struct weights *w, const char *name, const char **rest);
// The tensor of a parameter, by our name; or NULL.
const struct tensor *weights_find(const struct weights *w, const char *name);
int weights_is_count(const char *name); // whether it ends in WEIGHTS_TRACKED

// Whether it has the parameter's shape.
int weights_fit(const struct param *p, const struct tensor *t);
// Room for the largest parameter, to be freed; NULL with a sentence.
float *weights_room(const struct net *net, struct error *e);
// Tensor `t` as the value of `name` (the parameter's, or its momentum's); `v` is such a room. A
// tensor that is missing (NULL), has another shape, a value that is not finite or a variance below
// 0 is refused by its name.
int weights_put(const struct weights *w, const struct net *net, const struct param *p,
                const struct tensor *t, const char *name, struct plan *plan, float *v,
                struct error *e);

// The bias of the projector's last linear layer, which SimSiam freezes at zero and this network
// does not have: its name and the batch norm that follows (NULL: not wanted). 0 when there is none,
// else how many numbers.
int weights_frozen_bias(const struct net *net, char name[128], const struct node **bn);

#endif
