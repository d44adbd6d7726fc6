// A fit from logs: which evaluations count, and what they are taken with.
#include "train/run/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/log/record.h"
#include "metrics/log/runlog.h"
#include "tests/kit/runs.h"
#include "tests/kit/say.h"
#include "metrics/base/path.h"
#include "train/store/probe_file.h"

enum { RUNS = 8, STEPS = 400, TEST = 2000 };

#define SIMSIAM "{\"method\":\"simsiam\",\"batch\":\"64\"}"
#define OFFSET  0.02 // of a live AUC

static struct lab lab;

static void put(struct runlog_writer *w, const struct record *r)
{
    struct error e = {""};
    char *line;
    size_t n;
    cr_assert(record_format(r, &line, &n, &e) == 0, "%s", e.text);
    cr_assert(runlog_write(w, line, n, &e) == 0, "%s", e.text);
    free(line);
}

static void put_run(struct runlog_writer *w, const char *name, const char *data, const char *config)
{
    struct record r;
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.name, sizeof r.u.run.name, "%s", name);
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name, "%s", data);
    snprintf(r.u.run.model.arch, sizeof r.u.run.model.arch, "resnet18");
    r.u.run.model.width = 8;
    r.u.run.model.d = 64;
    r.u.run.steps = STEPS;
    r.u.run.config = strdup(config);
    put(w, &r);
    record_free(&r);
}

// Steps with this live AUC.
static void put_live(struct runlog_writer *w, int from, int to, double loss, double live)
{
    for (int t = from; t < to; t++) {
        struct record r;
        record_init(&r, RECORD_STEP, t);
        r.u.step.metric[METRIC_LOSS] = loss;
        r.u.step.metric[METRIC_ZSTD] = 1;
        r.u.step.metric[METRIC_AUC] = live;
        put(w, &r);
    }
}

static void put_steps(struct runlog_writer *w, int from, int to, double loss)
{
    put_live(w, from, to, loss, NAN);
}

static void put_eval(struct runlog_writer *w, int step, double auc, double probe)
{
    struct record r;
    record_init(&r, RECORD_EVAL, step);
    r.u.eval.metric[METRIC_AUC] = auc;
    r.u.eval.probe = probe;
    r.u.eval.n_train = 5000;
    r.u.eval.n_test = TEST;
    put(w, &r);
}

static struct runlog_writer *start(const char *name, char *dir, size_t size)
{
    struct runlog_writer *w;
    struct error e = {""};
    char path[256];
    snprintf(dir, size, "%s/%s", lab.dir, name);
    cr_assert(mkdir(dir, 0700) == 0);
    snprintf(path, sizeof path, "%s/run.jsonl.zst", dir);
    cr_assert(runlog_create(path, &w, &e) == 0, "%s", e.text);
    return w;
}

static double probe_of(double auc)
{
    return 1 / (1 + exp(-(6 - 6 * auc)));
}

// Eight runs whose probe follows AUC exactly: at 0 and 39 what would spoil the law, from 40 on (a
// tenth of the run) what obeys it.
static void runs_fill(char dir[RUNS][128])
{
    for (int i = 0; i < RUNS; i++) {
        char name[16];
        snprintf(name, sizeof name, "run-%d", i);
        struct runlog_writer *w = start(name, dir[i], sizeof dir[i]);
        put_run(w, name, "fashion-mnist", SIMSIAM);
        put_eval(w, 0, 0.5, 0.1);
        put_steps(w, 0, 39, -0.5);
        put_eval(w, 39, 0.99, 0.99);
        put_steps(w, 39, 40, -0.5);
        for (int k = 0; k < 3; k++) {
            double auc = 0.7 + 0.02 * i + 0.01 * k;
            put_eval(w, 40 + 120 * k, auc, probe_of(auc));
            put_live(w, 40 + 120 * k, 160 + 120 * k, -0.8, auc + 0.01 - OFFSET);
        }
        cr_assert(runlog_close(w, NULL) == 0);
    }
}

static int fit(char dir[RUNS][128], int n, struct fit *out, struct error *e)
{
    char *list[RUNS + 2];
    for (int i = 0; i < n; i++)
        list[i] = dir[i];
    return fit_runs(list, n, (unsigned char[FORECAST_INPUTS]){0}, NULL, out, e);
}

Test(fit, leaves_out_the_first_tenth)
{
    struct fit f;
    struct error e = {""};
    char dir[RUNS][128];
    lab_open(&lab);
    runs_fill(dir);
    cr_assert(fit(dir, RUNS, &f, &e) == 0, "%s", e.text);
    cr_expect_eq(f.forecast.points, 3 * RUNS);
    cr_expect_eq(f.forecast.runs, RUNS);
    cr_expect_str_eq(f.forecast.run[3], "run-3");
    cr_expect_str_eq(f.forecast.method, "simsiam");
    cr_expect(f.forecast.now.r2_left_out > 0.999 && f.forecast.now.error_points < 0.1, "%g points",
              f.forecast.now.error_points);
    cr_expect(f.forecast.now.terms == 1 && f.forecast.now.term[0].a == FORECAST_AUC &&
                  fabs(f.forecast.now.term[0].coefficient + 6) < 0.05,
              "%d terms, %g", f.forecast.now.terms, f.forecast.now.term[0].coefficient);
    cr_expect_float_eq(f.forecast.now.range[FORECAST_AUC].lo, 0.7, 1e-12);
    cr_expect_float_eq(f.forecast.now.range[FORECAST_AUC].hi, 0.86, 1e-12);
    // Live AUCs are there before the second and third: with what they usually lack they are exact.
    cr_expect_float_eq(f.forecast.offset[FORECAST_AUC], OFFSET, 1e-12);
    cr_expect(f.forecast.live.error_points < 0.1, "%g points", f.forecast.live.error_points);
    forecast_free(&f.forecast);
    lab_close(&lab);
}

// What probe --keep left is where the run ended, if it is of its last step.
Test(fit, takes_the_linear_probe_of_the_end)
{
    struct fit f;
    struct error e = {""};
    char dir[RUNS][128];
    lab_open(&lab);
    for (int i = 0; i < RUNS; i++) {
        char name[16];
        double auc = 0.7 + 0.03 * i;
        snprintf(name, sizeof name, "run-%d", i);
        struct runlog_writer *w = start(name, dir[i], sizeof dir[i]);
        put_run(w, name, "fashion-mnist", SIMSIAM);
        for (int k = 0; k < 4; k++) {
            put_steps(w, STEPS / 4 * k, STEPS / 4 * (k + 1), -0.8);
            put_eval(w, STEPS / 4 * (k + 1), auc + 0.001 * k, probe_of(auc + 0.001 * k));
        }
        cr_assert(runlog_close(w, NULL) == 0);
        struct probe_kept k = {STEPS, 60000, 10000, llround(10000 * probe_of(auc - 0.05))};
        cr_assert(probe_file_write(dir[i], &k, &e) == 0, "%s", e.text);
    }
    cr_assert(fit(dir, RUNS, &f, &e) == 0, "%s", e.text);
    cr_expect(f.forecast.linear.knots == 1 && f.forecast.linear.error_points < 1 &&
                  f.forecast.linear.n_left_out == 4 * RUNS,
              "%g points", f.forecast.linear.error_points);
    cr_expect_float_eq(f.forecast.linear.accuracy.hi, probe_of(0.65), 1e-3);
    cr_expect_float_eq(f.forecast.end.accuracy.hi, probe_of(0.703), 1e-3);
    forecast_free(&f.forecast);
    struct probe_kept early = {STEPS - 1, 60000, 10000, 9000};
    cr_assert(probe_file_write(dir[4], &early, &e) == 0);
    cr_assert(fit(dir, RUNS, &f, &e) == 0, "%s", e.text);
    cr_expect(f.forecast.linear.knots == 0 && f.forecast.end.knots == 1, "seven are too few");
    forecast_free(&f.forecast);
    FILE *out = fopen(path_of("%s/" PROBE_FILE, dir[4]).s, "w");
    cr_assert(out && fputs("{\"step\": -1}", out) > 0 && fclose(out) == 0);
    cr_expect(fit(dir, RUNS, &f, &e) == -1 && strstr(e.text, PROBE_FILE), "%s", e.text);
    forecast_free(&f.forecast);
    lab_close(&lab);
}

static int same_law(const struct forecast_law *a, const struct forecast_law *b)
{
    int same = a->terms == b->terms && a->knots == b->knots && a->n_left_out == b->n_left_out;
    for (int t = 0; same && t < a->terms; t++)
        same = a->term[t].a == b->term[t].a && a->term[t].b == b->term[t].b &&
               fabs(a->term[t].coefficient - b->term[t].coefficient) < 1e-5;
    return same && fabs(a->constant - b->constant) < 1e-5 &&
           fabs(a->error_points - b->error_points) < 1e-4;
}

// Half of the runs from a file, the others from their logs, is what all logs give.
Test(fit, evaluations_that_were_kept)
{
    enum { HALF = RUNS / 2 };
    struct fit whole, half, again;
    struct error e = {""};
    char dir[RUNS][128], kept[128], *list[RUNS + 1];
    const unsigned char with_all[FORECAST_INPUTS] = {0};
    lab_open(&lab);
    runs_fill(dir);
    snprintf(kept, sizeof kept, "%s/points.jsonl", lab.dir);
    for (int i = 0; i < RUNS; i++)
        list[i] = dir[i];
    cr_assert(fit_runs(list, RUNS, with_all, NULL, &whole, &e) == 0, "%s", e.text);
    // Too few for a fit: they are kept all the same.
    cr_assert_eq(fit_runs(list, HALF, with_all, kept, &half, &e), -1);
    forecast_free(&half.forecast);
    list[HALF - 1] = kept;
    cr_assert(fit_runs(list + HALF - 1, RUNS - HALF + 1, with_all, NULL, &again, &e) == 0, "%s",
              e.text);
    cr_expect(again.forecast.points == whole.forecast.points && again.forecast.runs == RUNS);
    cr_expect_str_eq(again.forecast.run[1], "run-1");
    cr_expect(same_law(&whole.forecast.now, &again.forecast.now));
    forecast_free(&again.forecast);
    forecast_free(&whole.forecast);
    // A run that is among them too would be judged by its double.
    list[HALF] = dir[0];
    cr_expect(fit_runs(list + HALF - 1, RUNS - HALF + 1, with_all, NULL, &again, &e) == -1 &&
                  strstr(e.text, "run-0"),
              "%s", e.text);
    forecast_free(&again.forecast);
    lab_close(&lab);
}

// What a killed life said of steps that were made again did not happen.
Test(fit, repeated_steps)
{
    struct fit f;
    struct error e = {""};
    char dir[RUNS][128];
    lab_open(&lab);
    runs_fill(dir);
    char again[128];
    struct runlog_writer *w = start("resumed", again, sizeof again);
    put_run(w, "resumed", "fashion-mnist", SIMSIAM);
    put_steps(w, 0, 200, -0.8);
    put_eval(w, 200, 0.75, probe_of(0.75));
    put_steps(w, 200, 300, -0.8);
    put_eval(w, 300, 0.2, 0.01);
    put_steps(w, 300, 310, -0.1);
    put_steps(w, 250, 300, -0.8); // went on from a checkpoint at 250
    put_eval(w, 300, 0.76, probe_of(0.76));
    cr_assert(runlog_close(w, NULL) == 0);
    memcpy(dir[RUNS - 1], again, sizeof again);
    cr_assert(fit(dir, RUNS, &f, &e) == 0, "%s", e.text);
    cr_expect_eq(f.forecast.points, 3 * (RUNS - 1) + 2);
    cr_expect_float_eq(f.forecast.now.range[FORECAST_AUC].lo, 0.7, 1e-12);
    forecast_free(&f.forecast);
    lab_close(&lab);
}

// Runs that fell to one direction belong to what is foretold.
Test(fit, keeps_complete_collapses)
{
    struct fit f;
    struct error e = {""};
    char dir[RUNS + 2][128];
    lab_open(&lab);
    runs_fill(dir);
    for (int i = 0; i < 2; i++) {
        struct runlog_writer *w = start(i ? "dead" : "gone", dir[RUNS + i], sizeof dir[RUNS]);
        put_run(w, "dead", "fashion-mnist", SIMSIAM);
        for (int t = 0; t < 400; t += 200) {
            struct record r;
            put_steps(w, t, t + 200, -1e-6);
            record_init(&r, RECORD_EVAL, t + 200);
            r.u.eval.metric[METRIC_AUC] = 1;
            r.u.eval.metric[METRIC_RANKME] = 1.0001;
            r.u.eval.probe = 0.1;
            r.u.eval.n_train = 5000;
            r.u.eval.n_test = TEST;
            put(w, &r);
        }
        cr_assert(runlog_close(w, NULL) == 0);
    }
    cr_assert(fit(dir, RUNS + 2, &f, &e) == 0, "%s", e.text);
    cr_expect_eq(f.forecast.points, 3 * RUNS + 4);
    cr_expect_eq(f.forecast.collapsed, 0);
    struct forecast_input in = forecast_nothing();
    for (int i = 0; i < FORECAST_INPUTS; i++)
        in.v[i] = f.forecast.now.centre[i];
    in.v[FORECAST_AUC] = 1;
    in.v[FORECAST_LOSS] = -1e-6;
    in.v[FORECAST_ZSTD] = f.forecast.zstd.lo;
    struct forecast_value v = forecast_at(&f.forecast, &f.forecast.now, &in);
    cr_expect(v.state == FORECAST_OK && v.value < 0.3, "%d %g", v.state, v.value);
    forecast_free(&f.forecast);
    lab_close(&lab);
}

Test(fit, refuses_what_cannot_be)
{
    struct fit f;
    struct error e = {""};
    char dir[RUNS][128], other[128];
    lab_open(&lab);
    runs_fill(dir);
    cr_expect(fit(dir, RUNS - 1, &f, &e) < 0 && strstr(e.text, "at least 8"), "%s", e.text);
    forecast_free(&f.forecast);

    snprintf(other, sizeof other, "%s", dir[1]);
    memcpy(dir[1], dir[0], sizeof dir[1]);
    cr_expect(fit(dir, RUNS, &f, &e) < 0 && strstr(e.text, "given twice"), "%s", e.text);
    forecast_free(&f.forecast);

    struct runlog_writer *w = start("other", dir[1], sizeof dir[1]);
    put_run(w, "other", "cifar10", SIMSIAM);
    put_eval(w, 399, 0.8, 0.8);
    cr_assert(runlog_close(w, NULL) == 0);
    cr_expect(fit(dir, RUNS, &f, &e) < 0 && strstr(e.text, "cifar10"), "%s", e.text);
    forecast_free(&f.forecast);

    w = start("ablation", dir[1], sizeof dir[1]);
    put_run(w, "ablation", "fashion-mnist",
            "{\"method\":\"simsiam\",\"batch\":\"64\",\"predictor\":\"off\"}");
    put_eval(w, 399, 0.8, 0.8);
    cr_assert(runlog_close(w, NULL) == 0);
    cr_expect(fit(dir, RUNS, &f, &e) < 0 && strstr(e.text, "by simsiam without predictor"), "%s",
              e.text);
    forecast_free(&f.forecast);

    // Numbers that no run has.
    w = start("absurd", dir[1], sizeof dir[1]);
    put_run(w, "absurd", "fashion-mnist", SIMSIAM);
    put_steps(w, 0, 1, -0.8);
    struct record r;
    record_init(&r, RECORD_EVAL, INT64_MAX);
    r.u.eval.metric[METRIC_AUC] = r.u.eval.probe = 0.8;
    r.u.eval.n_test = INT64_MAX;
    put(w, &r);
    cr_assert(runlog_close(w, NULL) == 0);
    cr_expect(fit(dir, RUNS, &f, &e) < 0 && strstr(e.text, "7 runs"), "%s", e.text);
    forecast_free(&f.forecast);

    // No measured probe: left out and counted, and then too few.
    w = start("blind", dir[1], sizeof dir[1]);
    put_run(w, "blind", "fashion-mnist", SIMSIAM);
    put_steps(w, 0, 400, -0.8);
    put_eval(w, 400, 0.8, NAN);
    cr_assert(runlog_close(w, NULL) == 0);
    cr_expect(fit(dir, RUNS, &f, &e) < 0 && strstr(e.text, "7 runs"), "%s", e.text);
    cr_expect_eq(f.skipped, 1);
    forecast_free(&f.forecast);
    lab_close(&lab);
}

// What a person sees: the law, how good it is, the file; and where there is no law, no file.
// A forecast that may not look at something does not; what every evaluation has cannot be left out.
Test(fit, without)
{
    char dir[RUNS][128], file[128];
    lab_open(&lab);
    runs_fill(dir);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    struct fit fit = {0};
    struct error e = {""};
    char *list[RUNS];
    unsigned char without[FORECAST_INPUTS] = {[FORECAST_SHARE] = 1, [FORECAST_POOL] = 1};
    for (int i = 0; i < RUNS; i++)
        list[i] = dir[i];
    cr_assert(fit_runs(list, RUNS, without, NULL, &fit, &e) == 0, "%s", e.text);
    for (int t = 0; t < fit.forecast.end.terms; t++)
        cr_expect(fit.forecast.end.term[t].a != FORECAST_SHARE &&
                  fit.forecast.end.term[t].b != FORECAST_SHARE);
    forecast_free(&fit.forecast);
    static const char *const bad[] = {
        "auc", "loss", "pixel_r2,ln_width", "nothing", "ln_twonn,,share", ""};
    for (size_t i = 0; i + 1 < sizeof bad / sizeof *bad; i++) {
        struct said s = SAY("fit", dir[0], "-o", file, "--without", bad[i]);
        cr_expect(s.code == 2 && strstr(s.err, "no input that a forecast can do without"),
                  "%s: %d %s", bad[i], s.code, s.err);
        said_free(&s);
    }
    struct said s = SAY("fit", dir[0], dir[1], dir[2], dir[3], dir[4], dir[5], dir[6], dir[7], "-o",
                        file, "--without", "surrogates,ln_twonn");
    cr_expect(s.code == 0, "%s", s.err);
    said_free(&s);
    lab_close(&lab);
}

Test(fit, the_command)
{
    char dir[RUNS][128], file[128];
    lab_open(&lab);
    runs_fill(dir);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    struct said s =
        SAY("fit", dir[0], dir[1], dir[2], dir[3], dir[4], dir[5], dir[6], dir[7], "-o", file);
    cr_assert(s.code == 0, "%s", s.err);
    cr_expect(strstr(s.out, "resnet18 on fashion-mnist by simsiam: 24 evaluations of 8 runs") &&
                  strstr(s.out, "between evaluations") && strstr(s.out, "  auc\n") &&
                  !strstr(s.out, "loss"),
              "%s", s.out);
    said_free(&s);
    struct forecast f;
    struct error e = {""};
    cr_assert(forecast_read(file, &f, &e) == 0, "%s", e.text);
    cr_expect(f.runs == RUNS && f.now.terms == 1 && f.now.term[0].a == FORECAST_AUC);
    forecast_free(&f);

    // What it foretold of the runs that were left out, as a figure.
    s = SAY("export", file, "--format", "svg");
    cr_assert(s.code == 0, "%s", s.err);
    int points = 0;
    for (const char *at = s.out; (at = strstr(at, "<circle ")); at++)
        points++;
    cr_expect(points == 24, "each evaluation, and nothing foretells ends: %d", points);
    cr_expect(strstr(s.out, "fashion-mnist \u00b7 resnet18 \u00b7 simsiam") &&
                  strstr(s.out, "</svg>") && !strstr(s.out, "nan") && !strstr(s.out, "inf"),
              "%s", s.out);
    said_free(&s);

    // "-": the calibration alone on standard output, the rest beside it.
    char *whole = lab_text(file);
    s = SAY("fit", dir[0], dir[1], dir[2], dir[3], dir[4], dir[5], dir[6], dir[7], "-o", "-");
    cr_assert(s.code == 0 && access("-", F_OK) < 0, "%s", s.err);
    cr_expect_str_eq(s.out, whole);
    cr_expect(strstr(s.err, "24 evaluations of 8 runs") != NULL, "%s", s.err);
    free(whole);
    said_free(&s);

    cr_assert(unlink(file) == 0);
    for (int i = 0; i < RUNS; i++) {
        char name[16];
        snprintf(name, sizeof name, "noise-%d", i);
        struct runlog_writer *w = start(name, dir[i], sizeof dir[i]);
        put_run(w, name, "fashion-mnist", SIMSIAM);
        put_steps(w, 0, 400, -0.8 - 0.01 * (i * 5 % 8));
        put_eval(w, 400, 0.8 + 0.01 * i, 0.5 + 0.04 * (i * 3 % 8));
        cr_assert(runlog_close(w, NULL) == 0);
    }
    s = SAY("fit", dir[0], dir[1], dir[2], dir[3], dir[4], dir[5], dir[6], dir[7], "-o", file);
    cr_expect(s.code == 1 && strstr(s.err, "do not support a forecast") && strstr(s.out, "R2"),
              "%d %s%s", s.code, s.out, s.err);
    cr_expect(access(file, F_OK) < 0, "nothing is written");
    said_free(&s);
    lab_close(&lab);
}
