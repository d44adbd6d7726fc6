// NCCL as far as the CUDA device calls it, over shared memory: ranks are threads or processes, each
// with a card of its own. A sum is formed, in the order of the ranks, when every rank's stream has
// come to it. What the real one forbids is a fault here, and what it waits for is waited for. The
// device loads this as a library by its name.
#pragma GCC visibility push(default)
#include <cuda_runtime.h>
#if __has_include(<nccl.h>)
#include <nccl.h>
#else // a toolkit need not have it
extern "C" {
typedef struct ncclComm *ncclComm_t;
typedef struct {
    char internal[128];
} ncclUniqueId;
typedef enum {
    ncclSuccess = 0,
    ncclSystemError = 2,
    ncclInvalidArgument = 4,
    ncclInvalidUsage = 5,
    ncclRemoteError = 6
} ncclResult_t;
typedef enum { ncclFloat32 = 7, ncclFloat64 = 8 } ncclDataType_t;
typedef enum { ncclSum = 0 } ncclRedOp_t;
ncclResult_t ncclGetVersion(int *);
ncclResult_t ncclGetUniqueId(ncclUniqueId *);
ncclResult_t ncclCommInitRank(ncclComm_t *, int, ncclUniqueId, int);
ncclResult_t ncclCommDestroy(ncclComm_t);
ncclResult_t ncclCommAbort(ncclComm_t);
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t *);
ncclResult_t ncclAllReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                           cudaStream_t);
ncclResult_t ncclReduce(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, int, ncclComm_t,
                        cudaStream_t);
const char *ncclGetErrorString(ncclResult_t);
const char *ncclGetLastError(ncclComm_t);
}
#endif
#pragma GCC visibility pop

#include "tests/cuda/emu.h"

#undef threadIdx
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

int emu_connection;

enum : size_t { MOST = 8, ROOM = (size_t)64 << 20 }; // ranks; bytes of a rank's numbers
struct seat {
    std::atomic<uint64_t> said, heard; // sums that it has given its part to, and that it has had
    size_t n;
    bool wide;
    int root;    // -1: all have the sum
    double came; // ms by the cards' clock
};
struct place { // where all ranks of one id meet, and behind it the numbers of each
    std::atomic<int> here, gone; // ranks that have come, and those that have left
    std::atomic<int> refused, aborted;
    std::atomic<unsigned> devices; // a bit each
    seat of[MOST];
};
struct end {
    place *at;
    int rank, size;
    bool aborted;
    uint64_t asked; // sums
    ~end()
    {
        munmap(at, sizeof(place) + MOST * ROOM);
    }
    char *numbers(int rank_) const
    {
        return (char *)at + sizeof(place) + (size_t)rank_ * ROOM;
    }
};
struct ncclComm {
    std::shared_ptr<end> own;
    std::shared_ptr<void> graphs; // held by each that has recorded a sum
    cudaStream_t stream;
};

#define NCCL_ENTRY                                                                                 \
    emu_entry entry;                                                                               \
    if (entry.fails(__func__))                                                                     \
    return ncclSystemError

static place *enter(const ncclUniqueId &id)
{
    size_t size = sizeof(place) + MOST * ROOM;
    int fd = shm_open(id.internal, O_RDWR | O_CREAT, 0600);
    void *m = fd >= 0 && ftruncate(fd, (off_t)size) == 0
                  ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                  : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (m == MAP_FAILED)
        emu_fault("no shared memory for the ranks");
    return (place *)m;
}

template <class T> static void add(const end *e, void *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        T sum = ((const T *)e->numbers(0))[i];
        for (int k = 1; k < e->size; k++)
            sum += ((const T *)e->numbers(k))[i];
        ((T *)to)[i] = sum;
    }
}

// Whether all have come to this sum (or, `heard`, had it).
static bool have_all(const end *e, uint64_t sum, bool heard)
{
    for (int k = 0; k < e->size; k++)
        if ((heard ? e->at->of[k].heard : e->at->of[k].said) < sum)
            return false;
    return true;
}

// One rank's stream has come to a sum, and asks whether it is over.
static bool meet(end *e, void *at, size_t n, bool wide, int root, uint64_t *ticket, double *now)
{
    seat *mine = &e->at->of[e->rank];
    size_t bytes = n * (wide ? 8 : 4);
    if (e->aborted)
        return true;
    if (!*ticket) {
        if (!have_all(e, e->asked, true)) // what was said before is still wanted
            return false;
        *ticket = ++e->asked;
        emu_open_arena();
        emu_touch(at, bytes, false, "what a rank adds");
        memcpy(e->numbers(e->rank), at, bytes);
        emu_close_arena();
        mine->n = n;
        mine->wide = wide;
        mine->root = root;
        mine->came = *now;
        mine->said = *ticket;
    }
    if (!have_all(e, *ticket, false))
        return false;
    for (int k = 0; k < e->size; k++)
        if (e->at->of[k].n != n || e->at->of[k].wide != wide || e->at->of[k].root != root)
            emu_fault("ranks add different numbers: %zu and %zu", n, e->at->of[k].n);
    if (root < 0 || root == e->rank) {
        emu_open_arena();
        emu_touch(at, bytes, true, "a sum over ranks");
        wide ? add<double>(e, at, n) : add<float>(e, at, n);
        emu_close_arena();
    }
    for (int k = 0; k < e->size; k++)
        *now = std::max(*now, e->at->of[k].came);
    *now += emu_sum_takes;
    mine->heard = *ticket;
    return true;
}

static ncclResult_t queue(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op,
                          int root, ncclComm_t c, cudaStream_t s)
{
    if (from != to || op != ncclSum || (type != ncclFloat32 && type != ncclFloat64) || !n)
        return ncclInvalidArgument;
    if (c->stream && c->stream != s)
        emu_fault("the sums of a rank are on two streams: nothing says which comes first");
    c->stream = s;
    std::shared_ptr<end> own = c->own;
    bool wide = type == ncclFloat64;
    if (n * (wide ? 8 : 4) > ROOM)
        emu_fault("a sum of %zu numbers is too large to be played", n);
    emu_queue_meeting(
        s, "sum over ranks",
        [own, to, n, wide, root](uint64_t *ticket, double *now) {
            return meet(own.get(), to, n, wide, root, ticket, now);
        },
        c->graphs);
    return ncclSuccess;
}

static void part(ncclComm_t c)
{
    if (c->graphs.use_count() > 1)
        emu_fault("ranks part before the graphs that hold their sums are gone");
    delete c;
    emu_count(-1);
}

extern "C" {
ncclResult_t ncclGetVersion(int *version)
{
    NCCL_ENTRY;
    *version = 22809;
    return ncclSuccess;
}
static int made;
static void name_of(int which, char *name, size_t size)
{
    snprintf(name, size, "/ssltop-nccl-%d-%d", (int)getpid(), which);
}
// Those at which not all have met.
static void forget_places(void)
{
    char name[64];
    for (int i = 1; i <= made; i++) {
        name_of(i, name, sizeof name);
        shm_unlink(name);
    }
}
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    NCCL_ENTRY;
    if (!made)
        atexit(forget_places);
    memset(id, 0, sizeof *id);
    name_of(++made, id->internal, sizeof id->internal);
    return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t *out, int size, ncclUniqueId id, int rank)
{
    NCCL_ENTRY; // the others are not told, and wait
    place *at = enter(id);
    std::shared_ptr<end> own(new end{at, rank, size, false, 0});
    unsigned device = 1u << emu_device;
    // Two ranks on a card are refused by the real one too.
    if (rank < 0 || rank >= size || size > (int)MOST ||
        (at->devices.fetch_or(device) & device))
        at->refused = 1;
    at->here++;
    while (at->here < size && !at->refused && !emu_connection)
        emu_give_way();
    if (emu_connection) // it has noticed who does not come
        return ncclRemoteError;
    if (at->here == size) // all have it
        shm_unlink(id.internal);
    if (at->refused)
        return ncclRemoteError;
    *out = new ncclComm{own, std::shared_ptr<void>(new int(0), [](void *p) { delete (int *)p; }),
                        NULL};
    emu_count(1);
    return ncclSuccess;
}
// All together, as the real one may wait for the others.
ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    emu_entry entry;
    std::shared_ptr<end> own = c->own;
    if (own->at->of[own->rank].heard < own->asked)
        emu_fault("ranks part while they add");
    part(c);
    own->at->gone++;
    while (own->at->gone < own->size && !own->at->aborted)
        emu_give_way();
    return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    emu_entry entry;
    c->own->aborted = true;
    c->own->at->aborted = 1;
    part(c);
    return ncclSuccess;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t *error)
{
    emu_entry entry; // how often it is asked is a matter of luck
    *error = (ncclResult_t)emu_connection;
    return emu_connection < 0 ? ncclSystemError : ncclSuccess;
}
ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t s)
{
    NCCL_ENTRY;
    return queue(from, to, n, type, op, -1, c, s);
}
ncclResult_t ncclReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op,
                        int root, ncclComm_t c, cudaStream_t s)
{
    NCCL_ENTRY;
    if (root < 0 || root >= c->own->size)
        return ncclInvalidArgument;
    return queue(from, to, n, type, op, root, c, s);
}
const char *ncclGetErrorString(ncclResult_t)
{
    return "played error";
}
const char *ncclGetLastError(ncclComm_t)
{
    return "nothing more is known";
}
}
