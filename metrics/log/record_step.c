// Step records are nearly all of what a long run is opened for, so the plain ones are read in one
// pass over the line, without a tree of values in between. Plain: as record_format writes them. At
// the first sign of anything else the whole line is left to record_parse's other way, so that the
// two cannot differ in what they take for JSON.
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_fields.h"

struct reader {
    const char *p, *end;
    locale_t c; // numbers have a dot, whatever the user's locale
    int objects;
};

// A value by its kind: 'n' number, 'i' a number without fraction and exponent, '0' null, 's' text.
struct value {
    char kind;
    double number;
    int64_t integer;
    const char *text;
    size_t n;
};

static int take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return 0;
    r->p++;
    return 1;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int digits(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && is_digit(*r->p))
        r->p++;
    return (int)(r->p - from);
}

// A text between quotes, of plain ASCII.
static int take_text(struct reader *r, const char **text, size_t *n)
{
    if (!take(r, '"'))
        return 0;
    *text = r->p;
    while (r->p < r->end && *r->p != '"' && *r->p != '\\' && *r->p >= 0x20 && *r->p < 0x7f)
        r->p++;
    *n = (size_t)(r->p - *text);
    return take(r, '"');
}

static int take_number(struct reader *r, struct value *v)
{
    const char *from = r->p;
    take(r, '-');
    int zero = r->p < r->end && *r->p == '0', n = digits(r), is_real = 0;
    if (!n || n > 17 || (zero && n > 1))
        return 0;
    if (take(r, '.')) {
        is_real = 1;
        if (!digits(r))
            return 0;
    }
    if (take(r, 'e') || take(r, 'E')) {
        is_real = 1;
        if (!take(r, '-'))
            take(r, '+');
        if (!digits(r))
            return 0;
    }
    // What ends a number must be there: strtod looks at it.
    if (r->p == r->end)
        return 0;
    v->kind = is_real ? 'n' : 'i';
    v->integer = is_real ? 0 : strtoll(from, NULL, 10);
    v->number = is_real ? strtod_l(from, NULL, r->c) : (double)v->integer;
    return isfinite(v->number) ? 1 : 0;
}

static int take_value(struct reader *r, struct value *v)
{
    if (r->p == r->end)
        return 0;
    if (*r->p == '"') {
        v->kind = 's';
        return take_text(r, &v->text, &v->n);
    }
    if (*r->p == 'n') {
        v->kind = '0';
        if (r->end - r->p < 4 || memcmp(r->p, "null", 4) != 0)
            return 0;
        r->p += 4;
        return 1;
    }
    return take_number(r, v);
}

// --- where a value goes ---

struct place { // a column of a step
    size_t field;
    int item;
};

static const struct record_kind *step_kind(void)
{
    return &record_kind_table[RECORD_STEP];
}

static const char *key_of(const struct record_field *f, int item)
{
    return f->kind == FIELD_METRICS  ? metric_table[item].key
           : f->kind == FIELD_PHASES ? record_phase_key[item]
                                     : f->key;
}

static void advance(struct place *p)
{
    const struct record_kind *kind = step_kind();
    if (++p->item < record_field_columns(&kind->field[p->field]))
        return;
    p->item = 0;
    if (++p->field == kind->n)
        p->field = 0;
}

static int same(const char *word, const char *text, size_t n)
{
    return strncmp(word, text, n) == 0 && word[n] == '\0';
}

static int is_at(const struct place *p, const char *group, size_t group_n, const char *key,
                 size_t n)
{
    const struct record_field *f = &step_kind()->field[p->field];
    return (group ? f->group && same(f->group, group, group_n) : !f->group) &&
           same(key_of(f, p->item), key, n);
}

// Move to the column of this key, which is most often the next one: 1, or 0 when there is none.
static int find(struct place *p, const char *group, size_t group_n, const char *key, size_t n)
{
    int columns = record_columns(RECORD_STEP) - 1;
    for (int i = 0; i < columns; i++) {
        if (is_at(p, group, group_n, key, n))
            return 1;
        advance(p);
    }
    return 0;
}

static int is_group(const char *key, size_t n)
{
    const struct record_kind *kind = step_kind();
    for (size_t i = 0; i < kind->n; i++)
        if (kind->field[i].group && same(kind->field[i].group, key, n))
            return 1;
    return 0;
}

// 0: a value that only the other way understands.
static int set(struct record *r, const struct place *p, const struct value *v)
{
    const struct record_field *f = &step_kind()->field[p->field];
    void *at = record_at(r, f);
    switch (f->kind) {
    case FIELD_DOUBLE:
    case FIELD_METRICS:
    case FIELD_PHASES:
        ((double *)at)[p->item] = v->kind == 'n' || v->kind == 'i' ? v->number : NAN;
        return 1;
    case FIELD_INT:
        if (v->kind == 'n' || (v->kind == 'i' && v->integer != (int)v->integer))
            return 0;
        *(int *)at = v->kind == 'i' ? (int)v->integer : (int)f->missing;
        return 1;
    case FIELD_TEXT:
        text_copy(at, f->size, v->kind == 's' ? v->text : "", v->kind == 's' ? v->n : 0);
        return 1;
    case FIELD_MODE:
        *(enum mode *)at = v->kind == 's' ? mode_find(v->text, v->n) : MODE_NONE;
        return 1;
    default:
        return 0;
    }
}

// The members of an object behind its '{': of the line (group NULL) or of one inside it.
static int take_members(struct reader *r, struct record *out, struct place *p, const char *group,
                        size_t group_n)
{
    const char *key;
    size_t n;
    do {
        struct value v;
        if (!take_text(r, &key, &n) || !take(r, ':'))
            return 0;
        if (!group && r->p < r->end && *r->p == '{') {
            r->p++;
            if (r->objects++ || !take_members(r, out, p, key, n))
                return 0;
            continue;
        }
        if (!take_value(r, &v))
            return 0;
        if (!group && (same("type", key, n) || same("step", key, n)))
            return 0; // twice
        if (find(p, group, group_n, key, n)) {
            if (!set(out, p, &v))
                return 0;
            advance(p);
        } else if (!group && is_group(key, n)) {
            return 0;
        }
    } while (take(r, ','));
    return take(r, '}');
}

int record_parse_step(const char *line, size_t n, struct record *out)
{
    static const char front[] = "{\"type\":\"step\",\"step\":";
    struct reader r = {line + sizeof front - 1, line + n, newlocale(LC_ALL_MASK, "C", NULL), 0};
    struct place place = {0, 0};
    struct value step;
    int good = r.c && n > sizeof front && !memcmp(line, front, sizeof front - 1) &&
               take_number(&r, &step) && step.kind == 'i' && step.integer >= 0 && take(&r, ',');
    if (good) {
        record_init(out, RECORD_STEP, step.integer);
        good = take_members(&r, out, &place, NULL, 0) && r.p == r.end;
    }
    if (r.c)
        freelocale(r.c);
    return good;
}
