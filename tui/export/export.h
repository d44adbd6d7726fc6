// A run for other tools: tables of its records and a figure, from the log.
#ifndef SSLTOP_TUI_CLI_EXPORT_H
#define SSLTOP_TUI_CLI_EXPORT_H

#include <stdio.h>

#include "metrics/base/error.h"
#include "metrics/log/cursor.h"
#include "metrics/log/record_columns.h"
#include "metrics/forecast/forecast.h"

// Columns by name, divided by commas; NULL: all. `wanted` gets a flag each, of
// RECORD_COLUMNS_MAX. -1 with a sentence that names those there are.
int export_columns(enum record_type type, const char *names, unsigned char *wanted,
                   struct error *e);

// The names of the script's own scalars in a log whose trainer is somebody else's.
int export_own(const char *path, struct record_own *out, struct error *e);

// The lines of one type that a cursor gives as a table with a head, or as lines of JSON (as they
// are in the log when all columns are wanted). A write error shows in ferror(f).
// `own`: the names that a CSV of steps has columns for, from export_own; those of other logs are
// empty.
int export_csv(struct cursor *c, enum record_type type, const unsigned char *wanted,
               const struct record_own *own, FILE *f, struct error *e);
int export_json(struct cursor *c, const unsigned char *wanted, FILE *f, struct error *e);

// Its curves as lines of JSON, for those of other runs to be held against (tui/feed/underlay.h).
int export_reference(struct cursor *c, const struct cursor_range *range, FILE *f, struct error *e);

// What a calibration foretold of runs that had no part in it against what was measured, with its
// interval, as a stand-alone SVG: now, and where the runs ended. -1: the file does not tell that.
int export_forecast(const struct forecast *f, FILE *out, struct error *e);

// A figure of the run as a stand-alone SVG.
int export_svg(struct cursor *c, const struct cursor_range *range, FILE *f, struct error *e);

#endif
