// Mean and scatter of both views' features: made on the card, in double, beside the backward pass;
// the host joins them to what it has. Of all ranks' together the card adds them before they leave
// it, between the passes, where all ranks' sums have the same place in their order.
#include "gpu/cuda/host.h"
#include "gpu/cuda/reduce.h"
#include "gpu/ranks/ranks.h"

static size_t triangle(const struct plan *p)
{
    return (size_t)p->feature_d * (size_t)(p->feature_d + 1) / 2;
}

int cuda_moments_init(struct plan *p, struct error *e)
{
    struct own *o = p->own;
    size_t d = (size_t)p->feature_d, n = VIEWS * (size_t)p->batch;
    if (!d)
        return 0;
    o->mean = cuda_take(p, d * sizeof(double), e);
    o->centred = cuda_take(p, n * d * sizeof(double), e);
    o->scatter = cuda_take_zero(p, d * d * sizeof(double), e);
    o->packed = cuda_take(p, triangle(p) * sizeof(double), e);
    o->moments = cuda_pinned(p, (d + triangle(p)) * sizeof(double), e);
    return o->mean && o->centred && o->scatter && o->packed && o->moments ? 0 : -1;
}

static int of_ranks(const struct plan *p)
{
    return p->ranks ? p->ranks->size : 1;
}

// About the mean of all ranks. Rows are columns to cuBLAS: its upper triangle is our lower one.
static int make(struct plan *p, struct error *e)
{
    struct cuda_device *d = card(p);
    struct own *o = p->own;
    int n = VIEWS * p->batch, c = p->feature_d;
    const double one = 1, zero = 0;
    const float *h = cuda_rows(p, 0);
    return cuda_ok(cudaStreamWaitEvent(d->side, o->forwarded, 0), "features", e) < 0 ||
                   cuda_ok(cuda_means(o->mean, h, n, c, n * of_ranks(p), d->side), "features", e) <
                       0 ||
                   (p->ranks && reduce_beside(p, o->mean, (size_t)c, FOR_ALL, e) < 0) ||
                   cuda_ok(cuda_centre(o->centred, o->mean, h, n, c, d->side), "features", e) < 0 ||
                   cuda_blas_ok(cublasDsyrk(d->side_blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, c, n,
                                            &one, o->centred, c, &zero, o->scatter, c),
                                "covariance", e) < 0 ||
                   cuda_ok(cuda_pack(o->packed, o->scatter, c, d->side), "covariance", e) < 0
               ? -1
               : 0;
}

int cuda_moments_add(struct plan *p, struct error *e)
{
    return !p->feature_d ? 0
           : make(p, e) < 0 || reduce_beside(p, p->own->packed, triangle(p), FOR_FIRST, e) < 0
               ? -1
               : reduce_between(p, e);
}

int cuda_moments(struct plan *p, struct moments *m, struct error *e)
{
    cudaStream_t side = card(p)->side;
    struct own *o = p->own;
    size_t d = (size_t)p->feature_d;
    double *mean = o->moments, *packed = mean + d;
    if (!m)
        return 0;
    if ((!p->ranks && make(p, e) < 0) ||
        cuda_ok(cudaMemcpyAsync(mean, o->mean, d * sizeof *mean, cudaMemcpyDeviceToHost, side),
                "covariance", e) < 0 ||
        cuda_ok(cudaMemcpyAsync(packed, o->packed, triangle(p) * sizeof *packed,
                                cudaMemcpyDeviceToHost, side),
                "covariance", e) < 0 ||
        reduce_wait_stream(p, side, "covariance", e) < 0)
        return -1;
    host_join(m, VIEWS * p->batch * of_ranks(p), mean, packed);
    return 0;
}
