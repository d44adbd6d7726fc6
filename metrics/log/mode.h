// Modes: from which of the images that have arrived a step draws. The enum is what records and
// commands carry; the names stand in lines of JSON and before a person only.
#ifndef SSLTOP_METRICS_LOG_MODE_H
#define SSLTOP_METRICS_LOG_MODE_H

#include <stddef.h>

enum mode { MODE_NONE = -1, MODE_MULTI_EPOCH, MODE_CONTINUAL, MODE_CUMULATIVE, MODE_COUNT };

struct mode_row {
    const char *name, *doc;
};
extern const struct mode_row mode_table[MODE_COUNT];

// The mode of this name of n bytes, or MODE_NONE.
enum mode mode_find(const char *name, size_t n);
// Its name; "" for MODE_NONE.
const char *mode_name(enum mode mode);

#endif
