// For norm.cu and norm_back.cu only: how blocks lie over rows and channels, and how their sums are
// joined.
#ifndef SSLTOP_GPU_CUDA_KERNELS_NORM_CUH
#define SSLTOP_GPU_CUDA_KERNELS_NORM_CUH

#include "gpu/cuda/kernels/kernels.cuh"

enum { THREADS = 256, JOIN_X = 32, JOIN_Y = 8 };

// How a block lies over rows and channels: tx groups of V channels, ty rows.
struct shape {
    int groups, tx, ty, parts; // parts: blocks that share the rows of a view
    unsigned grid_x;
};

static struct shape shape_of(const struct cuda_norm *a, int v)
{
    struct shape s;
    s.groups = a->c / v;
    s.tx = 1;
    while (s.tx < s.groups && s.tx < 32)
        s.tx *= 2;
    s.ty = THREADS / s.tx;
    s.grid_x = (unsigned)((s.groups + s.tx - 1) / s.tx);
    int most = (int)(2048 / ((unsigned)a->views * s.grid_x));
    most = most < 1 ? 1 : most > NORM_PARTS_MAX ? NORM_PARTS_MAX : most;
    int want = (a->rows + s.ty * 4 - 1) / (s.ty * 4);
    s.parts = want < 1 ? 1 : want > most ? most : want;
    return s;
}

static int vector_length(const struct cuda_norm *a)
{
    int v = a->type == CUDA_BF16 ? (int)wide<bf16>::V : (int)wide<float>::V;
    return a->c % v ? 1 : v;
}

// Sum s and q over the block's rows; row 0's threads hold the result.
template <int V> DEVICE void sum_rows(float (&s)[V], float (&q)[V], float *room)
{
    int tx = (int)blockDim.x, ty = (int)blockDim.y, x = (int)threadIdx.x, y = (int)threadIdx.y;
    float *mine = room + (size_t)(y * tx + x) * 2 * V;
    for (int i = 0; i < V; i++) {
        mine[i] = s[i];
        mine[V + i] = q[i];
    }
    for (int half = ty / 2; half; half /= 2) {
        __syncthreads();
        if (y < half)
            for (int i = 0; i < 2 * V; i++)
                mine[i] += mine[(size_t)half * tx * 2 * V + i];
    }
    for (int i = 0; i < V; i++) {
        s[i] = mine[i];
        q[i] = mine[V + i];
    }
}

template <int V>
DEVICE void write_partial(float *partial, int c, int ch, const float (&s)[V], const float (&q)[V])
{
    float *to = partial + ((size_t)blockIdx.z * gridDim.y + blockIdx.y) * 2 * c + ch;
    for (int i = 0; i < V; i++) {
        to[i] = s[i];
        to[c + i] = q[i];
    }
}

typedef double join_row[2][JOIN_X];

// Joins the parts of channel ch of a view in double; valid where threadIdx.y is 0.
DEVICE void join(const float *partial, int parts, int c, int ch, int view, join_row *room,
                 double *s, double *q)
{
    int x = (int)threadIdx.x, y = (int)threadIdx.y;
    double a = 0, b = 0;
    if (ch < c)
        for (int k = y; k < parts; k += JOIN_Y) {
            const float *p = partial + ((size_t)view * parts + k) * 2 * c + ch;
            a += p[0];
            b += p[c];
        }
    __syncthreads();
    room[y][0][x] = a;
    room[y][1][x] = b;
    __syncthreads();
    a = b = 0;
    if (y == 0)
        for (int k = 0; k < JOIN_Y; k++) {
            a += room[k][0][x];
            b += room[k][1][x];
        }
    *s = a;
    *q = b;
}

static unsigned join_blocks(const struct cuda_norm *a)
{
    return (unsigned)((a->c + JOIN_X - 1) / JOIN_X);
}

static unsigned channel_blocks(const struct cuda_norm *a)
{
    return (unsigned)((a->c + THREADS - 1) / THREADS);
}

// The instance for this type and channel count.
#define DISPATCH(f, a, s)                                                                          \
    ((a)->type == CUDA_BF16                                                                        \
         ? (vector_length(a) > 1 ? f<bf16, wide<bf16>::V>(a, s) : f<bf16, 1>(a, s))                \
         : (vector_length(a) > 1 ? f<float, wide<float>::V>(a, s) : f<float, 1>(a, s)))

#endif
