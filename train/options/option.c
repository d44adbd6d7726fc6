// One row: text to value, and value to text.
#include "train/options/option.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

const struct option_row option_help_row = {
    .name = "help", .type = OPTION_FLAG, .section = "command", .doc = "Print this list, and end."};

const struct option_row *option_find(const struct option_row *table, const char *name)
{
    for (; table->name; table++)
        if (!strcmp(table->name, name))
            return table;
    return NULL;
}

const char *option_dashes(const struct option_row *row)
{
    return row->name[1] ? "--" : "-";
}

static int is_choice(const struct option_row *row, const char *value)
{
    char word[80];
    for (int i = 0; option_choice(row, i, word, sizeof word); i++)
        if (!strcmp(word, value))
            return 1;
    return 0;
}

// --- text to value ---

// A sentence about a value, which may hold anything: cleaned and cut for the person who reads it.
static int refuse(const struct option_row *row, const char *value, const char *expected,
                  struct error *e)
{
    char shown[80];
    text_clean(shown, sizeof shown, value);
    return error_set(e, "%s%s '%s': %s", option_dashes(row), row->name, shown, expected);
}

static int refuse_number(const struct option_row *row, const char *value, struct error *e)
{
    int real = row->type == OPTION_DOUBLE;
    const char *kind = real ? "number" : "whole number";
    char range[160];
    if (row->type == OPTION_UINT64) // all that fits; not exact in a double
        snprintf(range, sizeof range, "expected a %s from 0 to %" PRIu64, kind, UINT64_MAX);
    else
        snprintf(range, sizeof range, "expected %s%sa %s from %.*g to %.*g",
                 row->word ? row->word : "", row->word ? " or " : "", kind, real ? 6 : 16, row->lo,
                 real ? 6 : 16, row->hi);
    return refuse(row, value, range, e);
}

static void put_whole(const struct option_row *row, void *into, int64_t x)
{
    int small = (int)x;
    double real = (double)x;
    char *at = (char *)into + row->offset;
    if (row->type == OPTION_INT || row->type == OPTION_FLAG)
        memcpy(at, &small, sizeof small);
    else if (row->type == OPTION_DOUBLE)
        memcpy(at, &real, sizeof real);
    else
        memcpy(at, &x, sizeof x);
}

static int set_double(const struct option_row *row, void *into, const char *value, struct error *e)
{
    char *end;
    // strtod knows more than numbers: hexadecimal, inf, nan, leading blanks
    if (!*value || value[strspn(value, "0123456789+-.eE")])
        return refuse_number(row, value, e);
    double x = strtod(value, &end);
    if (*end || !isfinite(x) || x < row->lo || x > row->hi)
        return refuse_number(row, value, e);
    memcpy((char *)into + row->offset, &x, sizeof x);
    return 0;
}

static int set_whole(const struct option_row *row, void *into, const char *value, struct error *e)
{
    const char *digits = value + (*value == '-' && row->lo < 0);
    if (!*digits || digits[strspn(digits, "0123456789")])
        return refuse_number(row, value, e);
    errno = 0;
    int64_t x =
        row->type == OPTION_UINT64 ? (int64_t)strtoull(value, NULL, 10) : strtoll(value, NULL, 10);
    if (errno || (row->type != OPTION_UINT64 && ((double)x < row->lo || (double)x > row->hi)))
        return refuse_number(row, value, e);
    put_whole(row, into, x);
    return 0;
}

static int set_flag(const struct option_row *row, void *into, const char *value, struct error *e)
{
    static const char *const word[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (int i = 0; i < (int)(sizeof word / sizeof *word); i++)
        if (!strcmp(value, word[i])) {
            put_whole(row, into, i & 1);
            return 0;
        }
    return refuse(row, value, row->word ? "expected on, off or auto" : "expected on or off", e);
}

static int set_text(const struct option_row *row, void *into, const char *value, struct error *e)
{
    size_t n = strlen(value);
    char copy[OPTION_TEXT];
    int copied = row->type == OPTION_STRING;
    if (copied && n >= row->size)
        return error_set(e, "--%s: longer than %zu bytes", row->name, row->size - 1);
    // Control characters and broken UTF-8 can be neither recorded (JSON) nor shown.
    if (copied && (text_clean(copy, sizeof copy, value), strcmp(copy, value) != 0))
        return refuse(row, value, "not printable UTF-8 text", e);
    if (!n && (!copied || (row->fallback && *row->fallback)))
        return error_set(e, "%s%s needs a value", option_dashes(row), row->name);
    if ((row->choices || row->only) && !is_choice(row, value)) {
        char expected[160] = "expected ";
        option_choices(row, expected + strlen(expected), sizeof expected - strlen(expected));
        return refuse(row, value, expected, e);
    }
    struct error why = {""};
    if (row->check && n && row->check(value, &why) < 0)
        return refuse(row, value, why.text, e);
    char *text = (char *)into + row->offset;
    if (!copied) {
        memcpy(text, &value, sizeof value);
        return 0;
    }
    strncpy(text, value, row->size); // zeros behind it, so that equal options are equal bytes
    return 0;
}

int option_set(const struct option_row *row, void *into, const char *value, struct error *e)
{
    if (row->word && !strcmp(value, row->word)) {
        put_whole(row, into, row->word_value);
        return 0;
    }
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_WORD:
        return set_text(row, into, value, e);
    case OPTION_FLAG:
        return set_flag(row, into, value, e);
    case OPTION_DOUBLE:
        return set_double(row, into, value, e);
    case OPTION_INT:
    case OPTION_INT64:
    case OPTION_UINT64:
        break;
    }
    return set_whole(row, into, value, e);
}

int option_defaults(const struct option_set *set, struct error *e)
{
    int rc = 0;
    for (; set->table; set++)
        for (const struct option_row *row = set->table; row->name; row++) {
            const char *told = row->environment ? getenv(row->environment) : NULL;
            if (row->fallback && *row->fallback)
                rc |= option_set(row, set->into, row->fallback, e);
            if (told && *told && option_set(row, set->into, told, e) < 0)
                rc = error_prefix(e, "environment variable %s", row->environment);
        }
    return rc;
}

// --- value to text ---

static void value_of_double(const struct option_row *row, const char *at, char *text, size_t size)
{
    double x;
    memcpy(&x, at, sizeof x);
    if (row->word && x == row->word_value) {
        snprintf(text, size, "%s", row->word);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) { // the shortest that reads back the same
        snprintf(text, size, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            return;
    }
}

void option_value(const struct option_row *row, const void *from, char *text, size_t size)
{
    const char *at = (const char *)from + row->offset, *word = NULL;
    int small = 0;
    int64_t x = 0;
    switch (row->type) {
    case OPTION_WORD:
        memcpy(&word, at, sizeof word);
        snprintf(text, size, "%s", word ? word : "");
        return;
    case OPTION_STRING:
        snprintf(text, size, "%s", at);
        return;
    case OPTION_DOUBLE:
        value_of_double(row, at, text, size);
        return;
    case OPTION_FLAG:
    case OPTION_INT:
        memcpy(&small, at, sizeof small);
        x = small;
        break;
    case OPTION_INT64:
    case OPTION_UINT64:
        memcpy(&x, at, sizeof x);
        break;
    }
    if (row->word && x == row->word_value)
        snprintf(text, size, "%s", row->word);
    else if (row->type == OPTION_FLAG)
        snprintf(text, size, "%s", x ? "on" : "off");
    else if (row->type == OPTION_UINT64)
        snprintf(text, size, "%" PRIu64, (uint64_t)x);
    else
        snprintf(text, size, "%" PRId64, x);
}
