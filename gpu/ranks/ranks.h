// Several processes that train one network on parts of the same batch: who they are, and what they
// say to each other. A process that trains alone has no struct ranks (NULL). What carries it is an
// engine: gpu/ranks/mpi/ in a library that is loaded under a launcher only, or a test's threads.
//
// All ranks make the same calls in the same order, each from one thread. Nothing here computes but
// sums, and these are formed by ourselves in the order of the ranks: an engine only carries bytes.
// So a sum depends on the number of ranks and on nothing else, and is the same on all of them.
//
// Functions return 0, or -1 with a sentence in `e`: then this process and the others cannot go on
// together. Where one of them is gone the sentence names it and its host, on every rank.
#ifndef SSLTOP_GPU_RANKS_RANKS_H
#define SSLTOP_GPU_RANKS_RANKS_H

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "metrics/base/error.h"

// One thing at a time is under way on a channel. What is said at once, one for sums in double that
// run beside it, and some for sums of gradients.
enum { RANKS_TALK, RANKS_BESIDE, RANKS_GRADIENT, RANKS_CHANNELS = RANKS_GRADIENT + 8 };
enum { RANKS_HOST = 64, RANKS_MOST = 4096 };

struct ranks;

// Raise it, and BACKEND_ABI, with every change of the structs here.
#define RANKS_ABI    1u
#define RANKS_SYMBOL "ssltop_ranks_engine"

// Starts return 0 or -1; what they were given must stay until `test` has said 1. Blocks have the
// same size on all ranks, in bytes; `all` and `send` hold one for each, in their order.
struct ranks_engine {
    // Sets rank, size, local and locals. size and locals are what the launcher says until then, 0
    // where it does not.
    int (*open)(struct ranks *r, char *detail, size_t size, struct error *e); // detail: what it is
    int (*broadcast)(struct ranks *r, int channel, void *data, size_t bytes, struct error *e);
    int (*gather)(struct ranks *r, int channel, const void *mine, void *all, size_t bytes,
                  struct error *e);
    int (*exchange)(struct ranks *r, int channel, const void *send, void *all, size_t bytes,
                    struct error *e);
    // Whether what is under way there is done: 1 it is, 0 not yet, -1.
    int (*test)(struct ranks *r, int channel, struct error *e);
    // A sign of life to the others and what has come from them: heard[rank] grows. NULL: it cannot
    // beside a thread that uses the rest.
    int (*beat)(struct ranks *r, unsigned *heard);
    // The end, for all of them together; or of this one, which takes the others along.
    void (*close)(struct ranks *r);
    void (*abandon)(struct ranks *r, int code);
};
typedef const struct ranks_engine *ranks_entry(unsigned abi);

struct rank_place {
    char host[RANKS_HOST];
    int pid;
    cpu_set_t cores; // that it may use
};

struct ranks {
    int rank, size;
    int local, locals; // its number among those on this host, and theirs
    int sharing;       // of them may use the very same cores, this one included
    const struct ranks_engine *engine;
    void *own; // the engine's
    char detail[96];
    struct rank_place *place; // of each
    double waited;            // seconds spent in waiting for others, so far
    struct ranks_watch *watch;
    int watched;     // others that it can tell to be gone
    atomic_int gone; // 1 + the rank that is not there any more; 0: all are
    int over;        // something failed half-way: the others cannot be told anything any more
    void *room;      // for what is gathered to be summed
    size_t room_size;
};

// --- who (gpu/ranks/launch.c) ---
// What the launcher's environment says. size 0: there is none; -1: there is one, it does not say of
// how many.
struct ranks_launch {
    int rank, size;
    const char *launcher; // a word for a person
};
struct ranks_launch ranks_launched(void);

// Join the others where a launcher has started this process beside others; else *out is NULL.
int ranks_open(struct ranks **out, struct error *e);
// With an engine that is at hand: for tests. `own` is the engine's.
int ranks_open_engine(const struct ranks_engine *engine, void *own, struct ranks **out,
                      struct error *e);
// NULL is allowed. Where all went well, all of them together; else the others end as well, this
// process with this code.
void ranks_close(struct ranks *r, int code);
// This rank cannot go on, and the others may be waiting for it.
void ranks_give_up(struct ranks *r);
// -1 where one of them is gone, which whoever does something else than waiting for it asks for.
// NULL is allowed.
int ranks_alive(struct ranks *r, struct error *e);
// The sentence for it. -1.
int ranks_gone(const struct ranks *r, int rank, struct error *e);

// --- talk (gpu/ranks/talk.c): these wait until it is done ---
// What rank 0 has at `data`, on all.
int ranks_broadcast(struct ranks *r, void *data, size_t bytes, struct error *e);
// all: `bytes` of every rank.
int ranks_gather(struct ranks *r, const void *mine, void *all, size_t bytes, struct error *e);
// v = the sum of everybody's. For few numbers: all of everybody's travel to everybody.
int ranks_add(struct ranks *r, double *v, size_t n, struct error *e);
// Wait for what is under way on a channel.
int ranks_wait(struct ranks *r, int channel, struct error *e);
// Wait for something else that needs the others: until `test` says 1; 0: not yet, -1.
typedef int ranks_test(void *context, struct error *e);
int ranks_until(struct ranks *r, ranks_test *test, void *context, struct error *e);

// --- sums that run beside the work (gpu/ranks/sum.c) ---
// Each rank adds one part of the numbers and gives it to all. Large ones cost the same however many
// ranks there are.
enum ranks_number { RANKS_FLOAT, RANKS_DOUBLE };
struct ranks_sum {
    enum ranks_number number;
    int channel;
    void *data, *work; // ranks_sum_length() numbers each; the caller's
    size_t part;       // numbers that a rank adds
    double factor;     // of the sum
    enum { SUM_NONE, SUM_SENT, SUM_ADDED } state;
};
// n rounded up: what lies behind n may be anything that can be added.
size_t ranks_sum_length(const struct ranks *r, size_t n);
// data = factor times the sum of everybody's data, as soon as ranks_sum_finish has said so. Between
// them ranks_sum_poll moves it on.
int ranks_sum_start(struct ranks *r, struct ranks_sum *s, struct error *e);
int ranks_sum_poll(struct ranks *r, struct ranks_sum *s, struct error *e);
int ranks_sum_finish(struct ranks *r, struct ranks_sum *s, struct error *e);

#endif
