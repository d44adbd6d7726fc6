// The source of a replay: everything in a log but its live spectra, as fast as it can be read, then
// some of these, and whatever comes when the log still grows. The spectra of a place are looked up
// when it is looked at (tui/feed/past.h).
#ifndef SSLTOP_TUI_FEED_REPLAY_H
#define SSLTOP_TUI_FEED_REPLAY_H

#include "tui/feed/source.h"

// A log that holds nothing readable is refused.
int source_replay_open(const char *log_path, struct source **out, struct error *e);

#endif
