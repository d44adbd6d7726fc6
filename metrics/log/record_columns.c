// Columns are counted through the fields of a type: a row of record_kind_table is one, or as many
// as it brings keys of its own.
#include "metrics/log/record_columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_fields.h"

int record_field_columns(const struct record_field *f)
{
    return f->kind == FIELD_METRICS ? METRIC_OF_H : f->kind == FIELD_PHASES ? PHASE_COUNT : 1;
}

enum record_type record_type_of(const char *name)
{
    for (int i = RECORD_UNKNOWN + 1; i <= RECORD_END; i++)
        if (strcmp(name, record_kind_table[i].name) == 0)
            return (enum record_type)i;
    return RECORD_UNKNOWN;
}

int record_columns(enum record_type type)
{
    int n = 1;
    for (size_t i = 0; i < record_kind_table[type].n; i++)
        n += record_field_columns(&record_kind_table[type].field[i]);
    return n;
}

// The field of a column from 1 on; *item is which of its values.
static const struct record_field *field_of(enum record_type type, int column, int *item)
{
    const struct record_kind *kind = &record_kind_table[type];
    *item = column - 1;
    for (size_t i = 0; i < kind->n; i++) {
        int n = record_field_columns(&kind->field[i]);
        if (*item < n)
            return &kind->field[i];
        *item -= n;
    }
    return NULL;
}

void record_column_name(enum record_type type, int column, char name[RECORD_COLUMN_NAME])
{
    int item;
    const struct record_field *f = column ? field_of(type, column, &item) : NULL;
    const char *key = !f                         ? "step"
                      : f->kind == FIELD_METRICS ? metric_table[item].key
                      : f->kind == FIELD_PHASES  ? record_phase_key[item]
                                                 : f->key;
    snprintf(name, RECORD_COLUMN_NAME, "%s%s%s", f && f->group ? f->group : "",
             f && f->group ? "." : "", key);
}

int record_column_find(enum record_type type, const char *name, size_t n)
{
    for (int i = 0; i < record_columns(type); i++) {
        char own[RECORD_COLUMN_NAME];
        record_column_name(type, i, own);
        if (strlen(own) == n && memcmp(own, name, n) == 0)
            return i;
    }
    return -1;
}

int record_column_is_own(enum record_type type, int column)
{
    int item;
    const struct record_field *f = column ? field_of(type, column, &item) : NULL;
    return f && f->kind == FIELD_OWN;
}

int record_column_is_sigma(enum record_type type, int column)
{
    int item;
    const struct record_field *f = column ? field_of(type, column, &item) : NULL;
    return f && f->kind == FIELD_SIGMA;
}

// --- values ---

static int number(char **text, double v)
{
    char buf[RECORD_NUMBER] = "";
    if (isfinite(v))
        record_number(buf, v, RECORD_DIGITS);
    *text = strdup(buf);
    return *text ? 1 : -1;
}

static int integer(char **text, int64_t v, int64_t missing)
{
    if (v == missing)
        *text = strdup("");
    else if (asprintf(text, "%lld", (long long)v) < 0)
        *text = NULL;
    return *text ? 1 : -1;
}

static int words(char **text, const char *s)
{
    *text = strdup(s ? s : "");
    return *text ? 0 : -1;
}

static int sigmas(char **text, const struct record_spectrum *s)
{
    size_t n = 0;
    *text = malloc((size_t)s->d * RECORD_NUMBER + 1);
    if (!*text)
        return -1;
    for (int i = 0; i < s->d; i++) {
        if (i)
            (*text)[n++] = ' ';
        if (isfinite(s->sigma[i]))
            n += record_number(*text + n, s->sigma[i], RECORD_SIGMA_DIGITS);
    }
    (*text)[n] = '\0';
    return 1;
}

int record_cell(const struct record *r, int column, char **text)
{
    int item;
    *text = NULL;
    if (!column)
        return integer(text, r->step, -1);
    const struct record_field *f = field_of(r->type, column, &item);
    const void *at = record_value(r, f);
    switch (f->kind) {
    case FIELD_DOUBLE:
    case FIELD_METRICS:
    case FIELD_PHASES:
        return number(text, ((const double *)at)[item]);
    case FIELD_INT:
        return integer(text, *(const int *)at, f->missing);
    case FIELD_INT64:
        return integer(text, *(const int64_t *)at, f->missing);
    case FIELD_TEXT:
        return words(text, at); // a record's texts end within their fields
    case FIELD_MODE:
        return words(text, mode_name(*(const enum mode *)at));
    case FIELD_OWNED:
    case FIELD_OBJECT:
        return words(text, *(char *const *)at);
    case FIELD_SOURCE:
        return words(text, record_source_key[*(const enum spectrum_source *)at]);
    case FIELD_SIGMA:
        return sigmas(text, at);
    case FIELD_SHAPE:
    case FIELD_OWN:
        break;
    }
    return words(text, NULL);
}
