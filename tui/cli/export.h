// A run for other tools: tables of its records and a figure, from the log.
#ifndef SSLTOP_TUI_CLI_EXPORT_H
#define SSLTOP_TUI_CLI_EXPORT_H

#include <stdint.h>
#include <stdio.h>

#include "metrics/base/error.h"
#include "metrics/log/record_columns.h"

struct export_range {
    int64_t from, to; // steps, both included
};

// The lines of a type in a log that count: a run that was resumed did some steps twice, and the
// last record of a step wins.
struct export_lines;
// Reads the log once, by the fronts of its lines.
int export_lines_open(const char *path, enum record_type type, struct export_range range,
                      struct export_lines **out, struct error *e);
int64_t export_lines_count(const struct export_lines *l);
// The next line, valid until the next call: 1, 0 = no more, -1 = error.
int export_lines_next(struct export_lines *l, const char **line, size_t *n, struct error *e);
const char *export_lines_lost(struct export_lines *l);     // as runlog_lost; reads to the end
int64_t export_lines_passed(const struct export_lines *l); // lines of any type in the log so far
void export_lines_free(struct export_lines *l);            // NULL allowed

// Columns by name, divided by commas; NULL: all. `wanted` gets a flag each, of
// RECORD_COLUMNS_MAX. -1 with a sentence that names those there are.
int export_columns(enum record_type type, const char *names, unsigned char *wanted,
                   struct error *e);

// The lines as a table with a head, or as lines of JSON (as they are in the log when all columns
// are wanted). A write error shows in ferror(f).
int export_csv(struct export_lines *l, enum record_type type, const unsigned char *wanted, FILE *f,
               struct error *e);
int export_json(struct export_lines *l, const unsigned char *wanted, FILE *f, struct error *e);

// A figure of the run as a stand-alone SVG. *lost: what the log has lost, malloc'd, or NULL.
int export_svg(const char *path, struct export_range range, FILE *f, char **lost, struct error *e);

#endif
