// OpenBLAS takes a buffer for each call that runs at the same time, keeps it for the next, and
// where it gets none tries again without an end. Where address space is limited all buffers that
// will be needed are taken at once, after a look whether they fit; they cost no memory before they
// are used.
#include "metrics/science/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "metrics/base/room.h"

// Of one buffer (the library's BUFFER_SIZE, and how it is aligned), and what has to be left for the
// rest of the program.
static const size_t buffer = (128u << 20) + (1u << 16), rest = 32u << 20;

// The library's own functions for them; a BLAS of another make has neither, and perhaps not the
// fault.
static void take(int threads)
{
    void *(*alloc)(int) = (void *(*)(int))dlsym(RTLD_DEFAULT, "blas_memory_alloc");
    void (*release)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "blas_memory_free");
    void **taken = calloc((size_t)threads, sizeof *taken);
    for (int i = 0; alloc && release && taken && i < threads; i++)
        taken[i] = alloc(0);
    for (int i = 0; release && taken && i < threads; i++)
        if (taken[i])
            release(taken[i]);
    free(taken);
}

int blas_begin(int threads, struct error *e)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int held; // buffers that the library has
    int rc = 0;
    // OpenBLAS's own threads beside OpenMP's cost milliseconds a call where the work is tenths.
    openblas_set_num_threads(1);
    pthread_mutex_lock(&lock);
    if (threads > held && room_is_limited()) {
        rc = room_check((size_t)(threads - held) * buffer + rest, "the linear algebra library", e);
        if (rc == 0) {
            take(threads);
            held = threads;
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

const char *blas_kernels(void)
{
#ifdef __x86_64__
    if (getenv("OPENBLAS_CORETYPE") || strcasecmp(openblas_get_corename(), "Prescott") != 0)
        return NULL;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#endif
    return NULL;
}
