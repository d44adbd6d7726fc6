// Options as a whole: defaults, the recorded JSON, and values that need the data. Single rows are
// in option.c, the configuration file in options_file.c.
#include "train/options/options.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "train/schedule/schedule_text.h"

static int unknown(const char *name, struct error *e)
{
    const struct option_set set[] = {{options_table, NULL, NULL}, {0}};
    return option_unknown("train", set, "", name, e);
}

int options_set(struct options *o, const char *name, const char *value, struct error *e)
{
    const struct option_row *row = option_find(options_table, name);
    return row ? option_set(row, o, value, e) : unknown(name, e);
}

void options_default(struct options *o)
{
    memset(o, 0, sizeof *o);
    const struct option_set set[] = {{options_table, o, NULL}, {0}};
    option_defaults(set, NULL); // options_parse says it where a variable can't be taken
}

void options_merge(struct options *o, const struct options *over, const unsigned char *given)
{
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        if (given[i] && row->place == OPTION_CONFIG)
            memcpy((char *)o + row->offset, (const char *)over + row->offset, row->size);
    }
}

// --- JSON ---

char *options_to_json(const struct options *o)
{
    json_t *object = json_object();
    char text[OPTION_TEXT];
    int failed = !object;
    for (size_t i = 0; i < options_count && !failed; i++) {
        if (options_table[i].place != OPTION_CONFIG)
            continue;
        option_value(&options_table[i], o, text, sizeof text);
        failed = json_object_set_new(object, options_table[i].name, json_string(text)) < 0;
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
        const struct option_row *row = option_find(options_table, key);
        if (!row || row->place != OPTION_CONFIG)
            rc = unknown(key, e);
        else if (!json_is_string(value))
            rc = error_set(e, "%s: not a text", key);
        else
            rc = option_set(row, o, json_string_value(value), e);
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
    for (int i = 0; i < channels; i++)
        text_add(text, size, "%.9g%s", (double)from[i], i + 1 < channels ? "," : end);
}

void options_keep_normalize(struct options *o, int channels, const float *mean, const float *std)
{
    memset(o->normalize, 0, sizeof o->normalize); // equal options are equal bytes
    write_channels(o->normalize, sizeof o->normalize, channels, mean, "/");
    write_channels(o->normalize, sizeof o->normalize, channels, std, "");
}
