// The stand-in's memory: an arena with red zones that the host cannot touch; copies that know their
// direction; and the host's own, counted.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <stdlib.h>
#include <sys/mman.h>

#include <map>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

char *emu_arena;
size_t emu_memory_limit;
static size_t top;
static std::map<char *, size_t> blocks;
static size_t held;
static int opened;

void emu_open_arena(void)
{
    if (opened++ == 0 && top)
        mprotect(emu_arena, top, PROT_READ | PROT_WRITE);
}

void emu_close_arena(void)
{
    if (--opened == 0 && top)
        mprotect(emu_arena, top, PROT_NONE);
}

bool emu_on_card(const void *p)
{
    return emu_arena && (const char *)p >= emu_arena && (const char *)p < emu_arena + EMU_ARENA;
}

void emu_touch(const void *p, size_t n, bool write, const char *what)
{
    auto at = emu_on_card(p) ? blocks.upper_bound((char *)p) : blocks.begin();
    if (at == blocks.begin()) {
        emu_fault("%s: %p is no memory of the card", what, p);
        return;
    }
    --at;
    if ((char *)p + n > at->first + at->second)
        emu_fault("%s: %zu bytes at byte %zu of a block of %zu", what, n,
                  (size_t)((char *)p - at->first), at->second);
    else
        shadow_touch(p, n, write, what);
}

// --- the runtime's entries about memory ---
extern "C" {
cudaError_t cudaMemGetInfo(size_t *free_now, size_t *all)
{
    ENTRY;
    *all = EMU_ARENA;
    *free_now = emu_memory_limit ? (emu_memory_limit > held ? emu_memory_limit - held : 0)
                                 : EMU_ARENA - held;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t n)
{
    ENTRY;
    if (!emu_arena) {
        void *m =
            mmap(NULL, EMU_ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (m == MAP_FAILED)
            return emu_error(cudaErrorMemoryAllocation);
        emu_arena = (char *)m;
        POISON(emu_arena, EMU_ARENA);
    }
    if (emu_forbid_recording() != cudaSuccess)
        return emu_error(cudaErrorStreamCaptureUnsupported);
    size_t at = (top + 511) / 256 * 256; // a red zone of 256 bytes at least
    if (at + n + 512 > EMU_ARENA || (emu_memory_limit && held + n > emu_memory_limit))
        return emu_error(cudaErrorMemoryAllocation);
    char *block = emu_arena + at;
    if (opened)
        emu_close_arena();
    top = (at + n + 4095) / 4096 * 4096;
    mprotect(emu_arena, top, PROT_READ | PROT_WRITE);
    UNPOISON(block, n);
    if (n <= 16 << 20)          // what is larger is a workspace: that would only take time
        memset(block, 0xff, n); // NaN
    mprotect(emu_arena, top, PROT_NONE);
    top = at + n;
    blocks[block] = n;
    held += n;
    shadow_alloc(block, n);
    emu_count(1);
    *p = block;
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    emu_entry entry;
    if (!p)
        return cudaSuccess;
    emu_sync_all();
    auto at = blocks.find((char *)p);
    if (at == blocks.end()) {
        emu_fault("cudaFree of %p, which is no block", p);
        return emu_error(cudaErrorInvalidValue);
    }
    POISON(p, at->second);
    shadow_free(p, at->second);
    held -= at->second;
    blocks.erase(at);
    emu_count(-1);
    if (blocks.empty() && !opened) { // begin anew: tests make many plans
        madvise(emu_arena, (top + 4095) / 4096 * 4096, MADV_DONTNEED);
        top = 0;
    }
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **p, size_t n)
{
    ENTRY;
    *p = malloc(n ? n : 1); // counted below
    return *p ? cudaSuccess : emu_error(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *p)
{
    emu_entry entry;
    if (!p)
        return cudaSuccess;
    emu_sync_all();
    free(p);
    return cudaSuccess;
}
static cudaError_t copy(void *to, const void *from, size_t n, cudaMemcpyKind kind, cudaStream_t s)
{
    bool to_card = emu_on_card(to), from_card = emu_on_card(from);
    if ((kind == cudaMemcpyHostToDevice && (!to_card || from_card)) ||
        (kind == cudaMemcpyDeviceToHost && (to_card || !from_card)) ||
        (kind == cudaMemcpyDeviceToDevice && (!to_card || !from_card))) {
        emu_fault("a copy's direction %d does not fit its pointers", (int)kind);
        return emu_error(cudaErrorInvalidValue);
    }
    emu_queue(s, "copy", [=]() {
        if (from_card)
            emu_touch(from, n, false, "source of a copy");
        if (to_card)
            emu_touch(to, n, true, "destination of a copy");
        memmove(to, from, n);
    });
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    ENTRY;
    return copy(to, from, n, kind, s);
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s)
{
    ENTRY;
    emu_queue(s, "memset", [=]() {
        emu_touch(p, n, true, "cudaMemset");
        memset(p, v, n);
    });
    return cudaSuccess;
}
}

// --- the host's memory, counted: the sources are linked with --wrap ---
extern "C" {
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
    void *p = __real_malloc(n);
    emu_count(p != NULL);
    return p;
}
void *__wrap_calloc(size_t n, size_t size)
{
    void *p = __real_calloc(n, size);
    emu_count(p != NULL);
    return p;
}
void *__wrap_realloc(void *p, size_t n)
{
    void *q = __real_realloc(p, n);
    emu_count(!p && q);
    return q;
}
void __wrap_free(void *p)
{
    emu_count(p ? -1 : 0);
    __real_free(p);
}
}
