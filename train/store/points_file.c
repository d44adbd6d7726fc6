// Numbers that are not known are left out of a line.
#include "train/store/points_file.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/text.h"

enum { VERSION = 1, LINE = 1 << 14, RUNS = 100000, DIGITS = 9 };
#define IMAGES_MOST INT64_C(1000000000)

// ---------------------------------------------------------------- writing

static int put(FILE *out, json_t *o, struct error *e)
{
    if (!o)
        return error_set(
            e, "an evaluation cannot be written: a name is not UTF-8, or memory is short");
    int rc = json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));
    json_decref(o);
    return rc < 0 || fputc('\n', out) == EOF ? error_system(e, "an evaluation cannot be written")
                                             : 0;
}

int points_file_begin(FILE *out, const struct points_head *head, struct error *e)
{
    return put(out,
               json_pack("{s:i, s:s, s:s, s:s}", "points", VERSION, "data", head->data, "arch",
                         head->arch, "method", head->method),
               e);
}

static void set(json_t *o, const char *key, double v)
{
    if (isfinite(v))
        json_object_set_new(o, key, json_real(v));
}

static json_t *inputs(const double v[FORECAST_INPUTS])
{
    json_t *o = json_object();
    for (int i = 0; i < FORECAST_INPUTS; i++)
        set(o, forecast_inputs[i].key, v[i]);
    return o;
}

int points_file_add(FILE *out, const char *run, const struct forecast_point *p, struct error *e)
{
    json_t *o = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o}", "run", run, "correct",
                          (json_int_t)p->correct, "n", (json_int_t)p->n, "exact", inputs(p->in.v),
                          "live", inputs(p->live), "offset", inputs(p->offset));
    set(o, "end", p->end);
    set(o, "linear", p->linear);
    if (isfinite(p->linear))
        json_object_set_new(o, "linear_n", json_integer(p->linear_n));
    return put(out, o, e);
}

// ---------------------------------------------------------------- reading

static int take(const json_t *o, const char *key, double *out)
{
    const json_t *v = json_object_get(o, key);
    *out = v ? json_number_value(v) : NAN;
    return !v || (json_is_number(v) && isfinite(*out));
}

static int take_count(const json_t *o, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0 && *out <= IMAGES_MOST;
}

static int take_inputs(const json_t *o, const char *key, double out[FORECAST_INPUTS])
{
    const json_t *of = json_object_get(o, key);
    int ok = json_is_object(of);
    for (int i = 0; i < FORECAST_INPUTS; i++)
        ok &= take(of, forecast_inputs[i].key, &out[i]);
    for (enum forecast_in i = 0; i < FORECAST_INPUTS; i++)
        out[i] = forecast_input_bounded(i, out[i]);
    return ok;
}

// Lines of before have z-std beside the inputs, not among them.
static int take_zstd(const json_t *o, double *zstd)
{
    return isfinite(*zstd) || take(o, "zstd", zstd);
}

static int take_point(const json_t *o, struct forecast_point *p)
{
    p->linear_n = 0;
    return take_count(o, "correct", &p->correct) && take_count(o, "n", &p->n) &&
           p->correct <= p->n && take_inputs(o, "exact", p->in.v) &&
           take_inputs(o, "live", p->live) && take_inputs(o, "offset", p->offset) &&
           take_zstd(o, &p->in.v[FORECAST_ZSTD]) && take(o, "end", &p->end) &&
           take(o, "linear", &p->linear) &&
           (isnan(p->linear) || take_count(o, "linear_n", &p->linear_n));
}

static int take_text(const json_t *o, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text || strlen(text) >= size)
        return 0;
    text_copy(to, size, text, strlen(text));
    return 1;
}

static int take_head(const json_t *o, struct points_head *h)
{
    const json_t *version = json_object_get(o, "points");
    return json_is_integer(version) && json_integer_value(version) == VERSION &&
           take_text(o, "data", h->data, sizeof h->data) &&
           take_text(o, "arch", h->arch, sizeof h->arch) &&
           take_text(o, "method", h->method, sizeof h->method);
}

struct place {
    const char *path;
    int64_t line;
    int run;
    char name[128];
};

// 1: the line makes no sense.
static int on_line(const json_t *o, struct place *at, const struct points_reader *r,
                   struct error *e)
{
    struct forecast_point p;
    struct points_head head;
    char name[sizeof at->name];
    if (at->line == 1)
        return take_head(o, &head) ? r->head(r->context, &head, e) : 1;
    if (!take_text(o, "run", name, sizeof name) || !*name || !take_point(o, &p))
        return 1;
    if (strcmp(name, at->name) != 0 && ++at->run >= RUNS)
        return 1;
    memcpy(at->name, name, sizeof name);
    p.run = at->run;
    return r->each(r->context, name, &p, e);
}

static int read_lines(FILE *f, struct place *at, const struct points_reader *r, struct error *e)
{
    char *line = malloc(LINE);
    int rc = line ? 0 : error_memory(e, "a line");
    while (rc == 0 && fgets(line, LINE, f)) {
        at->line++;
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        rc = o ? on_line(o, at, r, e) : 1;
        json_decref(o);
        if (rc > 0)
            rc = error_set(e, "%.300s, line %lld: no evaluation that fit --points wrote", at->path,
                           (long long)at->line);
    }
    free(line);
    if (rc == 0 && ferror(f))
        return error_system(e, "%.300s", at->path);
    return rc == 0 && !at->line ? error_set(e, "%.300s is empty", at->path) : rc;
}

int points_file_read(const char *path, const struct points_reader *r, struct error *e)
{
    struct place at = {.path = path, .run = -1};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait at a pipe
    int fine = fd >= 0 && fstat(fd, &st) == 0;
    FILE *f = fine && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!f) {
        int rc = fine && !S_ISREG(st.st_mode) ? error_set(e, "%.300s is not a regular file", path)
                                              : error_system(e, "%.300s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = read_lines(f, &at, r, e);
    fclose(f);
    return rc;
}
