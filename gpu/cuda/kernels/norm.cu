// Batch norm over NHWC rows, with the residual add and the ReLU behind it: sums over the rows by
// blocks, a small kernel that joins them in double, one pass that applies. Values are taken
// relative to the view's first row, so that no difference of large sums arises.
#include "gpu/cuda/kernels/kernels.cuh"

static const double EPS = 1e-5, MOMENTUM = 0.1; // PyTorch's defaults

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

size_t cuda_norm_work(const struct cuda_norm *a)
{
    return (size_t)a->views * (size_t)shape_of(a, vector_length(a)).parts * 2 * (size_t)a->c;
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

template <typename T, int V>
KERNEL(THREADS)
norm_sums(const T *x, int rows, int c, int groups, float *partial)
{
    SHARED(float, room, THREADS * 2 * V);
    int group = (int)(blockIdx.x * blockDim.x + threadIdx.x), ch = group * V;
    float s[V] = {0}, q[V] = {0};
    if (group < groups) {
        const T *p = x + (size_t)blockIdx.z * rows * c + ch;
        float ref[V], v[V];
        load(ref, p);
        int end = rows;
        for (int r = (int)(blockIdx.y * blockDim.y + threadIdx.y); r < end;
             r += (int)(gridDim.y * blockDim.y)) {
            load(v, p + (size_t)r * c);
            for (int i = 0; i < V; i++) {
                float d = v[i] - ref[i];
                s[i] += d;
                q[i] += d * d;
            }
        }
    }
    sum_rows(s, q, room);
    if (threadIdx.y == 0 && group < groups)
        write_partial(partial, c, ch, s, q);
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

template <typename T>
KERNEL(JOIN_X *JOIN_Y)
norm_finish(const T *x, const float *partial, int parts, int views, int rows, int c,
            const float *weight, const float *bias, float *mean, float *inv, float *scale,
            float *shift, float *running_mean, float *running_var)
{
    SHARED(join_row, room, JOIN_Y);
    int ch = (int)(blockIdx.x * JOIN_X + threadIdx.x);
    for (int v = 0; v < views; v++) {
        double s, q;
        join(partial, parts, c, ch, v, room, &s, &q);
        if (threadIdx.y || ch >= c)
            continue;
        double d = s / rows, var = q / rows - d * d;
        var = var < 0 ? 0 : var;
        double m = d + (double)load1(x + (size_t)v * rows * c + ch), i = 1 / sqrt(var + EPS);
        double w = weight ? (double)weight[ch] : 1, b = bias ? (double)bias[ch] : 0;
        size_t at = (size_t)v * c + ch;
        mean[at] = (float)m;
        inv[at] = (float)i;
        scale[at] = (float)(w * i);
        shift[at] = (float)(b - m * w * i);
        double unbiased = rows > 1 ? var * rows / (rows - 1) : var;
        running_mean[ch] = (float)(running_mean[ch] + MOMENTUM * (m - running_mean[ch]));
        running_var[ch] = (float)(running_var[ch] + MOMENTUM * (unbiased - running_var[ch]));
    }
}

KERNEL(THREADS)
norm_from_running(const float *weight, const float *bias, const float *running_mean,
                  const float *running_var, int c, float *scale, float *shift)
{
    int ch = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (ch >= c)
        return;
    double w = weight ? (double)weight[ch] : 1, b = bias ? (double)bias[ch] : 0;
    double s = w / sqrt((double)running_var[ch] + EPS);
    scale[ch] = (float)s;
    shift[ch] = (float)(b - running_mean[ch] * s);
}

template <typename T, int V>
KERNEL(THREADS)
norm_apply(const T *x, const T *add, T *y, int rows, int c, int groups, const float *scale,
           const float *shift, int relu)
{
    int group = (int)(blockIdx.x * blockDim.x + threadIdx.x), ch = group * V;
    if (group >= groups)
        return;
    size_t view = (size_t)blockIdx.z * rows * c + ch;
    float k[V], b[V], v[V], u[V];
    load(k, scale + (size_t)blockIdx.z * c + ch);
    load(b, shift + (size_t)blockIdx.z * c + ch);
    for (int r = (int)(blockIdx.y * blockDim.y + threadIdx.y); r < rows;
         r += (int)(gridDim.y * blockDim.y)) {
        size_t at = view + (size_t)r * c;
        load(v, x + at);
        for (int i = 0; i < V; i++)
            v[i] = v[i] * k[i] + b[i];
        if (add) {
            load(u, add + at);
            for (int i = 0; i < V; i++)
                v[i] += u[i];
        }
        if (relu)
            for (int i = 0; i < V; i++)
                v[i] = v[i] <= 0 ? 0 : v[i];
        store(y + at, v);
    }
}

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

KERNEL(JOIN_X *JOIN_Y)
norm_back_finish(const float *partial, int parts, int views, int rows, int c, const float *mean,
                 const float *inv, const float *scale, float *k1, float *k0, float *dweight,
                 float *dbias)
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
        double i = inv[at], k = scale[at], slope = -q * i * i / rows * k;
        k1[at] = (float)slope;
        k0[at] = (float)(-s / rows * k - slope * mean[at]);
        dw += q * i;
        db += s;
    }
    if (threadIdx.y || ch >= c || !dweight)
        return;
    dweight[ch] = (float)dw;
    dbias[ch] = (float)db;
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

template <typename T, int V>
static cudaError_t apply(const struct cuda_norm *a, const struct shape &s, cudaStream_t stream)
{
    dim3 block((unsigned)s.tx, (unsigned)s.ty);
    dim3 grid(s.grid_x, blocks_for((size_t)a->rows, s.ty * 4), (unsigned)a->views);
    auto kernel = norm_apply<T, V>;
    LAUNCH(kernel, grid, block, stream, (const T *)a->x, (const T *)a->add, (T *)a->y, a->rows,
           a->c, s.groups, a->scale, a->shift, a->relu);
    return cudaGetLastError();
}

template <typename T, int V>
static cudaError_t forward(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    auto sums = norm_sums<T, V>;
    LAUNCH(sums, dim3(s.grid_x, (unsigned)s.parts, (unsigned)a->views),
           dim3((unsigned)s.tx, (unsigned)s.ty), stream, (const T *)a->x, a->rows, a->c, s.groups,
           a->partial);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    auto finish = norm_finish<T>;
    LAUNCH(finish, (unsigned)((a->c + JOIN_X - 1) / JOIN_X), dim3(JOIN_X, JOIN_Y), stream,
           (const T *)a->x, (const float *)a->partial, s.parts, a->views, a->rows, a->c, a->weight,
           a->bias, a->mean, a->inv, a->scale, a->shift, a->running_mean, a->running_var);
    e = cudaGetLastError();
    return e != cudaSuccess ? e : apply<T, V>(a, s, stream);
}

template <typename T, int V>
static cudaError_t evaluate(const struct cuda_norm *a, cudaStream_t stream)
{
    LAUNCH(norm_from_running, (unsigned)((a->c + THREADS - 1) / THREADS), THREADS, stream,
           a->weight, a->bias, (const float *)a->running_mean, (const float *)a->running_var, a->c,
           a->scale, a->shift);
    cudaError_t e = cudaGetLastError();
    return e != cudaSuccess ? e : apply<T, V>(a, shape_of(a, V), stream);
}

template <typename T, int V>
static cudaError_t backward(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    dim3 block((unsigned)s.tx, (unsigned)s.ty);
    int keep = a->dy2 || a->add;
    auto sums = norm_back_sums<T, V>;
    LAUNCH(sums, dim3(s.grid_x, (unsigned)s.parts, (unsigned)a->views), block, stream,
           (const T *)a->x, (T *)a->dy, (const T *)a->dy2,
           (const T *)(a->add ? (const void *)a->y : NULL), a->rows, a->c, s.groups,
           (const float *)a->mean, (const float *)a->scale, (const float *)a->shift, a->relu, keep,
           a->partial);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(norm_back_finish, (unsigned)((a->c + JOIN_X - 1) / JOIN_X), dim3(JOIN_X, JOIN_Y), stream,
           (const float *)a->partial, s.parts, a->views, a->rows, a->c, (const float *)a->mean,
           (const float *)a->inv, (const float *)a->scale, a->k1, a->k0, a->dweight, a->dbias);
    e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    dim3 grid(s.grid_x, blocks_for((size_t)a->rows, s.ty * 4), (unsigned)a->views);
    auto dx = norm_back_apply<T, V>;
    LAUNCH(dx, grid, block, stream, (const T *)a->x, (const T *)a->dy, (T *)a->dx, a->rows, a->c,
           s.groups, (const float *)a->scale, (const float *)a->shift, (const float *)a->k1,
           (const float *)a->k0, a->relu && !keep);
    return cudaGetLastError();
}

// The instance for this type and channel count.
#define DISPATCH(f, a, s)                                                                          \
    ((a)->type == CUDA_BF16                                                                        \
         ? (vector_length(a) > 1 ? f<bf16, wide<bf16>::V>(a, s) : f<bf16, 1>(a, s))                \
         : (vector_length(a) > 1 ? f<float, wide<float>::V>(a, s) : f<float, 1>(a, s)))

cudaError_t cuda_norm_forward(const struct cuda_norm *a, cudaStream_t s)
{
    return DISPATCH(forward, a, s);
}

cudaError_t cuda_norm_evaluate(const struct cuda_norm *a, cudaStream_t s)
{
    return DISPATCH(evaluate, a, s);
}

cudaError_t cuda_norm_backward(const struct cuda_norm *a, cudaStream_t s)
{
    return DISPATCH(backward, a, s);
}
