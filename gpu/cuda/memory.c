// What a plan owns: memory of the card, pinned and plain memory of the host, events. Every tensor
// is an allocation of its own, so that the tests see each one's bounds. A plan without a card
// counts bytes and hands out addresses that nobody follows.
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

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

int cuda_room(void **array, int *cap, int n, size_t size, struct error *e)
{
    if (n < *cap)
        return 0;
    int want = *cap ? 2 * *cap : 64;
    void *p = realloc(*array, (size_t)want * size);
    if (!p)
        return error_set(e, "out of memory compiling the network");
    *array = p;
    *cap = want;
    return 0;
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

static void (*const release[OWNED_KINDS])(void *) = {
    [OWNED_CARD] = release_card,
    [OWNED_PINNED] = release_pinned,
    [OWNED_HEAP] = free,
    [OWNED_EVENT] = release_event,
};

// The object is the plan's from here on; when that fails it is released at once.
static void *own(struct cuda_plan *p, enum owned_kind kind, void *object, struct error *e)
{
    if (cuda_room((void **)&p->owned, &p->cap_owned, p->n_owned, sizeof *p->owned, e) < 0) {
        release[kind](object);
        return NULL;
    }
    p->owned[p->n_owned++] = (struct owned){kind, object};
    return object;
}

void cuda_release(struct cuda_plan *p)
{
    while (p->n_owned) {
        struct owned o = p->owned[--p->n_owned];
        release[o.kind](o.object);
    }
    free(p->owned);
    p->owned = NULL;
}

void *cuda_heap(struct cuda_plan *p, size_t size, struct error *e)
{
    void *m = calloc(1, size ? size : 1);
    if (!m) {
        error_set(e, "out of memory compiling the network");
        return NULL;
    }
    return own(p, OWNED_HEAP, m, e);
}

void *cuda_take(struct cuda_plan *p, size_t size, struct error *e)
{
    size_t rounded = (size + ALIGN - 1) / ALIGN * ALIGN;
    void *m = NULL;
    if (p->device->planning) {
        p->base.memory += rounded;
        return (char *)NULL + ALIGN + p->base.memory;
    }
    cudaError_t s = cudaMalloc(&m, size ? size : 1);
    if (s == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        error_set(e,
                  "out of memory of the GPU: the network needs more than %zu MB (a smaller --batch "
                  "or --width helps)",
                  (p->base.memory + rounded) >> 20);
        return NULL;
    }
    if (cuda_ok(s, "memory", e) < 0)
        return NULL;
    p->base.memory += rounded;
    return own(p, OWNED_CARD, m, e);
}

void *cuda_take_zero(struct cuda_plan *p, size_t size, struct error *e)
{
    void *m = cuda_take(p, size, e);
    if (m && !p->device->planning &&
        cuda_ok(cudaMemsetAsync(m, 0, size ? size : 1, p->device->main), "clearing memory", e) < 0)
        return NULL;
    return m;
}

void *cuda_pinned(struct cuda_plan *p, size_t size, struct error *e)
{
    void *m = NULL;
    if (p->device->planning)
        return cuda_heap(p, 1, e);
    if (cuda_ok(cudaMallocHost(&m, size ? size : 1), "pinned memory", e) < 0)
        return NULL;
    return own(p, OWNED_PINNED, m, e);
}

int cuda_event(struct cuda_plan *p, unsigned flags, cudaEvent_t *out, struct error *e)
{
    if (p->device->planning)
        return 0;
    if (cuda_ok(cudaEventCreateWithFlags(out, flags), "event", e) < 0)
        return -1;
    return own(p, OWNED_EVENT, *out, e) ? 0 : -1;
}

// By way of pinned memory, piece by piece: an asynchronous copy reads pageable memory when it
// likes.
static int copy(struct cuda_plan *p, char *card, char *host, size_t size, int up, struct error *e)
{
    cudaStream_t s = p->device->main;
    for (size_t at = 0; at < size; at += p->bounce_size) {
        size_t n = size - at < p->bounce_size ? size - at : p->bounce_size;
        if (up)
            memcpy(p->bounce, host + at, n);
        cudaError_t rc = up ? cudaMemcpyAsync(card + at, p->bounce, n, cudaMemcpyHostToDevice, s)
                            : cudaMemcpyAsync(p->bounce, card + at, n, cudaMemcpyDeviceToHost, s);
        if (cuda_ok(rc, "copy", e) < 0 || cuda_ok(cudaStreamSynchronize(s), "copy", e) < 0)
            return -1;
        if (!up)
            memcpy(host + at, p->bounce, n);
    }
    return 0;
}

int cuda_upload(struct cuda_plan *p, void *card, const void *host, size_t size, struct error *e)
{
    return copy(p, card, (char *)host, size, 1, e);
}

int cuda_download(struct cuda_plan *p, void *host, const void *card, size_t size, struct error *e)
{
    return copy(p, (char *)card, host, size, 0, e);
}
