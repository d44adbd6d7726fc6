// The table of modes (Li, Efros, Pathak, ECCV 2022, sec. 5).
#include "metrics/log/mode.h"

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
