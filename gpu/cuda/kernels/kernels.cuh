// For .cu files only: what all kernels share. Compiled by nvcc for the card, and by the host's
// compiler for the tests, which name their stand-in for the card in CUDA_SHIM.
#ifndef SSLTOP_GPU_CUDA_KERNELS_KERNELS_CUH
#define SSLTOP_GPU_CUDA_KERNELS_KERNELS_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "gpu/cuda/kernels/kernels.h"

#ifdef CUDA_SHIM
#include CUDA_SHIM
#else
#define LAUNCH(kernel, grid, block, stream, ...)                                                   \
    kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__)
#define DEVICE                static __device__ __forceinline__
// n elements of the block's shared memory.
#define SHARED(type, name, n) __shared__ type name[n]
#endif
// One block a multiprocessor is enough to ask for: asked for nothing, ptxas would rather spill.
#define KERNEL(threads) static __global__ void __launch_bounds__(threads, 1)

typedef __nv_bfloat16 bf16;

DEVICE float load1(const float *p)
{
    return *p;
}

DEVICE float load1(const bf16 *p)
{
    return __uint_as_float((unsigned)*(const unsigned short *)p << 16);
}

DEVICE void store1(float *p, float v)
{
    *p = v;
}

// Through a scalar: a struct stored straight from a call is invisible to the tests' instruments.
DEVICE void store1(bf16 *p, float v)
{
    *(unsigned short *)p = __bfloat16_as_ushort(__float2bfloat16(v));
}

// V neighbours at once, 16 bytes aligned, where the channel count allows; else one.
template <typename T> struct wide;
template <> struct wide<float> {
    enum { V = 4 };
};
template <> struct wide<bf16> {
    enum { V = 8 };
};

template <int V> DEVICE void load(float (&to)[V], const float *p)
{
    if (V == 1) {
        to[0] = *p;
    } else {
        for (int i = 0; i < V; i += 4) {
            float4 u = *(const float4 *)(p + i);
            to[i] = u.x;
            to[i + 1 < V ? i + 1 : 0] = u.y;
            to[i + 2 < V ? i + 2 : 0] = u.z;
            to[i + 3 < V ? i + 3 : 0] = u.w;
        }
    }
}

template <int V> DEVICE void load(float (&to)[V], const bf16 *p)
{
    if (V == 1) {
        to[0] = load1(p);
    } else {
        uint4 u = *(const uint4 *)p;
        unsigned word[4] = {u.x, u.y, u.z, u.w};
#pragma unroll
        for (int i = 0; i < V; i++)
            to[i] = __uint_as_float(i & 1 ? word[i / 2] & 0xffff0000u : word[i / 2] << 16);
    }
}

template <int V> DEVICE void store(float *p, const float (&v)[V])
{
    if (V == 1) {
        *p = v[0];
    } else {
        float4 u;
        u.x = v[0];
        u.y = v[1 < V ? 1 : 0];
        u.z = v[2 < V ? 2 : 0];
        u.w = v[3 < V ? 3 : 0];
        *(float4 *)p = u;
    }
}

template <int V> DEVICE void store(bf16 *p, const float (&v)[V])
{
    if (V == 1) {
        store1(p, v[0]);
    } else {
        unsigned word[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            word[i] =
                (unsigned)__bfloat16_as_ushort(__float2bfloat16(v[2 * i < V ? 2 * i : 0])) |
                (unsigned)__bfloat16_as_ushort(__float2bfloat16(v[2 * i + 1 < V ? 2 * i + 1 : 0]))
                    << 16;
        uint4 u;
        u.x = word[0];
        u.y = word[1];
        u.z = word[2];
        u.w = word[3];
        *(uint4 *)p = u;
    }
}

// Sum over the block, given to every thread; `room` holds a number a warp.
template <typename S> DEVICE S block_sum(S v, S *room)
{
    int t = (int)threadIdx.x, warps = ((int)blockDim.x + 31) / 32;
    for (int o = 16; o; o >>= 1)
        v += __shfl_down_sync(0xffffffffu, v, o);
    __syncthreads();
    if ((t & 31) == 0)
        room[t >> 5] = v;
    __syncthreads();
    S sum = 0;
    for (int i = 0; i < warps; i++)
        sum += room[i];
    return sum;
}

// Sums down columns: a block of COLUMN_X columns, COLUMN_Y threads each, joined in one order. Valid
// where threadIdx.y is 0.
enum { COLUMN_X = 32, COLUMN_Y = 8 };
typedef double column_row[2][COLUMN_X];
DEVICE void sum_columns(double *a, double *b, column_row *room)
{
    int x = (int)threadIdx.x, y = (int)threadIdx.y;
    room[y][0][x] = *a;
    room[y][1][x] = *b;
    __syncthreads();
    for (int k = 1; k < COLUMN_Y && y == 0; k++) {
        *a += room[k][0][x];
        *b += room[k][1][x];
    }
}
static inline dim3 column_blocks(int c, unsigned views)
{
    return dim3((unsigned)((c + COLUMN_X - 1) / COLUMN_X), views);
}

// Blocks for n items, `threads` a block: enough to fill any card, and a loop does the rest.
static inline unsigned blocks_for(size_t n, int threads)
{
    size_t b = (n + (size_t)threads - 1) / (size_t)threads;
    return (unsigned)(b < 1 ? 1 : b > 4096 ? 4096 : b);
}

#endif
