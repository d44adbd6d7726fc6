// The forecast while training: from which numbers, from when on, and the same after a resumption.
#include "train/run/live_forecast.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/runs.h"

// A calibration that has seen everything; AUC 0 makes 90 %, 1 makes 50 %.
static const char wide[] =
    "{\"version\":2,\"data\":\"synthetic:128\",\"arch\":\"resnet18\",\"method\":\"simsiam\","
    "\"logit_accuracy\":{\"constant\":2.2,\"auc\":-2.2},\"live_offset\":0.03,"
    "\"logit_quantile\":0.3,\"r2\":0.9,\"r2_left_out\":0.8,\"error_points\":2,"
    "\"error_points_live\":3,\"range\":{\"auc\":[%g,1],\"loss\":[-1,1],\"zstd\":[0.4,1.1],"
    "\"width\":[4,8],\"accuracy\":[0.5,0.9]},\"evaluations\":9,\"collapsed\":1,"
    "\"runs\":[\"x\"]}\n";

static void write_calibration(const char *path, double auc_from)
{
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    cr_assert(fprintf(f, wide, auc_from) > 0 && fclose(f) == 0);
}

static double foretold(double auc)
{
    return 1 / (1 + exp(-(2.2 - 2.2 * auc)));
}

static const struct live_forecast_facts facts = {.width = 4, .d = 32, .samples = 128};

static void step(struct live_forecast *o, int64_t t, double auc, double loss)
{
    double metric[METRIC_COUNT] = {[METRIC_AUC] = auc, [METRIC_LOSS] = loss, [METRIC_ZSTD] = 1};
    live_forecast_step(o, t, metric);
}

static void evaluated(struct live_forecast *o, int64_t t, double auc)
{
    double metric[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++)
        metric[i] = NAN;
    metric[METRIC_AUC] = auc;
    live_forecast_eval(o, t, metric);
}

Test(live_forecast, live_value_with_an_offset)
{
    struct live_forecast o;
    struct record_step r;
    struct error e = {""};
    struct lab lab;
    char file[128], found[256];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    write_calibration(file, 0.3);
    live_forecast_init(&o, &facts); // 16 * 32 samples: four steps, so from step 3 on
    live_forecast_fill(&o, &r, 0);
    cr_expect_str_eq(r.forecast_state, "uncalibrated");
    cr_expect(isnan(r.forecast) && isnan(r.forecast_lo) && isnan(r.forecast_hi));
    cr_assert(live_forecast_calibrate(&o, file, "synthetic:128", "resnet18", "simsiam", found,
                                      sizeof found, &e) == 0,
              "%s", e.text);
    cr_expect_str_eq(found, file);

    evaluated(&o, 0, 0.6);
    step(&o, 0, 0.9, -0.1);
    live_forecast_fill(&o, &r, 0);
    cr_expect(isnan(r.forecast), "what was measured had not trained");
    cr_expect_str_eq(r.forecast_state, "waiting");

    // Too early to compare: the exact value stands in.
    evaluated(&o, 1, 0.6);
    step(&o, 1, 0.9, -0.2);
    live_forecast_fill(&o, &r, 1);
    cr_expect_float_eq(r.forecast, foretold(0.6), 1e-12);
    cr_expect(r.forecast_lo < r.forecast && r.forecast < r.forecast_hi);
    cr_expect_str_eq(r.forecast_state, "");

    // From step 3 on the live one counts, with the usual difference: what was measured before is of
    // another network.
    step(&o, 2, 0.8, -0.2);
    step(&o, 3, 0.58, -0.2);
    live_forecast_fill(&o, &r, 3);
    cr_expect_float_eq(r.forecast, foretold(0.61), 1e-12);
    step(&o, 4, 0.65, -0.2);
    live_forecast_fill(&o, &r, 4);
    cr_expect_float_eq(r.forecast, foretold(0.68), 1e-12);
    evaluated(&o, 5, 0.7); // 0.05 above: halfway between that and the usual 0.03
    step(&o, 5, 0.66, -0.2);
    live_forecast_fill(&o, &r, 5);
    cr_expect_float_eq(r.forecast, foretold(0.7), 1e-12);
    step(&o, 6, NAN, -0.2); // a step without a spectrum
    live_forecast_fill(&o, &r, 6);
    cr_expect_float_eq(r.forecast, foretold(0.7), 1e-12);
    step(&o, 7, 0.01, -0.2);
    live_forecast_fill(&o, &r, 7);
    cr_expect(isfinite(r.forecast), "logged under its mark");
    cr_expect_str_eq(r.forecast_state, "extrapolating");
    // A network that gives all images one z: its live AUC may be that of a healthy one.
    double dead[METRIC_COUNT] = {[METRIC_AUC] = 0.66, [METRIC_LOSS] = -0.2, [METRIC_ZSTD] = 1e-8};
    live_forecast_step(&o, 8, dead);
    live_forecast_fill(&o, &r, 8);
    cr_expect_str_eq(r.forecast_state, "extrapolating");
    live_forecast_free(&o);

    // Of another method, or no file at all.
    live_forecast_init(&o, &facts);
    cr_expect(live_forecast_calibrate(&o, file, "synthetic:128", "resnet18", "byol", found,
                                      sizeof found, &e) < 0 &&
              strstr(e.text, "not for this run"));
    cr_expect(live_forecast_calibrate(&o, "/nowhere.json", "synthetic:128", "resnet18", "byol",
                                      found, sizeof found, &e) < 0);
    cr_expect(live_forecast_calibrate(&o, "off", "synthetic:128", "resnet18", "byol", found,
                                      sizeof found, &e) == 0);
    cr_expect(!o.calibrated && !*found);
    live_forecast_free(&o);
    lab_close(&lab);
}

Test(live_forecast, mean_of_the_last_hundred_losses)
{
    struct live_forecast o;
    live_forecast_init(&o, &facts);
    cr_expect(isnan(live_forecast_loss(&o, 0)));
    for (int t = 0; t < 250; t++)
        step(&o, t, NAN, t);
    cr_expect_float_eq(live_forecast_loss(&o, 250), 199.5, 1e-12);
    cr_expect(isnan(live_forecast_loss(&o, 3)), "those are forgotten");
    live_forecast_free(&o);
}

static struct forecast_law always(double accuracy)
{
    struct forecast_law law = {.constant = log(accuracy / (1 - accuracy)), .knots = 1};
    for (int i = 0; i < FORECAST_INPUTS; i++)
        law.range[i] = (struct forecast_range){INFINITY, -INFINITY};
    law.accuracy = (struct forecast_range){0, 1};
    return law;
}

// Where a run ends is told of the linear probe where the calibration's runs had it, and says so.
Test(live_forecast, an_end_by_the_linear_probe)
{
    struct live_forecast o;
    struct live_forecast_facts long_run = facts;
    struct record_step r;
    long_run.steps = 10;
    live_forecast_init(&o, &long_run);
    o.calibrated = 1;
    o.calibration.zstd = (struct forecast_range){0, 2};
    o.calibration.now = always(0.7);
    o.calibration.end = always(0.75);
    step(&o, 0, 0.6, -0.5);
    evaluated(&o, 1, 0.6);
    step(&o, 1, 0.6, -0.5);
    live_forecast_fill(&o, &r, 1);
    cr_expect_float_eq(r.forecast_end, 0.75, 1e-12);
    cr_expect_str_eq(r.forecast_end_of, "");
    o.calibration.linear = always(0.8);
    live_forecast_fill(&o, &r, 1);
    cr_expect_float_eq(r.forecast_end, 0.8, 1e-12);
    cr_expect_str_eq(r.forecast_end_of, "linear");
    o.calibration.zstd.hi = 0.5; // nothing stands behind it
    live_forecast_fill(&o, &r, 1);
    cr_expect(isnan(r.forecast_end) && !*r.forecast_end_of);
    live_forecast_free(&o);
}

// A calibration with a law of what is known between evaluations: live values as they are, and what
// the last evaluation said; the end goes by the latter alone.
Test(live_forecast, a_law_between_evaluations)
{
    struct live_forecast o;
    struct live_forecast_facts long_run = facts;
    struct record_step r;
    long_run.steps = 100;
    live_forecast_init(&o, &long_run); // live values count from step 3 on
    o.calibrated = 1;
    o.calibration.zstd = (struct forecast_range){0, 2};
    o.calibration.now = always(0.7);
    o.calibration.end = always(0.5);
    o.calibration.end.terms = 1;
    o.calibration.end.term[0] = (struct forecast_term){FORECAST_AUC, FORECAST_INPUTS, 1};
    o.calibration.live = always(0.5);
    o.calibration.live.terms = 2;
    o.calibration.live.term[0] = (struct forecast_term){FORECAST_LIVE_AUC, FORECAST_INPUTS, 2};
    o.calibration.live.term[1] = (struct forecast_term){FORECAST_AUC, FORECAST_PIXEL_R2, -1};
    double metric[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++)
        metric[i] = NAN;
    metric[METRIC_AUC] = 0.6;
    metric[metric_find("pixel_r2")] = -250; // as good as nothing
    step(&o, 0, 0.9, -0.5);
    live_forecast_eval(&o, 1, metric);
    step(&o, 1, 0.9, -0.5);
    live_forecast_fill(&o, &r, 1);
    cr_expect_float_eq(r.forecast, 0.7, 1e-12);
    metric[metric_find("pixel_r2")] = 0.5;
    live_forecast_eval(&o, 20, metric);
    step(&o, 20, 0.4, -0.5);
    live_forecast_fill(&o, &r, 20);
    cr_expect_float_eq(r.forecast, forecast_accuracy(2 * 0.4 - 0.6 * 0.5), 1e-12);
    cr_expect_float_eq(r.forecast_end, forecast_accuracy(0.6), 1e-12);
    cr_expect_float_eq(live_forecast_exact(&o, 20).value, 0.7, 1e-12);
    // A run that does not have what the law asks for goes by the other one.
    o.calibration.live.term[0].a = FORECAST_TWONN;
    live_forecast_fill(&o, &r, 20);
    cr_expect_float_eq(r.forecast, 0.7, 1e-12);
    live_forecast_free(&o);
}

// Far below 0 is a few images that lie far out.
Test(live_forecast, a_pixel_r2_below_nothing)
{
    cr_expect_eq(forecast_input_of(FORECAST_PIXEL_R2, -251.8), 0);
    cr_expect_eq(forecast_input_of(FORECAST_PIXEL_R2, 0.25), 0.25);
    cr_expect(isnan(forecast_input_of(FORECAST_PIXEL_R2, NAN)));
    cr_expect_eq(forecast_input_of(FORECAST_LOSS, -0.9), -0.9);
}

// A folder of calibrations: the one for this data set, network and method.
Test(live_forecast, finds_its_calibration)
{
    struct live_forecast o;
    struct error e = {""};
    struct lab lab;
    char file[128], found[256];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/b.json", lab.dir);
    write_calibration(file, 0.1);
    snprintf(file, sizeof file, "%s/a.json", lab.dir);
    FILE *f = fopen(file, "w");
    cr_assert(f && fputs("{}", f) != EOF && fclose(f) == 0);
    setenv("SSLTOP_CALIBRATION", lab.dir, 1);
    live_forecast_init(&o, &facts);
    cr_assert(live_forecast_calibrate(&o, "auto", "synthetic:128", "resnet18", "simsiam", found,
                                      sizeof found, &e) == 0);
    cr_expect(o.calibrated && strstr(found, "/b.json"), "%s", found);
    cr_expect(strstr(e.text, "a.json"), "what could not be used is said");
    live_forecast_free(&o);
    live_forecast_init(&o, &facts);
    cr_assert(live_forecast_calibrate(&o, "auto", "cifar10", "resnet18", "simsiam", found,
                                      sizeof found, &e) == 0);
    cr_expect(!o.calibrated && !*found);
    live_forecast_free(&o);
    unsetenv("SSLTOP_CALIBRATION");
    lab_close(&lab);
}

// ---------------------------------------------------------------- whole trainings

static json_t *step_of(json_t *log, int t)
{
    char key[32];
    snprintf(key, sizeof key, "step/%d", t);
    return json_object_get(log, key);
}

static const char *state_of(json_t *log, int t)
{
    const char *text = json_string_value(json_object_get(step_of(log, t), "forecast_state"));
    return text ? text : "";
}

// The first one that has seen a network train: the samples of a live spectrum take 32 steps here.
Test(live_forecast, every_step_after_the_first_evaluation)
{
    struct lab lab;
    char file[128];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    write_calibration(file, 0.1);
    cr_assert(RUN(&lab, TINY, "--steps", "60", "--eval-every", "20", "--checkpoint-every", "25",
                  "--calibration", file, "--name", "a") == 0,
              "%s", lab_text(lab.out));
    json_t *log = lab_log(&lab, "a");
    for (int t = 0; t < 20; t++)
        cr_expect_str_eq(state_of(log, t), "waiting");
    for (int t = 20; t < 60; t++) {
        json_t *s = step_of(log, t);
        double v = json_number_value(json_object_get(s, "forecast")),
               lo = json_number_value(json_object_get(s, "forecast_lo")),
               hi = json_number_value(json_object_get(s, "forecast_hi"));
        cr_assert(0 < lo && lo < v && v < hi && hi < 1, "step %d: %g %g %g", t, lo, v, hi);
    }
    // The evaluations say how far live lay from exact.
    cr_expect_null(json_object_get(json_object_get(log, "eval/0"), "auc_live"));
    cr_expect_eq(json_real_value(json_object_get(json_object_get(log, "eval/40"), "auc_live")),
                 json_real_value(json_object_get(step_of(log, 39), "auc")));
    json_decref(log);

    // Killed after 40 steps and resumed from 25: not a digit differs.
    cr_assert(RUN(&lab, TINY, "--steps", "60", "--eval-every", "20", "--checkpoint-every", "25",
                  "--calibration", file, "--stop-at", "40", "--keep", "9", "--name", "b") == 0);
    cr_assert(RUN(&lab, "--resume", "b", "--from", "25", "--stop-at", "60") == 0, "%s",
              lab_text(lab.out));
    lab_same(&lab, "a", "b");
    lab_close(&lab);
}

Test(live_forecast, says_why_there_is_none)
{
    struct lab lab;
    char file[128];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    write_calibration(file, 0.999);
    cr_assert(RUN(&lab, TINY, "--steps", "6", "--eval-every", "2", "--calibration", file, "--name",
                  "far") == 0);
    cr_assert(RUN(&lab, TINY, "--steps", "6", "--eval-every", "2", "--calibration", "off", "--name",
                  "none") == 0);
    json_t *far = lab_log(&lab, "far"), *none = lab_log(&lab, "none");
    for (int t = 2; t < 6; t++) {
        cr_expect_str_eq(state_of(far, t), "extrapolating");
        cr_expect_str_eq(state_of(none, t), "uncalibrated");
        cr_expect(json_is_number(json_object_get(step_of(far, t), "forecast")));
        cr_expect(!json_is_number(json_object_get(step_of(none, t), "forecast")));
    }
    json_decref(far);
    json_decref(none);
    cr_expect(RUN(&lab, TINY, "--steps", "6", "--calibration", "/nowhere", "--name", "x") != 0);
    cr_expect(!lab_exists(&lab, "x"), "refused before anything is written");
    lab_close(&lab);
}

// Labels are there for measuring only, and not even for that with --probe off.
Test(live_forecast, probes_can_be_forbidden)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "12", "--eval-every", "6", "--name", "on") == 0);
    cr_assert(RUN(&lab, TINY, "--steps", "12", "--eval-every", "6", "--probe", "off", "--name",
                  "off") == 0);
    json_t *on = lab_log(&lab, "on"), *off = lab_log(&lab, "off");
    static const char *const key[] = {"eval/0", "eval/6", "eval/12"};
    for (int i = 0; i < 3; i++) {
        json_t *a = json_object_get(on, key[i]), *b = json_object_get(off, key[i]);
        cr_assert(a && b, "%s", key[i]);
        cr_expect(json_is_number(json_object_get(a, "probe")));
        double probe = json_number_value(json_object_get(a, "probe")),
               knn = json_number_value(json_object_get(json_object_get(a, "knn"), "accuracy"));
        cr_expect(probe >= 0 && probe <= 1 && knn >= 0 && knn <= 1, "%s", key[i]);
        cr_expect(!json_is_number(json_object_get(b, "probe")) && !json_object_get(b, "knn"));
        cr_expect(json_equal(json_object_get(a, "auc"), json_object_get(b, "auc")));
    }
    // The probe changes nothing that training sees.
    for (int t = 0; t < 12; t++)
        cr_expect(json_equal(step_of(on, t), step_of(off, t)), "step %d", t);
    json_decref(on);
    json_decref(off);
    lab_close(&lab);
}
