// What a run says of itself in the `config` of its `run` record, for those who look at it: read
// without judging, so that a log of another version, with an option more or less, tells all that it
// has. (Who would do the same run again reads it with options_from_json, which refuses.)
#ifndef SSLTOP_METRICS_LOG_RUN_FACTS_H
#define SSLTOP_METRICS_LOG_RUN_FACTS_H

#include <stdint.h>

#include "metrics/log/record.h"

struct run_facts {
    int batch, chunks;            // 0: not told
    uint64_t seed;                // 0: not told
    char method[32];              // "": not told; texts are clean
    char augment[32];             // "auto": not told, or the method's own
    char schedule[512];           // "": not told
    int predictor, stop_gradient; // 1: not told, or there
};

// A record without a config tells nothing; never fails.
void run_facts_read(const struct record_run *run, struct run_facts *out);

// Whether both train the same network on the same data by the same method: then their curves can
// be laid over each other.
int run_facts_alike(const struct record_run *a, const struct record_run *b);

#endif
