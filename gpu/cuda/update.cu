// The optimiser's step over all parameters in one launch: a block a piece of a tensor.
#include "gpu/cuda/kernels.cuh"

enum { THREADS = 256 };

KERNEL(1) set_rates(struct cuda_rates *to, struct cuda_rates from)
{
    for (int i = 0; i < UPDATE_RATES; i++)
        to->lr[i] = from.lr[i];
    to->momentum = from.momentum;
    to->weight_decay = from.weight_decay;
}

KERNEL(THREADS) sgd(const struct cuda_chunk *chunk, const struct cuda_rates *rates)
{
    const struct cuda_chunk *c = chunk + blockIdx.x;
    float *w = c->w, *v = c->v;
    const void *gradient = c->g;
    bf16 *w16 = (bf16 *)c->w16;
    int n = c->n, g16 = c->g16;
    float lr = rates->lr[c->rate], momentum = rates->momentum, wd = rates->weight_decay;
    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        float g = g16 ? load1((const bf16 *)gradient + i) : ((const float *)gradient)[i];
        float b = momentum * v[i] + (g + wd * w[i]);
        float x = w[i] - lr * b;
        v[i] = b;
        w[i] = x;
        if (w16)
            store1(w16 + i, x);
    }
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
