// The stand-in's streams as queues, which run at once or as late as can be; events between them;
// graphs, which may have branches on other streams; work that waits for the same of other cards.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <pthread.h>
#include <stdint.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

// How often an event was recorded: in the queues, and what of it is over, and when.
struct marks {
    uint64_t issued, done;
    std::vector<double> at;
};
struct CUevent_st {
    std::shared_ptr<marks> own{new marks()};
    uint64_t recorded_in; // the recording that it was recorded in last; 0: none
    size_t at;            // which of its operations that was
};
struct op {
    const char *what;
    emu_work work;
    std::shared_ptr<marks> record, wait;
    uint64_t ticket; // of the record that is waited for; of a meeting
    emu_meeting meeting;
    // Of a recorded one: its stream, its event, for a wait which operation it waits for; what must
    // outlive the graph.
    CUstream_st *on;
    cudaEvent_t event;
    size_t from;
    std::shared_ptr<void> holds;
};
struct recording {
    uint64_t number;
    std::vector<op> ops;
    CUstream_st *origin;
    std::vector<CUstream_st *> joined;
    pthread_t by;
    bool spoilt; // something was called that cannot be recorded
};
struct CUgraph_st {
    std::vector<op> ops;
    CUstream_st *origin;
};
struct CUgraphExec_st {
    CUgraph_st graph;
    std::map<CUstream_st *, CUstream_st *> branch;
    std::map<cudaEvent_t, std::shared_ptr<marks>> event;
};
struct CUstream_st {
    std::deque<op> queue;
    recording *in;
    int device;
    double now; // ms by the clock of its card, of which each piece of work takes some
    bool left;  // by the graph whose branch it is: it goes when it is empty
};
static CUstream_st standard;
static std::vector<CUstream_st *> streams{&standard};
static std::vector<recording *> recordings;
static uint64_t recorded;
int emu_lazy;
double emu_work_takes[EMU_CARDS] = {1, 1, 1, 1, 1, 1, 1, 1}, emu_sum_takes = 1;
long emu_graphs_launched, emu_kernels_run;

static CUstream_st *stream_of(cudaStream_t s)
{
    return s ? s : &standard;
}

bool emu_recording(cudaStream_t s)
{
    return stream_of(s)->in != NULL;
}

// --- the queues ---
// Run the first piece of work of s, if nothing holds it back.
static bool advance(CUstream_st *s)
{
    if (s->queue.empty())
        return false;
    op &front = s->queue.front();
    if (front.wait && front.wait->done < front.ticket)
        return false;
    if (front.meeting && !front.meeting(&front.ticket, &s->now))
        return false;
    op o = std::move(front);
    s->queue.pop_front();
    if (o.wait && o.ticket)
        s->now = std::max(s->now, o.wait->at[o.ticket - 1]);
    if (o.record) {
        o.record->done = o.ticket;
        o.record->at.resize(o.ticket);
        o.record->at[o.ticket - 1] = s->now;
    }
    if (o.work) {
        s->now += emu_work_takes[s->device];
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

// Whether another thread may yet bring what is waited for.
static bool is_met(void)
{
    for (CUstream_st *s : streams)
        if (!s->queue.empty() && s->queue.front().meeting)
            return true;
    return false;
}

// As far as can be.
static void run(CUstream_st *s)
{
    while (!s->queue.empty())
        if (!advance(s) && !advance_other(s)) {
            if (is_met())
                return;
            emu_fault("a stream waits for an event that nothing records");
            s->queue.clear();
        }
}

static void drain(CUstream_st *s)
{
    for (run(s); !s->queue.empty(); run(s))
        emu_give_way();
}

static void remove_stream(CUstream_st *s)
{
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == s)
            streams.erase(streams.begin() + (long)i);
    delete s;
}

static CUstream_st *add_stream(void)
{
    for (size_t i = streams.size(); i-- > 0;)
        if (streams[i]->left && streams[i]->queue.empty())
            remove_stream(streams[i]);
    CUstream_st *s = new CUstream_st();
    s->device = emu_device;
    streams.push_back(s);
    return s;
}

static void push(CUstream_st *s, op o)
{
    if (s->in) {
        o.on = s;
        s->in->ops.push_back(std::move(o));
        return;
    }
    if (s == &standard) // it waits for all others, as the legacy stream does
        for (CUstream_st *x : streams)
            drain(x);
    s->queue.push_back(std::move(o));
    if (s == &standard)
        drain(s);
    else if (!emu_lazy)
        run(s);
}

void emu_queue(cudaStream_t s, const char *what, emu_work work)
{
    op o = {};
    o.what = what;
    o.work = std::move(work);
    push(stream_of(s), std::move(o));
}

void emu_queue_meeting(cudaStream_t s, const char *what, emu_meeting meeting,
                       std::shared_ptr<void> holds)
{
    op o = {};
    o.what = what;
    o.meeting = std::move(meeting);
    if (emu_recording(s))
        o.holds = std::move(holds);
    push(stream_of(s), std::move(o));
}

void emu_sync(cudaStream_t s)
{
    drain(stream_of(s));
}

void emu_sync_all(void)
{
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i]->device == emu_device)
            drain(streams[i]);
}

// --- recordings ---
static recording *recorded_here(void)
{
    for (recording *r : recordings)
        if (pthread_equal(r->by, pthread_self()))
            return r;
    return NULL;
}

bool emu_records(void)
{
    return recorded_here() != NULL;
}

// Calls that a recording thread must not make spoil what it records.
cudaError_t emu_forbid_recording(void)
{
    recording *r = recorded_here();
    if (r)
        r->spoilt = true;
    return r ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

static cudaError_t spoil(CUstream_st *s, cudaError_t why)
{
    if (s->in)
        s->in->spoilt = true;
    return emu_error(why);
}

static recording *recording_of(cudaEvent_t e)
{
    for (recording *r : recordings)
        if (r->number == e->recorded_in)
            return r;
    return NULL;
}

// Every other stream's last operation is an event that the origin waits for.
static bool is_joined(const recording *r)
{
    for (CUstream_st *s : r->joined) {
        size_t last = 0;
        bool waited = false;
        for (size_t i = 0; i < r->ops.size(); i++)
            if (r->ops[i].on == s)
                last = i;
        for (const op &o : r->ops)
            waited |= o.on == r->origin && o.wait && o.from == last;
        if (!waited)
            return false;
    }
    return true;
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
    *s = add_stream();
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    emu_entry entry;
    drain(s);
    remove_stream(s);
    emu_count(-1);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    ENTRY;
    if (stream_of(s)->in)
        return spoil(stream_of(s), cudaErrorStreamCaptureUnsupported);
    drain(stream_of(s));
    return cudaSuccess;
}
// How often somebody looks is a matter of luck: that can fail which says that all is over.
cudaError_t cudaStreamQuery(cudaStream_t s)
{
    emu_entry entry;
    if (stream_of(s)->in)
        return spoil(stream_of(s), cudaErrorStreamCaptureUnsupported);
    run(stream_of(s));
    if (!stream_of(s)->queue.empty())
        return emu_error(cudaErrorNotReady);
    return entry.fails(__func__) ? emu_error(cudaErrorUnknown) : cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    ENTRY;
    CUstream_st *to = stream_of(s);
    recording *r = recording_of(e);
    op o = {};
    o.what = "wait";
    o.wait = e->own;
    o.ticket = e->own->issued;
    if (e->recorded_in && !r)
        return emu_error(cudaErrorCapturedEvent);
    if (to->in != r && (!r || to->in))
        return spoil(to, r ? cudaErrorStreamCaptureMerge : cudaErrorStreamCaptureIsolation);
    if (r && !to->in) {
        to->in = r;
        r->joined.push_back(to);
    }
    o.event = e;
    o.from = e->at;
    push(to, std::move(o));
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
    delete e;
    emu_count(-1);
    return cudaSuccess;
}
// An external one is recorded whenever the graph comes to it; it ties no streams together.
static cudaError_t record_event(cudaEvent_t e, cudaStream_t s, unsigned flags)
{
    CUstream_st *on = stream_of(s);
    op o = {};
    o.what = "record";
    o.record = e->own;
    if (flags == cudaEventRecordExternal && on->in) {
        push(on, std::move(o));
        return cudaSuccess;
    }
    if (flags != cudaEventRecordDefault)
        return emu_error(cudaErrorInvalidValue);
    o.event = e;
    if (on->in) {
        e->recorded_in = on->in->number;
        e->at = on->in->ops.size();
    } else {
        e->recorded_in = 0;
        o.ticket = ++e->own->issued;
    }
    push(on, std::move(o));
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    ENTRY;
    return record_event(e, s, cudaEventRecordDefault);
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned flags)
{
    ENTRY;
    return record_event(e, s, flags);
}
cudaError_t cudaEventQuery(cudaEvent_t e)
{
    emu_entry entry;
    while (e->own->done < e->own->issued)
        if (!advance_other(NULL)) {
            if (!is_met())
                emu_fault("the host waits for an event that nothing records");
            return emu_error(cudaErrorNotReady);
        }
    if (entry.fails(__func__))
        return emu_error(cudaErrorUnknown);
    return e->recorded_in ? emu_error(cudaErrorCapturedEvent) : cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    ENTRY;
    uint64_t ticket = e->own->issued;
    if (e->recorded_in)
        return emu_error(cudaErrorCapturedEvent);
    while (e->own->done < ticket)
        if (!advance_other(NULL)) {
            if (!is_met()) {
                emu_fault("the host waits for an event that nothing records");
                return emu_error(cudaErrorUnknown);
            }
            emu_give_way();
        }
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    ENTRY;
    if (!a->own->issued || !b->own->issued)
        return emu_error(cudaErrorInvalidResourceHandle);
    if (a->own->done < a->own->issued || b->own->done < b->own->issued)
        return emu_error(cudaErrorNotReady);
    *ms = (float)(b->own->at.back() - a->own->at.back());
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    ENTRY;
    if (!s || s->in)
        return emu_error(cudaErrorStreamCaptureUnsupported);
    s->in = new recording{++recorded, {}, s, {}, pthread_self(), false};
    recordings.push_back(s->in);
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
    if (!s->in || s->in->origin != s)
        return emu_error(cudaErrorIllegalState);
    std::unique_ptr<recording> r(s->in);
    for (CUstream_st *x : r->joined)
        x->in = NULL;
    s->in = NULL;
    for (size_t i = 0; i < recordings.size(); i++)
        if (recordings[i] == r.get())
            recordings.erase(recordings.begin() + (long)i);
    if (r->spoilt || fails)
        return emu_error(cudaErrorStreamCaptureInvalidated);
    if (!is_joined(r.get()))
        return emu_error(cudaErrorStreamCaptureUnjoined);
    *g = new CUgraph_st{std::move(r->ops), s};
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long)
{
    ENTRY;
    *x = new CUgraphExec_st{*g, {}, {}};
    for (const op &o : g->ops) {
        if (o.on != g->origin && !(*x)->branch[o.on])
            (*x)->branch[o.on] = add_stream();
        if (o.event && !(*x)->event[o.event])
            (*x)->event[o.event].reset(new marks());
    }
    emu_count(1);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s)
{
    ENTRY;
    emu_graphs_launched++;
    for (op o : x->graph.ops) { // a copy
        CUstream_st *on = o.on == x->graph.origin ? stream_of(s) : x->branch[o.on];
        std::shared_ptr<marks> m = o.event ? x->event[o.event] : nullptr;
        if (o.record) {
            o.record = m ? m : o.record;
            o.ticket = ++o.record->issued;
        }
        if (o.wait) {
            o.wait = m;
            o.ticket = m->issued;
        }
        o.holds.reset();
        push(on, std::move(o));
    }
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x) // what runs goes on to its end
{
    emu_entry entry;
    for (auto &b : x->branch)
        b.second->left = true;
    delete x;
    emu_count(-1);
    return cudaSuccess;
}
}
