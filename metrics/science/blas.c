// OpenBLAS takes a buffer for each call that runs at the same time, keeps it for the next, and
// where it gets none tries again without an end. Where address space is limited all buffers that
// will be needed are taken at once, after a look whether they fit; they cost no memory before they
// are used.
#include "metrics/science/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics/base/memory.h"

// Of one buffer (the library's BUFFER_SIZE, and how it is aligned), and what has to be left for the
// rest of the program.
static const size_t buffer = (128u << 20) + (1u << 16), rest = 32u << 20;

static const char one_thread[] = "OPENBLAS_NUM_THREADS=1", spins[] = "GOMP_SPINCOUNT=1000";

static int is_set(char *const *envp, const char *name)
{
    for (; *envp; envp++)
        if (strncmp(*envp, name, strlen(name)) == 0)
            return 1;
    return 0;
}

// The program again, with this in its environment. Returns where that cannot be done.
static void start_again(char **argv, char **envp)
{
    enum { ENVIRONMENT = 4096, OURS = 2 };
    static char *with[ENVIRONMENT];
    static char self[4096];
    size_t name = strlen("OPENBLAS_NUM_THREADS="), n = 0;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    // What the device would start the program again for.
    if (!is_set(envp, "GOMP_SPINCOUNT=") && !is_set(envp, "OMP_WAIT_POLICY="))
        with[n++] = (char *)spins;
    for (; *envp; envp++) {
        if (n == ENVIRONMENT - OURS)
            return;
        if (strncmp(*envp, one_thread, name) != 0)
            with[n++] = *envp;
    }
    with[n++] = (char *)one_thread;
    if (length > 0 && (size_t)length < sizeof self)
        execve(self, argv, with);
}

void blas_before(int argc, char **argv, char **envp)
{
    static const char short_of_room[] = "ssltop: the linear algebra library needs 168 MB more of "
                                        "address space than its limit (ulimit -v) leaves\n";
    struct rlimit room;
    if (argc < 1)
        return;
    if (!is_set(envp, one_thread))
        start_again(argv, envp);
    if (getrlimit(RLIMIT_AS, &room) < 0 || room.rlim_cur == RLIM_INFINITY)
        return;
    size_t wanted = buffer + rest;
    void *probe = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe != MAP_FAILED) {
        munmap(probe, wanted);
        return;
    }
    if (write(STDERR_FILENO, short_of_room, sizeof short_of_room - 1) < 0)
        _exit(1);
    _exit(1);
}

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
    if (threads > held && memory_is_limited()) {
        rc =
            memory_check((size_t)(threads - held) * buffer + rest, "the linear algebra library", e);
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
