// The stand-in's rules: one caller at a time, calls that fail when a test wants them to, faults,
// what a test may tell it, and what it says of its card.
#include <cudnn.h>

#include "tests/cuda/emu.h"

#undef threadIdx
#include <pthread.h>
#include <time.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// --- one caller at a time ---
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth; // of entries: only the outermost counts as a call
static int fail_in, fail_others, failed, counted;
static char failed_name[80];
static pthread_t fail_thread;
static int fail_device;
static int cards_here(void);
static __thread cudaError_t last;
__thread int emu_device;
static long alive;

emu_entry::emu_entry()
{
    pthread_mutex_lock(&lock);
    depth++;
}

emu_entry::~emu_entry()
{
    depth--;
    pthread_mutex_unlock(&lock);
}

void emu_give_way(void)
{
    static const struct timespec moment = {0, 20000};
    int had = depth;
    depth = 0;
    for (int i = 0; i < had; i++)
        pthread_mutex_unlock(&lock);
    nanosleep(&moment, NULL);
    for (int i = 0; i < had; i++)
        pthread_mutex_lock(&lock);
    depth = had;
}

bool emu_entry::fails(const char *name)
{
    bool mine = pthread_equal(pthread_self(), fail_thread) ||
                (cards_here() > 1 && emu_device == fail_device); // a thread that works for it
    if (depth > 1 || mine == (fail_others != 0))
        return false;
    counted++;
    if (!fail_in || --fail_in)
        return false;
    failed = 1;
    snprintf(failed_name, sizeof failed_name, "%s%s", emu_records() ? EMU_WHILE_RECORDING : "",
             name);
    return true;
}

cudaError_t emu_error(cudaError_t e)
{
    if (e != cudaSuccess)
        last = e;
    return e;
}

// --- faults ---
void emu_fault(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("card: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void emu_count(long by)
{
    __atomic_fetch_add(&alive, by, __ATOMIC_SEQ_CST);
}

// --- what a test says ---
static int count_code, version = 13000, major = 9, here = -1;

// One, or as many as SSLTOP_PLAYED_CARDS says, until a test says it.
static int cards_here(void)
{
    const char *told = getenv("SSLTOP_PLAYED_CARDS");
    return here >= 0 ? here : told ? atoi(told) : 1;
}

static void set_seed(unsigned seed)
{
    emu_shuffle_schedule(seed);
}

static void set_lazy(int on)
{
    emu_lazy = on;
}

static void fail(int n, int others)
{
    emu_entry entry;
    fail_in = n;
    fail_others = others;
    fail_thread = pthread_self();
    fail_device = emu_device;
    failed = counted = 0;
    failed_name[0] = '\0';
}

static int fail_hit(void)
{
    return failed;
}

static int calls(void)
{
    return counted;
}

static const char *failed_call(void)
{
    return failed_name;
}

static long live(void)
{
    return alive;
}

static void driver(int code, int knows, int generation)
{
    count_code = code;
    version = knows;
    major = generation;
}

static void cards(int n)
{
    here = n;
}

static void memory(unsigned long bytes)
{
    emu_memory_limit = bytes;
}

static long graphs(void)
{
    return emu_graphs_launched;
}

static long kernels(void)
{
    return emu_kernels_run;
}

static void connection(int error)
{
    emu_connection = error;
}

static void pace(int card, double work, double sum)
{
    emu_entry entry;
    emu_work_takes[card] = work;
    emu_sum_takes = sum;
}

static long cudnn(void)
{
    return CUDNN_VERSION;
}

extern "C" __attribute__((visibility("default"))) const struct emu_control *emu_control(void)
{
    static const struct emu_control control = {set_seed,    set_lazy, fail,   fail_hit,   calls,
                                               failed_call, live,     driver, cards,      memory,
                                               graphs,      kernels,  cudnn,  connection, pace};
    return &control;
}

// --- the runtime's entries about the card ---
extern "C" {
cudaError_t cudaGetDeviceCount(int *n)
{
    ENTRY;
    *n = count_code ? 0 : cards_here();
    return emu_error((cudaError_t)count_code);
}
cudaError_t cudaDriverGetVersion(int *v)
{
    ENTRY;
    *v = version;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *v)
{
    ENTRY;
    *v = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int n)
{
    ENTRY;
    if (n < 0 || n >= cards_here() || n >= EMU_CARDS)
        return emu_error(cudaErrorInvalidDevice);
    emu_device = n;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int)
{
    ENTRY;
    memset((void *)p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "a card played by the host");
    p->major = major;
    p->multiProcessorCount = 2;
    p->totalGlobalMem = EMU_ARENA;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char *text, int n, int card)
{
    ENTRY;
    snprintf(text, (size_t)n, "0000:%02x:00.0", 0x17 + card);
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaSuccess                 ? "no error"
           : e == cudaErrorMemoryAllocation ? "out of memory"
                                            : "played error";
}
cudaError_t cudaGetLastError(void)
{
    cudaError_t e = last;
    last = cudaSuccess;
    return e;
}
}
