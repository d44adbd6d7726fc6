// What is said at once, and how a rank waits: it looks often at first, since the others are nearly
// there; then it gives the core to whoever wants it; then it sleeps, since they are paused,
// evaluate, or write a checkpoint.
#include "gpu/ranks/ranks.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/clock.h"

// Seconds of waiting from which on it sleeps, and for how long at a time.
static const struct {
    double after, sleep;
} patience[] = {{10, 5e-3}, {1, 2e-3}, {0.1, 5e-4}, {2e-3, 5e-5}};
enum { LOOKS = 64, STEPS = sizeof patience / sizeof *patience };

static void rest(double waited)
{
    for (int i = 0; i < STEPS; i++)
        if (waited >= patience[i].after) {
            clock_sleep(patience[i].sleep);
            return;
        }
    sched_yield();
}

int ranks_gone(const struct ranks *r, int rank, struct error *e)
{
    const struct rank_place *p = &r->place[rank];
    return error_set(e, "rank %d on %s (process %d) is gone: the others can't train without it",
                     rank, p->host, p->pid);
}

// What the engine says of an end is less than who it was: the watch knows in a moment.
static int why(struct ranks *r, struct error *e)
{
    for (double until = clock_seconds() + 1; r->watched && clock_seconds() < until; rest(1))
        if (ranks_alive(r, e) < 0)
            return -1;
    r->over = 1;
    return -1;
}

void ranks_give_up(struct ranks *r)
{
    r->over = 1;
}

int ranks_alive(struct ranks *r, struct error *e)
{
    int gone = r ? atomic_load_explicit(&r->gone, memory_order_acquire) : 0;
    if (!gone)
        return 0;
    r->over = 1;
    return ranks_gone(r, gone - 1, e);
}

int ranks_until(struct ranks *r, ranks_test *test, void *context, struct error *e)
{
    double since = 0;
    int rc;
    for (int looks = 0; (rc = test(context, e)) == 0; looks++) {
        if (ranks_alive(r, e) < 0)
            return -1;
        if (looks == 0)
            since = clock_seconds();
        else if (looks > LOOKS)
            rest(clock_seconds() - since);
    }
    return rc < 0 ? why(r, e) : 0;
}

struct under_way {
    struct ranks *ranks;
    int channel;
};

static int is_done(void *context, struct error *e)
{
    const struct under_way *u = context;
    return u->ranks->engine->test(u->ranks, u->channel, e);
}

int ranks_wait(struct ranks *r, int channel, struct error *e)
{
    struct under_way u = {r, channel};
    int rc = is_done(&u, e);
    if (rc != 0)
        return rc < 0 ? why(r, e) : 0;
    double since = clock_seconds();
    rc = ranks_until(r, is_done, &u, e);
    r->waited += clock_seconds() - since;
    return rc;
}

int ranks_broadcast(struct ranks *r, void *data, size_t bytes, struct error *e)
{
    if (r->engine->broadcast(r, RANKS_TALK, data, bytes, e) < 0)
        return -1;
    return ranks_wait(r, RANKS_TALK, e);
}

int ranks_gather(struct ranks *r, const void *mine, void *all, size_t bytes, struct error *e)
{
    if (r->engine->gather(r, RANKS_TALK, mine, all, bytes, e) < 0)
        return -1;
    return ranks_wait(r, RANKS_TALK, e);
}

int ranks_add(struct ranks *r, double *v, size_t n, struct error *e)
{
    size_t bytes = n * sizeof *v, size = bytes * (size_t)r->size;
    if (r->room_size < size) {
        void *room = realloc(r->room, size);
        if (!room)
            return error_memory(e, "what %d ranks say", r->size);
        r->room = room;
        r->room_size = size;
    }
    if (ranks_gather(r, v, r->room, bytes, e) < 0)
        return -1;
    const double *all = r->room;
    memcpy(v, all, bytes);
    for (size_t k = 1; k < (size_t)r->size; k++)
        for (size_t i = 0; i < n; i++)
            v[i] += all[k * n + i];
    return 0;
}
