// The source of a replay: everything in a log but its spectra, as fast as it can be read, then
// whatever comes when the log still grows. Spectra are looked up when they are looked at
// (tui/feed/log_lookup.h).
#ifndef SSLTOP_TUI_FEED_REPLAY_H
#define SSLTOP_TUI_FEED_REPLAY_H

#include "tui/feed/source.h"

// A log that holds nothing readable is refused.
int source_replay_open(const char *log_path, struct source **out, struct error *e);

#endif
