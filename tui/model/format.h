// Numbers for people: grouped digits, units, times. What does not exist is a dash, never 0.
#ifndef SSLTOP_TUI_MODEL_FORMAT_H
#define SSLTOP_TUI_MODEL_FORMAT_H

#include <stdint.h>

struct text {
    char s[48];
};

struct text format_count(int64_t n);         // 1 284; below 0: a dash
struct text format_duration(double seconds); // 18:04, 3:20:11, 2 d 04 h
struct text format_bytes(double bytes);      // 0.9 GB, 312 MB
struct text format_rate(double per_second);  // 1 312, 4.2, 0.03
struct text format_value(double v,
                         int digits); // `digits` significant ones; plain or with an exponent
struct text format_fixed(double v, int decimals); // 0.742, with a proper minus sign

#endif
