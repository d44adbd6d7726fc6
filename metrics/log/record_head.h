// What a line of the log is, without decoding the rest of it.
#ifndef SSLTOP_METRICS_LOG_RECORD_HEAD_H
#define SSLTOP_METRICS_LOG_RECORD_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/log/record.h"

struct record_head {
    enum record_type type;       // RECORD_UNKNOWN: of a later version, or no record at all
    enum spectrum_source source; // of a spectrum
    int64_t step;                // -1: none
};

// Read type, step and a spectrum's source, no further than they are known: in a line of ssltop's
// they stand at the front. 1, or 0 when it is no record.
int record_head(const char *line, size_t n, struct record_head *out);

#endif
