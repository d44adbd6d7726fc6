// NCCL by dlopen; see nccl.h. Its functions have been the same since 2.4, so that no header
// of a certain version is needed: a toolkit need not have one.
#include "gpu/ranks/nccl/nccl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/vendor.h"

#define LIBRARY  "libnccl.so.2"
#define VARIABLE "SSLTOP_NCCL"

enum { SUCCESS = 0, IN_PROGRESS = 7, FLOAT32 = 7, FLOAT64 = 8, SUM = 0 };

static struct library {
    void *handle;
    int (*GetVersion)(int *version);
    int (*GetUniqueId)(struct nccl_id *id);
    int (*CommInitRank)(struct nccl **c, int size, struct nccl_id id, int rank);
    int (*CommDestroy)(struct nccl *c);
    int (*CommAbort)(struct nccl *c);
    int (*CommGetAsyncError)(struct nccl *c, int *error);
    int (*AllReduce)(const void *from, void *to, size_t n, int type, int op, struct nccl *c,
                     cudaStream_t s);
    int (*Reduce)(const void *from, void *to, size_t n, int type, int op, int root, struct nccl *c,
                  cudaStream_t s);
    const char *(*GetErrorString)(int error);
    const char *(*GetLastError)(struct nccl *c); // since 2.13; or NULL
} nccl;                                          // as the library itself it is the process's

static const struct symbol {
    const char *name;
    size_t at;
    int may; // be missing
} symbols[] = {
#define SYMBOL(s)                                                                                  \
    {                                                                                              \
        "nccl" #s, offsetof(struct library, s), 0                                                  \
    }
    SYMBOL(GetVersion),     SYMBOL(GetUniqueId),
    SYMBOL(CommInitRank),   SYMBOL(CommDestroy),
    SYMBOL(CommAbort),      SYMBOL(CommGetAsyncError),
    SYMBOL(AllReduce),      SYMBOL(Reduce),
    SYMBOL(GetErrorString), {"ncclGetLastError", offsetof(struct library, GetLastError), 1},
};

// Loaded once, and never unloaded: it has threads of its own.
static int load(struct error *e)
{
    const char *told = getenv(VARIABLE);
    struct library l = {0};
    struct error why;
    if (nccl.handle)
        return 0;
    if (!(l.handle = vendor_find(told && *told ? told : LIBRARY, &why)))
        return error_set(e,
                         "several cards need NVIDIA's NCCL, which cannot be loaded: %.250s "
                         "(" VARIABLE " names it)",
                         why.text);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(l.handle, symbols[i].name);
        if (!symbol && !symbols[i].may)
            return error_set(e, "NCCL has no %s: another version is needed", symbols[i].name);
        memcpy((char *)&l + symbols[i].at, &symbol, sizeof symbol);
    }
    nccl = l;
    return 0;
}

static int ok(int rc, const char *what, struct nccl *c, struct error *e)
{
    if (rc == SUCCESS)
        return 0;
    (void)cudaGetLastError();
    const char *more = nccl.GetLastError ? nccl.GetLastError(c) : NULL;
    return error_set(e, "NCCL could not %s: %.100s%s%.200s", what, nccl.GetErrorString(rc),
                     more && *more ? ": " : "", more ? more : "");
}

int nccl_version(int *out, struct error *e)
{
    return load(e) < 0 ? -1 : ok(nccl.GetVersion(out), "say its version", NULL, e);
}

int nccl_id(struct nccl_id *id, struct error *e)
{
    return ok(nccl.GetUniqueId(id), "begin", NULL, e);
}

// NCCL waits for all without an end, also for one that is gone: a thread waits, and is left to
// itself where that is so. Whoever comes second, the thread or nccl_join, clears up.
enum { UNDER_WAY, OVER, LEFT };
struct joining {
    atomic_int state;
    struct nccl_id id;
    int rank, size, card;
    struct nccl *c;
    int rc;
    struct error e;
};

static int move_on(struct joining *j, int to)
{
    int from = UNDER_WAY;
    return atomic_compare_exchange_strong(&j->state, &from, to);
}

static void *join(void *context)
{
    struct joining *j = context;
    cudaError_t rc = cudaSetDevice(j->card);
    if (rc != cudaSuccess)
        j->rc = error_set(&j->e, "the card cannot be connected: %s", cudaGetErrorString(rc));
    else
        j->rc =
            ok(nccl.CommInitRank(&j->c, j->size, j->id, j->rank), "connect the cards", NULL, &j->e);
    if (!move_on(j, OVER)) {
        nccl_abort(j->c);
        free(j);
    }
    return NULL;
}

static int is_joined(void *context, struct error *e)
{
    struct joining *j = context;
    (void)e;
    return atomic_load(&j->state) == OVER;
}

int nccl_join(struct ranks *ranks, int card, const struct nccl_id *id, struct nccl **out,
              struct error *e)
{
    pthread_t thread;
    struct joining *j = calloc(1, sizeof *j);
    *out = NULL;
    if (!j)
        return error_set(e, "out of memory connecting the cards");
    *j = (struct joining){.id = *id, .rank = ranks->rank, .size = ranks->size, .card = card};
    int error = pthread_create(&thread, NULL, join, j);
    if (error) {
        free(j);
        return error_number(e, error, "the cards cannot be connected");
    }
    int rc = ranks_until(ranks, is_joined, j, e);
    if (rc < 0 && move_on(j, LEFT)) {
        pthread_detach(thread);
        return rc;
    }
    pthread_join(thread, NULL);
    if (rc < 0)
        nccl_abort(j->c);
    else if ((rc = j->rc) < 0)
        *e = j->e;
    else
        *out = j->c;
    free(j);
    return rc;
}

void nccl_leave(struct nccl *c)
{
    if (c)
        nccl.CommDestroy(c);
}

void nccl_abort(struct nccl *c)
{
    if (c)
        nccl.CommAbort(c);
}

static int type_of(enum nccl_number number)
{
    return number == NCCL_F64 ? FLOAT64 : FLOAT32;
}

int nccl_add(struct nccl *c, void *card, size_t n, enum nccl_number number, cudaStream_t s,
             struct error *e)
{
    return ok(nccl.AllReduce(card, card, n, type_of(number), SUM, c, s), "add over the cards", c,
              e);
}

int nccl_add_first(struct nccl *c, void *card, size_t n, enum nccl_number number, cudaStream_t s,
                   struct error *e)
{
    return ok(nccl.Reduce(card, card, n, type_of(number), SUM, 0, c, s), "add over the cards", c,
              e);
}

int nccl_alive(struct nccl *c, struct error *e)
{
    int error = SUCCESS;
    if (ok(nccl.CommGetAsyncError(c, &error), "look after the cards", c, e) < 0)
        return -1;
    return error == IN_PROGRESS ? 0 : ok(error, "go on", c, e);
}
