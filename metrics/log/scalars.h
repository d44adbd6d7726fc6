// A log once from its beginning to its end, without its spectra: for those who want to know what a
// run did and how it was steered.
#ifndef SSLTOP_METRICS_LOG_SCALARS_H
#define SSLTOP_METRICS_LOG_SCALARS_H

#include "metrics/base/error.h"
#include "metrics/log/record.h"

// What is done with a record: SCALARS_NEXT, SCALARS_MOVED = it is the taker's now and is not freed,
// SCALARS_STOP = no more is wanted, or -1 with an error, which ends the reading too.
enum { SCALARS_NEXT, SCALARS_MOVED, SCALARS_STOP };
typedef int scalars_taker(void *to, struct record *r, struct error *e);

// Every record that can be read, in the order of the log, but spectra and what is of a later
// version. 0; -1: the log cannot be read, or the taker said so.
int scalars_read(const char *log_path, scalars_taker *take, void *to, struct error *e);

#endif
