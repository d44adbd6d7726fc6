// Where a run begins: fresh, from parameters of a file, where an earlier run was left, as a
// repetition, or as a branch.
#ifndef SSLTOP_TRAIN_RUN_START_H
#define SSLTOP_TRAIN_RUN_START_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "train/store/checkpoint.h"
#include "train/options/options.h"
#include "train/run/earlier.h"
#include "train/schedule/rates.h"
#include "train/run/setup.h"

enum start_kind { START_FRESH, START_RESUME, START_RERUN, START_BRANCH };

struct start {
    enum start_kind kind;
    struct options o;       // what to train with
    char run[4096];         // folder of the earlier run; "" for a fresh one
    struct earlier earlier; // its log; zeroed for a fresh one
    char file[4200];        // checkpoint to start from, "" for initial weights
    struct checkpoint checkpoint;
    int64_t step;     // first step
    int64_t stop_at;  // 0: none
    char parent[256]; // of a branch
    int64_t parent_step;
};

// Decide from this call's options. Returns 0 or the exit code (1, 2). Reads, writes nothing.
// start_free in any case.
int start_find(struct start *out, const struct options *o, const unsigned char *given,
               struct error *e);
void start_free(struct start *a); // takes a zeroed struct too

// What compile must obey, or NULL.
const char *start_algorithms(const struct start *a);

// -1: the data set has not as many images as the run that goes on or is repeated had. For a setup
// that was opened or refused.
int start_count(const struct start *a, const struct setup *s, struct error *e);

// Refuse to go on on another machine or with other data, unless --inexact; then bring schedule,
// rates, guard, weights and moments to where the run begins.
int start_restore(const struct start *a, struct setup *s, struct rates *rates, struct moments *live,
                  struct error *e);

#endif
