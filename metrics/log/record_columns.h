// The values of a record as columns of a table, by the names that the manual has for them: "step"
// first, then the fields in the order of a line; inside an object with a dot (ms.data).
#ifndef SSLTOP_METRICS_LOG_RECORD_COLUMNS_H
#define SSLTOP_METRICS_LOG_RECORD_COLUMNS_H

#include <stddef.h>

#include "metrics/log/record.h"

enum { RECORD_COLUMN_NAME = 64, RECORD_COLUMNS_MAX = 64 };

// The type of this name ("step"), or RECORD_UNKNOWN.
enum record_type record_type_of(const char *name);
int record_columns(enum record_type type); // how many, at most RECORD_COLUMNS_MAX
void record_column_name(enum record_type type, int column, char name[RECORD_COLUMN_NAME]);
int record_column_find(enum record_type type, const char *name, size_t n); // -1: there is none
int record_column_is_sigma(enum record_type type, int column);             // a list of values
int record_column_is_own(enum record_type type, int column);               // struct record_own

// The value as text, malloc'd into *text ("" for what does not exist): 1 = it is a number, 0 = a
// text, -1 = out of memory. A list is divided by blanks.
int record_cell(const struct record *r, int column, char **text);

// record_format with the wanted columns only (and the type): a flag for each. NULL: all.
int record_format_columns(const struct record *r, const unsigned char *wanted, char **line,
                          size_t *len, struct error *e);

// The same with numbers of so many significant digits.
int record_format_rounded(const struct record *r, const unsigned char *wanted, int digits,
                          char **line, size_t *len, struct error *e);

#endif
