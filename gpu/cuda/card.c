// The CUDA device: opening a card, or saying exactly why not; the table that ssltop loads.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/compile.h"
#include "gpu/cuda/cuda.h"

enum { BLAS_WORK = 32 << 20, OLDEST = 80 };

static void cuda_close(struct device *device)
{
    struct cuda_device *d = (struct cuda_device *)device;
    cuda_eigen_free(d->eigen);
    dnn_close(&d->dnn);
    cache_free(d->cache);
    if (d->blas)
        cublasDestroy(d->blas);
    if (d->side_blas)
        cublasDestroy(d->side_blas);
    cudaFree(d->blas_work);
    cudaStream_t streams[] = {d->main, d->feed, d->side};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (streams[i])
            cudaStreamDestroy(streams[i]);
    if (!d->base.planned)
        (void)cudaGetLastError();
    free(d);
}

// --- why not ---
static int explain(cudaError_t s, struct error *e)
{
    int driver = 0, runtime = 0;
    (void)cudaGetLastError();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (s == cudaErrorNoDevice)
        return error_set(e, "there is an NVIDIA driver, but no GPU that it can use");
    if (s == cudaErrorInsufficientDriver && driver == 0)
        return error_set(e, "no NVIDIA driver is installed (libcuda.so.1 cannot be loaded)");
    if (s == cudaErrorInsufficientDriver)
        return error_set(e, "the NVIDIA driver is too old: it knows CUDA %d.%d, %d.%d is needed",
                         driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return error_set(e, "the NVIDIA driver cannot be used: %s", cudaGetErrorString(s));
}

static int cuda_count(struct error *e)
{
    int count = 0;
    cudaError_t s = cudaGetDeviceCount(&count);
    return s == cudaSuccess ? count : explain(s, e);
}

static int card_number(const char *argument, int *out, struct error *e)
{
    int count = cuda_count(e), index = 0;
    if (count < 0)
        return -1;
    char *end = (char *)argument;
    if (argument[0])
        index = (int)strtol(argument, &end, 10);
    if (*end || index < 0 || index >= count)
        return error_set(e, "there is no GPU '%.32s' (there are %d, counted from 0)", argument,
                         count);
    *out = index;
    return 0;
}

static int describe(struct cuda_device *d, struct error *e)
{
    struct cudaDeviceProp prop;
    struct device_info *i = &d->base.info;
    int driver = 0, runtime = 0;
    if (cuda_ok(cudaGetDeviceProperties(&prop, d->index), "properties", e) < 0 ||
        cuda_ok(cudaDriverGetVersion(&driver), "driver", e) < 0 ||
        cuda_ok(cudaRuntimeGetVersion(&runtime), "runtime", e) < 0)
        return -1;
    d->sm = prop.major * 10 + prop.minor;
    if (d->sm < OLDEST)
        return error_set(e, "%.100s is of architecture sm_%d; this ssltop needs sm_%d or later",
                         prop.name, d->sm, OLDEST);
    d->processors = prop.multiProcessorCount;
    snprintf(i->name, sizeof i->name, "%.127s", prop.name);
    snprintf(i->detail, sizeof i->detail, "sm_%d, driver CUDA %d.%d, runtime %d.%d, cuDNN %zu",
             d->sm, driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10,
             cudnnGetVersion());
    i->memory = prop.totalGlobalMem;
    // Without an address nobody asks its sensors.
    if (cudaDeviceGetPCIBusId(i->bus, (int)sizeof i->bus, d->index) != cudaSuccess) {
        i->bus[0] = '\0';
        (void)cudaGetLastError();
    }
    return 0;
}

static int open_card(struct cuda_device *d, const char *argument, struct error *e)
{
    cudaStream_t *streams[] = {&d->main, &d->feed, &d->side};
    if (card_number(argument, &d->index, e) < 0 ||
        cuda_ok(cudaSetDevice(d->index), "card", e) < 0 || describe(d, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (cuda_ok(cudaStreamCreateWithFlags(streams[i], cudaStreamNonBlocking), "stream", e) < 0)
            return -1;
    // A workspace of our own: cuBLAS would allocate one inside a recorded graph.
    if (cuda_blas_ok(cublasCreate(&d->blas), "start", e) < 0 ||
        cuda_blas_ok(cublasSetStream(d->blas, d->main), "stream", e) < 0 ||
        cuda_ok(cudaMalloc(&d->blas_work, BLAS_WORK), "workspace", e) < 0 ||
        cuda_blas_ok(cublasSetWorkspace(d->blas, d->blas_work, BLAS_WORK), "workspace", e) < 0 ||
        cuda_blas_ok(cublasCreate(&d->side_blas), "start", e) < 0 ||
        cuda_blas_ok(cublasSetStream(d->side_blas, d->side), "stream", e) < 0 ||
        dnn_open(&d->dnn, d->main, e) < 0)
        return -1;
    d->base.held = BLAS_WORK;
    if (!(d->cache = cache_open(d->base.info.name, d->sm, cudnnGetVersion())))
        return error_set(e, "out of memory opening the CUDA device");
    return cuda_eigen_new(d->index, &d->eigen, e);
}

// "sm_90": no card, only what it would need.
static int open_planning(struct cuda_device *d, const char *argument, struct error *e)
{
    struct device_info *i = &d->base.info;
    char *end;
    d->base.planned = 1;
    d->sm = (int)strtol(argument + 3, &end, 10);
    if (*end)
        return error_set(e, "unknown architecture '%.32s' (there are: sm_80, sm_90)", argument);
    if (dnn_open_planning(&d->dnn, d->sm, e) < 0)
        return -1;
    d->base.held = BLAS_WORK;
    if (!(d->cache = cache_open(NULL, d->sm, cudnnGetVersion())))
        return error_set(e, "out of memory opening the CUDA device");
    d->processors = d->sm == 80 ? 108 : 132;
    i->memory = (size_t)80 << 30;
    snprintf(i->name, sizeof i->name, "a planned card of %.16s", argument);
    snprintf(i->detail, sizeof i->detail, "sm_%d, cuDNN %zu", d->sm, cudnnGetVersion());
    return 0;
}

static const struct backend cuda_backend;

static int cuda_open(const char *argument, int threads, struct device **out, struct error *e)
{
    struct cuda_device *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return error_set(e, "out of memory opening the CUDA device");
    d->base.backend = &cuda_backend;
    d->base.info.threads = threads;
    d->base.info.bf16 = BF16_ALWAYS;
    int rc =
        strncmp(argument, "sm_", 3) ? open_card(d, argument, e) : open_planning(d, argument, e);
    if (rc < 0) {
        cuda_close(&d->base);
        return -1;
    }
    *out = &d->base;
    return 0;
}

static int cuda_spectrum(struct device *device, const struct moments *m, double *sigma, double *raw,
                         double *n, struct error *e)
{
    struct cuda_device *d = (struct cuda_device *)device;
    return cuda_eigen(d->eigen, m, sigma, raw, n, e);
}

static int cuda_images(struct device *d, const struct images *described, int changing,
                       struct images **out, struct error *e)
{
    static const struct images_kind kind = {
        .load = cuda_load, .evaluate = cuda_evaluate, .free = cuda_images_free};
    return cuda_images_new(d, described, changing, &kind, out, e);
}

static const struct backend cuda_backend = {
    .count = cuda_count,
    .open = cuda_open,
    .close = cuda_close,
    .spectrum = cuda_spectrum,
    .images = cuda_images,
    .together = 1,
    .what = "card, cuDNN, NCCL",
    .node = {[NODE_CONV] = &cuda_conv_kind,
             [NODE_BN] = &cuda_norm_kind,
             [NODE_RELU] = &cuda_relu_kind,
             [NODE_ADD] = &cuda_add_kind,
             [NODE_MAXPOOL] = &cuda_maxpool_kind,
             [NODE_GAP] = &cuda_gap_kind,
             [NODE_LINEAR] = &cuda_linear_kind},
    .compile = compile_plan,
    .release = compile_free,
    .begin = cuda_begin,
    .take = cuda_take,
    .tensor = cuda_tensor,
    .sum = cuda_sum,
    .loss_value = cuda_loss_value,
    .loss_gradient = cuda_loss_gradient,
    .end = cuda_end,
    .free = cuda_free,
    .put = cuda_put,
    .get = cuda_get,
    .forward = cuda_forward,
    .backward = cuda_backward,
    .update = cuda_update,
    .ema = cuda_ema,
    .features = cuda_features,
    .moments = cuda_moments,
    .profile = cuda_profile,
    .settle = cuda_settle,
    .bring = cuda_bring,
    .fetch = cuda_fetch,
};

// The one symbol of ssltop-cuda.so.
__attribute__((visibility("default"))) const struct backend *ssltop_backend(unsigned abi);

const struct backend *ssltop_backend(unsigned abi)
{
    return abi == BACKEND_ABI ? &cuda_backend : NULL;
}
