// Values over steps with a min/max pyramid: a column of a plot asks about thousands of steps at the
// price of a few.
#include "tui/model/series.h"

#include <math.h>
#include <stdlib.h>

static const struct span gap = {NAN, NAN, NAN};

static struct span join(struct span a, struct span b)
{
    return (struct span){fminf(a.lo, b.lo), fmaxf(a.hi, b.hi), isnan(b.last) ? a.last : b.last};
}

void series_free(struct series *s)
{
    for (int k = 0; k < SERIES_LEVELS; k++)
        free(s->level[k]);
    *s = (struct series){0};
}

static size_t level_n(size_t n, int k)
{
    return (n + ((size_t)1 << 2 * k) - 1) >> 2 * k;
}

static int grow(struct series *s, size_t need)
{
    if (need <= s->cap)
        return 0;
    size_t cap = s->cap ? s->cap : 1024;
    while (cap < need)
        cap *= 2;
    for (int k = 0; k < SERIES_LEVELS; k++) {
        struct span *p = realloc(s->level[k], level_n(cap, k) * sizeof *p);
        if (!p)
            return -1;
        s->level[k] = p;
    }
    s->cap = cap;
    return 0;
}

// Make point i of each higher level again from the four below it.
static void lift(struct series *s, size_t i)
{
    for (int k = 1; k < SERIES_LEVELS; k++) {
        size_t below = level_n(s->n, k - 1), at = i >> 2 * k;
        struct span v = gap;
        for (size_t j = at * 4; j < at * 4 + 4 && j < below; j++)
            v = join(v, s->level[k - 1][j]);
        s->level[k][at] = v;
    }
}

static void halve(struct series *s)
{
    size_t n = (s->n + 1) / 2;
    for (size_t i = 0; i < n; i++)
        s->level[0][i] = 2 * i + 1 < s->n ? join(s->level[0][2 * i], s->level[0][2 * i + 1])
                                          : s->level[0][2 * i];
    s->n = n;
    s->width *= 2;
    for (size_t i = 0; i < n; i += 4)
        lift(s, i);
}

int series_add(struct series *s, int64_t step, double value)
{
    if (step < 0 || step > SERIES_LAST_STEP)
        return 0;
    if (!s->width)
        s->width = 1;
    while (step / s->width >= SERIES_MAX)
        halve(s);
    size_t i = (size_t)(step / s->width);
    if (grow(s, i + 1))
        return -1;
    if (i + 1 < s->n || s->width == 1)
        series_cut(s, step);
    float v = isfinite(value) ? (float)value : NAN;
    struct span point = {v, v, v};
    while (s->n < i) {
        s->level[0][s->n++] = gap;
        lift(s, s->n - 1);
    }
    s->level[0][i] = i < s->n ? join(s->level[0][i], point) : point;
    s->n = i + 1;
    lift(s, i);
    return 0;
}

void series_cut(struct series *s, int64_t step)
{
    if (!s->width)
        return;
    size_t n = step <= 0 ? 0 : (size_t)((step + s->width - 1) / s->width);
    if (n >= s->n)
        return;
    s->n = n;
    if (n)
        lift(s, n - 1);
}

struct span series_range(const struct series *s, int64_t from, int64_t to)
{
    struct span v = gap;
    if (!s->width || to <= from || to <= 0)
        return v;
    size_t i = from <= 0 ? 0 : (size_t)(from / s->width),
           end = (size_t)((to + s->width - 1) / s->width);
    if (end > s->n)
        end = s->n;
    while (i < end) {
        int k = 0;
        while (k + 1 < SERIES_LEVELS && i % ((size_t)4 << 2 * k) == 0 &&
               i + ((size_t)4 << 2 * k) <= end)
            k++;
        v = join(v, s->level[k][i >> 2 * k]);
        i += (size_t)1 << 2 * k;
    }
    return v;
}
