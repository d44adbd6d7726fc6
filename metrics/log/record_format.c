// Records: where they start, what they own, and how they become a line. The numbers are written
// here and not by jansson: what does not exist is null, and a double keeps its 17 digits in any
// locale.
#include "metrics/log/record_fields.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/log/record_columns.h"

// --- a record's beginning and end ---

static void nothing(double *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = NAN;
}

void record_init(struct record *r, enum record_type type, int64_t step)
{
    memset(r, 0, sizeof *r);
    r->type = type;
    r->step = step;
    const struct record_kind *kind = &record_kind_table[type];
    for (size_t i = 0; i < kind->n; i++) {
        const struct record_field *f = &kind->field[i];
        void *at = record_at(r, f);
        if (f->kind == FIELD_DOUBLE)
            nothing(at, 1);
        else if (f->kind == FIELD_METRICS)
            nothing(at, METRIC_COUNT);
        else if (f->kind == FIELD_PHASES)
            nothing(at, PHASE_COUNT);
        else if (f->kind == FIELD_INT)
            *(int *)at = (int)f->missing;
        else if (f->kind == FIELD_INT64)
            *(int64_t *)at = f->missing;
        else if (f->kind == FIELD_MODE)
            *(enum mode *)at = MODE_NONE;
    }
}

void record_free(struct record *r)
{
    const struct record_kind *kind = &record_kind_table[r->type];
    for (size_t i = 0; i < kind->n; i++) {
        const struct record_field *f = &kind->field[i];
        void *at = record_at(r, f);
        if (f->kind == FIELD_OWNED || f->kind == FIELD_OBJECT) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (f->kind == FIELD_SIGMA) {
            struct record_spectrum *s = at;
            free(s->sigma);
            s->sigma = NULL;
            s->d = 0;
        }
    }
}

// --- a line that grows ---

struct line {
    char *p;
    size_t n, cap;
    int failed;            // out of memory: everything after is dropped
    int comma;             // the next member needs one before it
    int digits;            // of a number, significant ones
    const char *group;     // object that is open inside the line
    const char *complaint; // a sentence about a value that can't be written
};

static void put(struct line *l, const char *s, size_t n)
{
    l->failed = l->failed || memory_grow(l->p, l->cap, l->n + n + 1) < 0;
    if (l->failed)
        return;
    memcpy(l->p + l->n, s, n);
    l->n += n;
    l->p[l->n] = '\0';
}

static void put_text(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

// A JSON string of at most n bytes, up to a NUL.
static void put_string(struct line *l, const char *s, size_t n)
{
    n = strnlen(s, n);
    put(l, "\"", 1);
    while (n) {
        uint32_t code = 0;
        int len = text_utf8(s, n, &code);
        char escape[8];
        if (!len) {
            put_text(l, "\xef\xbf\xbd");
            len = 1;
        } else if (code < 0x20 || code == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
            put_text(l, escape);
        } else if (code == '"' || code == '\\') {
            put(l, "\\", 1);
            put(l, s, 1);
        } else {
            put(l, s, (size_t)len);
        }
        s += len;
        n -= (size_t)len;
    }
    put(l, "\"", 1);
}

// A number of so many significant digits. printf writes the locale's decimal point: whatever stands
// there becomes a dot. Minus zero gets a fraction, or a reader takes it for the integer 0.
size_t record_number(char text[RECORD_NUMBER], double v, int digits)
{
    char raw[RECORD_NUMBER - 2];
    snprintf(raw, sizeof raw, "%.*g", digits, v);
    size_t n = 0;
    for (const char *s = raw; *s; s++) {
        if (strchr("0123456789+-e", *s))
            text[n++] = *s;
        else if (!n || text[n - 1] != '.')
            text[n++] = '.';
    }
    if (v == 0 && signbit(v)) {
        text[n++] = '.';
        text[n++] = '0';
    }
    text[n] = '\0';
    return n;
}

static void put_number(struct line *l, double v, int digits)
{
    char text[RECORD_NUMBER];
    if (isfinite(v))
        put(l, text, record_number(text, v, digits));
    else
        put_text(l, "null");
}

static void put_integer(struct line *l, int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    put_text(l, text);
}

static void put_key(struct line *l, const char *key)
{
    if (l->comma)
        put(l, ",", 1);
    put_string(l, key, SIZE_MAX);
    put(l, ":", 1);
    l->comma = 1;
}

// Open and close the objects between the line and this field.
static void enter(struct line *l, const char *group)
{
    int same = group == l->group || (group && l->group && !strcmp(group, l->group));
    if (same)
        return;
    if (l->group) {
        put(l, "}", 1);
        l->comma = 1;
    }
    l->group = group;
    if (group) {
        put_key(l, group);
        put(l, "{", 1);
        l->comma = 0;
    }
}

// --- a function a kind of field ---

static void put_object(struct line *l, const char *text)
{
    json_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);
    char *clean = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    if (clean)
        put_text(l, clean);
    else
        l->complaint = "is not a JSON object";
    free(clean);
    json_decref(object);
}

// What is_left_out is left out where it does not exist; NULL: nothing.
static void put_doubles(struct line *l, const double *v, int n, int (*is_left_out)(int),
                        const char *(*key)(int), const unsigned char *wanted)
{
    for (int i = 0; i < n; i++) {
        if ((wanted && !wanted[i]) || (is_left_out && !isfinite(v[i]) && is_left_out(i)))
            continue;
        put_key(l, key(i));
        put_number(l, v[i], l->digits);
    }
}

static const char *metric_key(int i)
{
    return metric_table[i].key;
}

static const char *phase_key(int i)
{
    return record_phase_key[i];
}

static int phase_is_optional(int i)
{
    return i >= PHASE_REDUCE;
}

static void put_shape(struct line *l, const int *shape)
{
    for (int i = 0; i < 3; i++) {
        put(l, i ? "," : "[", 1);
        put_integer(l, shape[i]);
    }
    put(l, "]", 1);
}

// Names are told apart by whoever names them: an empty one is none.
static int has_own(const struct record_own *own)
{
    for (int i = 0; i < own->n; i++)
        if (*own->item[i].name && !isnan(own->item[i].value))
            return 1;
    return 0;
}

static void put_own(struct line *l, const struct record_own *own)
{
    put(l, "{", 1);
    l->comma = 0;
    for (int i = 0; i < own->n; i++) {
        if (!*own->item[i].name || isnan(own->item[i].value))
            continue;
        put_key(l, own->item[i].name);
        put_number(l, own->item[i].value, l->digits);
    }
    put(l, "}", 1);
    l->comma = 1;
}

static void put_sigma(struct line *l, const struct record_spectrum *s)
{
    put(l, "[", 1);
    for (int i = 0; s->sigma && i < s->d; i++) {
        if (i)
            put(l, ",", 1);
        put_number(l, s->sigma[i], RECORD_SIGMA_DIGITS);
    }
    put(l, "]", 1);
}

static int64_t integer(const struct record_field *f, const void *at)
{
    return f->kind == FIELD_INT ? *(const int *)at : *(const int64_t *)at;
}

// Whether there is a value to write.
static int exists(const struct record_field *f, const void *at)
{
    switch (f->kind) {
    case FIELD_DOUBLE:
        return isfinite(*(const double *)at);
    case FIELD_INT:
    case FIELD_INT64:
        return integer(f, at) != f->missing;
    case FIELD_TEXT:
        return *(const char *)at != '\0';
    case FIELD_MODE:
        return *(const enum mode *)at != MODE_NONE;
    case FIELD_OWNED:
    case FIELD_OBJECT:
        return *(char *const *)at != NULL;
    case FIELD_SHAPE:
        return ((const int *)at)[0] || ((const int *)at)[1] || ((const int *)at)[2];
    case FIELD_OWN:
        return has_own(at);
    default:
        return 1;
    }
}

static void put_value(struct line *l, const struct record_field *f, const void *at,
                      const unsigned char *wanted)
{
    switch (f->kind) {
    case FIELD_DOUBLE:
        put_number(l, *(const double *)at, l->digits);
        break;
    case FIELD_INT:
    case FIELD_INT64:
        put_integer(l, integer(f, at));
        break;
    case FIELD_TEXT:
        put_string(l, at, f->size);
        break;
    case FIELD_MODE:
        put_string(l, mode_name(*(const enum mode *)at), SIZE_MAX);
        break;
    case FIELD_OWNED:
        put_string(l, *(char *const *)at, SIZE_MAX);
        break;
    case FIELD_OBJECT:
        put_object(l, *(char *const *)at);
        break;
    case FIELD_METRICS:
        put_doubles(l, at, METRIC_OF_H, metric_is_optional, metric_key, wanted);
        break;
    case FIELD_PHASES:
        put_doubles(l, at, PHASE_COUNT, phase_is_optional, phase_key, wanted);
        break;
    case FIELD_SHAPE:
        put_shape(l, at);
        break;
    case FIELD_OWN:
        put_own(l, at);
        break;
    case FIELD_SOURCE:
        put_string(l, record_source_key[*(const enum spectrum_source *)at], SIZE_MAX);
        break;
    case FIELD_SIGMA:
        put_sigma(l, at);
        break;
    }
}

static int any(const unsigned char *wanted, int n)
{
    for (int i = 0; wanted && i < n; i++)
        if (wanted[i])
            return 1;
    return !wanted;
}

int record_format(const struct record *r, char **line, size_t *len, struct error *e)
{
    return record_format_columns(r, NULL, line, len, e);
}

int record_format_columns(const struct record *r, const unsigned char *wanted, char **line,
                          size_t *len, struct error *e)
{
    return record_format_rounded(r, wanted, RECORD_DIGITS, line, len, e);
}

int record_format_rounded(const struct record *r, const unsigned char *wanted, int digits,
                          char **line, size_t *len, struct error *e)
{
    *line = NULL;
    *len = 0;
    const struct record_kind *kind = &record_kind_table[r->type];
    if (!kind->name)
        return error_set(e, "a record without a type can't be written");
    struct line l = {.digits = digits};
    put(&l, "{", 1);
    put_key(&l, "type");
    put_string(&l, kind->name, SIZE_MAX);
    if (r->step >= 0 && (!wanted || wanted[0])) {
        put_key(&l, "step");
        put_integer(&l, r->step);
    }
    int column = 1;
    for (size_t i = 0; i < kind->n && !l.complaint; i++) {
        const struct record_field *f = &kind->field[i];
        const void *at = record_value(r, f);
        const unsigned char *some = wanted ? wanted + column : NULL;
        int present = exists(f, at), n = record_field_columns(f);
        column += n;
        if ((!present && f->optional) || !any(some, n))
            continue;
        enter(&l, f->group);
        if (f->key)
            put_key(&l, f->key);
        if (present)
            put_value(&l, f, at, some);
        else
            put_text(&l, "null");
        if (l.complaint)
            error_set(e, "the %s of a %s record %s", f->key, kind->name, l.complaint);
    }
    enter(&l, NULL);
    put(&l, "}", 1);
    if (l.failed)
        error_memory(e, "a line of the log");
    if (l.failed || l.complaint) {
        free(l.p);
        return -1;
    }
    *line = l.p;
    *len = l.n;
    return 0;
}
