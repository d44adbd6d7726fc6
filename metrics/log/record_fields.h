// Private to record*.c: what the lines of DESIGN's record types hold, as rows that both directions
// follow.
#ifndef SSLTOP_METRICS_LOG_RECORD_FIELDS_H
#define SSLTOP_METRICS_LOG_RECORD_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/log/record.h"

enum field_kind {
    FIELD_DOUBLE,  // double; missing: NaN
    FIELD_INT,     // int
    FIELD_INT64,   // int64_t
    FIELD_TEXT,    // char[size]; missing: ""
    FIELD_OWNED,   // char *, malloc'd text; missing: NULL
    FIELD_OBJECT,  // char *, malloc'd text of a JSON object; missing: NULL
    FIELD_METRICS, // double[METRIC_OF_H], each under its key in metric_table
    FIELD_PHASES,  // double[PHASE_COUNT], each under its key in record_phase_key
    FIELD_MODE,    // enum mode by name; missing or unknown: MODE_NONE, ""
    FIELD_SHAPE,   // int[3] as an array: channels, height, width
    FIELD_OWN,     // struct record_own as an object
    FIELD_SOURCE,  // enum spectrum_source by name
    FIELD_SIGMA    // struct record_spectrum's d and sigma as an array; missing: d 0
};

struct record_field {
    const char *group; // object that holds the field; NULL: the line itself. Fields of a group are
                       // neighbours
    const char *key;   // NULL where the kind brings its own keys
    enum field_kind kind;
    size_t offset, size; // in struct record
    int64_t missing;     // of integers: what stands for "does not exist"
    int optional;        // left out instead of null when it does not exist
};

// A type of line. `step` and `type` are common to all and not among the fields.
struct record_kind {
    const char *name;
    const struct record_field *field;
    size_t n;
};
extern const struct record_kind record_kind_table[RECORD_END + 1]; // [RECORD_UNKNOWN] has no name
extern const char *const record_source_key[SPECTRUM_SOURCES];

// Values under names of their own in a field: a column each.
int record_field_columns(const struct record_field *f);
// A finite number of so many significant digits, with a dot in any locale; its length.
enum { RECORD_NUMBER = 64, RECORD_DIGITS = 17, RECORD_SIGMA_DIGITS = 5 };
size_t record_number(char text[RECORD_NUMBER], double v, int digits);

// The field inside a record, to write and to read.
static inline void *record_at(struct record *r, const struct record_field *f)
{
    return (char *)r + f->offset;
}
static inline const void *record_value(const struct record *r, const struct record_field *f)
{
    return (const char *)r + f->offset;
}

#endif
