// cuBLAS and cuSOLVER as far as the CUDA device calls them, on OpenBLAS and LAPACK. They prove that
// arguments, shapes and types are right, not what NVIDIA's libraries compute.
#include <cblas.h>
#include <cublas_v2.h>
#include <cusolverDn.h>
#include <stdlib.h>

#include "tests/cuda/emu.h"

#include <vector>

struct cublasContext {
    cudaStream_t stream;
    void *work;
};
struct cusolverDnContext {
    cudaStream_t stream;
};
struct cusolverDnParams {
    int unused;
};

#define BLAS_ENTRY                                                                                 \
    emu_entry entry;                                                                               \
    if (entry.fails(__func__))                                                                     \
    return CUBLAS_STATUS_EXECUTION_FAILED
#define SOLVER_ENTRY                                                                               \
    emu_entry entry;                                                                               \
    if (entry.fails(__func__))                                                                     \
    return CUSOLVER_STATUS_EXECUTION_FAILED

// A column-major matrix of the card; as the tensor cores see it where asked.
static std::vector<float> matrix(const void *p, int rows, int columns, int wide, bool tf32,
                                 const char *what)
{
    size_t n = (size_t)wide * (size_t)(columns - 1) + (size_t)rows;
    std::vector<float> v(n);
    emu_touch(p, n * sizeof(float), false, what);
    memcpy(v.data(), p, n * sizeof(float));
    for (size_t i = 0; i < n && tf32; i++) {
        uint32_t u;
        memcpy(&u, &v[i], sizeof u);
        u = (u + 0xfff + (u >> 13 & 1)) & 0xffffe000u;
        memcpy(&v[i], &u, sizeof u);
    }
    return v;
}

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t *h)
{
    BLAS_ENTRY;
    *h = new cublasContext();
    emu_count(1);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    emu_entry entry;
    delete h;
    emu_count(-1);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s)
{
    BLAS_ENTRY;
    h->stream = s;
    h->work = NULL; // setting a stream resets the workspace
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void *p, size_t n)
{
    BLAS_ENTRY;
    emu_touch(p, n, true, "workspace of cuBLAS");
    h->work = p;
    return CUBLAS_STATUS_SUCCESS;
}
const char *cublasGetStatusString(cublasStatus_t)
{
    return "played error";
}
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType type_a,
                            int lda, const void *b, cudaDataType type_b, int ldb, const void *beta,
                            void *c, cudaDataType type_c, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t)
{
    BLAS_ENTRY;
    int ar = ta == CUBLAS_OP_N ? m : k, ac = ta == CUBLAS_OP_N ? k : m;
    int br = tb == CUBLAS_OP_N ? k : n, bc = tb == CUBLAS_OP_N ? n : k;
    float times = *(const float *)alpha, keep = *(const float *)beta;
    if (lda < ar || ldb < br || ldc < m || m < 1 || n < 1 || k < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    bool tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    if ((compute != CUBLAS_COMPUTE_32F && !tf32) || type_a != CUDA_R_32F || type_b != CUDA_R_32F ||
        type_c != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (emu_recording(h->stream) && !h->work)
        emu_fault("cuBLAS without a workspace would allocate while a graph is recorded");
    emu_queue(h->stream, "gemm", [=]() {
        std::vector<float> fa = matrix(a, ar, ac, lda, tf32, "A of a product"),
                           fb = matrix(b, br, bc, ldb, tf32, "B of a product");
        size_t written = ((size_t)ldc * (size_t)(n - 1) + (size_t)m) * sizeof(float);
        if (keep != 0)
            emu_touch(c, written, false, "C of a product");
        emu_touch(c, written, true, "C of a product");
        cblas_sgemm(CblasColMajor, ta == CUBLAS_OP_N ? CblasNoTrans : CblasTrans,
                    tb == CUBLAS_OP_N ? CblasNoTrans : CblasTrans, m, n, k, times, fa.data(), lda,
                    fb.data(), ldb, keep, (float *)c, ldc);
    });
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDsyrk_v2(cublasHandle_t h, cublasFillMode_t fill, cublasOperation_t t, int n,
                              int k, const double *alpha, const double *a, int lda,
                              const double *beta, double *c, int ldc)
{
    BLAS_ENTRY;
    double one = *alpha, zero = *beta;
    if (lda < (t == CUBLAS_OP_N ? n : k) || ldc < n || zero != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    emu_queue(h->stream, "syrk", [=]() {
        size_t columns = (size_t)(t == CUBLAS_OP_N ? k : n),
               rows = (size_t)(t == CUBLAS_OP_N ? n : k);
        emu_touch(a, ((size_t)lda * (columns - 1) + rows) * sizeof *a, false, "A of a syrk");
        emu_touch(c, ((size_t)ldc * (size_t)(n - 1) + (size_t)n) * sizeof *c, true, "C of a syrk");
        cblas_dsyrk(CblasColMajor, fill == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper,
                    t == CUBLAS_OP_N ? CblasNoTrans : CblasTrans, n, k, one, a, lda, 0, c, ldc);
    });
    return CUBLAS_STATUS_SUCCESS;
}

// --- cuSOLVER ---
extern void dsyevd_(const char *job, const char *fill, const int *n, double *a, const int *lda,
                    double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                    int *info, size_t, size_t);

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *h)
{
    SOLVER_ENTRY;
    *h = new cusolverDnContext();
    emu_count(1);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t h)
{
    emu_entry entry;
    delete h;
    emu_count(-1);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t h, cudaStream_t s)
{
    SOLVER_ENTRY;
    h->stream = s;
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t *p)
{
    SOLVER_ENTRY;
    *p = new cusolverDnParams();
    emu_count(1);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t p)
{
    emu_entry entry;
    delete p;
    emu_count(-1);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t, cusolverDnParams_t,
                                             cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                             cudaDataType, const void *, int64_t, cudaDataType,
                                             const void *, cudaDataType, size_t *card, size_t *host)
{
    SOLVER_ENTRY;
    *card = (size_t)n * 64;
    *host = (size_t)n * 8;
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t h, cusolverDnParams_t, cusolverEigMode_t job,
                                  cublasFillMode_t fill, int64_t wide, cudaDataType type_a, void *a,
                                  int64_t lda, cudaDataType type_w, void *w, cudaDataType,
                                  void *card, size_t n_card, void *host, size_t n_host, int *info)
{
    SOLVER_ENTRY;
    size_t n = (size_t)wide;
    if (job != CUSOLVER_EIG_MODE_NOVECTOR || type_a != CUDA_R_64F || type_w != CUDA_R_64F ||
        n_card < n * 64 || n_host < n * 8 || !host || lda < wide)
        return CUSOLVER_STATUS_INVALID_VALUE;
    if (emu_recording(h->stream))
        emu_fault("cusolverDnXsyevd cannot be recorded");
    emu_queue(h->stream, "syevd", [=]() {
        int order = (int)n, lead = (int)lda, lwork = 2 * order + 1, liwork = 1, rc = 0;
        std::vector<double> work((size_t)lwork);
        emu_touch(a, ((size_t)lda * (n - 1) + n) * 8, false, "matrix of a spectrum");
        emu_touch(w, n * 8, true, "eigenvalues");
        emu_touch(card, n_card, true, "workspace of a spectrum");
        emu_touch(info, sizeof *info, true, "info of a spectrum");
        memset(card, 0xee, n_card);
        memset(host, 0xee, n_host);
        int iwork[8];
        dsyevd_("N", fill == CUBLAS_FILL_MODE_LOWER ? "L" : "U", &order, (double *)a, &lead,
                (double *)w, work.data(), &lwork, iwork, &liwork, &rc, 1, 1);
        *info = rc;
    });
    emu_sync(h->stream); // the real one blocks its caller
    return CUSOLVER_STATUS_SUCCESS;
}
}
