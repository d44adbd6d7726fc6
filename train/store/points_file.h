// Evaluations of measured runs, as `ssltop fit --points` keeps them: a run's log is a hundred times
// as long, and a fit can be made again, with more runs, when the logs are gone. JSON lines: what
// all are of, then an evaluation each.
#ifndef SSLTOP_TRAIN_STORE_POINTS_FILE_H
#define SSLTOP_TRAIN_STORE_POINTS_FILE_H

#include <stdio.h>

#include "metrics/base/error.h"
#include "metrics/forecast/forecast.h"

struct points_head {
    char data[256], arch[64], method[96];
};

int points_file_begin(FILE *out, const struct points_head *head, struct error *e);
// `run`: its name; those of a run follow each other.
int points_file_add(FILE *out, const char *run, const struct forecast_point *p, struct error *e);

// Calls head once, then each for every evaluation, whose `run` counts the names from 0. -1 when one
// of them returns -1, or with a sentence: a file from a stranger.
struct points_reader {
    int (*head)(void *context, const struct points_head *head, struct error *e);
    int (*each)(void *context, const char *run, const struct forecast_point *p, struct error *e);
    void *context;
};
int points_file_read(const char *path, const struct points_reader *r, struct error *e);

#endif
