// Which images step t sees: a pure function of (seed, plan, t), without I/O or hidden state. Time
// decides what has arrived, the mode decides what is drawn (Li, Efros, Pathak, ECCV 2022, sec. 5:
// continual training).
#ifndef SSLTOP_TRAIN_SCHEDULE_SCHEDULE_H
#define SSLTOP_TRAIN_SCHEDULE_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

enum mode { MODE_MULTI_EPOCH, MODE_CONTINUAL, MODE_CUMULATIVE, MODE_COUNT };
struct mode_row {
    const char *name, *doc;
};
extern const struct mode_row mode_table[MODE_COUNT];
int mode_find(const char *name); // enum mode, or -1

// Plans with a name.
struct plan_row {
    const char *name, *plan, *doc;
};
extern const struct plan_row plan_table[]; // ends with a NULL name

// The fixed facts of a run.
struct schedule_facts {
    uint64_t seed;
    int64_t n;     // images after --subset, N
    int batch;     // B
    int64_t steps; // T
    int chunks;    // K; 0: schedule_default_chunks
};

// Mode `mode` over `chunks` chunks holds from step `from` on. Entries in increasing order of
// `from`; the first is 0.
struct plan_entry {
    int64_t from;
    enum mode mode;
    int chunks;
};
struct schedule {
    struct schedule_facts facts;
    struct plan_entry *entry;
    int n, cap;
    // private: the arrival order and the last permutation asked for, kept because they are dear to
    // make again
    struct schedule_cache *cache;
};

// T for these epochs, and K's default and largest legal value (DESIGN: max(1, min(round(T/S),
// floor(N/B), T))).
int64_t schedule_steps(int64_t n, int batch, int64_t epochs);
int schedule_default_chunks(int64_t n, int batch, int64_t steps);
int schedule_max_chunks(int64_t n, int batch, int64_t steps);

// "40%" (of T, rounded down; decimals allowed, worked exactly) or a step, as text; at most `steps`.
int schedule_point(const char *text, int64_t steps, int64_t *out, struct error *e);

// `text`: MODE | hybrid | MODE[@K][:UNTIL],... with UNTIL a percentage of T or a step. Refused with
// what would work: batch larger than N, K outside 1..min(floor(N/B), T), UNTIL out of order,
// unknown mode. Freed with schedule_free (which takes a zeroed struct too); nothing to free after
// -1.
int schedule_init(struct schedule *s, const struct schedule_facts *f, const char *text,
                  struct error *e);
void schedule_free(struct schedule *s);

// From step `from` on: `mode`. Later planned entries stay; an entry at the same step is replaced.
// chunks 0: facts.chunks. Refused when the run has no such step.
int schedule_append(struct schedule *s, int64_t from, enum mode mode, int chunks, struct error *e);
// Drop every planned entry after step `from` (what "until 40% then X" and a key press over a plan
// need).
void schedule_truncate(struct schedule *s, int64_t from);

// The arrival order of the N images of a set of `total` (subset = the first N of the order of all):
// order[0..n).
int schedule_order(uint64_t seed, int64_t total, int64_t n, int64_t *order, struct error *e);

// Where step t stands; a t outside 0..T-1 is taken as the nearest inside.
struct schedule_place {
    enum mode mode;
    int chunk, chunks;        // chunk -1 in multi-epoch
    int64_t pool_lo, pool_hi; // arrived images drawn from: positions in the arrival order
    int64_t segment;          // first step of the segment (mode or pool changed there)
    int64_t ends;             // first step of the next segment
    double passes;            // over the pool, since the segment began
};
void schedule_at(const struct schedule *s, int64_t t, struct schedule_place *out);

// Images of step t as positions in the arrival order, B of them. -1 when t is outside 0..T-1 or
// memory is short.
int schedule_batch(struct schedule *s, int64_t t, int64_t *position, struct error *e);

#endif
