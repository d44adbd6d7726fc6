// The CUDA runtime's part of the stand-in: memory with red zones that the host cannot touch,
// streams as queues, events, graphs, and calls that fail when a test wants them to.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <deque>
#include <map>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

// --- one caller at a time ---
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth; // of entries: only the outermost counts as a call
static int fail_in, fail_others, failed;
static pthread_t fail_thread;
static __thread cudaError_t last;
static long alive, launched, ran;

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

bool emu_entry::fails(void)
{
    bool mine = pthread_equal(pthread_self(), fail_thread);
    if (depth > 1 || !fail_in || mine == (fail_others != 0) || --fail_in)
        return false;
    failed = 1;
    return true;
}

static cudaError_t error(cudaError_t e)
{
    if (e != cudaSuccess)
        last = e;
    return e;
}

#define ENTRY                                                                                      \
    emu_entry entry;                                                                               \
    if (emu_inside)                                                                                \
        emu_fault("%s is called by a kernel", __func__);                                           \
    if (entry.fails())                                                                             \
    return error(cudaErrorUnknown)

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

// --- memory ---
char *emu_arena;
static size_t top, limit;
static std::map<char *, size_t> blocks;
static size_t held;
static int opened;

static void open_arena(void)
{
    if (opened++ == 0 && top)
        mprotect(emu_arena, top, PROT_READ | PROT_WRITE);
}

static void close_arena(void)
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

// --- streams ---
struct op {
    const char *what;
    emu_work work;
    cudaEvent_t record, wait;
    uint64_t ticket; // of the record that is waited for
};
struct CUevent_st {
    uint64_t issued, done;
};
struct CUgraph_st {
    std::vector<op> ops;
};
struct CUgraphExec_st {
    std::vector<op> ops;
};
struct CUstream_st {
    std::deque<op> queue;
    CUgraph_st *recording;
    bool spoilt; // something was called that cannot be recorded
    pthread_t recorder;
};
static CUstream_st standard;
static std::vector<CUstream_st *> streams{&standard};
static int lazy;

static CUstream_st *stream_of(cudaStream_t s)
{
    return s ? s : &standard;
}

bool emu_recording(cudaStream_t s)
{
    return stream_of(s)->recording != NULL;
}

// Run the first piece of work of s, if nothing holds it back.
static bool advance(CUstream_st *s)
{
    if (s->queue.empty())
        return false;
    op &front = s->queue.front();
    if (front.wait && front.wait->done < front.ticket)
        return false;
    op o = std::move(front);
    s->queue.pop_front();
    if (o.record)
        o.record->done = o.ticket;
    if (o.work) {
        open_arena();
        o.work();
        close_arena();
    }
    return true;
}

static bool advance_other(CUstream_st *s)
{
    for (CUstream_st *o : streams)
        if (o != s && advance(o))
            return true;
    return false;
}

static void drain(CUstream_st *s)
{
    while (!s->queue.empty())
        if (!advance(s) && !advance_other(s)) {
            emu_fault("a stream waits for an event that nothing records");
            s->queue.clear();
        }
}

static void push(CUstream_st *s, op o)
{
    if (s->recording) {
        s->recording->ops.push_back(std::move(o));
        return;
    }
    if (s == &standard) // it waits for all others, as the legacy stream does
        for (CUstream_st *x : streams)
            drain(x);
    s->queue.push_back(std::move(o));
    if (!lazy || s == &standard)
        drain(s);
}

void emu_queue(cudaStream_t s, const char *what, emu_work work)
{
    push(stream_of(s), op{what, std::move(work), NULL, NULL, 0});
}

void emu_sync(cudaStream_t s)
{
    drain(stream_of(s));
}

// Calls that a recording thread must not make spoil what it records.
static cudaError_t forbid_recording(void)
{
    for (CUstream_st *s : streams)
        if (s->recording && pthread_equal(s->recorder, pthread_self())) {
            s->spoilt = true;
            return cudaErrorStreamCaptureUnsupported;
        }
    return cudaSuccess;
}

void emu_launch(const char *name, dim3 grid, dim3 block, cudaStream_t s, emu_work work)
{
    emu_entry entry;
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (entry.fails()) {
        error(cudaErrorLaunchFailure);
        return;
    }
    if (!threads || threads > 1024 || block.z > 64 || !grid.x || !grid.y || !grid.z ||
        grid.y > 65535 || grid.z > 65535 || grid.x > 2147483647u) {
        error(cudaErrorInvalidConfiguration);
        return;
    }
    emu_queue(s, name, [=]() {
        ran++;
        emu_run_grid(name, grid, block, work);
    });
}

// --- what a test says ---
static int count_code, version = 13000, major = 9;

static void set_seed(unsigned seed)
{
    emu_shuffle_schedule(seed);
}

static void set_lazy(int on)
{
    lazy = on;
}

static void fail(int n, int others)
{
    emu_entry entry;
    fail_in = n;
    fail_others = others;
    fail_thread = pthread_self();
    failed = 0;
}

static int fail_hit(void)
{
    return failed;
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

static void memory(unsigned long bytes)
{
    limit = bytes;
}

static long graphs(void)
{
    return launched;
}

static long kernels(void)
{
    return ran;
}

extern "C" __attribute__((visibility("default"))) const struct emu_control *emu_control(void)
{
    static const struct emu_control control = {set_seed, set_lazy, fail,   fail_hit, live,
                                               driver,   memory,   graphs, kernels};
    return &control;
}

// --- the runtime's entries ---
extern "C" {
cudaError_t cudaGetDeviceCount(int *n)
{
    ENTRY;
    *n = count_code ? 0 : 1;
    return error((cudaError_t)count_code);
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
    return n ? error(cudaErrorInvalidDevice) : cudaSuccess;
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
cudaError_t cudaMemGetInfo(size_t *free_now, size_t *all)
{
    ENTRY;
    *all = EMU_ARENA;
    *free_now = limit ? (limit > held ? limit - held : 0) : EMU_ARENA - held;
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
cudaError_t cudaMalloc(void **p, size_t n)
{
    ENTRY;
    if (!emu_arena) {
        void *m =
            mmap(NULL, EMU_ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (m == MAP_FAILED)
            return error(cudaErrorMemoryAllocation);
        emu_arena = (char *)m;
        POISON(emu_arena, EMU_ARENA);
    }
    if (forbid_recording() != cudaSuccess)
        return error(cudaErrorStreamCaptureUnsupported);
    size_t at = (top + 511) / 256 * 256; // a red zone of 256 bytes at least
    if (at + n + 512 > EMU_ARENA || (limit && held + n > limit))
        return error(cudaErrorMemoryAllocation);
    char *block = emu_arena + at;
    if (opened)
        close_arena();
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
    for (CUstream_st *s : streams)
        drain(s);
    auto at = blocks.find((char *)p);
    if (at == blocks.end()) {
        emu_fault("cudaFree of %p, which is no block", p);
        return error(cudaErrorInvalidValue);
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
    return *p ? cudaSuccess : error(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *p)
{
    emu_entry entry;
    if (!p)
        return cudaSuccess;
    for (CUstream_st *s : streams)
        drain(s);
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
        return error(cudaErrorInvalidValue);
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
cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind kind)
{
    ENTRY;
    return copy(to, from, n, kind, NULL);
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
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    ENTRY;
    *s = new CUstream_st();
    streams.push_back(*s);
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    emu_entry entry;
    drain(s);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == s)
            streams.erase(streams.begin() + (long)i);
    delete s;
    emu_count(-1);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    ENTRY;
    if (stream_of(s)->recording) {
        stream_of(s)->spoilt = true;
        return error(cudaErrorStreamCaptureUnsupported);
    }
    drain(stream_of(s));
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    ENTRY;
    push(stream_of(s), op{"wait", NULL, NULL, e, e->issued});
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    ENTRY;
    *e = new CUevent_st();
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    emu_entry entry;
    for (CUstream_st *s : streams)
        drain(s);
    delete e;
    emu_count(-1);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    ENTRY;
    if (!emu_recording(s))
        e->issued++;
    push(stream_of(s), op{"record", NULL, e, NULL, e->issued});
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    ENTRY;
    uint64_t ticket = e->issued;
    while (e->done < ticket)
        if (!advance_other(NULL)) {
            emu_fault("the host waits for an event that nothing records");
            return error(cudaErrorUnknown);
        }
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    ENTRY;
    if (!a->issued || !b->issued)
        return error(cudaErrorInvalidResourceHandle);
    if (a->done < a->issued || b->done < b->issued)
        return error(cudaErrorNotReady);
    *ms = 1;
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    ENTRY;
    if (!s || s->recording)
        return error(cudaErrorStreamCaptureUnsupported);
    s->recording = new CUgraph_st();
    s->recorder = pthread_self();
    s->spoilt = false;
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    emu_entry entry;
    delete g;
    emu_count(-1);
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    emu_entry entry;
    bool fails = entry.fails();
    *g = NULL;
    if (!s->recording)
        return error(cudaErrorIllegalState);
    CUgraph_st *graph = s->recording;
    s->recording = NULL;
    if (s->spoilt || fails) {
        cudaGraphDestroy(graph);
        return error(cudaErrorStreamCaptureInvalidated);
    }
    *g = graph;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    ENTRY;
    *x = new CUgraphExec_st{g->ops};
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    ENTRY;
    launched++;
    for (const op &o : x->ops)
        push(stream_of(s), o);
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x)
{
    emu_entry entry;
    delete x;
    emu_count(-1);
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
