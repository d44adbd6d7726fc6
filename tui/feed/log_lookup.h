// A spectrum that was looked up in the log of a run, which a history is too small to keep, until
// another step is asked for or the log has more.
#ifndef SSLTOP_TUI_FEED_LOG_LOOKUP_H
#define SSLTOP_TUI_FEED_LOG_LOOKUP_H

#include "metrics/base/error.h"
#include "metrics/log/cursor.h"
#include "tui/feed/history.h"

struct log_lookup {
    int64_t at;                // the step that was asked for; -1: nothing was
    size_t frames;             // of the log then
    int passed;                // the log was behind that step: no better one will come
    struct history_spectrum p; // step -1: the log has none
};
void log_lookup_init(struct log_lookup *k);
void log_lookup_free(struct log_lookup *k); // zeroed too
// Have the newest spectrum of this kind at or before `step` in `k`. 0, or -1 = error, and then it
// has none.
int log_lookup_spectrum(struct cursor *log, struct log_lookup *k, int64_t step,
                        enum runlog_kind kind, struct error *e);
// The step record of `step` itself: 1 and it is to be freed, 0 = there is none, -1 = error.
int log_lookup_step(struct cursor *log, int64_t step, struct record *out, struct error *e);

#endif
