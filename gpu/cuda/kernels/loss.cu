// What losses are made of: directions, their spread and the element-wise work, summed in double and
// in a fixed order. Products are cuBLAS's (loss.c).
#include "gpu/cuda/kernels/kernels.cuh"

enum { THREADS = 128, WARPS = THREADS / 32, DOTS = 3 };
static const double COSINE_FLOOR = 1e-8, DIRECTION_FLOOR = 1e-12; // PyTorch's

DEVICE double at_least(double v, double floor)
{
    return v < floor ? floor : v; // a NaN stays one
}

// p.p, z.z, p.z of a row, given to every thread of its block.
DEVICE void row_dots(const float *a, const float *b, int c, double *room, double (&to)[DOTS])
{
    double pp = 0, zz = 0, pz = 0;
    for (int j = (int)threadIdx.x; j < c; j += THREADS) {
        double u = a[j], v = b[j];
        pp += u * u;
        zz += v * v;
        pz += u * v;
    }
    to[0] = block_sum(pp, room);
    to[1] = block_sum(zz, room);
    to[2] = block_sum(pz, room);
}

// A block a row of a view's p: its cosine with the other view's z.
KERNEL(THREADS) cosine_rows(const float *p, const float *z, int n, int c, double *cosine)
{
    SHARED(double, room, WARPS);
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    double d[DOTS];
    row_dots(p + ((size_t)view * n + row) * c, z + ((size_t)(1 - view) * n + row) * c, c, room, d);
    if (threadIdx.x == 0)
        cosine[(size_t)view * n + row] =
            d[2] / (at_least(sqrt(d[0]), COSINE_FLOOR) * at_least(sqrt(d[1]), COSINE_FLOOR));
}

// One block: loss (+)= offset + scale S.
KERNEL(THREADS)
cosine_score(const double *cosine, int n, double scale, double offset, int first, double *loss)
{
    SHARED(double, room, WARPS);
    double sum = 0;
    for (int i = (int)threadIdx.x; i < 2 * n; i += THREADS)
        sum += cosine[i];
    sum = block_sum(sum, room);
    double s = -0.5 * sum / n;
    if (threadIdx.x == 0)
        *loss = (first ? 0 : *loss) + (offset + scale * (s > 1 ? 1 : s < -1 ? -1 : s));
}

// A block a row: the gradient of -scale/2 mean cos(a, b) to a.
KERNEL(THREADS)
cosine_gradient(float *to, const float *a, const float *b, int n, int c, double scale)
{
    SHARED(double, room, WARPS);
    size_t at = (size_t)blockIdx.x * c;
    double d[DOTS];
    row_dots(a + at, b + at, c, room, d);
    double na = at_least(sqrt(d[0]), COSINE_FLOOR), nb = at_least(sqrt(d[1]), COSINE_FLOOR);
    double f = -0.5 * scale / n / na;
    float kb = (float)(f / nb), ka = (float)(-f * d[2] / (nb * na * na));
    for (int j = (int)threadIdx.x; j < c; j += THREADS)
        to[at + j] = kb * b[at + j] + ka * a[at + j];
}

cudaError_t cuda_cosine(const struct cuda_cosine *a, double *loss, cudaStream_t s)
{
    LAUNCH(cosine_rows, dim3((unsigned)a->n, 2), THREADS, s, a->p, a->z, a->n, a->c, a->cosine);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(cosine_score, 1, THREADS, s, (const double *)a->cosine, a->n, a->scale, a->offset,
           a->first, loss);
    return cudaGetLastError();
}

cudaError_t cuda_cosine_gradient(float *to, const float *a, const float *b, int n, int c,
                                 double scale, cudaStream_t s)
{
    LAUNCH(cosine_gradient, (unsigned)n, THREADS, s, to, a, b, n, c, scale);
    return cudaGetLastError();
}

// --- the spread of the projections' directions; view 2 comes first in every sum ---
// A block a row: 1/|z|.
KERNEL(THREADS) direction_rows(const float *z, int n, int c, double *inverse)
{
    SHARED(double, room, WARPS);
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    const float *b = z + ((size_t)(1 - view) * n + row) * c;
    double zz = 0;
    for (int j = (int)threadIdx.x; j < c; j += THREADS)
        zz += (double)b[j] * (double)b[j];
    zz = block_sum(zz, room);
    if (threadIdx.x == 0)
        inverse[(size_t)view * n + row] = 1 / at_least(sqrt(zz), DIRECTION_FLOOR);
}

// The unbiased standard deviation of each dimension of z/|z| over the rows of view 1 - y.
KERNEL(COLUMN_X *COLUMN_Y)
direction_spread(const float *z, const double *inverse, int n, int c, double *spread)
{
    SHARED(column_row, room, COLUMN_Y);
    int j = (int)(blockIdx.x * COLUMN_X + threadIdx.x), view = (int)blockIdx.y;
    double s = 0, q = 0;
    for (int i = (int)threadIdx.y; i < n && j < c; i += COLUMN_Y) {
        double u = z[((size_t)(1 - view) * n + i) * c + j] * inverse[(size_t)view * n + i];
        s += u;
        q += u * u;
    }
    sum_columns(&s, &q, room);
    if (threadIdx.y || j >= c)
        return;
    double var = n > 1 ? (q - s * s / n) / (n - 1) : __longlong_as_double(0x7ff8000000000000ll);
    spread[(size_t)view * c + j] = sqrt(var > 0 || var != var ? var : 0);
}

KERNEL(THREADS) direction_score(const double *spread, int c, double *zstd)
{
    SHARED(double, room, WARPS);
    double sum = 0;
    for (int j = (int)threadIdx.x; j < 2 * c; j += THREADS)
        sum += spread[j];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        *zstd = sum / 2 / c * sqrt((double)c);
}

cudaError_t cuda_directions(const float *z, int n, int c, double *inverse, double *spread,
                            double *zstd, cudaStream_t s)
{
    LAUNCH(direction_rows, dim3((unsigned)n, 2), THREADS, s, z, n, c, inverse);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(direction_spread, column_blocks(c, 2), dim3(COLUMN_X, COLUMN_Y), s, z,
           (const double *)inverse, n, c, spread);
    e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(direction_score, 1, THREADS, s, (const double *)spread, c, zstd);
    return cudaGetLastError();
}

// --- matrices ---
KERNEL(THREADS) dot_parts(const float *a, const float *b, size_t n, double *part)
{
    SHARED(double, room, WARPS);
    double sum = 0;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        sum += (double)a[i] * (double)b[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

KERNEL(THREADS) dot_score(const double *part, int n, double alpha, int first, double *loss)
{
    SHARED(double, room, WARPS);
    double sum = 0;
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        sum += part[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        *loss = (first ? 0 : *loss) + alpha * sum;
}

cudaError_t cuda_dot(const float *a, const float *b, size_t n, double alpha, int first,
                     double *part, double *loss, cudaStream_t s)
{
    unsigned blocks = blocks_for(n, THREADS);
    LAUNCH(dot_parts, blocks, THREADS, s, a, b, n, part);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(dot_score, 1, THREADS, s, (const double *)part, (int)blocks, alpha, first, loss);
    return cudaGetLastError();
}

KERNEL(THREADS)
combine(float *y, float alpha, const float *a, float beta, const float *b, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        y[i] = alpha * a[i] + beta * b[i];
}

KERNEL(THREADS) multiply(float *y, float alpha, const float *a, const float *b, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        y[i] = alpha * a[i] * b[i];
}

KERNEL(THREADS) apply(float *y, int f, float alpha, const float *a, float beta, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS) {
        float x = alpha * a[i] + beta;
        y[i] = f == LOSS_ROOT       ? sqrtf(x)
               : f == LOSS_INVERSE  ? 1 / x
               : f == LOSS_POSITIVE ? (x < 0 ? 0 : x)
               : f == LOSS_STEP     ? (float)(x > 0)
                                    : x;
    }
}

// to[i steps of `to_by`] = from[i steps of `by`]
KERNEL(THREADS) copy_strided(float *to, int to_by, const float *from, int by, int n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < (size_t)n;
         i += (size_t)gridDim.x * THREADS)
        to[i * to_by] = from[i * by];
}

cudaError_t cuda_combine(float *y, double alpha, const float *a, double beta, const float *b,
                         size_t n, cudaStream_t s)
{
    LAUNCH(combine, blocks_for(n, THREADS), THREADS, s, y, (float)alpha, a, (float)beta, b, n);
    return cudaGetLastError();
}

cudaError_t cuda_multiply(float *y, double alpha, const float *a, const float *b, size_t n,
                          cudaStream_t s)
{
    LAUNCH(multiply, blocks_for(n, THREADS), THREADS, s, y, (float)alpha, a, b, n);
    return cudaGetLastError();
}

cudaError_t cuda_apply(float *y, enum loss_function f, double alpha, const float *a, double beta,
                       size_t n, cudaStream_t s)
{
    LAUNCH(apply, blocks_for(n, THREADS), THREADS, s, y, (int)f, (float)alpha, a, (float)beta, n);
    return cudaGetLastError();
}

cudaError_t cuda_strided(float *to, int to_by, const float *from, int by, int n, cudaStream_t s)
{
    LAUNCH(copy_strided, blocks_for((size_t)n, THREADS), THREADS, s, to, to_by, from, by, n);
    return cudaGetLastError();
}

// --- less the mean of each column: of features on their way into the covariance, of a loss ---
KERNEL(COLUMN_X *COLUMN_Y) column_means(double *mean, const float *h, int n, int d)
{
    SHARED(column_row, room, COLUMN_Y);
    int j = (int)(blockIdx.x * COLUMN_X + threadIdx.x);
    double sum = 0, none = 0;
    for (int i = (int)threadIdx.y; i < n && j < d; i += COLUMN_Y)
        sum += h[(size_t)i * d + j];
    sum_columns(&sum, &none, room);
    if (threadIdx.y == 0 && j < d)
        mean[j] = sum / n;
}

template <typename T>
KERNEL(THREADS)
centre(T *centred, const double *mean, const float *h, int d, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        centred[i] = (T)(h[i] - mean[i % d]);
}

template <typename T>
static cudaError_t centre_columns(double *mean, T *centred, const float *h, int n, int d,
                                  cudaStream_t s)
{
    LAUNCH(column_means, column_blocks(d, 1), dim3(COLUMN_X, COLUMN_Y), s, mean, h, n, d);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    size_t all = (size_t)n * d;
    LAUNCH(centre<T>, blocks_for(all, THREADS), THREADS, s, centred, (const double *)mean, h, d,
           all);
    return cudaGetLastError();
}

cudaError_t cuda_centre(double *mean, double *centred, const float *h, int n, int d, cudaStream_t s)
{
    return centre_columns(mean, centred, h, n, d, s);
}

cudaError_t cuda_centre_rows(double *mean, float *centred, const float *h, int n, int d,
                             cudaStream_t s)
{
    return centre_columns(mean, centred, h, n, d, s);
}
