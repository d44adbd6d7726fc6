// Batch norm over NHWC rows, with the residual add and the ReLU behind it: sums over the rows by
// blocks, a small kernel that joins them in double, one pass that applies. Values are taken
// relative to the view's first row, so that no difference of large sums arises. Where ranks
// normalise together the small kernel is two, between which the sums of all are added.
#include "gpu/cuda/kernels/norm.cuh"

static const double EPS = 1e-5; // PyTorch's default

size_t cuda_norm_work(const struct cuda_norm *a)
{
    return (size_t)a->views * (size_t)shape_of(a, vector_length(a)).parts * 2 * (size_t)a->c;
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

// Mean and variance of a view's channel from the sums relative to its first row.
template <typename T>
DEVICE void own_moments(const T *x, double s, double q, int rows, int c, int ch, int view,
                        double *mean, double *var)
{
    double d = s / rows, v = q / rows - d * d;
    *var = v < 0 ? 0 : v;
    *mean = d + (double)load1(x + (size_t)view * rows * c + ch);
}

// What follows from mean and variance over `rows`.
struct norm_state {
    const float *weight, *bias;
    float *mean, *inv, *scale, *shift, *running_mean, *running_var;
    double share;
};
DEVICE void follow(float *running, double batch, double share)
{
    *running = share == 1 ? (float)batch : (float)(*running + share * (batch - *running));
}
DEVICE void settle(const struct norm_state &a, int c, int ch, int view, double rows, double m,
                   double var)
{
    double i = 1 / sqrt(var + EPS);
    double w = a.weight ? (double)a.weight[ch] : 1, b = a.bias ? (double)a.bias[ch] : 0;
    size_t at = (size_t)view * c + ch;
    a.mean[at] = (float)m;
    a.inv[at] = (float)i;
    a.scale[at] = (float)(w * i);
    a.shift[at] = (float)(b - m * w * i);
    double unbiased = rows > 1 ? var * rows / (rows - 1) : var;
    follow(a.running_mean + ch, m, a.share);
    follow(a.running_var + ch, unbiased, a.share);
}

template <typename T>
KERNEL(JOIN_X *JOIN_Y)
norm_finish(const T *x, const float *partial, int parts, int views, int rows, int c,
            struct norm_state to)
{
    SHARED(join_row, room, JOIN_Y);
    int ch = (int)(blockIdx.x * JOIN_X + threadIdx.x);
    for (int v = 0; v < views; v++) {
        double s, q, m, var;
        join(partial, parts, c, ch, v, room, &s, &q);
        if (threadIdx.y || ch >= c)
            continue;
        own_moments(x, s, q, rows, c, ch, v, &m, &var);
        settle(to, c, ch, v, rows, m, var);
    }
}

// sums: [views][2][c], the mean and the mean square, which ranks can add. In double, the difference
// that the variance is of them loses nothing that f32 would show.
template <typename T>
KERNEL(JOIN_X *JOIN_Y)
norm_collect(const T *x, const float *partial, int parts, int views, int rows, int c, double *sums)
{
    SHARED(join_row, room, JOIN_Y);
    int ch = (int)(blockIdx.x * JOIN_X + threadIdx.x);
    for (int v = 0; v < views; v++) {
        double s, q, m, var;
        join(partial, parts, c, ch, v, room, &s, &q);
        if (threadIdx.y || ch >= c)
            continue;
        own_moments(x, s, q, rows, c, ch, v, &m, &var);
        double *to = sums + (size_t)v * 2 * c + ch;
        to[0] = m;
        to[c] = var + m * m;
    }
}

KERNEL(THREADS)
norm_settle(const double *sums, int ranks, int views, int rows, int c, struct norm_state to)
{
    int ch = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    for (int v = 0; v < views && ch < c; v++) {
        const double *from = sums + (size_t)v * 2 * c + ch;
        double m = from[0] / ranks, var = from[c] / ranks - m * m;
        settle(to, c, ch, v, (double)rows * ranks, m, var < 0 ? 0 : var);
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

// --- queued ---
static struct norm_state state_of(const struct cuda_norm *a)
{
    return {a->weight, a->bias,         a->mean,        a->inv,  a->scale,
            a->shift,  a->running_mean, a->running_var, a->share};
}

template <typename T, int V>
static cudaError_t apply(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    dim3 block((unsigned)s.tx, (unsigned)s.ty);
    dim3 grid(s.grid_x, blocks_for((size_t)a->rows, s.ty * 4), (unsigned)a->views);
    auto kernel = norm_apply<T, V>;
    LAUNCH(kernel, grid, block, stream, (const T *)a->x, (const T *)a->add, (T *)a->y, a->rows,
           a->c, s.groups, a->scale, a->shift, a->relu);
    return cudaGetLastError();
}

template <typename T, int V> static cudaError_t sums(const struct cuda_norm *a, cudaStream_t stream)
{
    struct shape s = shape_of(a, V);
    auto kernel = norm_sums<T, V>;
    LAUNCH(kernel, dim3(s.grid_x, (unsigned)s.parts, (unsigned)a->views),
           dim3((unsigned)s.tx, (unsigned)s.ty), stream, (const T *)a->x, a->rows, a->c, s.groups,
           a->partial);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    if (a->sums) {
        auto collect = norm_collect<T>;
        LAUNCH(collect, join_blocks(a), dim3(JOIN_X, JOIN_Y), stream, (const T *)a->x,
               (const float *)a->partial, s.parts, a->views, a->rows, a->c, a->sums);
    } else {
        auto finish = norm_finish<T>;
        LAUNCH(finish, join_blocks(a), dim3(JOIN_X, JOIN_Y), stream, (const T *)a->x,
               (const float *)a->partial, s.parts, a->views, a->rows, a->c, state_of(a));
    }
    return cudaGetLastError();
}

cudaError_t cuda_norm_sums(const struct cuda_norm *a, cudaStream_t s)
{
    return DISPATCH(sums, a, s);
}

cudaError_t cuda_norm_apply(const struct cuda_norm *a, cudaStream_t s)
{
    if (a->sums) {
        LAUNCH(norm_settle, channel_blocks(a), THREADS, s, (const double *)a->sums, a->ranks,
               a->views, a->rows, a->c, state_of(a));
        cudaError_t e = cudaGetLastError();
        if (e != cudaSuccess)
            return e;
    }
    return DISPATCH(apply, a, s);
}

cudaError_t cuda_norm_evaluate(const struct cuda_norm *a, cudaStream_t s)
{
    LAUNCH(norm_from_running, channel_blocks(a), THREADS, s, a->weight, a->bias,
           (const float *)a->running_mean, (const float *)a->running_var, a->c, a->scale, a->shift);
    cudaError_t e = cudaGetLastError();
    return e != cudaSuccess ? e : DISPATCH(apply, a, s);
}
