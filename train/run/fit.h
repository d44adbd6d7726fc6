// A forecast from logs: the evaluations of runs whose probe was measured.
#ifndef SSLTOP_TRAIN_RUN_FIT_H
#define SSLTOP_TRAIN_RUN_FIT_H

#include "metrics/base/error.h"
#include "metrics/forecast/forecast.h"

struct fit {
    struct forecast forecast;
    int unsupported; // forecast_fit's
    int skipped;     // runs that gave no evaluation: no measured probe after their first tenth
};

// From the logs of these run folders, each without its first tenth, and from files of evaluations
// that were kept of others (train/store/points_file.h). All must be of one data set, network and
// method, and none may come twice. Inputs i with without[i] != 0 (enum
// forecast_in; not AUC, loss and width, which every evaluation has) are as if nobody knew them.
// `points`: where the evaluations of all are kept, as in such a file; NULL: nowhere.
// As forecast_fit: 0, -1 with the sentence; forecast_free in any case.
int fit_runs(char *const *dir, int n, const unsigned char *without, const char *points,
             struct fit *out, struct error *e);

// Write to path (replaced only when all is written).
int fit_save(const struct forecast *f, const char *path, struct error *e);

#endif
