// Whether a launcher has started this process beside others, and the library that then carries what
// they say. It is loaded under a launcher only: a training of one process needs no MPI.
#include "gpu/ranks/ranks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/ranks/watch.h"
#include "metrics/base/clock.h"
#include "metrics/base/path.h"

#define LIBRARY  "ssltop-mpi.so"
#define VARIABLE "SSLTOP_MPI"

// --- the launcher ---
static const struct {
    const char *launcher, *rank, *size, *locals;
} launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"},
    // In a batch script SLURM_PROCID and SLURM_NTASKS are there without a step.
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", NULL},
    {"a launcher", "PMIX_RANK", NULL, NULL},
};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers };

// A count in the environment, or -1.
static int count(const char *name)
{
    const char *text = name ? getenv(name) : NULL;
    char *end;
    if (!text || !*text)
        return -1;
    long v = strtol(text, &end, 10);
    return *end || v < 0 || v > RANKS_MOST ? -1 : (int)v;
}

struct ranks_launch ranks_launched(void)
{
    for (int i = 0; i < LAUNCHERS; i++) {
        int rank = count(launchers[i].rank), size = count(launchers[i].size);
        if (rank >= 0 && (size > 0 || !launchers[i].size))
            return (struct ranks_launch){rank, size, launchers[i].launcher};
    }
    return (struct ranks_launch){0};
}

// How many of them are on this host, where the launcher says so; else 0.
static int locals(void)
{
    for (int i = 0; i < LAUNCHERS; i++)
        if (count(launchers[i].locals) > 0)
            return count(launchers[i].locals);
    return count("SLURM_STEP_NUM_NODES") == 1 ? count("SLURM_STEP_NUM_TASKS") : 0;
}

// --- the library ---
static const struct ranks_engine *load(const char *path, struct error *e)
{
    // Components that an MPI loads itself look for its symbols among everybody's.
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        const char *why = dlerror();
        error_set(e, LIBRARY " cannot be loaded: %.300s", why ? why : "no reason is given");
        return NULL;
    }
    ranks_entry *entry;
    void *symbol = dlsym(library, RANKS_SYMBOL);
    memcpy(&entry, &symbol, sizeof entry); // ISO C has no cast from object to function
    const struct ranks_engine *engine = symbol ? entry(RANKS_ABI) : NULL;
    if (!engine)
        error_set(e, "%.300s belongs to another version of ssltop", path);
    return engine;
}

static const struct ranks_engine *find(const struct ranks_launch *l, struct error *e)
{
    const char *told = getenv(VARIABLE);
    if (told && *told)
        return load(told, e);
    struct path file = path_library(LIBRARY);
    if (file.s[0])
        return load(file.s, e);
    char many[32] = "several";
    if (l->size > 0)
        snprintf(many, sizeof many, "%d", l->size);
    error_set(e,
              "%s has started %s of these to train together, which needs " LIBRARY
              ": it is neither beside the program nor in the lib/ssltop of its installation (make "
              "deps-mpi, then make, builds it)",
              l->launcher, many);
    return NULL;
}

// --- together ---
static void release(struct ranks *r)
{
    free(r->place);
    free(r->room);
    free(r);
}

static int meet(struct ranks *r, struct error *e)
{
    struct rank_place mine = {.pid = (int)getpid()};
    if (gethostname(mine.host, sizeof mine.host - 1) < 0)
        snprintf(mine.host, sizeof mine.host, "?");
    if (r->size > RANKS_MOST)
        return error_set(e, "%d ranks are more than %d", r->size, (int)RANKS_MOST);
    r->place = calloc((size_t)r->size, sizeof *r->place);
    if (!r->place)
        return error_memory(e, "%d ranks", r->size);
    CPU_ZERO(&mine.cores);
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) < 0)
        CPU_ZERO(&mine.cores); // all the same: they share
    if (ranks_gather(r, &mine, r->place, sizeof mine, e) < 0)
        return -1;
    for (int k = 0; k < r->size; k++)
        r->sharing +=
            strcmp(r->place[k].host, mine.host) == 0 && CPU_EQUAL(&r->place[k].cores, &mine.cores);
    return 0;
}

int ranks_open_engine(const struct ranks_engine *engine, void *own, struct ranks **out,
                      struct error *e)
{
    struct ranks *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return error_memory(e, "several ranks");
    r->engine = engine;
    r->own = own;
    r->size = ranks_launched().size; // so far as is known; the engine knows
    r->locals = locals();
    if (engine->open(r, r->detail, sizeof r->detail, e) < 0) {
        release(r);
        return -1;
    }
    if (meet(r, e) < 0 || watch_open(r, e) < 0) {
        engine->close(r);
        release(r);
        return -1;
    }
    *out = r;
    return 0;
}

int ranks_open(struct ranks **out, struct error *e)
{
    struct ranks_launch l = ranks_launched();
    *out = NULL;
    if (l.size == 0 || l.size == 1)
        return 0;
    const struct ranks_engine *engine = find(&l, e);
    if (!engine || ranks_open_engine(engine, NULL, out, e) < 0)
        return -1;
    if ((*out)->size > 1)
        return 0;
    // An MPI of another make does not hear the launcher: each process takes itself for the only
    // one.
    const char *slurm = strcmp(l.launcher, "srun") == 0 ? ", or srun needs --mpi=pmi2 or pmix" : "";
    int rc = l.size > 1 ? error_set(e,
                                    "%s has started %d of these to train together, and %s finds "
                                    "one: " LIBRARY " is built with another MPI than %s belongs to "
                                    "(make MPICC=..., or " VARIABLE " names another)%s",
                                    l.launcher, l.size, (*out)->detail, l.launcher, slurm)
                        : 0;
    ranks_close(*out, 0);
    *out = NULL;
    return rc;
}

// A launcher passes on what was just said, if it has the time before it is told to end all. One
// that talks with a machine that is cut off notices it by itself where nothing is on the way there;
// told to end all, it waits for an answer for a long time.
static void let_notice(const struct ranks *r)
{
    int gone = atomic_load(&r->gone);
    if (gone)
        clock_sleep(strcmp(r->place[gone - 1].host, r->place[r->rank].host) != 0 ? 3 : 0.3);
}

void ranks_close(struct ranks *r, int code)
{
    char mine = 0, all[RANKS_MOST];
    if (!r)
        return;
    // Nobody goes before all have come: their end would be taken for a death.
    if (!r->over)
        ranks_gather(r, &mine, all, 1, NULL);
    watch_close(r);
    if (r->over) {
        let_notice(r);
        r->engine->abandon(r, code ? code : 1);
    } else {
        r->engine->close(r);
    }
    release(r);
}
