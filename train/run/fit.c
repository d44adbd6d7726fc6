// Logs to points: exact AUC and measured probe from the evaluations, the loss from the steps before
// each, by the same code that averages it while training.
#include "metrics/base/file.h"
#include "train/run/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/log/cursor.h"
#include "metrics/log/run_facts.h"
#include "train/methods/method.h"
#include "train/options/options.h"
#include "train/run/live_forecast.h"
#include "train/store/points_file.h"
#include "train/store/probe_file.h"

enum { LEFT_OUT = 10 }; // the first tenth of a run
enum { NOBODY = -2 };
enum { TEST_MOST = 1000000000 }; // more test images than that are a broken record

struct points {
    struct forecast_point *point;
    int64_t n, cap;
    char **name;
    int runs, runs_cap;
    char data[256], arch[64], method[METHOD_TITLE]; // of the first run
    int kept; // the run that a file of kept evaluations is at; NOBODY: there was no such file
};

static int add(struct points *p, const struct forecast_point *point, struct error *e)
{
    if (memory_grow(p->point, p->cap, p->n + 1) < 0)
        return error_memory(e, "evaluations");
    p->point[p->n++] = *point;
    return 0;
}

struct reading {
    int has_run;
    char name[128];
    int64_t steps;                 // T
    double end;                    // what the probe measured there; NaN: it was not
    struct live_forecast forecast; // what the trainer knew at each step
};

// The first run says what all must be.
static int same(struct points *p, const char *data, const char *arch, const char *method,
                struct error *e)
{
    if (!p->data[0]) {
        snprintf(p->data, sizeof p->data, "%s", data);
        snprintf(p->arch, sizeof p->arch, "%s", arch);
        snprintf(p->method, sizeof p->method, "%s", method);
    }
    if (strcmp(p->data, data) != 0 || strcmp(p->arch, arch) != 0 || strcmp(p->method, method) != 0)
        return error_set(e,
                         "it trains %.60s on %.60s by %.60s, the others %.60s on %.60s by %.60s: "
                         "a forecast is for one of each",
                         arch, data, method, p->arch, p->data, p->method);
    return 0;
}

static int same_record(struct points *p, const struct record_run *r, const struct run_facts *facts,
                       struct error *e)
{
    char method[sizeof p->method];
    struct options o;
    options_default(&o);
    snprintf(o.method, sizeof o.method, "%s", facts->method);
    snprintf(o.augment, sizeof o.augment, "%s", facts->augment);
    o.predictor = facts->predictor;
    o.stop_gradient = facts->stop_gradient;
    method_title(&o, method, sizeof method);
    return same(p, r->dataset.name, r->model.arch, method, e);
}

static int on_run(struct points *p, struct reading *g, const struct record_run *r, struct error *e)
{
    struct run_facts facts;
    run_facts_read(r, &facts);
    if (r->model.d < 1 || facts.batch < 1 || !facts.method[0])
        return error_set(e, "its run record has no features, no batch or no method");
    g->has_run = 1;
    snprintf(g->name, sizeof g->name, "%s", r->name);
    g->steps = r->steps;
    live_forecast_init(&g->forecast,
                       &(struct live_forecast_facts){.width = r->model.width,
                                                     .d = r->model.d,
                                                     .samples = 2 * (int64_t)facts.batch,
                                                     .steps = r->steps,
                                                     .images = r->dataset.n});
    return same_record(p, r, &facts, e);
}

static int on_eval(struct points *p, struct reading *g, const struct record *r, struct error *e)
{
    const struct record_eval *v = &r->u.eval;
    struct live_forecast *o = &g->forecast;
    struct forecast_point point = {.run = p->runs, .n = v->n_test, .end = NAN, .linear = NAN};
    for (int i = 0; i < FORECAST_INPUTS; i++) {
        int is_live = forecast_inputs[i].live != FORECAST_INPUTS;
        int is_seen = is_live ? r->step > o->warm : o->metric[i] >= 0;
        point.live[i] = !is_seen ? NAN : is_live ? o->live[i] : o->exact[i];
        point.offset[i] = o->offset[i];
    }
    live_forecast_eval(o, r->step, v->metric);
    point.in = live_forecast_input(o, r->step);
    if (!isfinite(v->probe) || v->probe < 0 || v->probe > 1 || v->n_test < 1 ||
        v->n_test > TEST_MOST || !isfinite(v->metric[METRIC_AUC]) ||
        !isfinite(point.in.v[FORECAST_LOSS]) || !isfinite(point.in.v[FORECAST_ZSTD]) ||
        r->step < g->steps / LEFT_OUT + (g->steps % LEFT_OUT != 0))
        return 0;
    point.correct = llround(v->probe * (double)v->n_test);
    if (r->step == g->steps)
        g->end = v->probe;
    return add(p, &point, e);
}

static int on_record(struct points *p, struct reading *g, const struct record *r, struct error *e)
{
    if (r->type == RECORD_RUN && !g->has_run)
        return on_run(p, g, &r->u.run, e);
    if (r->type == RECORD_STEP && r->step >= 0 && g->has_run)
        live_forecast_step(&g->forecast, r->step, r->u.step.metric);
    if (r->type == RECORD_EVAL && r->step >= 0 && g->has_run)
        return on_eval(p, g, r, e);
    return 0;
}

static int read_log(const char *dir, struct points *p, struct reading *g, struct error *e)
{
    struct cursor *c;
    struct record r;
    int rc, bad = 0;
    if (cursor_open(path_of("%s/run.jsonl.zst", dir).s, &c, e))
        return -1;
    // What an earlier life of the run said of steps that were done again did not happen.
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS, .newest = 1});
    for (; bad == 0 && (rc = cursor_record(c, &r, e)) == 1; record_free(&r))
        bad = on_record(p, g, &r, e);
    cursor_free(c);
    if (rc == 0 && !g->has_run)
        rc = error_set(e, "its log has no run record");
    return rc < 0 || bad < 0 ? -1 : 0;
}

static int add_name(struct points *p, const char *name, struct error *e)
{
    if (memory_grow(p->name, p->runs_cap, p->runs + 1) < 0 || !(p->name[p->runs] = strdup(name)))
        return error_memory(e, "the name of a run");
    p->runs++;
    return 0;
}

// ---------------------------------------------------------------- what was kept of runs

static int on_head(void *context, const struct points_head *h, struct error *e)
{
    return same(context, h->data, h->arch, h->method, e);
}

// Of a run that is new: the last of those so far, or one more.
static int on_kept(void *context, const char *run, const struct forecast_point *kept,
                   struct error *e)
{
    struct points *p = context;
    struct forecast_point point = *kept;
    if (kept->run != p->kept && add_name(p, run, e) < 0)
        return -1;
    p->kept = kept->run;
    point.run = p->runs - 1;
    return add(p, &point, e);
}

static int read_kept(const char *path, struct points *p, struct error *e)
{
    p->kept = -1;
    return points_file_read(path, &(struct points_reader){on_head, on_kept, p}, e) < 0 ? -1 : 1;
}

// A run whose evaluations were kept and that is given too: as check_different.
static int check_names(const struct points *p, struct error *e)
{
    for (int i = 0; p->kept != NOBODY && i < p->runs; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(p->name[i], p->name[j]) == 0)
                return error_set(e, "there are two runs called %.120s", p->name[i]);
    return 0;
}

static int keep(const struct points *p, const char *path, struct error *e)
{
    struct file out;
    struct points_head h;
    snprintf(h.data, sizeof h.data, "%s", p->data);
    snprintf(h.arch, sizeof h.arch, "%s", p->arch);
    snprintf(h.method, sizeof h.method, "%.95s", p->method);
    if (file_create(&out, path, FILE_DURABLE, e) < 0)
        return -1;
    int rc = points_file_begin(out.stream, &h, e);
    for (int64_t i = 0; rc == 0 && i < p->n; i++)
        rc = points_file_add(out.stream, p->name[p->point[i].run], &p->point[i], e);
    return file_finish(&out, rc, e);
}

static int read_run(const char *dir, struct points *p, struct error *e)
{
    struct reading g = {.end = NAN};
    struct probe_kept kept;
    int64_t first = p->n;
    int rc = read_log(dir, p, &g, e), has_linear = rc < 0 ? -1 : probe_file_read(dir, &kept, e);
    rc = has_linear < 0 ? -1 : rc;
    for (int64_t i = first; rc == 0 && i < p->n; i++) {
        p->point[i].end = g.end;
        if (has_linear == 0 && kept.step == g.steps) {
            p->point[i].linear = (double)kept.correct / (double)kept.n_test;
            p->point[i].linear_n = kept.n_test;
        }
    }
    if (rc == 0 && p->n > first)
        rc = add_name(p, g.name, e) < 0 ? -1 : 1;
    return rc < 0 ? error_prefix(e, "%.200s", dir) : rc;
}

// A run that was given twice would be judged by its own double.
static int check_different(char *const *dir, int n, struct error *e)
{
    struct stat *st = calloc((size_t)n + 1, sizeof *st);
    int rc = st ? 0 : error_memory(e, "%d runs", n);
    for (int i = 0; i < n && rc == 0; i++) {
        if (stat(dir[i], &st[i]) < 0)
            rc = error_system(e, "%.300s", dir[i]);
        for (int j = 0; j < i && rc == 0; j++)
            if (st[j].st_dev == st[i].st_dev && st[j].st_ino == st[i].st_ino)
                rc = error_set(e, "%.300s is given twice", dir[i]);
    }
    free(st);
    return rc;
}

int fit_runs(char *const *dir, int n, const unsigned char *without, const char *points,
             struct fit *out, struct error *e)
{
    struct points p = {.kept = NOBODY};
    struct stat st;
    memset(out, 0, sizeof *out);
    int rc = check_different(dir, n, e);
    for (int i = 0; i < n && rc >= 0; i++) {
        int is_file = stat(dir[i], &st) == 0 && S_ISREG(st.st_mode);
        rc = is_file ? read_kept(dir[i], &p, e) : read_run(dir[i], &p, e);
        out->skipped += rc == 0;
    }
    if (rc >= 0)
        rc = check_names(&p, e);
    if (rc >= 0 && points)
        rc = keep(&p, points, e);
    for (int64_t i = 0; i < p.n; i++)
        for (int k = 0; k < FORECAST_INPUTS; k++)
            if (without[k])
                p.point[i].in.v[k] = p.point[i].live[k] = NAN; // and so its live value, too
    if (rc >= 0)
        rc = forecast_fit(p.point, p.n, p.name, p.runs, &out->forecast, &out->unsupported, e);
    snprintf(out->forecast.data, sizeof out->forecast.data, "%s", p.data);
    snprintf(out->forecast.arch, sizeof out->forecast.arch, "%s", p.arch);
    snprintf(out->forecast.method, sizeof out->forecast.method, "%s", p.method);
    for (int i = 0; i < p.runs; i++)
        free(p.name[i]);
    free(p.name);
    free(p.point);
    return rc;
}

int fit_save(const struct forecast *f, const char *path, struct error *e)
{
    struct file out;
    if (file_create(&out, path, FILE_DURABLE, e) < 0)
        return -1;
    return file_finish(&out, forecast_write(f, out.stream, e), e);
}
