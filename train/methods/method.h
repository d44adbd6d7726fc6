// Methods and networks as tables: name -> network description (struct net) with heads and loss.
#ifndef SSLTOP_TRAIN_METHODS_METHOD_H
#define SSLTOP_TRAIN_METHODS_METHOD_H

#include "metrics/base/error.h"
#include "train/options/options.h"
#include "train/methods/resnet.h"

struct net;
struct plan;

// What an option means that says "auto".
struct method_defaults {
    double lr, wd;
    int fix_pred_lr;
    const char *optimizer, *augment;
    double warmup;                  // epochs, at most a tenth of the run
    double tau;                     // of the moving average; -1: the method has no target network
    int dim, pred_dim, proj_layers; // the first two times the width
};

// An option that a method has no use for: a recipe's gives way, a person's is refused with the
// reason, if there is one.
struct method_unused {
    const char *option, *because;
    const char *but; // a value that is no news, or NULL
};

// All that a method says of itself, in its own file.
struct method_row {
    const char *name, *doc;
    double loss_lo, loss_hi; // may be infinite
    struct method_defaults defaults;
    const struct method_unused *unused; // ends with a NULL option
    // Append the heads after net->features, name the outputs and the loss (net_outputs); `encoder`
    // is what net holds already, `o` says every size.
    void (*heads)(struct net *net, const struct options *o, const struct resnet_shape *encoder);
};
extern const struct method_row *const method_table[]; // ends with NULL

const struct method_row *method_find(const char *name); // or NULL

// What the loss of this method can be; unbounded (infinite) for a name that is not known, such as
// one from a later version's log.
void method_loss_range(const char *name, double *lo, double *hi);

// Fill in what says "auto" and depends on the method alone (an option named by the user stays), and
// refuse names and options that the method does not know. Before method_build.
int method_resolve(struct options *o, struct error *e);

// "0.5 for simsiam": what "auto" of this option is with the i-th method that has a use for it; 0:
// there are no more. For the words about it.
int method_auto(const struct option_row *row, int i, char *text, size_t size);

// The method as a calibration knows it: its name, and what of it was taken away or changed.
enum { METHOD_TITLE = 96 };
void method_title(const struct options *o, char *out, size_t size);

// "cifar" or "imagenet": the first layer of a network for images of this size.
const char *method_stem(const struct options *o, int height, int width);

// The whole network for these options (resolved) and image shape. `o->width` must be set.
int method_build(const struct options *o, int channels, int height, int width, struct net *out,
                 struct error *e);

// For heads: so many linear layers PREFIX.0, .3, ... without biases, each but the last with a batch
// norm and a ReLU behind it and so many outputs; `out` of the last. Returns its node.
int method_mlp(struct net *net, int x, const char *prefix, int layers, int hidden, int out);

// PyTorch's initial values (convolutions Kaiming normal fan-out, linears U(+-1/sqrt(in)), batch
// norm 1 and 0) into the plan; a parameter that follows another begins as that one.
int method_init(const struct net *net, uint64_t seed, struct plan *plan, struct error *e);

#endif
