// The symmetric negative cosine similarity (Chen & He, CVPR 2021, eq. 2) and the spread of the
// projections' directions, formed in double and summed in a fixed order.
#include "gpu/cuda/kernels.cuh"

enum { THREADS = 128, WARPS = THREADS / 32, DOTS = 4 };
static const double COSINE_FLOOR = 1e-8, DIRECTION_FLOOR = 1e-12; // PyTorch's

DEVICE double at_least(double v, double floor)
{
    return v < floor ? floor : v; // a NaN stays one
}

// A block a row of a view: p.p, z.z, p.z with the other view's z, and 1/|z|.
KERNEL(THREADS) loss_dots(const float *p, const float *z, int n, int c, double *dots)
{
    SHARED(double, room, WARPS);
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    const float *a = p + ((size_t)view * n + row) * c, *b = z + ((size_t)(1 - view) * n + row) * c;
    double pp = 0, zz = 0, pz = 0;
    for (int j = (int)threadIdx.x; j < c; j += THREADS) {
        double u = a[j], v = b[j];
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

// The unbiased standard deviation of each dimension of z/|z| over the rows of view 1 - y.
KERNEL(COLUMN_X *COLUMN_Y)
loss_spread(const float *z, const double *dots, int n, int c, double *spread)
{
    SHARED(column_row, room, COLUMN_Y);
    int j = (int)(blockIdx.x * COLUMN_X + threadIdx.x), view = (int)blockIdx.y;
    double s = 0, q = 0;
    for (int i = (int)threadIdx.y; i < n && j < c; i += COLUMN_Y) {
        double u =
            z[((size_t)(1 - view) * n + i) * c + j] * dots[((size_t)view * n + i) * DOTS + 3];
        s += u;
        q += u * u;
    }
    sum_columns(&s, &q, room);
    if (threadIdx.y || j >= c)
        return;
    double var = n > 1 ? (q - s * s / n) / (n - 1) : __longlong_as_double(0x7ff8000000000000ll);
    spread[(size_t)view * c + j] = sqrt(var > 0 || var != var ? var : 0);
}

// One block: the two numbers.
KERNEL(THREADS)
loss_scores(const double *dots, const double *spread, int n, int c, double scale, double offset,
            double *scores)
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
    scores[0] = offset + scale * (loss > 1 ? 1 : loss < -1 ? -1 : loss);
    scores[1] = spreads / 2 / c * sqrt((double)c);
}

// A block a row: the gradient of the predictions of a view, or (of_z) of its projections, which the
// other view's predictions are compared with.
KERNEL(THREADS)
loss_gradient(const float *p, const float *z, const double *dots, int n, int c, double scale,
              int of_z, float *to)
{
    int row = (int)blockIdx.x, view = (int)blockIdx.y;
    size_t mine = ((size_t)view * n + row) * c, theirs = ((size_t)(1 - view) * n + row) * c;
    const float *a = (of_z ? z : p) + mine, *b = (of_z ? p : z) + theirs;
    const double *d = dots + ((size_t)(of_z ? 1 - view : view) * n + row) * DOTS;
    double na = at_least(sqrt(d[of_z]), COSINE_FLOOR),
           nb = at_least(sqrt(d[1 - of_z]), COSINE_FLOOR);
    double f = -0.5 * scale / n / na;
    float kb = (float)(f / nb), ka = (float)(-f * d[2] / (nb * na * na));
    for (int j = (int)threadIdx.x; j < c; j += THREADS)
        to[mine + j] = kb * b[j] + ka * a[j];
}

cudaError_t cuda_loss_forward(const struct cuda_loss *a, cudaStream_t s)
{
    const double *dots = a->dots;
    LAUNCH(loss_dots, dim3((unsigned)a->n, 2), THREADS, s, a->p, a->z, a->n, a->c, a->dots);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(loss_spread, column_blocks(a->c, 2), dim3(COLUMN_X, COLUMN_Y), s, a->z, dots, a->n, a->c,
           a->spread);
    e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    LAUNCH(loss_scores, 1, THREADS, s, dots, (const double *)a->spread, a->n, a->c, a->scale,
           a->offset, a->scores);
    return cudaGetLastError();
}

static cudaError_t backward(const struct cuda_loss *a, int of_z, float *to, cudaStream_t s)
{
    LAUNCH(loss_gradient, dim3((unsigned)a->n, 2), THREADS, s, a->p, a->z, (const double *)a->dots,
           a->n, a->c, a->scale, of_z, to);
    return cudaGetLastError();
}

cudaError_t cuda_loss_backward(const struct cuda_loss *a, float *dp, cudaStream_t s)
{
    return backward(a, 0, dp, s);
}

cudaError_t cuda_loss_backward_z(const struct cuda_loss *a, float *dz, cudaStream_t s)
{
    return backward(a, 1, dz, s);
}

// --- features on their way into the covariance ---
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

KERNEL(THREADS) centre(double *centred, const double *mean, const float *h, int d, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (size_t)gridDim.x * THREADS)
        centred[i] = h[i] - mean[i % d];
}

cudaError_t cuda_centre(double *mean, double *centred, const float *h, int n, int d, cudaStream_t s)
{
    LAUNCH(column_means, column_blocks(d, 1), dim3(COLUMN_X, COLUMN_Y), s, mean, h, n, d);
    cudaError_t e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    size_t all = (size_t)n * d;
    LAUNCH(centre, blocks_for(all, THREADS), THREADS, s, centred, (const double *)mean, h, d, all);
    return cudaGetLastError();
}
