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

#include "metrics/forecast/forecast.h"
#include "metrics/base/text.h"
#include "metrics/base/other_file.h"

#define LOGIT_MOST 1e6 // beyond it accuracies are 0 and 1 anyway

enum { VERSION = 3, EARLIER = 2, FILE_MOST = 1 << 22, RUNS_MOST = 10000, LEFT_OUT_MOST = 1 << 20 };
#define FINE 1e4 // accuracies of runs left out are kept to this part

static const struct {
    const char *key;
    size_t offset, size;
} text_field[] = {
    {"data", offsetof(struct forecast, data), sizeof((struct forecast *)0)->data},
    {"arch", offsetof(struct forecast, arch), sizeof((struct forecast *)0)->arch},
    {"method", offsetof(struct forecast, method), sizeof((struct forecast *)0)->method},
};
// Of a law; null is NaN where it may be.
static const struct {
    const char *key;
    size_t offset;
    int may_lack;
} law_field[] = {
    {"constant", offsetof(struct forecast_law, constant), 0},
    {"r2", offsetof(struct forecast_law, r2), 0},
    {"r2_left_out", offsetof(struct forecast_law, r2_left_out), 0},
    {"error_points", offsetof(struct forecast_law, error_points), 0},
    {"error_points_good", offsetof(struct forecast_law, error_points_good), 1},
    {"error_points_quarter", offsetof(struct forecast_law, error_points_quarter), 1},
    {"covered", offsetof(struct forecast_law, covered), 1},
};
static const struct {
    const char *key;
    size_t offset;
} law_part[] = {{"now", offsetof(struct forecast, now)},
                {"live", offsetof(struct forecast, live)},
                {"end", offsetof(struct forecast, end)},
                {"linear", offsetof(struct forecast, linear)}};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static void *at(void *of, size_t offset)
{
    return (char *)of + offset;
}
static const void *at_const(const void *of, size_t offset)
{
    return (const char *)of + offset;
}

// ---------------------------------------------------------------- writing

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *pair(double a, double b)
{
    return json_pack("[f, f]", a, b);
}

static json_t *term_to_json(const struct forecast_term *t)
{
    json_t *of = t->b == FORECAST_INPUTS
                     ? json_pack("[s]", forecast_inputs[t->a].key)
                     : json_pack("[s, s]", forecast_inputs[t->a].key, forecast_inputs[t->b].key);
    return of ? json_pack("{s:o, s:f}", "of", of, "coefficient", t->coefficient) : NULL;
}

// [[foretold, measured], ...] in ten-thousandths.
static json_t *left_out_to_json(const struct forecast_law *law)
{
    json_t *all = json_array();
    int rc = 0;
    for (int64_t i = 0; i < law->n_left_out; i++)
        rc |= json_array_append_new(
            all, json_pack("[I, I]", (json_int_t)lround(FINE * law->left_out[i].foretold),
                           (json_int_t)lround(FINE * law->left_out[i].measured)));
    if (rc == 0)
        return all;
    json_decref(all);
    return NULL;
}

static json_t *law_to_json(const struct forecast_law *law)
{
    json_t *o = json_object(), *terms = json_array(), *centre = json_object(),
           *range = json_object(), *interval = json_array();
    int rc = 0;
    for (int t = 0; t < law->terms; t++)
        rc |= json_array_append_new(terms, term_to_json(&law->term[t]));
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        const struct forecast_range *r = &law->range[i];
        if (r->lo > r->hi)
            continue;
        rc |= json_object_set_new(centre, forecast_inputs[i].key, json_real(law->centre[i]));
        rc |= json_object_set_new(range, forecast_inputs[i].key, pair(r->lo, r->hi));
    }
    for (int k = 0; k < law->knots; k++)
        rc |= json_array_append_new(interval, pair(law->knot[k].at, law->knot[k].size));
    rc |= json_object_set_new(o, "terms", terms);
    rc |= json_object_set_new(o, "centre", centre);
    rc |= json_object_set_new(o, "range", range);
    rc |= json_object_set_new(o, "accuracy", pair(law->accuracy.lo, law->accuracy.hi));
    rc |= json_object_set_new(o, "interval", interval);
    for (size_t i = 0; i < COUNT(law_field); i++)
        rc |= json_object_set_new(o, law_field[i].key,
                                  number(*(const double *)at_const(law, law_field[i].offset)));
    if (law->n_left_out)
        rc |= json_object_set_new(o, "left_out", left_out_to_json(law));
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *to_json(const struct forecast *f)
{
    json_t *root = json_object(), *offset = json_object(), *runs = json_array();
    int rc = json_object_set_new(root, "version", json_integer(VERSION));
    for (size_t i = 0; i < COUNT(text_field); i++)
        rc |= json_object_set_new(root, text_field[i].key,
                                  json_string(at_const(f, text_field[i].offset)));
    for (size_t i = 0; i < COUNT(law_part); i++) {
        const struct forecast_law *law = at_const(f, law_part[i].offset);
        if (law->knots)
            rc |= json_object_set_new(root, law_part[i].key, law_to_json(law));
    }
    for (int i = 0; i < FORECAST_INPUTS; i++)
        if (forecast_inputs[i].live != FORECAST_INPUTS)
            rc |= json_object_set_new(offset, forecast_inputs[i].key, json_real(f->offset[i]));
    rc |= json_object_set_new(root, "live_offset", offset);
    rc |= json_object_set_new(root, "zstd", pair(f->zstd.lo, f->zstd.hi));
    rc |= json_object_set_new(root, "evaluations", json_integer(f->points));
    rc |= json_object_set_new(root, "collapsed", json_integer(f->collapsed));
    for (int i = 0; i < f->runs; i++)
        rc |= json_array_append_new(runs, json_string(f->run[i]));
    rc |= json_object_set_new(root, "runs", runs);
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
        return error_system(e, "the calibration cannot be written");
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

static int take_pair(const json_t *v, double *a, double *b)
{
    return json_array_size(v) == 2 && take_number(json_array_get(v, 0), a) == 0 &&
                   take_number(json_array_get(v, 1), b) == 0
               ? 0
               : -1;
}

static int take_range(const json_t *v, struct forecast_range *r)
{
    return take_pair(v, &r->lo, &r->hi) == 0 && r->lo <= r->hi ? 0 : -1;
}

static void no_ranges(struct forecast_law *law)
{
    for (int i = 0; i < FORECAST_INPUTS; i++)
        law->range[i] = (struct forecast_range){INFINITY, -INFINITY};
}

static int take_terms(const json_t *terms, struct forecast_law *law)
{
    size_t n = json_array_size(terms);
    if (!json_is_array(terms) || n > FORECAST_TERMS)
        return -1;
    for (; law->terms < (int)n; law->terms++) {
        const json_t *o = json_array_get(terms, (size_t)law->terms), *of = json_object_get(o, "of");
        struct forecast_term *t = &law->term[law->terms];
        size_t inputs = json_array_size(of);
        int a = forecast_input_find(json_string_value(json_array_get(of, 0))), b = FORECAST_INPUTS;
        if (inputs == 2)
            b = forecast_input_find(json_string_value(json_array_get(of, 1)));
        if (inputs < 1 || inputs > 2 || a < 0 || b < 0 ||
            take_number(json_object_get(o, "coefficient"), &t->coefficient) < 0)
            return -1;
        t->a = (enum forecast_in)a;
        t->b = (enum forecast_in)b;
    }
    return 0;
}

static int take_inputs(const json_t *law_json, struct forecast_law *law)
{
    const json_t *centre = json_object_get(law_json, "centre"),
                 *range = json_object_get(law_json, "range");
    no_ranges(law);
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        const json_t *c = json_object_get(centre, forecast_inputs[i].key),
                     *r = json_object_get(range, forecast_inputs[i].key);
        if ((c && take_number(c, &law->centre[i]) < 0) || (r && take_range(r, &law->range[i]) < 0))
            return -1;
    }
    for (int t = 0; t < law->terms; t++)
        for (int k = 0; k < 2; k++) {
            int i = (int)(k ? law->term[t].b : law->term[t].a);
            if (i < FORECAST_INPUTS && law->range[i].lo > law->range[i].hi)
                return -1;
        }
    return take_range(json_object_get(law_json, "accuracy"), &law->accuracy);
}

static int take_interval(const json_t *interval, struct forecast_law *law)
{
    size_t n = json_array_size(interval);
    if (n < 1 || n > FORECAST_KNOTS)
        return -1;
    for (; law->knots < (int)n; law->knots++) {
        struct forecast_knot *k = &law->knot[law->knots];
        if (take_pair(json_array_get(interval, (size_t)law->knots), &k->at, &k->size) < 0 ||
            fabs(k->at) > LOGIT_MOST || k->size < 0 || k->size > LOGIT_MOST ||
            (law->knots && k->at <= law->knot[law->knots - 1].at))
            return -1;
    }
    return 0;
}

static int take_left_out(const json_t *all, struct forecast_law *law)
{
    size_t n = json_array_size(all);
    if (!all)
        return 0;
    if (!json_is_array(all) || n > LEFT_OUT_MOST ||
        !(law->left_out = calloc(n + 1, sizeof *law->left_out)))
        return -1;
    for (; law->n_left_out < (int64_t)n; law->n_left_out++) {
        struct forecast_left_out *v = &law->left_out[law->n_left_out];
        if (take_pair(json_array_get(all, (size_t)law->n_left_out), &v->foretold, &v->measured) < 0)
            return -1;
        v->foretold /= FINE;
        v->measured /= FINE;
        if (!(v->foretold >= 0 && v->foretold <= 1 && v->measured >= 0 && v->measured <= 1))
            return -1;
    }
    return 0;
}

static int take_law(const json_t *o, struct forecast_law *law)
{
    for (size_t i = 0; i < COUNT(law_field); i++) {
        const json_t *v = json_object_get(o, law_field[i].key);
        double *to = at(law, law_field[i].offset);
        if (law_field[i].may_lack && (!v || json_is_null(v)))
            *to = NAN;
        else if (take_number(v, to) < 0)
            return -1;
    }
    return take_terms(json_object_get(o, "terms"), law) < 0 || take_inputs(o, law) < 0 ||
                   take_interval(json_object_get(o, "interval"), law) < 0 ||
                   take_left_out(json_object_get(o, "left_out"), law) < 0
               ? -1
               : 0;
}

// The name of the part that is missing or makes no sense, or NULL.
static const char *take_laws(const json_t *root, struct forecast *f)
{
    const json_t *offset = json_object_get(root, "live_offset"), *v;
    for (size_t i = 0; i < COUNT(law_part); i++) {
        const json_t *o = json_object_get(root, law_part[i].key);
        if ((o || i == 0) && take_law(o, at(f, law_part[i].offset)) < 0)
            return law_part[i].key;
    }
    for (int i = 0; i < FORECAST_INPUTS; i++)
        if ((v = json_object_get(offset, forecast_inputs[i].key)) &&
            take_number(v, &f->offset[i]) < 0)
            return "live_offset";
    return take_range(json_object_get(root, "zstd"), &f->zstd) < 0 ? "zstd" : NULL;
}

// Version 2: AUC, its square, loss and ln width, one size of interval, one range of each; complete
// collapses were left out.
static const char *take_earlier(const json_t *root, struct forecast *f)
{
    static const struct {
        const char *key;
        enum forecast_in a, b;
    } term[] = {{"auc", FORECAST_AUC, FORECAST_INPUTS},
                {"auc2", FORECAST_AUC, FORECAST_AUC},
                {"loss", FORECAST_LOSS, FORECAST_INPUTS},
                {"ln_width", FORECAST_WIDTH, FORECAST_INPUTS}};
    struct forecast_law *law = &f->now;
    const json_t *terms = json_object_get(root, "logit_accuracy"),
                 *range = json_object_get(root, "range"), *v;
    if (take_number(json_object_get(terms, "constant"), &law->constant) < 0)
        return "logit_accuracy";
    for (size_t i = 0; i < COUNT(term); i++) {
        struct forecast_term *t = &law->term[law->terms];
        if (!(v = json_object_get(terms, term[i].key)))
            continue;
        *t = (struct forecast_term){.a = term[i].a, .b = term[i].b};
        if (take_number(v, &t->coefficient) < 0)
            return "logit_accuracy";
        law->terms++;
    }
    no_ranges(law);
    struct forecast_range *width = &law->range[FORECAST_WIDTH];
    if (take_range(json_object_get(range, "auc"), &law->range[FORECAST_AUC]) < 0 ||
        take_range(json_object_get(range, "loss"), &law->range[FORECAST_LOSS]) < 0 ||
        take_range(json_object_get(range, "width"), width) < 0 || !(width->lo >= 1) ||
        take_range(json_object_get(range, "zstd"), &f->zstd) < 0 ||
        take_range(json_object_get(range, "accuracy"), &law->accuracy) < 0)
        return "range";
    *width = (struct forecast_range){log(width->lo), log(width->hi)};
    for (size_t i = 0; i < COUNT(law_field); i++) {
        double *to = at(law, law_field[i].offset);
        if (law_field[i].may_lack)
            *to = NAN;
        else if (to != &law->constant &&
                 take_number(json_object_get(root, law_field[i].key), to) < 0)
            return law_field[i].key;
    }
    if (take_number(json_object_get(root, "live_offset"), &f->offset[FORECAST_AUC]) < 0)
        return "live_offset";
    if (take_number(json_object_get(root, "logit_quantile"), &law->knot[0].size) < 0 ||
        law->knot[0].size < 0 || law->knot[0].size > LOGIT_MOST)
        return "logit_quantile";
    law->knots = 1;
    return NULL;
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
    json_int_t number = json_integer_value(version);
    if (!json_is_integer(version) || (number != VERSION && number != EARLIER))
        return "version";
    for (size_t i = 0; i < COUNT(text_field); i++) {
        const char *text = json_string_value(json_object_get(root, text_field[i].key));
        if (!text || strlen(text) >= text_field[i].size)
            return text_field[i].key;
        text_copy(at(f, text_field[i].offset), text_field[i].size, text, strlen(text));
    }
    f->points = json_integer_value(json_object_get(root, "evaluations"));
    f->collapsed = json_integer_value(json_object_get(root, "collapsed"));
    const char *bad = number == VERSION ? take_laws(root, f) : take_earlier(root, f);
    if (bad)
        return bad;
    return take_runs(json_object_get(root, "runs"), f) < 0 ? "runs" : NULL;
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
            error_system(e, "%.300s", path);
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
        return error_number(e, failed ? failed : ENOMEM, "%.300s", path);
    }
    char head[512];
    memcpy(head, text, n < sizeof head ? n : sizeof head);
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
    const char *other = other_file(head, n < sizeof head ? n : sizeof head);
    if (other && other != other_file_json && other != other_file_text)
        return error_set(e, "%.300s %s", path, other);
    return error_set(e, "%.300s is no calibration: it is not a JSON object of less than 4 MB",
                     path);
}
