// What losses are made of: directions, their spread and the element-wise work, summed in double and
// in a fixed order. Products are cuBLAS's (loss.c). What a loss and a spread come to is made of
// sums over rows, which ranks add before.
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

// One block.
KERNEL(THREADS) add_parts(const double *part, int n, double *to)
{
    SHARED(double, room, WARPS);
    double sum = 0;
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        sum += part[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        *to = sum;
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

cudaError_t cuda_cosine(const float *p, const float *z, int n, int c, double *cosine, double *sum,
                        cudaStream_t s)
{
    LAUNCH(cosine_rows, dim3((unsigned)n, 2), THREADS, s, p, z, n, c, cosine);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(add_parts, 1, THREADS, s, (const double *)cosine, 2 * n, sum);
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

// Sums and sums of squares of each dimension of z/|z| over the rows of view 1 - y: [2][2][c].
KERNEL(COLUMN_X *COLUMN_Y)
direction_sums(const float *z, const double *inverse, int n, int c, double *sums)
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
    double *to = sums + (size_t)view * 2 * c + j;
    to[0] = s;
    to[c] = q;
}

cudaError_t cuda_directions(const float *z, int n, int c, double *inverse, double *sums,
                            cudaStream_t s)
{
    LAUNCH(direction_rows, dim3((unsigned)n, 2), THREADS, s, z, n, c, inverse);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(direction_sums, column_blocks(c, 2), dim3(COLUMN_X, COLUMN_Y), s, z,
           (const double *)inverse, n, c, sums);
    return cudaGetLastError();
}

// --- what the sums come to ---
DEVICE double value_of(const struct cuda_term &t, double sum)
{
    if (!t.over)
        return t.scale * sum;
    double s = -0.5 * sum / t.over;
    return t.offset + t.scale * (s > 1 ? 1 : s < -1 ? -1 : s);
}

// The unbiased standard deviation over n rows.
DEVICE double deviation(double s, double q, int n)
{
    double var = n > 1 ? (q - s * s / n) / (n - 1) : __longlong_as_double(0x7ff8000000000000ll);
    return sqrt(var > 0 || var != var ? var : 0);
}

KERNEL(THREADS)
score(struct cuda_terms terms, const double *sums, const double *directions, int n, int c,
      double *loss, double *zstd)
{
    SHARED(double, room, WARPS);
    double spread = 0, value = 0;
    for (int k = (int)threadIdx.x; k < 2 * c; k += THREADS) {
        const double *from = directions + (size_t)(k / c) * 2 * c + k % c;
        spread += deviation(from[0], from[c], n);
    }
    spread = block_sum(spread, room);
    if (threadIdx.x)
        return;
    for (int i = 0; i < terms.n; i++)
        value += value_of(terms.term[i], sums[i]);
    *loss = value;
    *zstd = spread / 2 / c * sqrt((double)c);
}

cudaError_t cuda_score(const struct cuda_terms *terms, const double *sums, const double *directions,
                       int n, int c, double *loss, double *zstd, cudaStream_t s)
{
    LAUNCH(score, 1, THREADS, s, *terms, sums, directions, n, c, loss, zstd);
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

cudaError_t cuda_dot(const float *a, const float *b, size_t n, double *part, double *sum,
                     cudaStream_t s)
{
    unsigned blocks = blocks_for(n, THREADS);
    LAUNCH(dot_parts, blocks, THREADS, s, a, b, n, part);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(add_parts, 1, THREADS, s, (const double *)part, (int)blocks, sum);
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
KERNEL(COLUMN_X *COLUMN_Y) column_means(double *mean, const float *h, int n, int d, int over)
{
    SHARED(column_row, room, COLUMN_Y);
    int j = (int)(blockIdx.x * COLUMN_X + threadIdx.x);
    double sum = 0, none = 0;
    for (int i = (int)threadIdx.y; i < n && j < d; i += COLUMN_Y)
        sum += h[(size_t)i * d + j];
    sum_columns(&sum, &none, room);
    if (threadIdx.y == 0 && j < d)
        mean[j] = sum / over;
}

template <typename T>
KERNEL(THREADS)
less_means(T *centred, const double *mean, const float *h, int d, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        centred[i] = (T)(h[i] - mean[i % d]);
}

cudaError_t cuda_means(double *mean, const float *h, int n, int d, int over, cudaStream_t s)
{
    LAUNCH(column_means, column_blocks(d, 1), dim3(COLUMN_X, COLUMN_Y), s, mean, h, n, d, over);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t centre(T *centred, const double *mean, const float *h, int n, int d,
                          cudaStream_t s)
{
    size_t all = (size_t)n * d;
    LAUNCH(less_means<T>, blocks_for(all, THREADS), THREADS, s, centred, mean, h, d, all);
    return cudaGetLastError();
}

cudaError_t cuda_centre(double *centred, const double *mean, const float *h, int n, int d,
                        cudaStream_t s)
{
    return centre(centred, mean, h, n, d, s);
}

// A block a row.
KERNEL(THREADS) pack_rows(double *packed, const double *matrix, int d)
{
    size_t i = blockIdx.x, at = i * (i + 1) / 2;
    for (size_t j = threadIdx.x; j <= i; j += THREADS)
        packed[at + j] = matrix[i * (size_t)d + j];
}

cudaError_t cuda_pack(double *packed, const double *matrix, int d, cudaStream_t s)
{
    LAUNCH(pack_rows, (unsigned)d, THREADS, s, packed, matrix, d);
    return cudaGetLastError();
}

cudaError_t cuda_centre_rows(float *centred, const double *mean, const float *h, int n, int d,
                             cudaStream_t s)
{
    return centre(centred, mean, h, n, d, s);
}
