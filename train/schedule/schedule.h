// Which images step t sees: a pure function of (seed, schedule, t), without I/O or hidden state.
// Time decides what has arrived, the mode decides what is drawn (Li, Efros, Pathak, ECCV 2022, sec.
// 5: continual training).
#ifndef SSLTOP_TRAIN_SCHEDULE_SCHEDULE_H
#define SSLTOP_TRAIN_SCHEDULE_SCHEDULE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/mode.h"

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
struct schedule_entry {
    int64_t from;
    enum mode mode;
    int chunks;
};
struct schedule {
    struct schedule_facts facts;
    struct schedule_entry *entry;
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

// K within its bounds, or a sentence with the largest that works.
int schedule_check_chunks(const struct schedule_facts *f, int64_t chunks, struct error *e);

// Multi-epoch from the first step to the last. Refused with what would work: batch larger than N, K
// outside its bounds. Freed with schedule_free (which takes a zeroed struct too); nothing to free
// after -1.
int schedule_init(struct schedule *s, const struct schedule_facts *f, struct error *e);
void schedule_free(struct schedule *s);

// A switch: mode `mode` holds from step `from` on. An entry at the same step is replaced; later
// ones stay, or, for "until 40% then X", what was planned after step `clears` goes.
struct schedule_switch {
    int64_t from;
    enum mode mode;
    int chunks;     // 0: facts.chunks
    int64_t clears; // -1: nothing
};
// The step at which it was decided, which is that of its event.
static inline int64_t schedule_switch_step(const struct schedule_switch *w)
{
    return w->clears < 0 ? w->from : w->clears;
}
// The one way in which a schedule changes, whoever asks: a person, a script, the guard, the text of
// a plan, the log of an earlier life. Refused when the run has no such step or can't have so many
// chunks; then nothing has changed.
int schedule_switch(struct schedule *s, const struct schedule_switch *w, struct error *e);

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
