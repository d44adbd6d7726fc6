// A calibration as a small JSON file: what was fitted, over which range, how well, and on which
// runs.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/science/forecast.h"
#include "metrics/base/text.h"

enum { VERSION = 2, FILE_MOST = 1 << 20, RUNS_MOST = 10000 };

static const struct {
    const char *key;
    size_t offset;
} text_field[] = {
    {"data", offsetof(struct forecast, data)},
    {"arch", offsetof(struct forecast, arch)},
    {"method", offsetof(struct forecast, method)},
};
static const size_t text_size[] = {
    sizeof((struct forecast *)0)->data,
    sizeof((struct forecast *)0)->arch,
    sizeof((struct forecast *)0)->method,
};
static const struct {
    const char *key;
    size_t offset;
} number_field[] = {
    {"live_offset", offsetof(struct forecast, offset)},
    {"logit_quantile", offsetof(struct forecast, quantile)},
    {"r2", offsetof(struct forecast, r2)},
    {"r2_left_out", offsetof(struct forecast, r2_left_out)},
    {"error_points", offsetof(struct forecast, error_points)},
    {"error_points_live", offsetof(struct forecast, error_points_live)},
};
static const struct {
    const char *key;
    size_t offset;
} range_field[] = {
    {"auc", offsetof(struct forecast, auc)},           {"loss", offsetof(struct forecast, loss)},
    {"zstd", offsetof(struct forecast, zstd)},         {"width", offsetof(struct forecast, width)},
    {"accuracy", offsetof(struct forecast, accuracy)},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static void *at(struct forecast *f, size_t offset)
{
    return (char *)f + offset;
}
static const void *at_const(const struct forecast *f, size_t offset)
{
    return (const char *)f + offset;
}

// ---------------------------------------------------------------- writing

static json_t *to_json(const struct forecast *f)
{
    json_t *root = json_object(), *terms = json_object(), *range = json_object();
    json_t *runs = json_array();
    int rc = root && terms && range && runs ? 0 : -1;
    rc |= json_object_set_new(root, "version", json_integer(VERSION));
    for (size_t i = 0; i < COUNT(text_field); i++)
        rc |= json_object_set_new(root, text_field[i].key,
                                  json_string(at_const(f, text_field[i].offset)));
    for (int t = 0; t < FORECAST_TERMS; t++)
        if (f->used[t])
            rc |= json_object_set_new(terms, forecast_term_key[t], json_real(f->coefficient[t]));
    rc |= json_object_set(root, "logit_accuracy", terms);
    for (size_t i = 0; i < COUNT(number_field); i++)
        rc |= json_object_set_new(root, number_field[i].key,
                                  json_real(*(const double *)at_const(f, number_field[i].offset)));
    for (size_t i = 0; i < COUNT(range_field); i++) {
        const struct forecast_range *r = at_const(f, range_field[i].offset);
        rc |= json_object_set_new(range, range_field[i].key, json_pack("[f, f]", r->lo, r->hi));
    }
    rc |= json_object_set(root, "range", range);
    rc |= json_object_set_new(root, "evaluations", json_integer(f->points));
    rc |= json_object_set_new(root, "collapsed", json_integer(f->collapsed));
    for (int i = 0; i < f->runs; i++)
        rc |= json_array_append_new(runs, json_string(f->run[i]));
    rc |= json_object_set(root, "runs", runs);
    json_decref(terms);
    json_decref(range);
    json_decref(runs);
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}

int forecast_write(const struct forecast *f, FILE *out, struct error *e)
{
    json_t *root = to_json(f);
    if (!root)
        return error_set(e, "the calibration cannot be written: a name is not UTF-8, or memory is "
                            "short");
    int rc = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (rc < 0 || fputc('\n', out) == EOF)
        return error_set(e, "the calibration cannot be written: %s", strerror(errno));
    return 0;
}

// ---------------------------------------------------------------- reading

static int take_number(const json_t *v, double *out)
{
    if (!json_is_number(v))
        return -1;
    *out = json_number_value(v);
    return isfinite(*out) ? 0 : -1;
}

static int take_terms(const json_t *terms, struct forecast *f)
{
    for (int t = 0; t < FORECAST_TERMS; t++) {
        const json_t *v = json_object_get(terms, forecast_term_key[t]);
        f->used[t] = v != NULL;
        if (v && take_number(v, &f->coefficient[t]) < 0)
            return -1;
    }
    return f->used[FORECAST_CONSTANT] ? 0 : -1;
}

static int take_ranges(const json_t *range, struct forecast *f)
{
    for (size_t i = 0; i < COUNT(range_field); i++) {
        const json_t *v = json_object_get(range, range_field[i].key);
        struct forecast_range *r = at(f, range_field[i].offset);
        if (json_array_size(v) != 2 || take_number(json_array_get(v, 0), &r->lo) < 0 ||
            take_number(json_array_get(v, 1), &r->hi) < 0 || r->lo > r->hi)
            return -1;
    }
    return f->width.lo >= 1 ? 0 : -1;
}

static int take_runs(const json_t *runs, struct forecast *f)
{
    size_t n = json_array_size(runs);
    if (n > RUNS_MOST || !(f->run = calloc(n + 1, sizeof *f->run)))
        return -1;
    for (; f->runs < (int)n; f->runs++) {
        const char *name = json_string_value(json_array_get(runs, (size_t)f->runs));
        if (!name || !(f->run[f->runs] = strdup(name)))
            return -1;
    }
    return 0;
}

// The name of the part that is missing or makes no sense, or NULL.
static const char *from_json(const json_t *root, struct forecast *f)
{
    const json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        return "version";
    for (size_t i = 0; i < COUNT(text_field); i++) {
        const char *text = json_string_value(json_object_get(root, text_field[i].key));
        if (!text || strlen(text) >= text_size[i])
            return text_field[i].key;
        text_copy(at(f, text_field[i].offset), text_size[i], text, strlen(text));
    }
    for (size_t i = 0; i < COUNT(number_field); i++)
        if (take_number(json_object_get(root, number_field[i].key), at(f, number_field[i].offset)) <
            0)
            return number_field[i].key;
    f->points = json_integer_value(json_object_get(root, "evaluations"));
    f->collapsed = json_integer_value(json_object_get(root, "collapsed"));
    if (take_terms(json_object_get(root, "logit_accuracy"), f) < 0)
        return "logit_accuracy";
    if (take_ranges(json_object_get(root, "range"), f) < 0)
        return "range";
    if (take_runs(json_object_get(root, "runs"), f) < 0)
        return "runs";
    return f->quantile >= 0 ? NULL : "logit_quantile";
}

// A pipe that nobody writes to would keep us waiting for ever.
static FILE *open_file(const char *path, struct error *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int fine = fd >= 0 && fstat(fd, &st) == 0;
    FILE *f = fine && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!f) {
        if (fine && !S_ISREG(st.st_mode))
            error_set(e, "%.300s is not a regular file", path);
        else
            error_set(e, "%.300s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return f;
}

int forecast_read(const char *path, struct forecast *out, struct error *e)
{
    json_error_t why;
    memset(out, 0, sizeof *out);
    FILE *f = open_file(path, e);
    if (!f)
        return -1;
    char *text = malloc(FILE_MOST);
    size_t n = text ? fread(text, 1, FILE_MOST, f) : 0;
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (!text || failed) {
        free(text);
        return error_set(e, "%.300s: %s", path, strerror(failed ? failed : ENOMEM));
    }
    json_t *root = n < FILE_MOST ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &why) : NULL;
    free(text);
    const char *bad = root ? from_json(root, out) : NULL;
    json_decref(root);
    if (root && !bad)
        return 0;
    forecast_free(out);
    if (bad)
        return error_set(e, "%.300s is no calibration: its \"%s\" is missing or makes no sense",
                         path, bad);
    return error_set(e, "%.300s is no calibration: it is not a JSON object of less than a megabyte",
                     path);
}
