// A training that is not ours and its recorder: the numbers are those of the trainer's own code, it
// is steered as ours is, and whatever ends, nothing is left of it.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/science/metric.h"
#include "metrics/science/paced.h"
#include "metrics/science/spectrum.h"
#include "tests/kit/script.h"
#include "tests/kit/theirs.h"

static struct lab lab;

static void open_lab(void)
{
    script_lab(&lab);
}

static void close_lab(void)
{
    script_left_nothing(&lab);
    lab_close(&lab);
}

TestSuite(client, .init = open_lab, .fini = close_lab, .timeout = 120);

Test(client, numbers_are_those_of_the_trainer)
{
    static float h[2][ROWS * D], z[2][ROWS * DIM];
    struct error e = {""};
    struct moments m, m_z;
    struct spectrum_solver *solver, *solver_z;
    double sigma[D], auc[STEPS], auc_z[STEPS], n;
    theirs_whole = 1;
    ssltop_client *c = theirs_open(&lab, "numbers", 0);
    cr_assert(moments_init(&m, D, &e) == 0 && spectrum_solver_new(D, &solver, &e) == 0);
    cr_assert(moments_init(&m_z, DIM, &e) == 0 && spectrum_solver_new(DIM, &solver_z, &e) == 0);
    for (int64_t t = 0; t < STEPS; t++) {
        theirs_step(c, t, h, z);
        moments_age(&m, 2 * ROWS);
        for (int v = 0; v < 2; v++)
            cr_assert(moments_add(&m, h[v], ROWS, D, &e) == 0);
        cr_assert(spectrum_from_moments(solver, &m, sigma, &n, &e) == 0, "%s", e.text);
        double metric[METRIC_COUNT];
        metric_all(&(struct metric_input){.sigma = sigma, .d = D, .n = n}, metric);
        auc[t] = metric[METRIC_AUC];
        moments_decay(&m_z, exp2(-2.0 * ROWS / (PACED_HALF_LIFE * DIM)));
        for (int v = 0; v < 2; v++)
            cr_assert(moments_add(&m_z, z[v], ROWS, DIM, &e) == 0);
        cr_assert(spectrum_from_moments(solver_z, &m_z, sigma, &n, &e) == 0, "%s", e.text);
        metric_all(&(struct metric_input){.z = sigma, .z_d = DIM}, metric);
        auc_z[t] = metric[METRIC_Z_AUC];
    }
    cr_expect_eq(ssltop_dropped(c), 0);
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "numbers");
    for (int64_t t = 0; t < STEPS; t++) {
        cr_expect_float_eq(theirs_field(log, "step", t, "auc"), auc[t], 1e-9);
        cr_expect_float_eq(theirs_field(log, "step", t, "z.auc"), auc_z[t], 1e-9);
        cr_expect_float_eq(theirs_field(log, "step", t, "loss"), -0.25, 0);
        cr_expect(theirs_field(log, "step", t, "zstd") > 0.5 &&
                  theirs_field(log, "step", t, "uniformity") < 0);
    }
    json_decref(log);
    moments_free(&m);
    moments_free(&m_z);
    spectrum_solver_free(solver);
    spectrum_solver_free(solver_z);
    cr_expect(lab_exists(&lab, "numbers/trainer.log") && !lab_exists(&lab, "numbers/control"));
}

// The same features in every type that people train with.
Test(client, every_type)
{
    static const struct {
        const char *name;
        ssltop_type type;
        double tolerance;
    } kind[] = {{"f16", SSLTOP_F16, 1e-3}, {"bf16", SSLTOP_BF16, 1e-2}, {"f64", SSLTOP_F64, 1e-9}};
    static float h[ROWS * D];
    static double wide[ROWS * D];
    static uint16_t narrow[ROWS * D];
    for (size_t k = 0; k < sizeof kind / sizeof *kind; k++) {
        double want = NAN;
        for (int round = 0; round < 2; round++) { // f32 first
            char name[16];
            snprintf(name, sizeof name, "%s-%d", kind[k].name, round);
            ssltop_client *c = theirs_open(&lab, name, 0);
            theirs_draw(h, ROWS, D, 1, 0);
            for (int i = 0; i < ROWS * D; i++) {
                _Float16 half = (_Float16)h[i];
                uint32_t bits;
                wide[i] = h[i];
                memcpy(&bits, &h[i], sizeof bits);
                narrow[i] = (uint16_t)((bits + 0x8000) >> 16);
                if (kind[k].type == SSLTOP_F16)
                    memcpy(&narrow[i], &half, sizeof half);
            }
            const void *rows = kind[k].type == SSLTOP_F64 ? (const void *)wide : narrow;
            cr_assert(ssltop_features(c, "h", 0, round ? rows : h, ROWS, D, D,
                                      round ? kind[k].type : SSLTOP_F32) == 0);
            ssltop_end_step(c, 0, 0, 0);
            theirs_settle(c);
            ssltop_close(c, SSLTOP_FINISHED, "");
            json_t *log = lab_log(&lab, name);
            double auc = theirs_field(log, "step", 0, "auc");
            if (round)
                cr_expect_float_eq(auc, want, kind[k].tolerance, "%s: %g, not %g", kind[k].name,
                                   auc, want);
            want = auc;
            json_decref(log);
        }
    }
}

// Rows with a stride are the rows without it.
Test(client, strides)
{
    static float h[ROWS * D], loose[ROWS * (D + 5)];
    double auc[2];
    theirs_draw(h, ROWS, D, 3, 0);
    for (int i = 0; i < ROWS; i++)
        memcpy(loose + i * (D + 5), h + i * D, D * sizeof *h);
    for (int k = 0; k < 2; k++) {
        const char *name = k ? "loose" : "tight";
        ssltop_client *c = theirs_open(&lab, name, 0);
        cr_assert(ssltop_features(c, "h", 1, k ? loose : h, ROWS, D, k ? D + 5 : D, SSLTOP_F32) ==
                  0);
        ssltop_end_step(c, 0, 0, 0);
        ssltop_close(c, SSLTOP_FINISHED, ""); // takes what is in the ring
        json_t *log = lab_log(&lab, name);
        auc[k] = theirs_field(log, "step", 0, "auc");
        json_decref(log);
    }
    cr_expect(auc[0] == auc[1] && auc[0] > 0.5);
}

Test(client, is_steered)
{
    pid_t pid =
        theirs_in_child(&lab, "steered", SSLTOP_CAN(SSLTOP_RATE) | SSLTOP_CAN(SSLTOP_CHECKPOINT));
    lab_ready(&lab, "steered", pid);
    struct answer a = lab_say(&lab, "steered", "pause");
    cr_assert(a.ok && a.step > 0, "%s", a.text);
    int64_t at = a.step;
    lab_until_paused(&lab, "steered");
    cr_expect(!lab_say(&lab, "steered", "pause").ok);
    a = lab_say(&lab, "steered", "step");
    cr_expect(a.ok && a.step == at, "%s", a.text);
    a = lab_say(&lab, "steered", "lr 0.5");
    cr_expect(a.ok, "%s", a.text);
    a = lab_say(&lab, "steered", "checkpoint");
    cr_expect(!a.ok && strcmp(a.text, "as told") == 0, "%s", a.text);
    a = lab_say(&lab, "steered", "mode continual");
    cr_expect(!a.ok && strstr(a.text, "sampler"), "%s", a.text);
    a = lab_say(&lab, "steered", "eval");
    cr_expect(!a.ok && strstr(a.text, "offered no evaluation"), "%s", a.text);
    cr_expect(lab_say(&lab, "steered", "status").step == at + 1);
    cr_expect(lab_say(&lab, "steered", "resume").ok);
    cr_expect(lab_say(&lab, "steered", "stop").ok);
    cr_assert_eq(lab_wait(pid), 0);
    cr_expect_eq(lab_event(&lab, "steered", "pause", "ctl"), at);
    cr_expect(lab_event(&lab, "steered", "lr", "ctl") >= at); // before the single step or after it
}

// kill -9 of the training: the recorder says so and leaves.
Test(client, a_trainer_that_is_killed)
{
    pid_t pid = theirs_in_child(&lab, "killed", 0);
    lab_ready(&lab, "killed", pid);
    kill(pid, SIGKILL);
    cr_assert(lab_wait(pid) == 1000 + SIGKILL);
    while (lab_exists(&lab, "killed/control"))
        usleep(1000);
    cr_expect(theirs_log_has(&lab, "killed", "\"failed\",\"text\":\"the trainer is gone\""));
}

// kill -9 of the recorder: one warning, and the training goes on.
Test(client, a_recorder_that_is_killed)
{
    static float h[2][ROWS * D], z[2][ROWS * DIM];
    ssltop_client *c = theirs_open(&lab, "alone", 0);
    theirs_step(c, 0, h, z);
    pid_t pid = theirs_recorder(getpid());
    kill(pid, SIGKILL);
    ssltop_order o;
    for (int64_t t = 1; t < 1000 || ssltop_alive(c); t++) {
        ssltop_features(c, "h", 0, h[0], ROWS, D, D, SSLTOP_F32);
        ssltop_end_step(c, t, 0, 0);
        cr_assert(ssltop_next(c, &o) == 0);
    }
    cr_expect(!ssltop_alive(c) && !ssltop_stopped(c));
    ssltop_close(c, SSLTOP_FINISHED, "");
}

// What forked children (data loaders) do with the client they inherit is nothing.
Test(client, forked_children_do_nothing)
{
    static float h[2][ROWS * D], z[2][ROWS * DIM];
    theirs_whole = 1;
    ssltop_client *c = theirs_open(&lab, "forked", 0);
    theirs_step(c, 0, h, z);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        ssltop_order o;
        ssltop_features(c, "h", 0, h[0], ROWS, D, D, SSLTOP_F32);
        ssltop_end_step(c, 1, 0, 0);
        int busy = ssltop_next(c, &o) || ssltop_alive(c) || ssltop_stopped(c);
        ssltop_close(c, SSLTOP_FAILED, "a child");
        _exit(busy);
    }
    cr_assert_eq(lab_wait(pid), 0);
    theirs_step(c, 1, h, z);
    cr_expect(ssltop_alive(c));
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "forked");
    cr_expect(isfinite(theirs_field(log, "step", 1, "auc")));
    json_decref(log);
}

Test(client, what_cannot_be_is_refused)
{
    char why[300];
    float x[4] = {0};
    ssltop_client *c = theirs_open(&lab, "once", 0);
    cr_expect(ssltop_features(c, "h", 2, x, 2, 2, 2, SSLTOP_F32) == -1);
    cr_expect(ssltop_features(c, "h", 0, x, 0, 2, 2, SSLTOP_F32) == -1);
    cr_expect(ssltop_features(c, "h", 0, x, 2, 1 << 20, 1 << 20, SSLTOP_F32) == -1);
    cr_expect(ssltop_features(c, "h", 0, x, 2, 2, 1, SSLTOP_F32) == -1);
    cr_expect(ssltop_features(c, "", 0, x, 2, 2, 2, SSLTOP_F32) == -1);
    cr_expect(ssltop_features(c, "h", 0, x, 2, 2, 2, (ssltop_type)9) == -1);
    cr_expect(ssltop_features(c, "two", 0, x, 2, 2, 2, SSLTOP_F32) == 0);
    cr_expect(ssltop_features(c, "more", 1, x, 2, 2, 2, SSLTOP_F32) == 0);
    cr_expect(ssltop_features(c, "a fifth", 0, x, 2, 2, 2, SSLTOP_F32) == -1);
    for (int i = 0; i < 64; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        cr_expect(ssltop_scalar(c, name, i) == 0);
    }
    cr_expect(ssltop_scalar(c, "the 65th", 1) == -1 && ssltop_scalar(c, "s7", 2) == 0);
    cr_expect(ssltop_size("ssltop_order") == sizeof(ssltop_order) && ssltop_size("int") == 0);
    ssltop_end_step(c, 0, 0, 0);
    theirs_settle(c);
    ssltop_settings s = {.name = "once", .runs = lab.dir};
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "exists already"), "%s", why);
    s.name = "../out";
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "can't be the name"), "%s", why);
    s = (ssltop_settings){.runs = lab.dir, .guard = "auc is high"};
    cr_expect(!ssltop_open(&s, why, sizeof why) && *why, "%s", why);
    s = (ssltop_settings){.runs = lab.dir, .config = "[1"};
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "no JSON object"), "%s", why);
    s = (ssltop_settings){.program = "/nowhere/ssltop"};
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "cannot be started"), "%s", why);
    s = (ssltop_settings){.program = "/bin/true"};
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "ended at once"), "%s", why);
    ssltop_close(c, SSLTOP_FINISHED, "");
    ssltop_close(NULL, SSLTOP_FINISHED, "");
}

// What the script measures itself is in the log under its names, and what the training is and takes
// in the run's record.
Test(client, says_what_it_is)
{
    static float h[2][ROWS * D], z[2][ROWS * DIM];
    char why[300];
    ssltop_settings s = {.name = "own", .runs = lab.dir, .can = SSLTOP_CAN(SSLTOP_RATE)};
    ssltop_client *c = ssltop_open(&s, why, sizeof why);
    cr_assert(c != NULL, "%s", why);
    for (int t = 0; t < 3; t++) {
        cr_expect(ssltop_scalar(c, "top1", 0.25 * t) == 0);
        cr_expect(ssltop_scalar(c, "lr_pred", 0.5) == 0);
        if (t == 1)
            cr_expect(ssltop_scalar(c, "a, \x1b\"b\"", 7) == 0);
        theirs_step(c, t, h, z);
    }
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "own");
    cr_expect_float_eq(theirs_field(log, "step", 2, "lr_pred"), 0.5, 0);
    cr_expect_float_eq(theirs_field(log, "step", 2, "dropped"), 0, 0);
    json_t *own = json_object_get(json_object_get(log, "step/1"), "own");
    cr_expect(json_object_size(own) == 2 &&
              json_number_value(json_object_get(own, "top1")) == 0.25);
    cr_expect(json_number_value(json_object_get(own, "a, ?\"b\"")) == 7);
    own = json_object_get(json_object_get(log, "step/2"), "own");
    cr_expect(json_object_size(own) == 1);
    json_decref(log);
    cr_expect(theirs_log_has(&lab, "own", "\"writer\":{\"name\":\"ssltop-client\",\"version\":"));
    cr_expect(theirs_log_has(&lab, "own", "\"can\":\"pause resume step stop lr\""));
    cr_expect(theirs_log_has(&lab, "own", "\"shape\":null"));
    cr_expect(theirs_log_has(&lab, "own", "\"steps\":null"));
    cr_expect(theirs_log_has(&lab, "own", "\"batch\":\"24\""));
    char command[400];
    snprintf(command, sizeof command,
             "$SSLTOP export --columns step,own %s/own > %s/.csv && "
             "printf 'step,own.top1,\"own.a, ?\"\"b\"\"\"\\n0,0,\\n1,0.25,7\\n2,0.5,\\n' | cmp - "
             "%s/.csv",
             lab.dir, lab.dir, lab.dir);
    cr_expect_eq(system(command), 0);
}

// A mode that is to come later is the sampler's to keep.
Test(client, a_mode_for_later)
{
    theirs_length = 1000000; // more than it makes until it hears of the pause
    pid_t pid = theirs_in_child(&lab, "later", SSLTOP_CAN(SSLTOP_MODE));
    lab_ready(&lab, "later", pid);
    cr_assert(lab_say(&lab, "later", "pause").ok);
    lab_until_paused(&lab, "later");
    struct answer a = lab_say(&lab, "later", "until 0 then continual");
    cr_expect(!a.ok && strstr(a.text, "has passed"), "%s", a.text);
    a = lab_say(&lab, "later", "until 100% then continual");
    cr_expect(a.ok && a.step == theirs_length, "%s", a.text);
    cr_expect_str_eq(a.text, "continual from step 1000000");
    cr_expect(lab_say(&lab, "later", "stop").ok);
    cr_assert_eq(lab_wait(pid), 0);
    cr_expect(
        theirs_log_has(&lab, "later", "\"until\",\"by\":\"ctl\",\"to\":\"continual at 1000000\""));
}

// Features with labels are evaluated beside the steps, and a forecast can be fitted from that.
Test(client, evaluates_what_it_is_given)
{
    enum { TRAIN = 120, TEST = 60 };
    static float h[2][ROWS * D], z[2][ROWS * DIM], x[TRAIN * D], y[TEST * D];
    static int32_t train[TRAIN], test[TEST];
    ssltop_client *c = theirs_open(&lab, "probed", 0);
    theirs_draw(x, TRAIN, D, 1, 0);
    theirs_draw(y, TEST, D, 2, 0);
    for (int i = 0; i < TRAIN; i++) // classes that can be told
        x[i * D + 3] += 20.f * (float)(train[i] = i % 2);
    for (int i = 0; i < TEST; i++)
        y[i * D + 3] += 20.f * (float)(test[i] = i % 2);
    ssltop_split a = {x, TRAIN, D, train}, b = {y, TEST, D, test};
    cr_expect(ssltop_probe(c, &a, &b, D, SSLTOP_F32) == 0); // before the first step
    for (int t = 0; t < 3; t++)
        theirs_step(c, t, h, z);
    test[5] = -1;
    cr_expect(ssltop_probe(c, &a, &b, D, SSLTOP_F32) == 0);
    cr_expect(ssltop_probe(c, &a, &b, 0, SSLTOP_F32) == -1);
    b.stride = D - 1;
    cr_expect(ssltop_probe(c, &a, &b, D, SSLTOP_F32) == -1);
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "probed");
    cr_expect(theirs_field(log, "eval", 0, "probe") > 0.95);
    cr_expect_eq(theirs_field(log, "eval", 0, "n_train"), TRAIN);
    cr_expect_eq(theirs_field(log, "eval", 0, "n_test"), TEST);
    // It is the best so far, of which the script may keep the network.
    json_t *best = json_object_get(json_object_get(log, "eval/0"), "best");
    cr_expect_str_eq(json_string_value(json_object_get(best, "by")), "probe");
    cr_expect_eq(json_integer_value(json_object_get(best, "step")), 0);
    cr_expect_eq(json_integer_value(json_object_get(best, "age")), 0);
    double want[D], metric[METRIC_COUNT], n;
    struct error e = {""};
    struct moments m;
    struct spectrum_solver *solver;
    cr_assert(moments_init(&m, D, &e) == 0 && spectrum_solver_new(D, &solver, &e) == 0);
    cr_assert(moments_add(&m, x, TRAIN, D, &e) == 0);
    cr_assert(spectrum_from_moments(solver, &m, want, &n, &e) == 0);
    metric_all(&(struct metric_input){.sigma = want, .d = D, .n = n}, metric);
    cr_expect_float_eq(theirs_field(log, "eval", 0, "auc"), metric[METRIC_AUC], 1e-12);
    cr_expect(json_object_get(log, "spectrum/0/exact") != NULL);
    json_decref(log);
    moments_free(&m);
    spectrum_solver_free(solver);
}
