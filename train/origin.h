// Where a run begins: fresh, from parameters of a file, where an earlier run was left, as a
// repetition, or as a branch.
#ifndef SSLTOP_TRAIN_ORIGIN_H
#define SSLTOP_TRAIN_ORIGIN_H

#include <stdint.h>

#include "metrics/error.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/past.h"
#include "train/route.h"
#include "train/setup.h"

enum origin_kind { ORIGIN_FRESH, ORIGIN_RESUME, ORIGIN_RERUN, ORIGIN_BRANCH };

struct origin {
    enum origin_kind kind;
    struct options o; // what to train with
    char run[4096];   // folder of the earlier run; "" for a fresh one
    struct past past; // its log; zeroed for a fresh one
    char file[4200];  // checkpoint to start from, "" for initial weights
    struct checkpoint checkpoint;
    int64_t step;     // first step
    int64_t stop_at;  // 0: none
    char parent[256]; // of a branch
    int64_t parent_step;
};

// Decide from this call's options. Returns 0 or the exit code (1, 2). Reads, writes nothing.
// origin_free in any case.
int origin_find(struct origin *out, const struct options *o, const unsigned char *given,
                struct error *e);
void origin_free(struct origin *a); // takes a zeroed struct too

// What compile must obey, or NULL.
const char *origin_algorithms(const struct origin *a);

// Refuse to go on on another machine or with other data, unless --inexact; then bring plan, rates,
// guard, weights and moments to where the run begins.
int origin_restore(const struct origin *a, struct setup *s, struct rates *rates,
                   struct moments *live, struct error *e);

#endif
