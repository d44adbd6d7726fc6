// Modes: from which of the images that have arrived a step draws. The enum is what records and
// commands carry; the names stand in lines of JSON and before a person only.
#ifndef SSLTOP_METRICS_LOG_MODE_H
#define SSLTOP_METRICS_LOG_MODE_H

#include <stddef.h>
#include <stdint.h>

enum mode { MODE_NONE = -1, MODE_MULTI_EPOCH, MODE_CONTINUAL, MODE_CUMULATIVE, MODE_COUNT };

struct mode_row {
    const char *name, *doc;
};
extern const struct mode_row mode_table[MODE_COUNT];

// The mode of this name of n bytes, or MODE_NONE.
enum mode mode_find(const char *name, size_t n);
// Its name; "" for MODE_NONE.
const char *mode_name(enum mode mode);
// With its chunks, as a person and a plan have it: "continual@20"; 0: they are not said.
void mode_text(char *text, size_t size, enum mode mode, int chunks);
// Whether it is the same to be in: chunks count only where a mode has them.
int mode_same(enum mode a, int chunks_of_a, enum mode b, int chunks_of_b);

// What a mode draws from at a step: a part of the order in which the images arrive.
struct mode_pool {
    enum mode mode;
    int chunk; // -1 where the mode has none
    int64_t lo, hi;
    int64_t from, to; // steps in which it would stay this pool
};
// At step t of `steps`, of n images that arrive in so many chunks.
struct mode_pool mode_pool(enum mode mode, int64_t n, int chunks, int64_t steps, int64_t t);
int mode_pool_same(const struct mode_pool *a, const struct mode_pool *b);
// Images of a pass over a pool of `size`.
int64_t mode_pass(enum mode mode, int64_t size, int batch);

#endif
