// Looking a step up in the log of a run, wherever it lies: what a history is too small to keep.
#ifndef SSLTOP_TUI_RECALL_H
#define SSLTOP_TUI_RECALL_H

#include "metrics/error.h"
#include "metrics/record.h"

struct recall;
int recall_open(const char *log_path, struct recall **out, struct error *e);
void recall_free(struct recall *r); // NULL allowed

// The newest spectrum of this source at or before `step`, the step record of `step` itself. 1, and
// then the record is to be freed; 0 = the log has none (and nothing is to be freed); -1 = error.
int recall_spectrum(struct recall *r, int64_t step, enum spectrum_source source, struct record *out,
                    struct error *e);
int recall_step(struct recall *r, int64_t step, struct record *out, struct error *e);

#endif
