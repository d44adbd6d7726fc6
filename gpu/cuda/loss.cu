// The symmetric negative cosine similarity with stop-gradient (Chen & He, CVPR 2021, eq. 2) and the
// spread of the projections' directions, formed in double and summed in a fixed order.
#include "gpu/cuda/kernels.cuh"

enum { THREADS = 128, WARPS = THREADS / 32, DOTS = 4 };
static const double COSINE_FLOOR = 1e-8, DIRECTION_FLOOR = 1e-12; // PyTorch's

DEVICE double at_least(double v, double floor)
{
    return v < floor ? floor : v; // a NaN stays one
}

// A block a row of a view: p.p, z.z, p.z with the other view's z, and 1/|z|.
template <typename T> KERNEL(THREADS) loss_dots(const T *p, const T *z, int n, int c, double *dots)
{
    SHARED(double, room, WARPS);
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    const T *a = p + ((size_t)view * n + row) * c, *b = z + ((size_t)(1 - view) * n + row) * c;
    double pp = 0, zz = 0, pz = 0;
    for (int j = (int)threadIdx.x; j < c; j += THREADS) {
        double u = load1(a + j), v = load1(b + j);
        pp += u * u;
        zz += v * v;
        pz += u * v;
    }
    pp = block_sum(pp, room);
    zz = block_sum(zz, room);
    pz = block_sum(pz, room);
    if (threadIdx.x)
        return;
    double *to = dots + ((size_t)view * n + row) * DOTS;
    to[0] = pp;
    to[1] = zz;
    to[2] = pz;
    to[3] = 1 / at_least(sqrt(zz), DIRECTION_FLOOR);
}

// A thread a dimension: the unbiased standard deviation of z/|z| over the rows of view 1 - y.
template <typename T>
KERNEL(THREADS)
loss_spread(const T *z, const double *dots, int n, int c, double *spread)
{
    int j = (int)(blockIdx.x * THREADS + threadIdx.x), view = (int)blockIdx.y;
    if (j >= c)
        return;
    const T *p = z + (size_t)(1 - view) * n * c + j;
    double s = 0, q = 0;
    for (int i = 0; i < n; i++) {
        double u = load1(p + (size_t)i * c) * dots[((size_t)view * n + i) * DOTS + 3];
        s += u;
        q += u * u;
    }
    double var = n > 1 ? (q - s * s / n) / (n - 1) : __longlong_as_double(0x7ff8000000000000ll);
    spread[(size_t)view * c + j] = sqrt(var > 0 || var != var ? var : 0);
}

// One block: the two numbers.
KERNEL(THREADS)
loss_scores(const double *dots, const double *spread, int n, int c, double *scores)
{
    SHARED(double, room, WARPS);
    double cosine = 0, spreads = 0;
    for (int i = (int)threadIdx.x; i < 2 * n; i += THREADS) {
        const double *d = dots + (size_t)i * DOTS;
        cosine += d[2] / (at_least(sqrt(d[0]), COSINE_FLOOR) * at_least(sqrt(d[1]), COSINE_FLOOR));
    }
    for (int j = (int)threadIdx.x; j < 2 * c; j += THREADS)
        spreads += spread[j];
    cosine = block_sum(cosine, room);
    spreads = block_sum(spreads, room);
    if (threadIdx.x)
        return;
    double loss = -0.5 * cosine / n;
    scores[0] = loss > 1 ? 1 : loss < -1 ? -1 : loss;
    scores[1] = spreads / 2 / c * sqrt((double)c);
}

template <typename T>
KERNEL(THREADS)
loss_gradient(const T *p, const T *z, const double *dots, int n, int c, T *dp)
{
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    size_t at = ((size_t)view * n + row) * c;
    const T *a = p + at, *b = z + ((size_t)(1 - view) * n + row) * c;
    const double *d = dots + ((size_t)view * n + row) * DOTS;
    double np = at_least(sqrt(d[0]), COSINE_FLOOR), nz = at_least(sqrt(d[1]), COSINE_FLOOR);
    double f = -0.5 / n / np;
    float kz = (float)(f / nz), kp = (float)(-f * d[2] / (nz * np * np));
    for (int j = (int)threadIdx.x; j < c; j += THREADS)
        store1(dp + at + j, kz * load1(b + j) + kp * load1(a + j));
}

template <typename T> static cudaError_t forward(const struct cuda_loss *a, cudaStream_t s)
{
    auto dots = loss_dots<T>;
    LAUNCH(dots, dim3((unsigned)a->n, 2), THREADS, s, (const T *)a->p, (const T *)a->z, a->n, a->c,
           a->dots);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    auto spread = loss_spread<T>;
    LAUNCH(spread, dim3((unsigned)((a->c + THREADS - 1) / THREADS), 2), THREADS, s, (const T *)a->z,
           (const double *)a->dots, a->n, a->c, a->spread);
    e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(loss_scores, 1, THREADS, s, (const double *)a->dots, (const double *)a->spread, a->n,
           a->c, a->scores);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward(const struct cuda_loss *a, void *dp, cudaStream_t s)
{
    auto gradient = loss_gradient<T>;
    LAUNCH(gradient, dim3((unsigned)a->n, 2), THREADS, s, (const T *)a->p, (const T *)a->z,
           (const double *)a->dots, a->n, a->c, (T *)dp);
    return cudaGetLastError();
}

cudaError_t cuda_loss_forward(const struct cuda_loss *a, cudaStream_t s)
{
    return a->type == CUDA_BF16 ? forward<bf16>(a, s) : forward<float>(a, s);
}

cudaError_t cuda_loss_backward(const struct cuda_loss *a, void *dp, cudaStream_t s)
{
    return a->type == CUDA_BF16 ? backward<bf16>(a, dp, s) : backward<float>(a, dp, s);
}

// --- features on their way into the covariance ---
KERNEL(THREADS) column_means(double *mean, const float *h, int n, int d)
{
    int j = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (j >= d)
        return;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += h[(size_t)i * d + j];
    mean[j] = sum / n;
}

KERNEL(THREADS) centre(double *centred, const double *mean, const float *h, int d, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        centred[i] = h[i] - mean[i % d];
}

cudaError_t cuda_centre(double *mean, double *centred, const float *h, int n, int d, cudaStream_t s)
{
    LAUNCH(column_means, (unsigned)((d + THREADS - 1) / THREADS), THREADS, s, mean, h, n, d);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    size_t all = (size_t)n * d;
    LAUNCH(centre, blocks_for(all, THREADS), THREADS, s, centred, (const double *)mean, h, d, all);
    return cudaGetLastError();
}
