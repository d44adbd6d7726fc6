// A run as it was when a step was its newest: what the screen shows at the place of a replay, and
// at a cursor. Of what a history keeps of the steps, and of what only the log has.
#ifndef SSLTOP_TUI_FEED_PAST_H
#define SSLTOP_TUI_FEED_PAST_H

#include "metrics/base/error.h"
#include "metrics/log/cursor.h"
#include "tui/feed/history.h"

// Fills `out` from `h` without copying anything long: it points into `h`, holds until that changes,
// and is never freed. A step behind the last one is the last; -1 is before the first. `last` is put
// together from the series (to their precision, without forecast_state). Spectra are those that `h`
// has if they were there by then, else none: the caller that can look further back replaces them.
void past_at(const struct history *h, int64_t step, struct history *out);

// A spectrum that was looked up in the log of a run, which a history is too small to keep, until
// another step is asked for or the log has more.
struct past_spectrum {
    int64_t at;                // the step that was asked for; -1: nothing was
    size_t frames;             // of the log then
    int passed;                // the log was behind that step: no better one will come
    struct history_spectrum p; // step -1: the log has none
};
void past_spectrum_init(struct past_spectrum *k);
void past_spectrum_free(struct past_spectrum *k); // zeroed too
// Have the newest spectrum of this kind at or before `step` in `k`. 0, or -1 = error, and then it
// has none.
int past_spectrum_find(struct cursor *log, struct past_spectrum *k, int64_t step,
                       enum runlog_kind kind, struct error *e);
// The step record of `step` itself: 1 and it is to be freed, 0 = there is none, -1 = error.
int past_step(struct cursor *log, int64_t step, struct record *out, struct error *e);

#endif
