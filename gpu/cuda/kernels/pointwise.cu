// ReLU, add, casts, pooling and biases. Batch norms take most of the first two along (norm.cu);
// these serve where they stand alone.
#include "gpu/cuda/kernels/kernels.cuh"

enum { THREADS = 256 };

DEVICE size_t first_item(void)
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

DEVICE size_t item_step(void)
{
    return (size_t)gridDim.x * blockDim.x;
}

// --- element by element ---
template <typename T> KERNEL(THREADS) relu(T *y, const T *x, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step()) {
        float v = load1(x + i);
        store1(y + i, v <= 0 ? 0 : v); // a NaN stays one
    }
}

template <typename T> KERNEL(THREADS) relu_backward(T *dx, const T *dy, const T *y, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step())
        store1(dx + i, load1(y + i) <= 0 ? 0 : load1(dy + i));
}

template <typename T> KERNEL(THREADS) add(T *y, const T *a, const T *b, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step())
        store1(y + i, load1(a + i) + load1(b + i));
}

KERNEL(THREADS) cast(bf16 *to, const float *x, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step())
        store1(to + i, x[i]);
}

#define BOTH(kernel, t, n, s, ...)                                                                 \
    do {                                                                                           \
        if ((t) == CUDA_BF16) {                                                                    \
            typedef bf16 T;                                                                        \
            auto k = kernel<T>;                                                                    \
            LAUNCH(k, blocks_for(n, THREADS), THREADS, s, __VA_ARGS__);                            \
        } else {                                                                                   \
            typedef float T;                                                                       \
            auto k = kernel<T>;                                                                    \
            LAUNCH(k, blocks_for(n, THREADS), THREADS, s, __VA_ARGS__);                            \
        }                                                                                          \
    } while (0)

cudaError_t cuda_relu(enum cuda_type t, void *y, const void *x, size_t n, cudaStream_t s)
{
    BOTH(relu, t, n, s, (T *)y, (const T *)x, n);
    return cudaGetLastError();
}

cudaError_t cuda_relu_backward(enum cuda_type t, void *dx, const void *dy, const void *y, size_t n,
                               cudaStream_t s)
{
    BOTH(relu_backward, t, n, s, (T *)dx, (const T *)dy, (const T *)y, n);
    return cudaGetLastError();
}

cudaError_t cuda_add(enum cuda_type t, void *y, const void *a, const void *b, size_t n,
                     cudaStream_t s)
{
    BOTH(add, t, n, s, (T *)y, (const T *)a, (const T *)b, n);
    return cudaGetLastError();
}

cudaError_t cuda_cast(void *to, const float *x, size_t n, cudaStream_t s)
{
    LAUNCH(cast, blocks_for(n, THREADS), THREADS, s, (bf16 *)to, x, n);
    return cudaGetLastError();
}

// --- max pool: a thread an output, then a thread an input, which gathers from the windows that it
// lies in (no atomics: the same sum every time) ---
template <typename T>
KERNEL(THREADS)
maxpool(struct cuda_pool p, T *y, uint8_t *place, const T *x, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step()) {
        int c = (int)(i % p.c), ow = (int)(i / p.c % p.ow), oh = (int)(i / p.c / p.ow % p.oh);
        size_t image = i / p.c / p.ow / p.oh;
        float best = 0;
        int at = -1;
        for (int a = 0; a < p.k; a++)
            for (int b = 0; b < p.k; b++) {
                int r = oh * p.stride - p.pad + a, q = ow * p.stride - p.pad + b;
                if (r < 0 || r >= p.h || q < 0 || q >= p.w)
                    continue;
                float v = load1(x + ((image * p.h + r) * p.w + q) * p.c + c);
                if (at < 0 || v > best || v != v) {
                    best = v;
                    at = a * p.k + b;
                }
            }
        store1(y + i, best);
        place[i] = (uint8_t)at;
    }
}

template <typename T>
KERNEL(THREADS)
maxpool_backward(struct cuda_pool p, T *dx, const T *dy, const uint8_t *place, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step()) {
        int c = (int)(i % p.c), q = (int)(i / p.c % p.w), r = (int)(i / p.c / p.w % p.h);
        size_t image = i / p.c / p.w / p.h;
        float sum = 0;
        for (int a = (r + p.pad) % p.stride; a < p.k; a += p.stride)
            for (int b = (q + p.pad) % p.stride; b < p.k; b += p.stride) {
                int oh = (r + p.pad - a) / p.stride, ow = (q + p.pad - b) / p.stride;
                if (r + p.pad < a || q + p.pad < b || oh >= p.oh || ow >= p.ow)
                    continue;
                size_t o = ((image * p.oh + oh) * p.ow + ow) * p.c + c;
                if (place[o] == a * p.k + b)
                    sum += load1(dy + o);
            }
        store1(dx + i, sum);
    }
}

cudaError_t cuda_maxpool(const struct cuda_pool *p, void *y, uint8_t *place, const void *x,
                         cudaStream_t s)
{
    size_t n = (size_t)p->n * p->oh * p->ow * p->c;
    BOTH(maxpool, p->type, n, s, *p, (T *)y, place, (const T *)x, n);
    return cudaGetLastError();
}

cudaError_t cuda_maxpool_backward(const struct cuda_pool *p, void *dx, const void *dy,
                                  const uint8_t *place, cudaStream_t s)
{
    size_t n = (size_t)p->n * p->h * p->w * p->c;
    BOTH(maxpool_backward, p->type, n, s, *p, (T *)dx, (const T *)dy, place, n);
    return cudaGetLastError();
}

// --- global average pool: a thread a channel of an image ---
template <typename T> KERNEL(THREADS) gap(float *y, const T *x, int hw, int c, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step()) {
        const T *p = x + i / c * hw * c + i % c;
        float sum = 0;
        for (int k = 0; k < hw; k++)
            sum += load1(p + (size_t)k * c);
        y[i] = sum / (float)hw;
    }
}

template <typename T> KERNEL(THREADS) gap_backward(T *dx, const float *dy, int hw, int c, size_t n)
{
    float inv = 1.0f / (float)hw;
    for (size_t i = first_item(); i < n; i += item_step())
        store1(dx + i, dy[i / c / hw * c + i % c] * inv);
}

cudaError_t cuda_gap(enum cuda_type t, float *y, const void *x, int n, int hw, int c,
                     cudaStream_t s)
{
    size_t all = (size_t)n * c;
    BOTH(gap, t, all, s, y, (const T *)x, hw, c, all);
    return cudaGetLastError();
}

cudaError_t cuda_gap_backward(enum cuda_type t, void *dx, const float *dy, int n, int hw, int c,
                              cudaStream_t s)
{
    size_t all = (size_t)n * hw * c;
    BOTH(gap_backward, t, all, s, (T *)dx, dy, hw, c, all);
    return cudaGetLastError();
}

// --- bias ---
KERNEL(THREADS) bias(float *y, const float *b, int c, size_t n)
{
    for (size_t i = first_item(); i < n; i += item_step())
        y[i] += b[i % c];
}

KERNEL(COLUMN_X *COLUMN_Y) bias_gradient(float *db, const float *dy, int rows, int c)
{
    SHARED(column_row, room, COLUMN_Y);
    int j = (int)(blockIdx.x * COLUMN_X + threadIdx.x);
    double sum = 0, none = 0;
    for (int r = (int)threadIdx.y; r < rows && j < c; r += COLUMN_Y)
        sum += dy[(size_t)r * c + j];
    sum_columns(&sum, &none, room);
    if (threadIdx.y == 0 && j < c)
        db[j] = (float)sum;
}

cudaError_t cuda_bias(float *y, const float *b, int rows, int c, cudaStream_t s)
{
    size_t n = (size_t)rows * c;
    LAUNCH(bias, blocks_for(n, THREADS), THREADS, s, y, b, c, n);
    return cudaGetLastError();
}

cudaError_t cuda_bias_gradient(float *db, const float *dy, int rows, int c, cudaStream_t s)
{
    LAUNCH(bias_gradient, column_blocks(c, 1), dim3(COLUMN_X, COLUMN_Y), s, db, dy, rows, c);
    return cudaGetLastError();
}
