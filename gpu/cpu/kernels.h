// The element-wise work that oneDNN does not do well or at all: batch norm fused with ReLU and
// residual add, pooling to a vector, loss, updates. kernels.c is compiled once an instruction set;
// kernels_pick chooses when the program starts.
//
// Layouts. Blocked: n x ceil(c/B) x hw x B with B = kernels.block channels side by side, padding
// channels zero. Last (`last` set): n x hw x c, with c rounded up to whole blocks in the same way.
// Rows: n x c. Element types: f32 or bf16 (the upper half of an f32). Every kernel
// splits its work over `threads` OpenMP threads in a fixed way, so that results depend on the
// thread count and on nothing else. NaN and infinity are passed on, never hidden: a ReLU of NaN is
// NaN.
#ifndef SSLTOP_GPU_CPU_KERNELS_H
#define SSLTOP_GPU_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { TYPE_F32, TYPE_BF16, TYPE_COUNT };

// One batch norm of one view. c is the padded channel count of the layout. Arrays of c floats:
struct norm_args {
    int n, c, hw;
    int last, threads, relu;
    const float *weight, *bias; // 1 and 0 without affine; 0 in the padding
    float *mean, *var;          // of this batch, biased
    float *scale, *shift;       // y = scale x + shift
    float *dweight, *dbias;     // backward: gradients of weight and bias
    float *k1, *k0;             // backward, work: dx = scale dy + k1 x + k0
    double *partial;            // work: threads x 2 x c
    double *sums;               // 2 c, of those that stop between the sums and what follows
    const void *x, *add;        // input; residual added before the ReLU, or NULL
    void *y;                    // output
    void *dy;        // gradient of y; with `add` it comes back masked (the gradient of `add`)
    const void *dy2; // a second gradient of y to be added, or NULL
    void *dx;        // gradient of x; may be dy unless `add`
};

// One max pool of one view. `place` (as many as y, padding included): which of its
// window's k x k pixels (k at most 15) is the largest, the first of several or a NaN.
struct pool_args {
    int n, c, h, w, oh, ow, k, stride, pad;
    int last, threads;
    const void *x, *dy;
    void *y, *dx;
    uint8_t *place;
};

// The gradient of a filter over one view. Channels are padded to whole blocks of B; x and dy are
// blocked tensors, of bf16 (B is 16) but by Winograd's algorithm, of f32. dw: oc/B x ic/B x k x k x
// B (in) x B (out) floats, overwritten.
struct filter_args {
    int n, ic, oc, ih, iw, oh, ow, k, stride, pad;
    int threads;
    const void *x, *dy;
    float *dw;
    void *work;           // filter_work() bytes
    const int32_t *place; // by tiles: filter_tiles_places() of them, by filter_tiles_find()
};

// A convolution of one view, or the gradient of its input (`back`): n x ih x iw x ic to n x oh x ow
// x oc in bf16, channels last, padded to whole blocks of 16. In the gradient, x is dy: ic are the
// channels of the convolution's output, oc those of its input, and k, stride and pad are still the
// convolution's. By Winograd's algorithm the same in f32, blocked, with w in blocks of B ic by B
// oc.
enum { CONV_TAPS = 64 }; // k x k at most
struct conv_args {
    int back;
    int n, ic, oc, ih, iw, oh, ow, k, stride, pad;
    int threads;
    int depth; // by Winograd's algorithm: channels of x that are no padding
    const void *x;
    void *y;
    // Weights in tiles, of 32 ic by 16 oc, tap by tap: w_depth elements lie between those of one
    // block of 32 ic and the next, w_block between those of blocks of 16 oc.
    const void *w;
    size_t w_depth, w_block;
    const int32_t *place; // conv_tiles_places() of them, by conv_tiles_find()
    void *work;           // conv_tiles_work() bytes
};

struct kernels {
    const char *name;
    int block;         // channels a block
    int channels_last; // that suits bf16 better than blocks: AMX takes it
    // Batch statistics, then apply.
    void (*norm_forward[TYPE_COUNT])(const struct norm_args *);
    void (*norm_backward[TYPE_COUNT])(const struct norm_args *);
    // y = [relu](scale x + shift [+ add]) with scale and shift given: evaluation mode.
    void (*norm_apply[TYPE_COUNT])(const struct norm_args *);
    // The same three for rows.
    void (*row_norm_forward[TYPE_COUNT])(const struct norm_args *);
    void (*row_norm_backward[TYPE_COUNT])(const struct norm_args *);
    void (*row_norm_apply[TYPE_COUNT])(const struct norm_args *);

    // The same in two halves, between which several processes add their sums. Forward: mean and sum
    // of squared deviations of each channel into sums[0..c) and sums[c..2c); apply is the other
    // half. Backward: sum dy and sum dy (x - mean), dy kept masked and summed up; then, with k1 and
    // k0 given, dx.
    void (*norm_moments[TYPE_COUNT])(const struct norm_args *);
    void (*norm_slopes[TYPE_COUNT])(const struct norm_args *);
    void (*norm_return[TYPE_COUNT])(const struct norm_args *);
    void (*row_norm_moments[TYPE_COUNT])(const struct norm_args *);
    void (*row_norm_slopes[TYPE_COUNT])(const struct norm_args *);
    void (*row_norm_return[TYPE_COUNT])(const struct norm_args *);

    // n elements, multiple of the vector length or not, in place allowed. y = max(x, 0); y = a + b;
    // d = d where y is not at most 0.
    void (*relu[TYPE_COUNT])(void *y, const void *x, size_t n, int threads);
    void (*add[TYPE_COUNT])(void *y, const void *a, const void *b, size_t n, int threads);
    void (*relu_backward[TYPE_COUNT])(void *dx, const void *dy, const void *y, size_t n,
                                      int threads);

    // Mean over hw to n x c rows of floats. c unpadded.
    void (*gap[TYPE_COUNT])(float *y, const void *x, int n, int c, int hw, int last, int threads);
    void (*gap_backward[TYPE_COUNT])(void *dx, const float *dy, int n, int c, int hw, int last,
                                     int threads);

    void (*maxpool[TYPE_COUNT])(const struct pool_args *);
    void (*maxpool_backward[TYPE_COUNT])(const struct pool_args *);

    // Losses, on rows of f32. Directions: dots[n][3] = p.p, z.z, p.z in double; then dp =
    // -(scale/2n) (z/|z| - cos p/|p|) / |p|. And of z/|z| (norms from dots[.][1]): the sums of each
    // dimension and of its square, into sums[0..c) and sums[c..2c); from those of n images the sum
    // over dimensions of the unbiased std.
    void (*cosine_dots)(double *dots, const float *p, const float *z, int n, int c, int threads);
    void (*cosine_backward)(float *dp, const double *dots, const float *p, const float *z, int n,
                            int c, double scale, int threads);
    void (*direction_sums)(const double *dots, const float *z, int n, int c, double *sums);
    double (*direction_std)(const double *sums, int n, int c);
    // sum a b in double (partial: `threads` doubles of work); y = x less the mean of its column
    // (mean: c doubles of work); y = alpha a + beta b; y = alpha a b.
    double (*dot)(const float *a, const float *b, size_t n, double *partial, int threads);
    void (*centre)(float *y, const float *x, int n, int c, double *mean, int threads);
    void (*combine)(float *y, float alpha, const float *a, float beta, const float *b, size_t n,
                    int threads);
    void (*multiply)(float *y, float alpha, const float *a, const float *b, size_t n, int threads);

    // v = momentum v + (g0 + g1) + wd w; w -= lr v.
    void (*sgd)(float *w, float *v, const float *g0, const float *g1, size_t n, float lr,
                float momentum, float wd, int threads);
    // sum[2] = |w|^2, |g0 + g1 + wd w|^2; partial: threads x 2 doubles of work.
    void (*squares)(const float *w, const float *g0, const float *g1, size_t n, float wd,
                    double *partial, double sum[2], int threads);
    // v = momentum v + q (g0 + g1 + wd w); w -= lr v.
    void (*lars)(float *w, float *v, const float *g0, const float *g1, size_t n, float lr,
                 float momentum, float wd, float q, int threads);
    // NULL on processors without the instructions for it.
    size_t (*filter_work)(const struct filter_args *);
    void (*filter_gradient)(const struct filter_args *);
    // The same of channels last, by tiles, or slowly by their twin. dw: oc/16 x ic/16 x k x k x 16
    // (out) x 16 (in).
    size_t (*filter_tiles_places)(const struct filter_args *);
    void (*filter_tiles_find)(const struct filter_args *, int32_t *place);
    size_t (*filter_tiles_work)(const struct filter_args *);
    void (*filter_tiles_gradient)(const struct filter_args *);
    size_t (*conv_tiles_places)(const struct conv_args *);
    void (*conv_tiles_find)(const struct conv_args *, int32_t *place);
    size_t (*conv_tiles_work)(const struct conv_args *);
    void (*conv_tiles)(const struct conv_args *);
    // Winograd's algorithm for 3 x 3 with stride 1, in f32. NULL without fused multiply-add.
    size_t (*winograd_work)(const struct conv_args *);
    void (*winograd)(const struct conv_args *);
    size_t (*winograd_filter_work)(const struct filter_args *);
    void (*winograd_filter)(const struct filter_args *);
    // w = tau w + (1 - tau) followed.
    void (*ema)(float *w, const float *followed, size_t n, double tau, int threads);
};

// The i-th set that this processor runs, the best last; NULL behind the last.
const struct kernels *kernels_usable(int i);

// The best.
const struct kernels *kernels_pick(void);

#endif
