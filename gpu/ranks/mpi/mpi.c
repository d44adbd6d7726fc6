// What ranks say over MPI 3.1: the library that `ssltop` loads under a launcher. Every channel is a
// communicator of its own, so that what runs beside something else need not begin in the same order
// everywhere. MPI carries bytes and adds nothing; which of its algorithms it takes does not matter.
#include <mpi.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/ranks/ranks.h"

enum { BEATS = 2 }; // signs of life under way to a rank, at most

struct beat {
    MPI_Request out[BEATS], in;
    int said[BEATS], heard;
};

struct own {
    MPI_Comm comm[RANKS_CHANNELS], life;
    MPI_Request request[RANKS_CHANNELS];
    int threads;       // MPI takes calls from several
    struct beat *beat; // of each rank
};

// The word that MPI has for it.
static int failed(int rc, const char *what, struct error *e)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(rc, text, &n);
    return error_set(e, "MPI could not %s: %.200s", what, text);
}

static int too_many(size_t bytes, struct error *e)
{
    return error_set(e, "%zu bytes at a time are more than MPI takes", bytes);
}

static int started(int rc, const char *what, struct error *e)
{
    return rc == MPI_SUCCESS ? 0 : failed(rc, what, e);
}

static int mpi_broadcast(struct ranks *r, int channel, void *data, size_t bytes, struct error *e)
{
    struct own *o = r->own;
    int n = (int)bytes;
    if (bytes > INT_MAX)
        return too_many(bytes, e);
    return started(MPI_Ibcast(data, n, MPI_BYTE, 0, o->comm[channel], &o->request[channel]),
                   "send to all ranks", e);
}

static int mpi_gather(struct ranks *r, int channel, const void *mine, void *all, size_t bytes,
                      struct error *e)
{
    struct own *o = r->own;
    int n = (int)bytes;
    if (bytes > INT_MAX)
        return too_many(bytes, e);
    return started(
        MPI_Iallgather(mine, n, MPI_BYTE, all, n, MPI_BYTE, o->comm[channel], &o->request[channel]),
        "gather from all ranks", e);
}

static int mpi_exchange(struct ranks *r, int channel, const void *send, void *all, size_t bytes,
                        struct error *e)
{
    struct own *o = r->own;
    int n = (int)bytes;
    if (bytes > INT_MAX)
        return too_many(bytes, e);
    return started(
        MPI_Ialltoall(send, n, MPI_BYTE, all, n, MPI_BYTE, o->comm[channel], &o->request[channel]),
        "exchange between all ranks", e);
}

static int mpi_test(struct ranks *r, int channel, struct error *e)
{
    struct own *o = r->own;
    int done = 0, rc = MPI_Test(&o->request[channel], &done, MPI_STATUS_IGNORE);
    return rc == MPI_SUCCESS ? done != 0 : failed(rc, "hear from all ranks", e);
}

// --- signs of life: rank 0 with each of the others ---
static int talks_with(const struct ranks *r, int k)
{
    return r->rank == 0 ? k > 0 : k == 0;
}

static int say(struct own *o, struct beat *b, int to, int gone)
{
    for (int i = 0; i < BEATS; i++) {
        int done = 1;
        if (b->out[i] != MPI_REQUEST_NULL &&
            MPI_Test(&b->out[i], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return -1;
        if (!done)
            continue;
        b->said[i] = gone;
        return MPI_Isend(&b->said[i], 1, MPI_INT, to, 0, o->life, &b->out[i]) == MPI_SUCCESS ? 0
                                                                                             : -1;
    }
    return 0; // what is under way says it
}

// Everything that has come: how often, and who it says is gone.
static int hear(struct ranks *r, struct beat *b, int from, unsigned *heard)
{
    struct own *o = r->own;
    for (;;) {
        int done = 0, none = 0;
        if (b->in == MPI_REQUEST_NULL &&
            MPI_Irecv(&b->heard, 1, MPI_INT, from, 0, o->life, &b->in) != MPI_SUCCESS)
            return -1;
        if (MPI_Test(&b->in, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return -1;
        if (!done)
            return 0;
        ++*heard;
        if (b->heard > 0 && b->heard <= r->size)
            atomic_compare_exchange_strong(&r->gone, &none, b->heard);
    }
}

static int mpi_beat(struct ranks *r, unsigned *heard)
{
    struct own *o = r->own;
    int rc = 0, gone = atomic_load(&r->gone);
    for (int k = 0; o->threads && k < r->size; k++) {
        if (!talks_with(r, k))
            continue;
        // One that does not answer must not keep us from the others.
        if (say(o, &o->beat[k], k, gone) < 0 || hear(r, &o->beat[k], k, &heard[k]) < 0)
            rc = -1;
    }
    for (int k = 0; !o->threads && k < r->size; k++)
        heard[k]++; // nobody can say anything
    return rc;
}

static void still(struct ranks *r)
{
    struct own *o = r->own;
    for (int k = 0; o->beat && k < r->size; k++) {
        struct beat *b = &o->beat[k];
        MPI_Request *all[] = {&b->in, &b->out[0], &b->out[1]};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (*all[i] != MPI_REQUEST_NULL && MPI_Cancel(all[i]) == MPI_SUCCESS)
                MPI_Request_free(all[i]);
    }
}

// --- life ---
static void mpi_close(struct ranks *r)
{
    struct own *o = r->own;
    still(r);
    for (int i = 0; i < RANKS_CHANNELS; i++)
        MPI_Comm_free(&o->comm[i]);
    MPI_Comm_free(&o->life);
    MPI_Finalize();
    free(o->beat);
    free(o);
}

static void mpi_abandon(struct ranks *r, int code)
{
    (void)r;
    MPI_Abort(MPI_COMM_WORLD, code);
}

// Who is here, and which MPI this is.
static int know(struct ranks *r, char *detail, size_t size)
{
    MPI_Comm here;
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0, rc = MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    if (rc == MPI_SUCCESS)
        rc = MPI_Comm_size(MPI_COMM_WORLD, &r->size);
    if (rc == MPI_SUCCESS)
        rc = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, r->rank, MPI_INFO_NULL,
                                 &here);
    if (rc != MPI_SUCCESS)
        return rc;
    MPI_Comm_rank(here, &r->local);
    MPI_Comm_size(here, &r->locals);
    MPI_Comm_free(&here);
    MPI_Get_library_version(version, &n);
    version[strcspn(version, ",\n")] = '\0';
    for (char *c = version; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
    snprintf(detail, size, "%.90s", version);
    return MPI_SUCCESS;
}

static int mpi_open(struct ranks *r, char *detail, size_t size, struct error *e)
{
    struct own *o = r->own = calloc(1, sizeof *o);
    int level = 0, is_there = 0;
    if (!o)
        return error_set(e, "out of memory");
    // Signs of life travel beside the work; on one host nobody needs them.
    int want = r->size > 0 && r->locals == r->size ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE;
    MPI_Initialized(&is_there);
    int rc = is_there ? MPI_Query_thread(&level) : MPI_Init_thread(NULL, NULL, want, &level);
    if (rc != MPI_SUCCESS) {
        free(o);
        return error_set(e, "MPI could not begin (error %d)", rc);
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); // copies take it over
    rc = know(r, detail, size);
    for (int i = 0; i < RANKS_CHANNELS && rc == MPI_SUCCESS; i++) {
        o->request[i] = MPI_REQUEST_NULL;
        rc = MPI_Comm_dup(MPI_COMM_WORLD, &o->comm[i]);
    }
    if (rc == MPI_SUCCESS)
        rc = MPI_Comm_dup(MPI_COMM_WORLD, &o->life);
    o->threads = level == MPI_THREAD_MULTIPLE;
    o->beat = rc == MPI_SUCCESS ? calloc((size_t)r->size, sizeof *o->beat) : NULL;
    if (rc == MPI_SUCCESS && !o->beat)
        return error_memory(e, "%d ranks", r->size);
    for (int k = 0; rc == MPI_SUCCESS && k < r->size; k++)
        o->beat[k].in = o->beat[k].out[0] = o->beat[k].out[1] = MPI_REQUEST_NULL;
    return rc == MPI_SUCCESS ? 0 : failed(rc, "begin", e);
}

static const struct ranks_engine engine = {.open = mpi_open,
                                           .broadcast = mpi_broadcast,
                                           .gather = mpi_gather,
                                           .exchange = mpi_exchange,
                                           .test = mpi_test,
                                           .beat = mpi_beat,
                                           .close = mpi_close,
                                           .abandon = mpi_abandon};

ranks_entry ssltop_ranks_engine;
__attribute__((visibility("default"))) const struct ranks_engine *ssltop_ranks_engine(unsigned abi)
{
    return abi == RANKS_ABI ? &engine : NULL;
}
