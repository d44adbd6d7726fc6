// The stand-in's streams as queues, which run at once or as late as can be; events between them;
// graphs.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <pthread.h>
#include <stdint.h>

#include <deque>
#include <vector>

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
int emu_lazy;
long emu_graphs_launched, emu_kernels_run;

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
        emu_open_arena();
        o.work();
        emu_close_arena();
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
    if (!emu_lazy || s == &standard)
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

void emu_sync_all(void)
{
    for (CUstream_st *s : streams)
        drain(s);
}

static CUstream_st *recorded_here(void)
{
    for (CUstream_st *s : streams)
        if (s->recording && pthread_equal(s->recorder, pthread_self()))
            return s;
    return NULL;
}

bool emu_records(void)
{
    return recorded_here() != NULL;
}

// Calls that a recording thread must not make spoil what it records.
cudaError_t emu_forbid_recording(void)
{
    CUstream_st *s = recorded_here();
    if (s)
        s->spoilt = true;
    return s ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

void emu_launch(const char *name, dim3 grid, dim3 block, cudaStream_t s, emu_work work)
{
    emu_entry entry;
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (entry.fails("kernel")) {
        emu_error(cudaErrorLaunchFailure);
        return;
    }
    if (!threads || threads > 1024 || block.z > 64 || !grid.x || !grid.y || !grid.z ||
        grid.y > 65535 || grid.z > 65535 || grid.x > 2147483647u) {
        emu_error(cudaErrorInvalidConfiguration);
        return;
    }
    emu_queue(s, name, [=]() {
        emu_kernels_run++;
        emu_run_grid(name, grid, block, work);
    });
}

// --- the runtime's entries about streams, events and graphs ---
extern "C" {
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
        return emu_error(cudaErrorStreamCaptureUnsupported);
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
    emu_sync_all();
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
            return emu_error(cudaErrorUnknown);
        }
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    ENTRY;
    if (!a->issued || !b->issued)
        return emu_error(cudaErrorInvalidResourceHandle);
    if (a->done < a->issued || b->done < b->issued)
        return emu_error(cudaErrorNotReady);
    *ms = 1;
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    ENTRY;
    if (!s || s->recording)
        return emu_error(cudaErrorStreamCaptureUnsupported);
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
    bool fails = entry.fails(__func__);
    *g = NULL;
    if (!s->recording)
        return emu_error(cudaErrorIllegalState);
    CUgraph_st *graph = s->recording;
    s->recording = NULL;
    if (s->spoilt || fails) {
        cudaGraphDestroy(graph);
        return emu_error(cudaErrorStreamCaptureInvalidated);
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
    emu_graphs_launched++;
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
