// The gradient of a batch norm, with that of the ReLU and of the add behind it: two passes over the
// rows, as forwards (norm.cu).
#include "gpu/cuda/kernels/norm.cuh"

// The gradient at the norm's own output: dy [+ dy2], masked by the ReLU. Without a residual the
// mask is that of scale x + shift, which saves reading y.
template <typename T, int V>
DEVICE void masked(float (&g)[V], const float (&v)[V], const T *dy, const T *dy2, const T *y,
                   size_t at, const float (&k)[V], const float (&b)[V], int relu)
{
    float u[V];
    load(g, dy + at);
    if (dy2) {
        load(u, dy2 + at);
        for (int i = 0; i < V; i++)
            g[i] += u[i];
    }
    if (!relu)
        return;
    if (y)
        load(u, y + at);
    else
        for (int i = 0; i < V; i++)
            u[i] = v[i] * k[i] + b[i];
    for (int i = 0; i < V; i++)
        g[i] = u[i] <= 0 ? 0 : g[i];
}

template <typename T, int V>
KERNEL(THREADS)
norm_back_sums(const T *x, T *dy, const T *dy2, const T *y, int rows, int c, int groups,
               const float *mean, const float *scale, const float *shift, int relu, int keep,
               float *partial)
{
    SHARED(float, room, THREADS * 2 * V);
    int group = (int)(blockIdx.x * blockDim.x + threadIdx.x), ch = group * V;
    float s[V] = {0}, q[V] = {0};
    if (group < groups) {
        size_t view = (size_t)blockIdx.z * rows * c + ch, at_c = (size_t)blockIdx.z * c + ch;
        float m[V], k[V], b[V], v[V], g[V];
        load(m, mean + at_c);
        load(k, scale + at_c);
        load(b, shift + at_c);
        for (int r = (int)(blockIdx.y * blockDim.y + threadIdx.y); r < rows;
             r += (int)(gridDim.y * blockDim.y)) {
            size_t at = view + (size_t)r * c;
            load(v, x + at);
            masked(g, v, dy, dy2, y, at, k, b, relu);
            if (keep)
                store(dy + at, g);
            for (int i = 0; i < V; i++) {
                s[i] += g[i];
                q[i] += g[i] * (v[i] - m[i]);
            }
        }
    }
    sum_rows(s, q, room);
    if (threadIdx.y == 0 && group < groups)
        write_partial(partial, c, ch, s, q);
}

// How the gradient of x follows, from sums of dy and of dy (x - mean) over `rows`.
struct norm_slopes {
    const float *mean, *inv, *scale;
    float *k1, *k0;
};
DEVICE void slopes(const struct norm_slopes &a, size_t at, double rows, double s, double q)
{
    double i = a.inv[at], k = a.scale[at], slope = -q * i * i / rows * k;
    a.k1[at] = (float)slope;
    a.k0[at] = (float)(-s / rows * k - slope * a.mean[at]);
}

// sums NULL: the slopes follow from these rows alone. Else [views][2][c]: what ranks add; weight
// and bias have this rank's part of their gradient, as every parameter does.
KERNEL(JOIN_X *JOIN_Y)
norm_back_finish(const float *partial, int parts, int views, int rows, int c, struct norm_slopes to,
                 double *sums, float *dweight, float *dbias)
{
    SHARED(join_row, room, JOIN_Y);
    int ch = (int)(blockIdx.x * JOIN_X + threadIdx.x);
    double dw = 0, db = 0;
    for (int v = 0; v < views; v++) {
        double s, q;
        join(partial, parts, c, ch, v, room, &s, &q);
        if (threadIdx.y || ch >= c)
            continue;
        size_t at = (size_t)v * c + ch;
        double i = to.inv[at];
        if (sums) {
            sums[(size_t)v * 2 * c + ch] = s;
            sums[(size_t)v * 2 * c + c + ch] = q;
        } else {
            slopes(to, at, rows, s, q);
        }
        dw += q * i;
        db += s;
    }
    if (threadIdx.y || ch >= c || !dweight)
        return;
    dweight[ch] = (float)dw;
    dbias[ch] = (float)db;
}

KERNEL(THREADS)
norm_back_settle(const double *sums, int ranks, int views, int rows, int c, struct norm_slopes to)
{
    int ch = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    for (int v = 0; v < views && ch < c; v++) {
        const double *from = sums + (size_t)v * 2 * c + ch;
        slopes(to, (size_t)v * c + ch, (double)rows * ranks, from[0], from[c]);
    }
}

template <typename T, int V>
KERNEL(THREADS)
norm_back_apply(const T *x, const T *dy, T *dx, int rows, int c, int groups, const float *scale,
                const float *shift, const float *k1, const float *k0, int mask)
{
    int group = (int)(blockIdx.x * blockDim.x + threadIdx.x), ch = group * V;
    if (group >= groups)
        return;
    size_t view = (size_t)blockIdx.z * rows * c + ch, at_c = (size_t)blockIdx.z * c + ch;
    float k[V], b[V], a1[V], a0[V], v[V], g[V];
    load(k, scale + at_c);
    load(b, shift + at_c);
    load(a1, k1 + at_c);
    load(a0, k0 + at_c);
    for (int r = (int)(blockIdx.y * blockDim.y + threadIdx.y); r < rows;
         r += (int)(gridDim.y * blockDim.y)) {
        size_t at = view + (size_t)r * c;
        load(v, x + at);
        masked<T>(g, v, dy, (const T *)NULL, (const T *)NULL, at, k, b, mask);
        for (int i = 0; i < V; i++)
            v[i] = g[i] * k[i] + (v[i] * a1[i] + a0[i]);
        store(dx + at, v);
    }
}

// --- queued ---
static struct norm_slopes slopes_of(const struct cuda_norm *a)
{
    return {a->mean, a->inv, a->scale, a->k1, a->k0};
}

// The gradient comes back summed and masked in dy.
static int keeps(const struct cuda_norm *a)
{
    return a->dy2 || a->add;
}

template <typename T, int V>
static cudaError_t back_sums(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    auto kernel = norm_back_sums<T, V>;
    LAUNCH(kernel, dim3(s.grid_x, (unsigned)s.parts, (unsigned)a->views),
           dim3((unsigned)s.tx, (unsigned)s.ty), stream, (const T *)a->x, (T *)a->dy,
           (const T *)a->dy2, (const T *)(a->add ? (const void *)a->y : NULL), a->rows, a->c,
           s.groups, (const float *)a->mean, (const float *)a->scale, (const float *)a->shift,
           a->relu, keeps(a), a->partial);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(norm_back_finish, join_blocks(a), dim3(JOIN_X, JOIN_Y), stream,
           (const float *)a->partial, s.parts, a->views, a->rows, a->c, slopes_of(a), a->sums,
           a->dweight, a->dbias);
    return cudaGetLastError();
}

template <typename T, int V>
static cudaError_t back_apply(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    dim3 block((unsigned)s.tx, (unsigned)s.ty);
    dim3 grid(s.grid_x, blocks_for((size_t)a->rows, s.ty * 4), (unsigned)a->views);
    auto kernel = norm_back_apply<T, V>;
    LAUNCH(kernel, grid, block, stream, (const T *)a->x, (const T *)a->dy, (T *)a->dx, a->rows,
           a->c, s.groups, (const float *)a->scale, (const float *)a->shift, (const float *)a->k1,
           (const float *)a->k0, a->relu && !keeps(a));
    return cudaGetLastError();
}

cudaError_t cuda_norm_back_sums(const struct cuda_norm *a, cudaStream_t s)
{
    return DISPATCH(back_sums, a, s);
}

cudaError_t cuda_norm_back_apply(const struct cuda_norm *a, cudaStream_t s)
{
    if (a->sums) {
        LAUNCH(norm_back_settle, channel_blocks(a), THREADS, s, (const double *)a->sums, a->ranks,
               a->views, a->rows, a->c, slopes_of(a));
        cudaError_t e = cudaGetLastError();
        if (e != cudaSuccess)
            return e;
    }
    return DISPATCH(back_apply, a, s);
}
