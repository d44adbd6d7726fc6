// A line of JSON back to a record, or only to what it is. Whatever a line holds, the record holds
// only what fits its fields: the wrong type, a number out of range or an unknown key is as if it
// were not there. Of what stands there twice the last counts.
#include "metrics/log/record_fields.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/json_scan.h"
#include "metrics/log/record_head.h"
#include "metrics/log/record_columns.h"

// --- what a line is ---

struct reading {
    struct record_head head;
    int has_type, has_source;
    int seen; // members that say so
    struct json_scan scan;
};

static enum record_type type_of(struct json_slice v)
{
    for (int i = RECORD_UNKNOWN + 1; i <= RECORD_END; i++)
        if (json_scan_is(v, record_kind_table[i].name))
            return (enum record_type)i;
    return RECORD_UNKNOWN;
}

// Whether the member is one of those that say what the line is.
static int look(struct reading *r, struct json_slice key, struct json_slice v)
{
    if (json_scan_is(key, "type")) {
        r->has_type = *v.p == '"';
        r->head.type = type_of(v);
    } else if (json_scan_is(key, "step")) {
        r->head.step = json_scan_integer(v, 0, INT64_MAX, -1);
    } else if (json_scan_is(key, "source")) {
        r->has_source = 0;
        for (int i = 0; i < SPECTRUM_SOURCES; i++)
            if (json_scan_is(v, record_source_key[i])) {
                r->head.source = (enum spectrum_source)i;
                r->has_source = 1;
            }
    } else {
        return 0;
    }
    r->seen++;
    return 1;
}

// Whether nothing can be missing any more, where each stands but once.
static int is_known(const struct reading *r)
{
    return r->has_type &&
           (r->head.type == RECORD_RUN ||
            (r->head.step >= 0 && (r->head.type != RECORD_SPECTRUM || r->has_source)));
}

// `whole`: to the end of the line. 1, 0 = it is no JSON, or no record.
static int read_head(struct reading *r, const char *line, size_t n, int whole)
{
    struct json_slice key, v;
    int rc;
    *r = (struct reading){{RECORD_UNKNOWN, 0, -1}, 0, 0, 0, {line, line + n, 0}};
    json_scan_blanks(&r->scan);
    for (int first = 1; (rc = json_scan_next(&r->scan, first, &key, &v)) == 1; first = 0) {
        look(r, key, v);
        if (!whole && is_known(r))
            return 1;
    }
    json_scan_blanks(&r->scan);
    // A source that this version does not know makes the line one of a type that it does not know.
    if (r->head.type == RECORD_SPECTRUM && !r->has_source)
        r->head.type = RECORD_UNKNOWN;
    return rc == 0 && r->scan.p == r->scan.end && r->has_type;
}

int record_head(const char *line, size_t n, struct record_head *out)
{
    struct reading r;
    int is = read_head(&r, line, n, 0);
    *out = is ? r.head : (struct record_head){RECORD_UNKNOWN, 0, -1};
    if (out->type == RECORD_RUN)
        out->step = -1;
    return is;
}

// --- where a value goes ---

struct place { // a column of a record
    const struct record_kind *kind;
    size_t field;
    int item;
};

static void advance(struct place *p)
{
    if (++p->item < record_field_columns(&p->kind->field[p->field]))
        return;
    p->item = 0;
    if (++p->field == p->kind->n)
        p->field = 0;
}

static int is_at(const struct place *p, const char *group, struct json_slice key)
{
    const struct record_field *f = &p->kind->field[p->field];
    const char *name = f->kind == FIELD_METRICS  ? metric_table[p->item].key
                       : f->kind == FIELD_PHASES ? record_phase_key[p->item]
                                                 : f->key;
    return (group ? f->group && strcmp(f->group, group) == 0 : !f->group) &&
           json_scan_is(key, name);
}

// Move to the column of this key, which is most often the next one: 1, or 0 when there is none.
static int find(struct place *p, const char *group, struct json_slice key, int columns)
{
    for (int i = 0; i < columns; i++, advance(p))
        if (is_at(p, group, key))
            return 1;
    return 0;
}

// --- values ---

static int put_sigma(struct record_spectrum *s, struct json_slice v)
{
    struct json_scan scan = {v.p, v.p + v.n, 0};
    struct json_slice item;
    size_t cap = 0, n = 0;
    free(s->sigma);
    s->sigma = NULL;
    s->d = 0;
    for (int first = 1; *v.p == '[' && json_scan_next(&scan, first, NULL, &item) == 1; first = 0) {
        if (n == cap) {
            double *more =
                cap > INT_MAX / 2 ? NULL : realloc(s->sigma, (cap = 2 * cap + 64) * sizeof *more);
            if (!more)
                return -1;
            s->sigma = more;
        }
        s->sigma[n++] = json_scan_number(item);
        s->d = (int)n;
    }
    return 0;
}

static void put_shape(int *shape, struct json_slice v)
{
    struct json_scan scan = {v.p, v.p + v.n, 0};
    struct json_slice item;
    memset(shape, 0, 3 * sizeof *shape);
    for (int i = 0; *v.p == '[' && i < 3 && json_scan_next(&scan, !i, NULL, &item) == 1; i++)
        shape[i] = (int)json_scan_integer(item, 0, INT_MAX, 0);
}

static int put_own(struct record_own *own, struct json_slice object)
{
    struct json_scan scan = {object.p, object.p + object.n, 0};
    struct json_slice key, v;
    own->n = 0;
    for (int first = 1;
         *object.p == '{' && own->n < RECORD_OWN && json_scan_next(&scan, first, &key, &v) == 1;
         first = 0) {
        char *memory;
        size_t n;
        const char *name = json_scan_text(key, &n, &memory);
        if (!name && n)
            return -1;
        text_copy(own->item[own->n].name, sizeof own->item[0].name, name ? name : "", n);
        own->item[own->n].value = json_scan_number(v);
        own->n += *own->item[own->n].name != '\0';
        free(memory);
    }
    return 0;
}

static int put_object(char **to, struct json_slice v)
{
    free(*to);
    *to = NULL;
    if (*v.p != '{')
        return 0;
    json_t *object = json_loadb(v.p, v.n, JSON_ALLOW_NUL, NULL);
    *to = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return *to ? 0 : -1;
}

static int put_text(const struct record_field *f, void *at, struct json_slice v)
{
    char *own;
    size_t n;
    int failed = 0;
    const char *text = json_scan_text(v, &n, &own);
    if (!text && n)
        return -1;
    if (f->kind == FIELD_MODE) {
        *(enum mode *)at = text ? mode_find(text, n) : MODE_NONE;
    } else if (f->kind == FIELD_TEXT) {
        text_copy(at, f->size, text ? text : "", n);
    } else {
        free(*(char **)at);
        *(char **)at = text ? strndup(text, n) : NULL;
        failed = text && !*(char **)at;
    }
    free(own);
    return failed ? -1 : 0;
}

// -1: out of memory.
static int put(struct record *r, const struct place *p, struct json_slice v)
{
    const struct record_field *f = &p->kind->field[p->field];
    void *at = record_at(r, f);
    switch (f->kind) {
    case FIELD_DOUBLE:
    case FIELD_METRICS:
    case FIELD_PHASES:
        ((double *)at)[p->item] = json_scan_number(v);
        return 0;
    case FIELD_INT:
        *(int *)at = (int)json_scan_integer(v, INT_MIN, INT_MAX, f->missing);
        return 0;
    case FIELD_INT64:
        *(int64_t *)at = json_scan_integer(v, INT64_MIN, INT64_MAX, f->missing);
        return 0;
    case FIELD_TEXT:
    case FIELD_MODE:
    case FIELD_OWNED:
        return put_text(f, at, v);
    case FIELD_OBJECT:
        return put_object(at, v);
    case FIELD_SHAPE:
        put_shape(at, v);
        return 0;
    case FIELD_SIGMA:
        return put_sigma(at, v);
    case FIELD_OWN:
        return put_own(at, v);
    case FIELD_SOURCE: // of the head
        return 0;
    }
    return 0;
}

static const char *group_of(const struct record_kind *kind, struct json_slice key)
{
    for (size_t i = 0; i < kind->n; i++)
        if (kind->field[i].group && json_scan_is(key, kind->field[i].group))
            return kind->field[i].group;
    return NULL;
}

// The members of an object: of the line (`again` gets what it is once more) or of a group in it. 1:
// it is no JSON, -1: out of memory.
static int put_members(struct record *r, struct place *p, const char *group, struct json_scan *scan,
                       struct reading *again)
{
    struct json_slice key, v;
    int rc, columns = record_columns(r->type) - 1;
    for (int first = 1; (rc = json_scan_next(scan, first, &key, &v)) == 1; first = 0) {
        int bad = 0;
        if (!group && look(again, key, v))
            continue;
        const char *inner = group ? NULL : group_of(p->kind, key);
        for (int i = 0; inner && i < columns; i++, advance(p)) // what an earlier one said is gone
            if (p->kind->field[p->field].group && !strcmp(p->kind->field[p->field].group, inner))
                bad |= put(r, p, (struct json_slice){"null", 4});
        if (inner && *v.p == '{') {
            struct json_scan within = {v.p, v.p + v.n, 0};
            bad |= put_members(r, p, inner, &within, again);
        } else if (!inner && find(p, group, key, columns)) {
            bad = put(r, p, v);
            advance(p);
        }
        if (bad)
            return -1;
    }
    return rc ? 1 : 0;
}

// The fields of a line that is this: 0; 1: it is no JSON, or says later that it is another; -1: out
// of memory.
static int put_line(struct record *out, const struct reading *r, const char *line, size_t n)
{
    struct reading again = {0};
    struct place p = {&record_kind_table[out->type], 0, 0};
    struct json_scan scan = {line, line + n, 0};
    if (out->type == RECORD_SPECTRUM)
        out->u.spectrum.source = r->head.source;
    json_scan_blanks(&scan);
    int rc = put_members(out, &p, NULL, &scan, &again);
    json_scan_blanks(&scan);
    return rc == 0 ? scan.p != scan.end || again.seen != r->seen : rc;
}

int record_parse(const char *line, size_t n, struct record *out, struct error *e)
{
    struct reading r;
    int rc = 1;
    // What it is stands at the front of nearly all lines, and nowhere else.
    for (int whole = 0; rc == 1 && whole < 2; whole++) {
        int is = read_head(&r, line, n, whole);
        record_init(out, is ? r.head.type : RECORD_UNKNOWN, is ? r.head.step : -1);
        if (whole && !is && r.scan.p == r.scan.end && n && line[n - 1] == '}' && !r.scan.depth)
            return error_set(e, "not a record: a JSON object with a \"type\" was expected");
        if (whole && !is)
            return error_set(e, "not a line of JSON: byte %zu can't be there",
                             (size_t)(r.scan.p - line));
        if (whole && !out->type)
            return 0;
        rc = out->type ? put_line(out, &r, line, n) : 1;
        if (rc == 1)
            record_free(out);
    }
    return rc ? error_memory(e, "a record") : 0;
}
