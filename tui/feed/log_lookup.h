// Looking a step up in the log of a run, wherever it lies: what a history is too small to keep.
#ifndef SSLTOP_TUI_FEED_LOG_LOOKUP_H
#define SSLTOP_TUI_FEED_LOG_LOOKUP_H

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "tui/feed/history.h"

struct log_lookup;
int log_lookup_open(const char *log_path, struct log_lookup **out, struct error *e);
void log_lookup_free(struct log_lookup *r); // NULL allowed

// The newest spectrum of this source at or before `step`, the step record of `step` itself. 1, and
// then the record is to be freed; 0 = the log has none (and nothing is to be freed); -1 = error.
int log_lookup_spectrum(struct log_lookup *r, int64_t step, enum spectrum_source source,
                        struct record *out, struct error *e);
int log_lookup_step(struct log_lookup *r, int64_t step, struct record *out, struct error *e);

// A spectrum that was looked up, kept until another step is asked for or the log has more.
struct log_lookup_kept {
    int64_t at;                // the step that was asked for; -1: nothing was
    size_t frames;             // of the log then
    int passed;                // the log was behind that step: no better one will come
    struct history_spectrum p; // step -1: the log has none
};
void log_lookup_kept_init(struct log_lookup_kept *k);
void log_lookup_kept_free(struct log_lookup_kept *k); // zeroed too
// Have the newest spectrum at or before `step` in `k`. 0, or -1 = error, and then it has none.
int log_lookup_keep(struct log_lookup *r, struct log_lookup_kept *k, int64_t step,
                    enum spectrum_source source, struct error *e);

#endif
