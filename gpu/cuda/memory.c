// What a plan owns here: memory of the card, pinned memory of the host, events. Every tensor
// is an allocation of its own, so that the tests see each one's bounds. A plan without a card
// counts bytes and hands out addresses that nobody follows.
#include <string.h>

#include "gpu/cuda/reduce.h"

enum { ALIGN = 256 };

int cuda_ok(cudaError_t s, const char *what, struct error *e)
{
    if (s == cudaSuccess)
        return 0;
    (void)cudaGetLastError(); // else a later launch would report this one
    return error_set(e, "CUDA: %s: %s", what, cudaGetErrorString(s));
}

int cuda_blas_ok(cublasStatus_t s, const char *what, struct error *e)
{
    if (s == CUBLAS_STATUS_SUCCESS)
        return 0;
    (void)cudaGetLastError();
    return error_set(e, "cuBLAS: %s: %s", what, cublasGetStatusString(s));
}

static void release_card(void *object)
{
    cudaFree(object);
}

static void release_pinned(void *object)
{
    cudaFreeHost(object);
}

static void release_event(void *object)
{
    cudaEventDestroy(object);
}

// The object, when it could be made the plan's.
static void *own(struct plan *p, void (*release)(void *), void *object, struct error *e)
{
    return plan_own(p, release, object, e) < 0 ? NULL : object;
}

void *cuda_take(struct plan *p, size_t size, struct error *e)
{
    size_t rounded = (size + ALIGN - 1) / ALIGN * ALIGN;
    void *m = NULL;
    if (p->device->planned) {
        p->memory += rounded;
        return (char *)NULL + ALIGN + p->memory;
    }
    cudaError_t s = cudaMalloc(&m, size ? size : 1);
    if (s == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        error_set(e,
                  "out of memory of the GPU: the network needs more than %zu MB (a smaller --batch "
                  "or --width helps)",
                  (p->memory + rounded) >> 20);
        return NULL;
    }
    if (cuda_ok(s, "memory", e) < 0)
        return NULL;
    p->memory += rounded;
    return own(p, release_card, m, e);
}

void *cuda_take_zero(struct plan *p, size_t size, struct error *e)
{
    void *m = cuda_take(p, size, e);
    return m && cuda_clear(p, m, size ? size : 1, e) == 0 ? m : NULL;
}

int cuda_clear(struct plan *p, void *at, size_t size, struct error *e)
{
    return p->device->planned
               ? 0
               : cuda_ok(cudaMemsetAsync(at, 0, size, card(p)->main), "clearing memory", e);
}

void *cuda_pinned(struct plan *p, size_t size, struct error *e)
{
    void *m = NULL;
    if (p->device->planned)
        return plan_heap(p, 1, e);
    if (cuda_ok(cudaMallocHost(&m, size ? size : 1), "pinned memory", e) < 0)
        return NULL;
    return own(p, release_pinned, m, e);
}

int cuda_event(struct plan *p, unsigned flags, cudaEvent_t *out, struct error *e)
{
    if (p->device->planned)
        return 0;
    if (cuda_ok(cudaEventCreateWithFlags(out, flags), "event", e) < 0)
        return -1;
    return own(p, release_event, *out, e) ? 0 : -1;
}

// By way of pinned memory, piece by piece: an asynchronous copy reads pageable memory when it
// likes.
static int copy(struct plan *p, char *on_card, char *host, size_t size, int up, struct error *e)
{
    cudaStream_t s = card(p)->main;
    for (size_t at = 0; at < size; at += p->own->bounce_size) {
        size_t n = size - at < p->own->bounce_size ? size - at : p->own->bounce_size;
        if (up)
            memcpy(p->own->bounce, host + at, n);
        cudaError_t rc =
            up ? cudaMemcpyAsync(on_card + at, p->own->bounce, n, cudaMemcpyHostToDevice, s)
               : cudaMemcpyAsync(p->own->bounce, on_card + at, n, cudaMemcpyDeviceToHost, s);
        if (cuda_ok(rc, "copy", e) < 0 || reduce_wait_stream(p, s, "copy", e) < 0)
            return -1;
        if (!up)
            memcpy(host + at, p->own->bounce, n);
    }
    return 0;
}

int cuda_upload(struct plan *p, void *card, const void *host, size_t size, struct error *e)
{
    return copy(p, card, (char *)host, size, 1, e);
}

int cuda_download(struct plan *p, void *host, const void *card, size_t size, struct error *e)
{
    return copy(p, (char *)card, host, size, 0, e);
}
