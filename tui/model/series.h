// One value a step, kept so that any range of steps can be drawn without losing a spike: minima and
// maxima in a pyramid. Memory is bounded: past SERIES_MAX points two steps share one, then four,
// ...
#ifndef SSLTOP_TUI_MODEL_SERIES_H
#define SSLTOP_TUI_MODEL_SERIES_H

#include <stddef.h>
#include <stdint.h>

#define SERIES_LAST_STEP ((int64_t)1 << 60) // a step beyond that is no step
enum { SERIES_MAX = 1 << 17, SERIES_LEVELS = 9 };

struct span {
    float lo, hi, last; // NaN: no value
};
struct series {
    int64_t width;                     // steps a point of the lowest level
    size_t n, cap;                     // points of the lowest level
    struct span *level[SERIES_LEVELS]; // level k: 4^k points of the lowest level each
};

// Zeroed is empty.
void series_free(struct series *s);
// The value of a step: the last one given for it wins; points from `step` on that were there before
// are forgotten. Steps that are left out have no value. NaN and infinities are gaps. -1 without
// memory.
int series_add(struct series *s, int64_t step, double value);
// Forget steps >= step.
void series_cut(struct series *s, int64_t step);
// Minimum, maximum and last value over steps [from, to), to the resolution that is kept.
struct span series_range(const struct series *s, int64_t from, int64_t to);

#endif
