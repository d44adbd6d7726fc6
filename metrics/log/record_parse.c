// A line of JSON back to a record. Whatever a line holds, the record holds only what fits its
// fields: the wrong type, a number out of range or an unknown key is as if it were not there.
#include "metrics/log/record_fields.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double number(const json_t *v)
{
    return json_is_number(v) ? json_number_value(v) : NAN;
}

// An integer from lo to hi, also one written with a fraction of 0; else `missing`.
static int64_t integer(const json_t *v, int64_t lo, int64_t hi, int64_t missing)
{
    if (json_is_real(v)) {
        double x = json_real_value(v);
        return x == floor(x) && fabs(x) < 9e15 && x >= (double)lo && x <= (double)hi ? (int64_t)x
                                                                                     : missing;
    }
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi)
        return missing;
    return json_integer_value(v);
}

static void get_metrics(const json_t *from, double *v)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        v[i] = number(json_object_get(from, metric_table[i].key));
}

static void get_phases(const json_t *from, double *v)
{
    for (int i = 0; i < PHASE_COUNT; i++)
        v[i] = number(json_object_get(from, record_phase_key[i]));
}

static void get_shape(const json_t *v, int *shape)
{
    for (size_t i = 0; i < 3; i++)
        shape[i] = (int)integer(json_array_get(v, i), 0, INT_MAX, 0);
}

static int get_sigma(const json_t *v, struct record_spectrum *s)
{
    size_t n = json_array_size(v);
    if (!n || n > INT_MAX)
        return 0;
    s->sigma = calloc(n, sizeof *s->sigma);
    if (!s->sigma)
        return -1;
    s->d = (int)n;
    for (size_t i = 0; i < n; i++)
        s->sigma[i] = number(json_array_get(v, i));
    return 0;
}

// A source that this version does not know makes the line one of a type that it does not know.
static void get_source(const json_t *v, struct record *r)
{
    const char *name = json_string_value(v);
    for (int i = 0; name && i < 2; i++)
        if (!strcmp(name, record_source_key[i])) {
            r->u.spectrum.source = (enum spectrum_source)i;
            return;
        }
    record_init(r, RECORD_UNKNOWN, r->step);
}

// The value of one field. `v` is NULL when the line has none; `from` is the object around it. -1:
// out of memory.
static int get_value(const struct record_field *f, const json_t *from, const json_t *v,
                     struct record *r)
{
    void *at = record_at(r, f);
    switch (f->kind) {
    case FIELD_DOUBLE:
        *(double *)at = number(v);
        break;
    case FIELD_INT:
        *(int *)at = (int)integer(v, INT_MIN, INT_MAX, f->missing);
        break;
    case FIELD_INT64:
        *(int64_t *)at = integer(v, INT64_MIN, INT64_MAX, f->missing);
        break;
    case FIELD_TEXT:
        if (json_is_string(v))
            text_copy(at, f->size, json_string_value(v), json_string_length(v));
        break;
    case FIELD_MODE:
        *(enum mode *)at = mode_find(json_string_value(v), json_string_length(v));
        break;
    case FIELD_OWNED:
        if (json_is_string(v) && !(*(char **)at = strdup(json_string_value(v))))
            return -1;
        break;
    case FIELD_OBJECT:
        if (json_is_object(v) && !(*(char **)at = json_dumps(v, JSON_COMPACT)))
            return -1;
        break;
    case FIELD_METRICS:
        get_metrics(from, at);
        break;
    case FIELD_PHASES:
        get_phases(from, at);
        break;
    case FIELD_SHAPE:
        get_shape(v, at);
        break;
    case FIELD_SOURCE:
        get_source(v, r);
        break;
    case FIELD_SIGMA:
        return get_sigma(v, at);
    }
    return 0;
}

static enum record_type type_of(const char *name)
{
    for (int i = RECORD_UNKNOWN + 1; i <= RECORD_END; i++)
        if (!strcmp(name, record_kind_table[i].name))
            return (enum record_type)i;
    return RECORD_UNKNOWN;
}

int record_parse(const char *line, size_t n, struct record *out, struct error *e)
{
    if (record_parse_step(line, n, out))
        return 0;
    record_init(out, RECORD_UNKNOWN, -1);
    json_error_t why;
    json_t *root = json_loadb(line, n, JSON_ALLOW_NUL, &why);
    if (!root) {
        char text[JSON_ERROR_TEXT_LENGTH];
        text_clean(text, sizeof text, why.text);
        return error_set(e, "not a line of JSON: %s (byte %d)", text, why.position);
    }
    const char *name = json_string_value(json_object_get(root, "type"));
    if (!name) {
        json_decref(root);
        return error_set(e, "not a record: a JSON object with a \"type\" was expected");
    }
    record_init(out, type_of(name), integer(json_object_get(root, "step"), 0, INT64_MAX, -1));
    int failed = 0;
    // The type is looked at anew each time: a field may turn the record into an unknown one.
    for (size_t i = 0; i < record_kind_table[out->type].n && !failed; i++) {
        const struct record_field *f = &record_kind_table[out->type].field[i];
        const json_t *from = f->group ? json_object_get(root, f->group) : root;
        failed = get_value(f, from, f->key ? json_object_get(from, f->key) : NULL, out);
    }
    json_decref(root);
    return failed ? error_set(e, "out of memory for a record") : 0;
}
