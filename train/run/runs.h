// Run folders for the command line: what there is, and which is meant.
#ifndef SSLTOP_TRAIN_RUN_RUNS_H
#define SSLTOP_TRAIN_RUN_RUNS_H

#include <stddef.h>

#include "metrics/base/error.h"

struct runs_info {
    char path[4096], name[256];
    char created[40], dataset[256], arch[64];
    int width;
    long long step, steps; // last step logged, T
    int alive;             // a trainer holds its lock
    char state[24]; // running, paused?, finished, stopped, failed, died (no end record and not
                    // alive), unknown (its lock or its log can't be read)
};
// Resolve a name under `runs` or a path, or "" (the newest; alive ones first when want_alive) to a
// run folder.
int runs_find(const char *runs, const char *run, int want_alive, char *path, size_t size,
              struct error *e);
// All run folders under `runs`, newest first; malloc'd into *out.
int runs_list(const char *runs, struct runs_info **out, int *n, struct error *e);

#endif
