// The card's own kernels, as C functions that queue them on a stream: all that is cheap, odd, or
// best fused. Tensors hold both views one after the other, NHWC: [views][batch][h][w][c], of f32 or
// bf16. Each function returns the launch's error.
#ifndef SSLTOP_GPU_CUDA_KERNELS_KERNELS_H
#define SSLTOP_GPU_CUDA_KERNELS_KERNELS_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include "data/augment.h"
#include "gpu/loss.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cuda_type { CUDA_F32, CUDA_BF16 };

// --- batch norm, with the residual add and the ReLU behind it; statistics per view ---
enum { NORM_PARTS_MAX = 256 };
struct cuda_norm {
    enum cuda_type type;
    int views, rows, c; // rows: batch x h x w of one view
    int relu;
    const void *x, *add;               // input; what is added before the ReLU, or NULL
    void *y;                           // output
    void *dy;                          // its gradient; with `add` or dy2 it comes back summed and
    const void *dy2;                   // masked. A second gradient, or NULL
    void *dx;                          // gradient of x; may be dy unless `add`
    const float *weight, *bias;        // NULL: 1 and 0
    float *running_mean, *running_var; // forward moves them view after view,
    double share;                      // so far towards those of the batch; 1: all the way
    float *mean, *inv, *scale, *shift; // [views][c]: y = scale x + shift
    float *k1, *k0;                    // [views][c]: dx = scale dy + k1 x + k0
    float *dweight, *dbias;            // summed over views, or NULL
    float *partial;                    // work: cuda_norm_work() floats
    double *sums; // of `ranks` that normalise together: cuda_norm_sums(); else NULL
    int ranks;
};
size_t cuda_norm_work(const struct cuda_norm *a);
// Forwards and back in two halves: what is summed over the rows, and what is made of it. Between
// them ranks add `sums`, NORM_SUMS numbers a channel and view.
enum { NORM_SUMS = 2 };
cudaError_t cuda_norm_sums(const struct cuda_norm *a, cudaStream_t s);
cudaError_t cuda_norm_apply(const struct cuda_norm *a, cudaStream_t s);
cudaError_t cuda_norm_back_sums(const struct cuda_norm *a, cudaStream_t s);
cudaError_t cuda_norm_back_apply(const struct cuda_norm *a, cudaStream_t s);
cudaError_t cuda_norm_evaluate(const struct cuda_norm *a, cudaStream_t s);

// --- element by element: n elements ---
cudaError_t cuda_relu(enum cuda_type t, void *y, const void *x, size_t n, cudaStream_t s);
// dx = dy where y > 0, else 0; in place allowed.
cudaError_t cuda_relu_backward(enum cuda_type t, void *dx, const void *dy, const void *y, size_t n,
                               cudaStream_t s);
cudaError_t cuda_add(enum cuda_type t, void *y, const void *a, const void *b, size_t n,
                     cudaStream_t s);
cudaError_t cuda_cast(void *bf16, const float *x, size_t n, cudaStream_t s);

// --- pooling ---
struct cuda_pool {
    enum cuda_type type;
    int n, c, h, w, oh, ow, k, stride, pad;
};
// `place` remembers the position of each maximum in its window (k <= 15): one byte an output.
cudaError_t cuda_maxpool(const struct cuda_pool *p, void *y, uint8_t *place, const void *x,
                         cudaStream_t s);
cudaError_t cuda_maxpool_backward(const struct cuda_pool *p, void *dx, const void *dy,
                                  const uint8_t *place, cudaStream_t s);
// Mean over hw of x of type t, as rows of f32.
cudaError_t cuda_gap(enum cuda_type t, float *y, const void *x, int n, int hw, int c,
                     cudaStream_t s);
cudaError_t cuda_gap_backward(enum cuda_type t, void *dx, const float *dy, int n, int hw, int c,
                              cudaStream_t s);

// --- bias of a linear layer: y += b; db = column sums of dy ---
cudaError_t cuda_bias(float *y, const float *b, int rows, int c, cudaStream_t s);
cudaError_t cuda_bias_gradient(float *db, const float *dy, int rows, int c, cudaStream_t s);

// --- losses: matrices of f32 (gpu/loss.h). A loss is made of sums, each of a term's rows, and so
// is the spread of directions; ranks add all of them before they come to something --- Cosines of
// each view's p with the other's z, [2][n][c]; work: cosine [2][n].
cudaError_t cuda_cosine(const float *p, const float *z, int n, int c, double *cosine, double *sum,
                        cudaStream_t s);
cudaError_t cuda_cosine_gradient(float *to, const float *a, const float *b, int n, int c,
                                 double scale, cudaStream_t s);
enum { DOT_PARTS = 4096 };
// The sum of a b; part: work, DOT_PARTS.
cudaError_t cuda_dot(const float *a, const float *b, size_t n, double *part, double *sum,
                     cudaStream_t s);
// Of the directions of both views' projections: [2][2][c]; work: inverse [2][n].
cudaError_t cuda_directions(const float *z, int n, int c, double *inverse, double *sums,
                            cudaStream_t s);
struct cuda_term {
    double scale, offset;
    int over; // of cosines: rows of a view; 0: a sum of products
};
struct cuda_terms {
    int n;
    struct cuda_term term[LOSS_STEPS];
};
// sums: of each term; directions: of n rows of c numbers a view.
cudaError_t cuda_score(const struct cuda_terms *terms, const double *sums, const double *directions,
                       int n, int c, double *loss, double *zstd, cudaStream_t s);
// y = alpha a + beta b; y = alpha a b; y = f(alpha a + beta); every to_by-th of `to` is every
// by-th.
cudaError_t cuda_combine(float *y, double alpha, const float *a, double beta, const float *b,
                         size_t n, cudaStream_t s);
cudaError_t cuda_multiply(float *y, double alpha, const float *a, const float *b, size_t n,
                          cudaStream_t s);
cudaError_t cuda_apply(float *y, enum loss_function f, double alpha, const float *a, double beta,
                       size_t n, cudaStream_t s);
cudaError_t cuda_strided(float *to, int to_by, const float *from, int by, int n, cudaStream_t s);

// --- n rows of d floats: the sum of each column over `over`, in double, and the rows less it ---
cudaError_t cuda_means(double *mean, const float *h, int n, int d, int over, cudaStream_t s);
cudaError_t cuda_centre(double *centred, const double *mean, const float *h, int n, int d,
                        cudaStream_t s);
cudaError_t cuda_centre_rows(float *centred, const double *mean, const float *h, int n, int d,
                             cudaStream_t s);
// The lower triangle of a matrix of d x d, row after row.
cudaError_t cuda_pack(double *packed, const double *matrix, int d, cudaStream_t s);

// --- update: tensors in pieces of at most UPDATE_CHUNK elements ---
enum { UPDATE_CHUNK = 16384, UPDATE_RATES = 4 };
struct cuda_chunk {
    float *w, *v;     // master weights, momentum
    const void *g;    // gradient, f32 or bf16
    void *w16;        // bf16 copy of w, or NULL
    int n, rate, g16; // elements; which learning rate; whether g is bf16
    int matrix;       // of two dimensions or more
    int first, count; // the pieces of the same tensor
};
struct cuda_follow { // a piece of a tensor that is the moving average of another
    float *w;
    const float *of;
    void *w16;
    int n;
};
struct cuda_piece { // a piece of a gradient on its way into a bucket of them
    const void *g;
    float *to;
    int n, g16;
};
// to = factor g.
cudaError_t cuda_gather(const struct cuda_piece *piece, int n, double factor, cudaStream_t s);
struct cuda_rates { // lives on the card, so that a recorded graph sees what was set last
    float lr[UPDATE_RATES], momentum, weight_decay;
    double trust;     // of LARS
    float keep, take; // of the moving average
};
cudaError_t cuda_set_rates(struct cuda_rates *to, struct cuda_rates from, cudaStream_t s);
// v = momentum v + (g + weight_decay w); w -= lr v.
cudaError_t cuda_sgd(const struct cuda_chunk *chunk, int n, const struct cuda_rates *rates,
                     cudaStream_t s);
// The same with q (g + weight_decay w), q = trust |w| / |g + weight_decay w| (1 where a norm is 0);
// vectors: SGD without decay. norms: work, 2 n.
cudaError_t cuda_lars(const struct cuda_chunk *chunk, int n, const struct cuda_rates *rates,
                      double *norms, cudaStream_t s);
// w = keep w + take of.
cudaError_t cuda_average(const struct cuda_follow *piece, int n, const struct cuda_rates *rates,
                         cudaStream_t s);

// --- views from images ---
struct cuda_augment {
    enum cuda_type type;
    int views, batch, c;             // c: 1 or 3
    int h, w, out_h, out_w;          // of the images, of the views
    float gain[3], shift[3];         // out = gain x + shift, x in [0, 1]
    const uint8_t *pixels;           // n x c x h x w
    const int64_t *index;            // [batch]: which of them
    const struct augment_view *view; // [views][batch]
    float *work;                     // cuda_augment_work() floats
    void *out;                       // [views][batch][out_h][out_w][c]
    int blocks;                      // views worked at once
};
size_t cuda_augment_work(const struct cuda_augment *a);
cudaError_t cuda_augment(const struct cuda_augment *a, cudaStream_t s);

#ifdef __cplusplus
}
#endif

#endif
