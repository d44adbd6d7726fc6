// What `ssltop probe --keep` measured of a run, in its folder: the runs behind a forecast of where
// a run ends have it.
#ifndef SSLTOP_TRAIN_STORE_PROBE_FILE_H
#define SSLTOP_TRAIN_STORE_PROBE_FILE_H

#include <stdint.h>

#include "metrics/base/error.h"

#define PROBE_FILE "probe.json" // its name in the folder of a run

struct probe_kept {
    int64_t step;            // of the checkpoint
    int64_t n_train, n_test; // images that the probe was fitted on, and scored
    int64_t correct;         // of these, by the linear probe
};

int probe_file_write(const char *dir, const struct probe_kept *k, struct error *e);
// 0; 1: there is none; -1: it makes no sense.
int probe_file_read(const char *dir, struct probe_kept *out, struct error *e);

#endif
