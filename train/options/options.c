// Options: text to value and back, one row at a time, and the sources of text: command line and
// recorded JSON. The configuration file is in options_file.c, the rows are in options_table.c.
#include "train/options/options.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record.h"
#include "train/options/recipe.h"
#include "train/schedule/schedule_text.h"

enum { OPTION_ROWS = 256 }; // more than there are

static void *field(struct options *o, const struct option_row *row)
{
    return (char *)o + row->offset;
}

const struct option_row *option_find(const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (!strcmp(option_table[i].name, name))
            return &option_table[i];
    return NULL;
}

// --- text to value ---

// A sentence about a value, which may hold anything: cleaned and cut for the person who reads it.
static int refuse(const struct option_row *row, const char *value, const char *expected,
                  struct error *e)
{
    char shown[80];
    text_clean(shown, sizeof shown, value);
    return error_set(e, "--%s '%s': %s", row->name, shown, expected);
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

static int set_double(struct options *o, const struct option_row *row, const char *value,
                      struct error *e)
{
    char *end;
    // strtod knows more than numbers: hexadecimal, inf, nan, leading blanks
    if (!*value || value[strspn(value, "0123456789+-.eE")])
        return refuse_number(row, value, e);
    double x = strtod(value, &end);
    if (*end || !isfinite(x) || x < row->lo || x > row->hi)
        return refuse_number(row, value, e);
    memcpy(field(o, row), &x, sizeof x);
    return 0;
}

static int set_integer(struct options *o, const struct option_row *row, const char *value,
                       struct error *e)
{
    const char *digits = value + (*value == '-' && row->lo < 0);
    if (!*digits || digits[strspn(digits, "0123456789")])
        return refuse_number(row, value, e);
    errno = 0;
    if (row->type == OPTION_UINT64) {
        unsigned long long u = strtoull(value, NULL, 10);
        if (errno)
            return refuse_number(row, value, e);
        uint64_t x = u;
        memcpy(field(o, row), &x, sizeof x);
        return 0;
    }
    int64_t x = strtoll(value, NULL, 10);
    if (errno || (double)x < row->lo || (double)x > row->hi)
        return refuse_number(row, value, e);
    int small = (int)x;
    if (row->type == OPTION_INT)
        memcpy(field(o, row), &small, sizeof small);
    else
        memcpy(field(o, row), &x, sizeof x);
    return 0;
}

static int set_number(struct options *o, const struct option_row *row, const char *value,
                      struct error *e)
{
    if (!row->word || strcmp(value, row->word) != 0)
        return row->type == OPTION_DOUBLE ? set_double(o, row, value, e)
                                          : set_integer(o, row, value, e);
    int64_t x = row->word_value;
    double real = (double)x;
    if (row->type == OPTION_INT)
        memcpy(field(o, row), &row->word_value, sizeof row->word_value);
    else if (row->type == OPTION_DOUBLE)
        memcpy(field(o, row), &real, sizeof real);
    else
        memcpy(field(o, row), &x, sizeof x);
    return 0;
}

static int set_flag(struct options *o, const struct option_row *row, const char *value,
                    struct error *e)
{
    static const char *const word[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (int i = 0; i < (int)(sizeof word / sizeof *word); i++) {
        if (!strcmp(value, word[i])) {
            int on = i & 1;
            memcpy(field(o, row), &on, sizeof on);
            return 0;
        }
    }
    if (row->word && !strcmp(value, row->word)) {
        memcpy(field(o, row), &row->word_value, sizeof row->word_value);
        return 0;
    }
    return refuse(row, value, row->word ? "expected on, off or auto" : "expected on or off", e);
}

// Is `value` one of "a|b|c"?
static int is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *c = choices;; c++) {
        size_t len = strcspn(c, "|");
        if (len == n && !memcmp(c, value, n))
            return 1;
        c += len;
        if (!*c)
            return 0;
    }
}

// Control characters and broken UTF-8 can be neither recorded (JSON) nor shown.
static int is_clean(const char *value)
{
    char copy[OPTION_TEXT];
    text_clean(copy, sizeof copy, value);
    return !strcmp(copy, value);
}

static int set_string(struct options *o, const struct option_row *row, const char *value,
                      struct error *e)
{
    size_t n = strlen(value);
    if (n >= row->size)
        return error_set(e, "--%s: longer than %zu bytes", row->name, row->size - 1);
    if (!is_clean(value))
        return refuse(row, value, "not printable UTF-8 text", e);
    if (!n && *row->fallback)
        return error_set(e, "--%s needs a value", row->name);
    if (row->choices && !is_choice(row->choices, value)) {
        char expected[160];
        size_t used = (size_t)snprintf(expected, sizeof expected, "expected ");
        for (const char *c = row->choices; *c && used < sizeof expected - 3; c++) {
            if (*c != '|')
                expected[used++] = *c;
            else
                used += (size_t)snprintf(expected + used, sizeof expected - used, "%s",
                                         strchr(c + 1, '|') ? ", " : " or ");
        }
        expected[used < sizeof expected ? used : sizeof expected - 1] = '\0';
        return refuse(row, value, expected, e);
    }
    struct error why = {""};
    if (row->check && n && row->check(value, &why) < 0)
        return refuse(row, value, why.text, e);
    char *text = field(o, row);
    memset(text, 0, row->size); // so that equal options are equal bytes
    memcpy(text, value, n + 1);
    return 0;
}

static int set_row(struct options *o, const struct option_row *row, const char *value,
                   struct error *e)
{
    switch (row->type) {
    case OPTION_STRING:
        return set_string(o, row, value, e);
    case OPTION_FLAG:
        return set_flag(o, row, value, e);
    case OPTION_INT:
    case OPTION_INT64:
    case OPTION_UINT64:
    case OPTION_DOUBLE:
        break;
    }
    return set_number(o, row, value, e);
}

// The known name that is nearest to a mistyped one: a beginning of it, else by edit distance. NULL
// when half of it would have to change: that is no slip of the fingers.
static const char *nearest(const char *name)
{
    const char *best = option_table[0].name;
    size_t least = SIZE_MAX, n = strnlen(name, 64);
    for (size_t k = 0; k < option_count; k++) {
        const char *other = option_table[k].name;
        if (n >= 3 && !strncmp(other, name, n))
            return other;
        size_t row[65]; // Levenshtein, one row of the table at a time
        for (size_t j = 0; j <= n; j++)
            row[j] = j;
        for (size_t i = 1; i <= strlen(other); i++) {
            size_t diagonal = row[0];
            row[0] = i;
            for (size_t j = 1; j <= n; j++) {
                size_t swap = diagonal + (other[i - 1] != name[j - 1]);
                diagonal = row[j];
                size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
                row[j] = swap < step ? swap : step;
            }
        }
        if (row[n] < least) {
            least = row[n];
            best = other;
        }
    }
    return 2 * least < n ? best : NULL;
}

static int unknown(const char *dashes, const char *name, struct error *e)
{
    char shown[80];
    text_clean(shown, sizeof shown, name);
    const char *near = nearest(name);
    if (!near)
        return error_set(e, "unknown option %s%s; ssltop train --help lists them", dashes, shown);
    return error_set(e, "unknown option %s%s; the nearest is %s%s", dashes, shown, dashes, near);
}

int options_set(struct options *o, const char *name, const char *value, struct error *e)
{
    const struct option_row *row = option_find(name);
    return row ? set_row(o, row, value, e) : unknown("", name, e);
}

void options_default(struct options *o)
{
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < option_count; i++)
        if (*option_table[i].fallback) // the empty text is there already
            set_row(o, &option_table[i], option_table[i].fallback, NULL);
    const char *runs = getenv("SSLTOP_RUNS");
    if (runs && *runs)
        options_set(o, "runs", runs, NULL); // options_parse says it if it can't be
}

// --- value to text ---

void options_value(const struct options *o, const struct option_row *row, char *text, size_t size)
{
    const char *at = (const char *)o + row->offset;
    int i = 0;
    int64_t l = 0;
    uint64_t u;
    double x;
    switch (row->type) {
    case OPTION_STRING:
        snprintf(text, size, "%s", at);
        return;
    case OPTION_FLAG:
        memcpy(&i, at, sizeof i);
        snprintf(text, size, "%s",
                 row->word && i == row->word_value ? row->word
                 : i                               ? "on"
                                                   : "off");
        return;
    case OPTION_DOUBLE:
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
        return;
    case OPTION_UINT64:
        memcpy(&u, at, sizeof u);
        snprintf(text, size, "%" PRIu64, u);
        return;
    case OPTION_INT:
        memcpy(&i, at, sizeof i);
        l = i;
        break;
    case OPTION_INT64:
        memcpy(&l, at, sizeof l);
        break;
    }
    if (row->word && l == row->word_value)
        snprintf(text, size, "%s", row->word);
    else
        snprintf(text, size, "%" PRId64, l);
}

// --- command line ---

// One word of the command line, "--name[=value]" with its value perhaps in the next word: 1 or 2
// words used, or -1.
static int parse_word(struct options *o, int left, char **argv, unsigned char *given,
                      struct error *e)
{
    const char *word = argv[0];
    char shown[80];
    if (!strcmp(word, "-h"))
        word = "--help";
    if (strncmp(word, "--", 2) != 0 || !word[2]) {
        text_clean(shown, sizeof shown, word);
        return error_set(e, "unexpected argument '%s'", shown);
    }
    char name[64];
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), word + 2);

    const struct option_row *row = option_find(name);
    const char *value = equals ? equals + 1 : NULL;
    int used = 1;
    if (!row && !strncmp(name, "no-", 3)) {
        row = option_find(name + 3);
        if (row && row->type == OPTION_FLAG && !equals)
            value = "off";
        else
            row = NULL;
    }
    if (!row)
        return unknown("--", name, e);
    if (!value && row->type == OPTION_FLAG)
        value = "on";
    if (!value) {
        if (left < 2 || !strncmp(argv[1], "--", 2))
            return error_set(e, "--%s needs a value: --%s=%s", row->name, row->name, row->argument);
        value = argv[1];
        used = 2;
    }
    if (set_row(o, row, value, e) < 0)
        return -1;
    if (given)
        given[row - option_table] = 1;
    return used;
}

static int parse_all(struct options *o, int argc, char **argv, unsigned char *given,
                     struct error *e)
{
    for (int i = 1; i < argc;) {
        int used = parse_word(o, argc - i, argv + i, given, e);
        if (used < 0)
            return -1;
        i += used;
    }
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, unsigned char *given, struct error *e)
{
    options_default(o);
    if (given)
        memset(given, 0, option_count);
    const char *runs = getenv("SSLTOP_RUNS");
    if (runs && *runs && options_set(o, "runs", runs, e) < 0)
        return error_prefix(e, "environment variable SSLTOP_RUNS");
    struct options typed = *o; // the whole line once for its --config, and again on top of the file
    if (parse_all(&typed, argc, argv, NULL, e) < 0)
        return -1;
    if (typed.help) {
        *o = typed;
        return 0;
    }
    unsigned char first[OPTION_ROWS] = {0}, later[OPTION_ROWS] = {0};
    if (option_count > OPTION_ROWS)
        return error_set(e, "too many options");
    if (*typed.recipe && recipe_read(o, typed.recipe, first, e) < 0)
        return -1;
    if (*typed.config && options_read_file(o, typed.config, later, e) < 0)
        return -1;
    if (parse_all(o, argc, argv, later, e) < 0)
        return -1;
    recipe_give_way(o, first, later);
    for (size_t i = 0; given && i < option_count; i++)
        given[i] = first[i] | later[i];
    return 0;
}

void options_merge(struct options *o, const struct options *over, const unsigned char *given)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *row = &option_table[i];
        if (given[i] && row->place == OPTION_CONFIG)
            memcpy(field(o, row), (const char *)over + row->offset, row->size);
    }
}

// --- JSON ---

char *options_to_json(const struct options *o)
{
    json_t *object = json_object();
    char text[OPTION_TEXT];
    int failed = !object;
    for (size_t i = 0; i < option_count && !failed; i++) {
        if (option_table[i].place != OPTION_CONFIG)
            continue;
        options_value(o, &option_table[i], text, sizeof text);
        failed = json_object_set_new(object, option_table[i].name, json_string(text)) < 0;
    }
    char *out = failed ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return out;
}

int options_from_json(struct options *o, const char *json, struct error *e)
{
    json_error_t why;
    json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(object)) {
        json_decref(object);
        return error_set(e, "recorded options: not a JSON object");
    }
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach(object, key, value)
    {
        const struct option_row *row = option_find(key);
        if (!row || row->place != OPTION_CONFIG)
            rc = unknown("", key, e);
        else if (!json_is_string(value))
            rc = error_set(e, "%s: not a text", key);
        else
            rc = set_row(o, row, json_string_value(value), e);
        if (rc < 0) {
            error_prefix(e, "recorded options");
            break;
        }
    }
    json_decref(object);
    return rc;
}

// --- values that need the data ---

int options_subset(const struct options *o, int64_t total, int64_t *n, struct error *e)
{
    if (!*o->subset) {
        *n = total;
        return 0;
    }
    if (schedule_text_point(o->subset, total, n, e) < 0)
        return error_prefix(e, "--subset '%s' of %" PRId64 " images", o->subset, total);
    if (*n < 1)
        return error_set(e, "--subset %s of %" PRId64 " images leaves none", o->subset, total);
    return 0;
}

// "a" or "a,b,c" up to `stop` into out[channels]; one number stands for all. The rest, or NULL.
static const char *read_channels(const char *text, char stop, int channels, float *out)
{
    for (int i = 0; i < channels; i++) {
        size_t n = strspn(text, "0123456789.eE+-");
        char *end;
        double x = strtod(text, &end);
        if (!n || end != text + n || !isfinite(x) || fabs(x) > 1e6)
            return NULL;
        out[i] = (float)x;
        text = end;
        if (i == 0 && *text == stop) {
            for (int k = 1; k < channels; k++)
                out[k] = out[0];
            break;
        }
        if (i + 1 < channels && *text++ != ',')
            return NULL;
    }
    return *text == stop ? text : NULL;
}

int options_normalize(const struct options *o, int channels, float *mean, float *std,
                      struct error *e)
{
    if (!strcmp(o->normalize, "auto"))
        return 0;
    const char *slash = read_channels(o->normalize, '/', channels, mean);
    int ok = slash && read_channels(slash + 1, '\0', channels, std);
    for (int i = 0; ok && i < channels; i++)
        ok = std[i] >= 1e-6f;
    if (!ok)
        return error_set(e,
                         "expected auto, or MEAN/STD with one number or %d separated by commas for "
                         "each, STD above 0",
                         channels);
    return 1;
}

static void write_channels(char *text, size_t size, int channels, const float *from,
                           const char *end)
{
    for (int i = 0; i < channels; i++) {
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%.9g%s", (double)from[i], i + 1 < channels ? "," : end);
    }
}

void options_keep_normalize(struct options *o, int channels, const float *mean, const float *std)
{
    memset(o->normalize, 0, sizeof o->normalize); // equal options are equal bytes
    write_channels(o->normalize, sizeof o->normalize, channels, mean, "/");
    write_channels(o->normalize, sizeof o->normalize, channels, std, "");
}
