// Ranks as threads; see crew.h. Whoever comes last to a channel does the copying for all.
#include "tests/kit/crew.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };
enum what { BROADCAST, GATHER, EXCHANGE };

struct channel {
    enum what what;
    size_t bytes;
    const void *from[MOST];
    void *to[MOST];
    int come, done;  // how many have come to what is under way; how many are over
    int begun[MOST]; // by each
};

struct crew {
    pthread_mutex_t lock;
    int size, broken;
    struct channel channel[RANKS_CHANNELS];
    int calls[MOST], fail[MOST];
    struct seat {
        struct crew *crew;
        int rank;
        struct ranks *ranks;
    } seat[MOST];
};

struct crew *crew_new(int size)
{
    struct crew *c = calloc(1, sizeof *c);
    cr_assert(c && size <= MOST);
    pthread_mutex_init(&c->lock, NULL);
    c->size = size;
    return c;
}

void crew_free(struct crew *c)
{
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void copy(struct crew *c, struct channel *h)
{
    for (int i = 0; i < c->size; i++)
        for (int k = 0; k < c->size; k++) {
            const char *from = h->from[k];
            char *to = h->to[i];
            if (h->what == BROADCAST && k == 0 && i != 0)
                memcpy(to, from, h->bytes);
            if (h->what == GATHER)
                memcpy(to + (size_t)k * h->bytes, from, h->bytes);
            if (h->what == EXCHANGE)
                memcpy(to + (size_t)k * h->bytes, from + (size_t)i * h->bytes, h->bytes);
        }
}

static int come(struct ranks *r, int channel, enum what what, const void *from, void *to,
                size_t bytes, struct error *e)
{
    const struct seat *s = r->own;
    struct crew *c = s->crew;
    struct channel *h = &c->channel[channel];
    pthread_mutex_lock(&c->lock);
    if (++c->calls[s->rank] == c->fail[s->rank])
        c->broken = 1;
    // What all of them do at the same place is the same thing, and one at a time.
    int fits = h->begun[s->rank] == h->done && (!h->come || (h->what == what && h->bytes == bytes));
    if (!fits)
        c->broken = 1;
    if (!c->broken) {
        h->what = what;
        h->bytes = bytes;
        h->from[s->rank] = from;
        h->to[s->rank] = to;
        h->begun[s->rank]++;
        if (++h->come == c->size) {
            copy(c, h);
            h->come = 0;
            h->done++;
        }
    }
    int broken = c->broken;
    pthread_mutex_unlock(&c->lock);
    return !fits    ? error_set(e, "rank %d does something else than the others", s->rank)
           : broken ? error_set(e, "the crew has failed")
                    : 0;
}

static int crew_broadcast(struct ranks *r, int channel, void *data, size_t bytes, struct error *e)
{
    return come(r, channel, BROADCAST, data, data, bytes, e);
}

static int crew_gather(struct ranks *r, int channel, const void *mine, void *all, size_t bytes,
                       struct error *e)
{
    return come(r, channel, GATHER, mine, all, bytes, e);
}

static int crew_exchange(struct ranks *r, int channel, const void *send, void *all, size_t bytes,
                         struct error *e)
{
    return come(r, channel, EXCHANGE, send, all, bytes, e);
}

static int crew_test(struct ranks *r, int channel, struct error *e)
{
    const struct seat *s = r->own;
    struct crew *c = s->crew;
    const struct channel *h = &c->channel[channel];
    pthread_mutex_lock(&c->lock);
    int done = h->done >= h->begun[s->rank], broken = c->broken;
    pthread_mutex_unlock(&c->lock);
    return done ? 1 : broken ? error_set(e, "the crew has failed") : 0;
}

static int crew_open(struct ranks *r, char *detail, size_t size, struct error *e)
{
    struct seat *s = r->own;
    (void)e;
    s->ranks = r;
    r->rank = r->local = s->rank;
    r->size = r->locals = s->crew->size;
    snprintf(detail, size, "threads");
    return 0;
}

static void leave(struct ranks *r)
{
    struct seat *s = r->own;
    pthread_mutex_lock(&s->crew->lock);
    s->ranks = NULL;
    pthread_mutex_unlock(&s->crew->lock);
}

static void crew_close(struct ranks *r)
{
    leave(r);
}

static void crew_abandon(struct ranks *r, int code)
{
    (void)code;
    leave(r);
}

static const struct ranks_engine engine = {.open = crew_open,
                                           .broadcast = crew_broadcast,
                                           .gather = crew_gather,
                                           .exchange = crew_exchange,
                                           .test = crew_test,
                                           .close = crew_close,
                                           .abandon = crew_abandon};

int crew_join(struct crew *c, int rank, struct ranks **out, struct error *e)
{
    c->seat[rank] = (struct seat){.crew = c, .rank = rank};
    return ranks_open_engine(&engine, &c->seat[rank], out, e);
}

void crew_lose(struct crew *c, int rank)
{
    int none = 0;
    pthread_mutex_lock(&c->lock);
    for (int k = 0; k < c->size; k++)
        if (k != rank && c->seat[k].ranks)
            atomic_compare_exchange_strong(&c->seat[k].ranks->gone, &none, rank + 1);
    pthread_mutex_unlock(&c->lock);
}

void crew_fail(struct crew *c, int rank, int call)
{
    pthread_mutex_lock(&c->lock);
    c->fail[rank] = call ? c->calls[rank] + call : 0;
    pthread_mutex_unlock(&c->lock);
}

int crew_calls(struct crew *c, int rank)
{
    pthread_mutex_lock(&c->lock);
    int n = c->calls[rank];
    pthread_mutex_unlock(&c->lock);
    return n;
}
