// What a method's loss is made of: matrices of f32, one row an image, and operations on them, which
// a device works in the order in which they were said. Those that write into a gradient come at the
// start of that view's backward pass, all others after both views' forward passes. The value is
// summed in double. Nothing here computes: a method says it once, when a network is compiled for a
// batch; the devices and the tests' double loops are three readers of it.
#ifndef SSLTOP_GPU_LOSS_H
#define SSLTOP_GPU_LOSS_H

#include "gpu/net.h"

enum { LOSS_MATRICES = 40, LOSS_STEPS = 40 };

enum loss_source { LOSS_OUTPUT, LOSS_GRADIENT, LOSS_WORK };
struct loss_matrix {
    enum loss_source source;
    int node, view; // of an output or a gradient
    int rows, cols;
    int images; // a row an image
};

enum loss_op {
    LOSS_COSINE,
    LOSS_COSINE_GRADIENT,
    LOSS_PRODUCT,
    LOSS_CENTRE,
    LOSS_COMBINE,
    LOSS_MULTIPLY,
    LOSS_APPLY,
    LOSS_DIAGONAL,
    LOSS_PUT_DIAGONAL,
    LOSS_SUM,
    LOSS_OPS
};
enum loss_function {
    LOSS_SAME,
    LOSS_ROOT,
    LOSS_INVERSE,
    LOSS_POSITIVE, // max(x, 0); of NaN: NaN
    LOSS_STEP      // 1 where x > 0, else 0
};
struct loss_step {
    enum loss_op op;
    int out, a, b;      // matrices, -1 for none
    int turn_a, turn_b; // product
    enum loss_function f;
    double alpha, beta;
    int across; // it adds over images: product, centre, sum, cosine; -1: it takes some of one image
                // into the row of another
};

struct loss {
    int batch;
    const struct net *net; // borrowed while it is described
    struct loss_matrix matrix[LOSS_MATRICES];
    struct loss_step value[LOSS_STEPS], gradient[2][LOSS_STEPS];
    int n_matrix, n_value, n_gradient[2];
    struct error error; // the first thing that went wrong; every call is a no-op after it
};

// What net->loss says of this net for batches of so many images. -1 where that cannot be worked.
int loss_describe(const struct net *net, int batch, struct loss *out, struct error *e);
// Only `rows` of the images are here, the others are with other ranks: matrices of images have so
// many rows. What a step gives that is `across` is added to theirs. -1 for a loss that cannot be
// shared.
int loss_share(struct loss *l, int rows, struct error *e);

// --- what a method has: matrices, by their number ---
// A named output of the net (z, p), B x c, and the gradient of the loss to one, which is to be
// written as a whole. Of view 1; view 2 has the next number.
int loss_output(struct loss *l, int node);
int loss_gradient(struct loss *l, int node);
int loss_work(struct loss *l, int rows, int cols); // what comes between
int loss_columns(const struct loss *l, int m);

// --- what it may do: each writes `out`, of the shape that results, and returns it ---
// out = alpha A B + beta out; turned: its transpose. `out` is neither A nor B.
enum { LOSS_AS_IS, LOSS_TURNED };
int loss_product(struct loss *l, int out, double alpha, int a, int turn_a, int b, int turn_b,
                 double beta);
int loss_centre(struct loss *l, int out, int a); // less the mean of each column, formed in double
int loss_combine(struct loss *l, int out, double alpha, int a, double beta, int b); // a + b
int loss_multiply(struct loss *l, int out, double alpha, int a, int b); // element by element
int loss_apply(struct loss *l, int out, enum loss_function f, double alpha, int a,
               double beta);                           // f(alpha a + beta)
int loss_diagonal(struct loss *l, int out, int a);     // 1 x n of n x n
int loss_put_diagonal(struct loss *l, int out, int a); // which alone is written

// --- what it comes to ---
// loss += alpha sum a b, element by element.
void loss_sum(struct loss *l, double alpha, int a, int b);
// loss += offset + scale S with S = -1/2 mean cos(p1, z2) - 1/2 mean cos(p2, z1), clamped to -1..1
// (Chen & He, CVPR 2021, eq. 2); p and z are outputs, of view 1. The fast path of the methods that
// compare directions.
void loss_cosine(struct loss *l, double scale, double offset, int p, int z);
// The gradient of -scale/2 mean cos(a, b) to a.
int loss_cosine_gradient(struct loss *l, int out, double scale, int a, int b);

#endif
