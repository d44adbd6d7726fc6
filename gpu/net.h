// A network as a list of nodes with shapes: what train/ describes once and a device compiles. The
// list is for one view; a device runs it for both. Nodes come after their inputs. The heads end in
// named outputs, which the loss, a function of the method, brings together.
#ifndef SSLTOP_GPU_NET_H
#define SSLTOP_GPU_NET_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

enum node_op {
    NODE_INPUT,
    NODE_CONV, // no bias; weight [out, in, k, k]
    NODE_BN, // weight, bias [c] when affine; running_mean, running_var [c]; eps 1e-5, momentum 0.1
    NODE_RELU,
    NODE_ADD,     // two inputs of one shape
    NODE_MAXPOOL, // padding counts as -infinity
    NODE_GAP,     // global average pool: c x 1 x 1
    NODE_LINEAR   // on c x 1 x 1; weight [out, in], bias [out] when asked for
};
enum { NODE_KINDS = NODE_LINEAR + 1 };

enum param_group { GROUP_MAIN, GROUP_PREDICTOR, GROUP_COUNT }; // each has its learning rate

struct node {
    enum node_op op;
    int in[2];              // nodes; -1 for none
    int c, h, w;            // shape of the output, without the batch
    int k, stride, pad;     // conv, maxpool
    int affine;             // bn
    int bias;               // linear
    int zero;               // bn: its weight starts at 0
    int frozen;             // works on batch statistics, but no gradient comes here or goes through
    enum param_group group; // of its parameters
    char name[64];          // prefix of its parameters: "encoder.layer1.0.conv1"
};

enum param_kind { PARAM_WEIGHT, PARAM_BIAS, PARAM_RUNNING_MEAN, PARAM_RUNNING_VAR };

// A tensor of the network, under PyTorch's name and shape, row major f32 wherever it crosses a
// boundary.
struct param {
    char name[96]; // "encoder.layer1.0.conv1.weight"
    enum param_kind kind;
    int node;
    enum param_group group;
    int frozen;   // no gradient, no momentum, no update
    int followed; // the parameter whose moving average this one is, or -1
    int ndim;
    int64_t dim[4];
    size_t count;
};

struct net;
struct loss;
// Says to `l` what the loss of this net is made of (gpu/loss.h).
typedef void net_loss(struct loss *l, const struct net *net);

struct net {
    struct node *node;
    int n, cap;
    struct param *param;
    int n_param, cap_param;
    int features;           // node of h (the encoder's pooled output), -1 before it is set
    int projected;          // node of z, or -1
    int predicted;          // node of p: what is made of z and compared, or -1
    net_loss *loss;         // what it is trained for, or NULL
    enum param_group group; // of the nodes added next
    int frozen;             // the nodes added next
    struct error error;     // the first thing that went wrong; every net_* call is a no-op after it
};

// Builders return the node's index, or -1 after an error (kept in net->error; check it once at the
// end).
void net_init(struct net *net, int channels, int height, int width); // node 0 is the input
void net_free(struct net *net);
int net_copy(struct net *to, const struct net *from, struct error *e); // net_free also after -1
int net_conv(struct net *net, int in, const char *name, int out, int k, int stride, int pad);
int net_bn(struct net *net, int in, const char *name, int affine);
int net_relu(struct net *net, int in);
int net_add(struct net *net, int a, int b);
int net_maxpool(struct net *net, int in, int k, int stride, int pad);
int net_gap(struct net *net, int in);
int net_linear(struct net *net, int in, const char *name, int out, int bias);
// What the heads end in and the loss takes: rows of one length.
void net_outputs(struct net *net, int p, int z, net_loss *loss);
// Every frozen weight and bias named `prefix` + NAME becomes the moving average of NAME, which must
// be there and of the same shape.
int net_follow(struct net *net, const char *prefix);

// The tensor of this name, or NULL.
const struct param *net_param(const struct net *net, const char *name);

// Whether it is changed by an update: not a running statistic and not frozen.
int param_trained(const struct param *p);

// Number of trained parameters.
int64_t net_count(const struct net *net);

#endif
