// Looking a step up in the log of a run, wherever it lies: what a history is too small to keep.
#ifndef SSLTOP_TUI_RECALL_H
#define SSLTOP_TUI_RECALL_H

#include "metrics/error.h"
#include "metrics/record.h"
#include "tui/history.h"

struct recall;
int recall_open(const char *log_path, struct recall **out, struct error *e);
void recall_free(struct recall *r); // NULL allowed

// The newest spectrum of this source at or before `step`, the step record of `step` itself. 1, and
// then the record is to be freed; 0 = the log has none (and nothing is to be freed); -1 = error.
int recall_spectrum(struct recall *r, int64_t step, enum spectrum_source source, struct record *out,
                    struct error *e);
int recall_step(struct recall *r, int64_t step, struct record *out, struct error *e);

// A spectrum that was looked up, kept until another step is asked for or the log has more.
struct recalled {
    int64_t at;                // the step that was asked for; -1: nothing was
    size_t frames;             // of the log then
    int passed;                // the log was behind that step: no better one will come
    struct history_spectrum p; // step -1: the log has none
};
void recalled_init(struct recalled *k);
void recalled_free(struct recalled *k); // zeroed too
// Have the newest spectrum at or before `step` in `k`. 0, or -1 = error, and then it has none.
int recall_keep(struct recall *r, struct recalled *k, int64_t step, enum spectrum_source source,
                struct error *e);

#endif
