// What a card can copy and multiply at best: the ceilings of bench_gpu.c, in a library of its own.
#include "tests/bench/ceilings.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

// An error here is a plain sentence: this library links nothing of the house.
#undef error_set
#define error_set(e, ...) (snprintf((e)->text, sizeof(e)->text, __VA_ARGS__), -1)

static int cuda(cudaError_t s, const char *what, struct error *e)
{
    return s == cudaSuccess ? 0 : error_set(e, "%s: %s", what, cudaGetErrorString(s));
}

static int blas(cublasStatus_t s, const char *what, struct error *e)
{
    return s == CUBLAS_STATUS_SUCCESS ? 0 : error_set(e, "%s: %s", what, cublasGetStatusString(s));
}

struct arena {
    void *a, *b, *c;
    cudaEvent_t begin, end;
    cublasHandle_t blas;
};

static int arena_open(struct arena *r, size_t size, struct error *e)
{
    memset(r, 0, sizeof *r);
    if (cuda(cudaMalloc(&r->a, size), "memory", e) < 0 ||
        cuda(cudaMalloc(&r->b, size), "memory", e) < 0 ||
        cuda(cudaMalloc(&r->c, size), "memory", e) < 0 ||
        cuda(cudaMemset(r->a, 0, size), "memory", e) < 0 ||
        cuda(cudaMemset(r->b, 0, size), "memory", e) < 0 ||
        cuda(cudaEventCreate(&r->begin), "clock", e) < 0 ||
        cuda(cudaEventCreate(&r->end), "clock", e) < 0)
        return -1;
    return blas(cublasCreate(&r->blas), "cuBLAS", e);
}

static void arena_close(struct arena *r)
{
    if (r->blas)
        cublasDestroy(r->blas);
    if (r->begin)
        cudaEventDestroy(r->begin);
    if (r->end)
        cudaEventDestroy(r->end);
    cudaFree(r->a);
    cudaFree(r->b);
    cudaFree(r->c);
}

static int copy(struct arena *r, size_t size, struct error *e)
{
    return cuda(cudaMemcpyAsync(r->a, r->b, size, cudaMemcpyDeviceToDevice, 0), "copy", e);
}

static int multiply(struct arena *r, int n, cudaDataType type, struct error *e)
{
    const float one = 1, zero = 0;
    return blas(cublasGemmEx(r->blas, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, r->a, type, n, r->b,
                             type, n, &zero, r->c, type, n, CUBLAS_COMPUTE_32F,
                             CUBLAS_GEMM_DEFAULT),
                "matrix product", e);
}

int ceilings_measure(int bf16, double *bytes, double *flops, struct error *e)
{
    enum { SIZE = 512 << 20, N = 8192, REPEATS = 20 };
    cudaDataType type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
    struct arena r;
    float ms[2] = {0, 0};
    int rc = arena_open(&r, SIZE, e);
    for (int what = 0; what < 2 && rc == 0; what++) {
        for (int i = -2; i < REPEATS && rc == 0; i++) {
            if (i == 0)
                rc = cuda(cudaEventRecord(r.begin, 0), "clock", e);
            if (rc == 0)
                rc = what ? multiply(&r, N, type, e) : copy(&r, SIZE, e);
        }
        if (rc == 0 && (cuda(cudaEventRecord(r.end, 0), "clock", e) < 0 ||
                        cuda(cudaEventSynchronize(r.end), "ceilings", e) < 0 ||
                        cuda(cudaEventElapsedTime(&ms[what], r.begin, r.end), "clock", e) < 0))
            rc = -1;
    }
    arena_close(&r);
    *bytes = 2.0 * SIZE * REPEATS / ((double)ms[0] * 1e-3);
    *flops = 2.0 * N * N * N * REPEATS / ((double)ms[1] * 1e-3);
    return rc;
}
