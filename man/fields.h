// What each field of a record says: the words of ssltop-log.5, beside the rows that
// metrics/log/record_fields.c has.
#ifndef SSLTOP_MAN_FIELDS_H
#define SSLTOP_MAN_FIELDS_H

#include <stdio.h>

// The sentences about a field of a record type ("step", "lr"; in a group: "dataset.n"; the metrics
// by key: "*" and the others of man_metrics; field "": about the type itself), or NULL where there
// are none.
const char *man_field_doc(const char *type, const char *field);

// Metrics that need nothing else (of enum metric_need) are spoken of together, under this name. A
// NULL name ends them.
struct man_metrics {
    unsigned needs;
    const char *doc;
};
extern const struct man_metrics man_metrics[];

// "group.key", "key" or "*", as man_field_doc knows it.
struct record_field;
void man_field_name(const struct record_field *field, char *name, size_t size);

// Every type and field, as mdoc; `say` prints sentences.
void man_print_records(FILE *f, void (*say)(FILE *f, const char *text));

#endif
