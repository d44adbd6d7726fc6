// A training that is not ours, as tests make one: features of a few directions, handed over by the
// client's library.
#ifndef SSLTOP_TESTS_KIT_THEIRS_H
#define SSLTOP_TESTS_KIT_THEIRS_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/science/metric.h"
#include "tests/kit/runs.h"
#include "train/client/ssltop-client.h"

enum { ROWS = 24, D = 12, DIM = 6, STEPS = 20 };

// What metrics of a step of theirs may be made from: everything but its images.
#define THEIRS_KNOW                                                                                \
    (METRIC_NEEDS_SPECTRUM | METRIC_NEEDS_FEATURES | METRIC_NEEDS_PAIRS | METRIC_NEEDS_SCORES)

extern int64_t theirs_length; // of the next run, as it is told to the recorder; STEPS
extern int theirs_whole;      // the next run waits until each step is measured; 0

// A client of this run in the lab; fails the test when it cannot be.
ssltop_client *theirs_open(const struct lab *lab, const char *name, unsigned can);
// Rows of a step: of a few directions more than of the others.
void theirs_draw(float *x, int n, int d, int64_t step, int view);
// Step t of two views, h and z, loss -0.25, lr 0.1.
void theirs_hand_over(ssltop_client *c, int64_t t, float h[2][ROWS * D], float z[2][ROWS * DIM]);
// Wait until the recorder has taken every step.
void theirs_settle(const ssltop_client *c);
// Both, so that no step is dropped.
void theirs_step(ssltop_client *c, int64_t t, float h[2][ROWS * D], float z[2][ROWS * DIM]);

// One in a child: makes steps until it is told to stop.
pid_t theirs_in_child(const struct lab *lab, const char *name, unsigned can);

// The process number of the recorder of the client in this process.
pid_t theirs_recorder(pid_t of);
// A field of a record ("step", 3) of lab_log; NaN: null. Fails the test without the record.
double theirs_field(json_t *log, const char *key, int64_t step, const char *name);
// Whether the log, as text, has this in it.
int theirs_log_has(const struct lab *lab, const char *name, const char *text);

#endif
