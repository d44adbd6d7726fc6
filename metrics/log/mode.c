// The table of modes (Li, Efros, Pathak, ECCV 2022, sec. 5), and what each of them draws from: time
// decides what has arrived, the mode decides what of it is drawn.
#include "metrics/log/mode.h"

#include <stdio.h>
#include <string.h>

const struct mode_row mode_table[MODE_COUNT] = {
    [MODE_MULTI_EPOCH] = {"multi-epoch", "All images, each once an epoch."},
    [MODE_CONTINUAL] = {"continual", "Only the chunk that arrived last, again and again until the "
                                     "next one comes."},
    [MODE_CUMULATIVE] = {"cumulative", "Everything that has arrived so far."},
};

enum mode mode_find(const char *name, size_t n)
{
    for (int m = 0; m < MODE_COUNT; m++)
        if (strlen(mode_table[m].name) == n && memcmp(mode_table[m].name, name, n) == 0)
            return (enum mode)m;
    return MODE_NONE;
}

const char *mode_name(enum mode mode)
{
    return mode == MODE_NONE ? "" : mode_table[mode].name;
}

void mode_text(char *text, size_t size, enum mode mode, int chunks)
{
    snprintf(text, size, chunks ? "%s@%d" : "%s", mode_name(mode), chunks);
}

int mode_same(enum mode a, int chunks_of_a, enum mode b, int chunks_of_b)
{
    return a == b && (a == MODE_MULTI_EPOCH || chunks_of_a == chunks_of_b);
}

typedef __int128 wide; // products of steps, chunks and images

// Chunk k of K is order[kN/K .. (k+1)N/K), and its time the steps from kT/K on, rounded up.
struct mode_pool mode_pool(enum mode mode, int64_t n, int chunks, int64_t steps, int64_t t)
{
    if (mode == MODE_MULTI_EPOCH)
        return (struct mode_pool){.mode = mode, .chunk = -1, .hi = n, .to = steps};
    wide k = chunks, all = steps, chunk = t * k / all;
    wide lo = mode == MODE_CONTINUAL ? chunk * n / k : 0;
    return (struct mode_pool){.mode = mode,
                              .chunk = (int)chunk,
                              .lo = (int64_t)lo,
                              .hi = (int64_t)((chunk + 1) * n / k),
                              .from = (int64_t)((chunk * all + k - 1) / k),
                              .to = (int64_t)(((chunk + 1) * all + k - 1) / k)};
}

int mode_pool_same(const struct mode_pool *a, const struct mode_pool *b)
{
    return a->mode == b->mode && a->lo == b->lo && a->hi == b->hi;
}

// Passes are joined end to end; in multi-epoch each is cut to whole batches first.
int64_t mode_pass(enum mode mode, int64_t size, int batch)
{
    return mode == MODE_MULTI_EPOCH ? size - size % batch : size;
}
