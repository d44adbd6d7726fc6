// The optimiser's step and the moving average over all parameters in one launch each (LARS: two),
// and gradients on their way to other ranks: a block a piece of a tensor.
#include "gpu/cuda/kernels/kernels.cuh"

enum { THREADS = 256, WARPS = THREADS / 32 };

KERNEL(1) set_rates(struct cuda_rates *to, struct cuda_rates from)
{
    for (int i = 0; i < UPDATE_RATES; i++)
        to->lr[i] = from.lr[i];
    to->momentum = from.momentum;
    to->weight_decay = from.weight_decay;
    to->trust = from.trust;
    to->keep = from.keep;
    to->take = from.take;
}

DEVICE float gradient(const struct cuda_chunk *c, int i)
{
    return c->g16 ? load1((const bf16 *)c->g + i) : ((const float *)c->g)[i];
}

KERNEL(THREADS) gather(const struct cuda_piece *piece, float factor)
{
    const struct cuda_piece *c = piece + blockIdx.x;
    float *to = c->to;
    int n = c->n;
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        to[i] = factor * (c->g16 ? load1((const bf16 *)c->g + i) : ((const float *)c->g)[i]);
}

// One piece: v = momentum v + q (g + wd w); w -= lr v.
DEVICE void step(const struct cuda_chunk *c, const struct cuda_rates *rates, float q, float wd)
{
    float *w = c->w, *v = c->v;
    bf16 *w16 = (bf16 *)c->w16;
    int n = c->n;
    float lr = rates->lr[c->rate], momentum = rates->momentum;
    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        float b = momentum * v[i] + q * (gradient(c, i) + wd * w[i]);
        float x = w[i] - lr * b;
        v[i] = b;
        w[i] = x;
        if (w16)
            store1(w16 + i, x);
    }
}

KERNEL(THREADS) sgd(const struct cuda_chunk *chunk, const struct cuda_rates *rates)
{
    step(chunk + blockIdx.x, rates, 1, rates->weight_decay);
}

// Sums of w^2 and (g + wd w)^2 over each piece of a matrix.
KERNEL(THREADS)
squares(const struct cuda_chunk *chunk, const struct cuda_rates *rates, double *norms)
{
    SHARED(double, room, WARPS);
    const struct cuda_chunk *c = chunk + blockIdx.x;
    const float *w = c->w;
    float wd = rates->weight_decay;
    double a = 0, b = 0;
    int n = c->n;
    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        double x = w[i], y = gradient(c, i) + wd * w[i];
        a += x * x;
        b += y * y;
    }
    a = block_sum(a, room);
    b = block_sum(b, room);
    if (threadIdx.x)
        return;
    norms[2 * (size_t)blockIdx.x] = a;
    norms[2 * (size_t)blockIdx.x + 1] = b;
}

// Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017) as MoCo v3 and the collapse paper's
// BYOL use it. Every block joins the sums of its tensor's pieces in the same order.
KERNEL(THREADS)
lars(const struct cuda_chunk *chunk, const struct cuda_rates *rates, const double *norms)
{
    SHARED(double, room, WARPS);
    const struct cuda_chunk *c = chunk + blockIdx.x;
    double a = 0, b = 0, q = 1;
    int count = c->count;
    for (int i = (int)threadIdx.x; i < count; i += THREADS) {
        a += norms[2 * (size_t)(c->first + i)];
        b += norms[2 * (size_t)(c->first + i) + 1];
    }
    a = block_sum(a, room);
    b = block_sum(b, room);
    if (c->matrix && a > 0 && b > 0)
        q = rates->trust * sqrt(a) / sqrt(b);
    step(c, rates, (float)q, c->matrix ? rates->weight_decay : 0);
}

KERNEL(THREADS) ema(const struct cuda_follow *piece, const struct cuda_rates *rates)
{
    const struct cuda_follow *c = piece + blockIdx.x;
    float *w = c->w;
    const float *of = c->of;
    bf16 *w16 = (bf16 *)c->w16;
    float keep = rates->keep, take = rates->take;
    int n = c->n;
    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        float x = keep * w[i] + take * of[i];
        w[i] = x;
        if (w16)
            store1(w16 + i, x);
    }
}

cudaError_t cuda_gather(const struct cuda_piece *piece, int n, double factor, cudaStream_t s)
{
    LAUNCH(gather, (unsigned)n, THREADS, s, piece, (float)factor);
    return cudaGetLastError();
}

cudaError_t cuda_set_rates(struct cuda_rates *to, struct cuda_rates from, cudaStream_t s)
{
    LAUNCH(set_rates, 1, 1, s, to, from);
    return cudaGetLastError();
}

cudaError_t cuda_sgd(const struct cuda_chunk *chunk, int n, const struct cuda_rates *rates,
                     cudaStream_t s)
{
    LAUNCH(sgd, (unsigned)n, THREADS, s, chunk, rates);
    return cudaGetLastError();
}

cudaError_t cuda_lars(const struct cuda_chunk *chunk, int n, const struct cuda_rates *rates,
                      double *norms, cudaStream_t s)
{
    LAUNCH(squares, (unsigned)n, THREADS, s, chunk, rates, norms);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(lars, (unsigned)n, THREADS, s, chunk, rates, (const double *)norms);
    return cudaGetLastError();
}

cudaError_t cuda_average(const struct cuda_follow *piece, int n, const struct cuda_rates *rates,
                         cudaStream_t s)
{
    LAUNCH(ema, (unsigned)n, THREADS, s, piece, rates);
    return cudaGetLastError();
}
