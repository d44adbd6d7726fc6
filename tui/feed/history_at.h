// A run as it was when a step was its newest: what the screen shows at the place of a replay, and
// at a cursor.
#ifndef SSLTOP_TUI_FEED_HISTORY_AT_H
#define SSLTOP_TUI_FEED_HISTORY_AT_H

#include "tui/feed/history.h"

// Fills `out` from `h` without copying anything long: it points into `h`, holds until that changes,
// and is never freed. A step behind the last one is the last; -1 is before the first. `last` is put
// together from the series (to their precision, without forecast_state). Spectra are those that `h`
// has if they were there by then, else none: the caller that can look further back replaces them.
void history_at(const struct history *h, int64_t step, struct history *out);

#endif
