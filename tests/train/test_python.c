// The Python package over the client's library: scripts of python_client.py (the standard library
// alone), of python_torch.py and the example (where python3-torch is installed).
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "metrics/science/metric.h"
#include "metrics/science/spectrum.h"
#include "tests/kit/script.h"
#include "tests/kit/theirs.h"
#include "train/schedule/schedule_text.h"

// ROWS, D and STEPS are python_client.py's too.
#define SCRIPT_FILE "tests/train/python_client.py"

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

TestSuite(python, .init = open_lab, .fini = close_lab, .timeout = 240);

static pid_t start(const char *what)
{
    return SCRIPT(&lab, SCRIPT_FILE, what, what);
}

static void finish(pid_t pid, int want)
{
    script_finish(&lab, pid, want);
}

static void run(const char *what, int want)
{
    finish(start(what), want);
}

static void expect_said(const char *text)
{
    script_said(&lab, text);
}

static void expect_end(const char *name, const char *reason, const char *text)
{
    script_ended(&lab, name, reason, text);
}

static double field(json_t *log, int64_t step, const char *name)
{
    char at[64];
    snprintf(at, sizeof at, "step/%" PRId64, step);
    json_t *v = json_object_get(json_object_get(log, at), name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

// The features of python_client.py.
static void pattern(float *x, int64_t step, int view)
{
    for (int64_t i = 0; i < ROWS * D; i++) {
        int64_t v = ((i * 2654435761 + step * 40503 * 65537 + view * 977 * 31) >> 7) % 65536;
        x[i] = (float)((double)v / 65536 * (i % 3 ? 1 : 3));
    }
}

Test(python, numbers_are_those_of_the_trainer)
{
    float h[ROWS * D];
    struct error e = {""};
    struct moments m;
    struct spectrum_solver *solver;
    double sigma[D], n;
    run("numbers", 0);
    json_t *log = lab_log(&lab, "numbers");
    cr_assert(moments_init(&m, D, &e) == 0 && spectrum_solver_new(D, &solver, &e) == 0);
    for (int64_t t = 0; t < STEPS; t++) {
        moments_age(&m, 2 * ROWS);
        for (int v = 0; v < 2; v++) {
            pattern(h, t, v);
            cr_assert(moments_add(&m, h, ROWS, D, &e) == 0);
        }
        cr_assert(spectrum_from_moments(solver, &m, sigma, &n, &e) == 0, "%s", e.text);
        double metric[METRIC_COUNT];
        metric_all(&(struct metric_input){.sigma = sigma, .d = D, .n = n}, metric);
        cr_expect_float_eq(field(log, t, "auc"), metric[METRIC_AUC], 1e-9);
        cr_expect_float_eq(field(log, t, "rankme"), metric[METRIC_RANKME], 1e-9);
        cr_expect_float_eq(field(log, t, "loss"), -0.25, 0);
        cr_expect_float_eq(field(log, t, "lr"), 0.1, 0);
    }
    json_decref(log);
    moments_free(&m);
    spectrum_solver_free(solver);
    expect_end("numbers", "finished", "");
}

enum { IMAGES = 60000, BATCH = 128, LENGTH = 9374, PART = 500 };

// Of the batches of these steps, as `ssltop train` draws them.
static long long summed(struct schedule *s, const int64_t *order, int64_t from, int64_t to)
{
    static int64_t index[BATCH];
    struct error e;
    uLong crc = 0;
    for (int64_t t = from; t < to; t++) {
        cr_assert(schedule_batch(s, t, index, &e) == 0, "%s", e.text);
        for (int i = 0; i < BATCH; i++)
            index[i] = order[index[i]];
        crc = crc32(crc, (const Bytef *)index, sizeof index);
    }
    return (long long)crc;
}

Test(python, draws_the_batches_of_the_trainer)
{
    static int64_t order[IMAGES];
    const struct schedule_facts f = {
        .seed = 1, .n = IMAGES, .batch = BATCH, .steps = LENGTH, .chunks = 20};
    const struct schedule_switch w = {5000, MODE_CUMULATIVE, 7, -1};
    struct schedule s;
    struct error e;
    run("sampler", 0);
    cr_assert(schedule_text_parse(&s, &f, "hybrid", &e) == 0, "%s", e.text);
    cr_assert(schedule_order(1, IMAGES, IMAGES, order, &e) == 0, "%s", e.text);
    char *said = lab_text(lab.out), *at = said;
    for (int64_t t = 0; t < LENGTH; t += PART) // every batch there is
        cr_expect(strtoll(at, &at, 10) ==
                      summed(&s, order, t, t + PART < LENGTH ? t + PART : LENGTH),
                  "steps from %" PRId64 " on", t);
    cr_assert(schedule_switch(&s, &w, &e) == 0, "%s", e.text);
    cr_expect(strtoll(at, &at, 10) == summed(&s, order, 4000, LENGTH));
    free(said);
    schedule_free(&s);
}

// However a script ends, its log says how.
Test(python, a_script_that_fails)
{
    run("fails", 1);
    expect_end("fails", "failed", "ValueError: too bold by far");
    run("context", 1);
    expect_end("context", "failed", "ValueError: too bold by far");
    expect_said("Traceback");
}

// sys.exit() has no exception that would reach the end.
Test(python, a_script_that_exits)
{
    run("exits", 1);
    expect_end("exits", "failed", "SystemExit: no room any more");
    run("exits_for", 1);
    expect_end("exits_for", "failed", "ValueError: too bold by far");
    run("stays", 0);
    expect_end("stays", "finished", "");
}

static int has_warning(const char *name, const char *text)
{
    json_t *events = lab_events(&lab, name), *o;
    size_t i;
    int n = 0;
    json_array_foreach(events, i, o)
    {
        const char *said = json_string_value(json_object_get(o, "text"));
        n += said && strcmp(said, text) == 0;
    }
    json_decref(events);
    return n;
}

Test(python, what_is_said_before_the_first_step)
{
    run("said_early", 1);
    cr_expect_eq(has_warning("said_early", "said before the first step"), 1);
    cr_expect_eq(has_warning("said_early", "said by then"), 1);
    expect_end("said_early", "failed", "ValueError: of a file ?");
}

Test(python, in_another_folder_by_then)
{
    run("moves", 0);
}

Test(python, a_script_that_ends)
{
    run("leaves", 0);
    expect_end("leaves", "finished", "");
    run("vanishes", 0);
    while (lab_exists(&lab, "vanishes/control"))
        usleep(1000);
    expect_end("vanishes", "failed", "the trainer is gone");
}

// Ctrl-C, as a terminal sends it: to the whole group.
static void interrupt(const char *name, int is_paused)
{
    pid_t pid = SCRIPT(&lab, SCRIPT_FILE, "endless", name);
    lab_ready(&lab, name, pid);
    if (is_paused) {
        cr_assert(lab_say(&lab, name, "pause").ok);
        lab_until_paused(&lab, name);
    }
    cr_assert_eq(kill(-pid, SIGINT), 0);
    finish(pid, 1000 + SIGINT);
    expect_end(name, "stopped", "Ctrl-C");
}

Test(python, interrupted)
{
    interrupt("running", 0);
    interrupt("paused", 1);
}

Test(python, its_recorder_is_killed)
{
    pid_t pid = start("unrecorded");
    lab_ready(&lab, "unrecorded", pid);
    kill(theirs_recorder(pid), SIGKILL);
    finish(pid, 0);
    char *said = lab_text(lab.out), *once = strstr(said, "the recorder is gone");
    cr_expect(once && !strstr(once + 1, "the recorder is gone"), "%s", said);
    free(said);
}

Test(python, it_is_killed)
{
    pid_t pid = start("endless");
    lab_ready(&lab, "endless", pid);
    kill(pid, SIGKILL);
    finish(pid, 1000 + SIGKILL);
    while (lab_exists(&lab, "endless/control"))
        usleep(1000);
    expect_end("endless", "failed", "the trainer is gone");
}

Test(python, a_second_run_and_forked_children)
{
    run("second", 0);
    expect_end("second1", "finished", "");
    expect_end("second2", "finished", "");
    run("cell", 0);
    expect_said("there is a run cell: this one is cell-2");
    expect_end("cell", "finished", "");
    expect_end("cell-2", "finished", "");
    run("together", 0);
    expect_said("there is a run together: this one is together-2");
    expect_end("together-2", "finished", "");
    run("forked", 0);
    expect_end("forked", "finished", "");
    json_t *log = lab_log(&lab, "forked");
    cr_expect(json_object_size(log) > 0 && isfinite(field(log, 2, "auc")));
    json_decref(log);
}

Test(python, nothing_to_record_with)
{
    cr_assert_eq(setenv("LIBRARY", "./" SCRIPT_LIBRARY, 1), 0);
    run("missing", 0);
    expect_said("this training is not recorded: /nowhere/ssltop is not found");
    expect_said("this training is not recorded: $SSLTOP_CLIENT: there is no /nowhere/library.so");
    expect_said("batches are shuffled images");
    cr_expect(!lab_exists(&lab, "missing"));
}

// The wheel carries the library: beside a ssltop that is in PATH alone, nothing else is needed.
Test(python, as_a_wheel)
{
    cr_assert_eq(setenv("WHEEL", lab.dir, 1), 0);
    if (access(SCRIPT_LIBRARY, R_OK) != 0)
        cr_skip_test("there is no " SCRIPT_LIBRARY " here");
    cr_assert_eq(
        system(
            "/usr/bin/python3 train/client/python/wheel.py ./" SCRIPT_LIBRARY " 9.9 $WHEEL > "
            "$WHEEL/.said && /usr/bin/python3 -m zipfile -e $WHEEL/*.whl $WHEEL/site && "
            "env -u SSLTOP_CLIENT SSLTOP_RUNS=$WHEEL PYTHONPATH=$WHEEL/site /usr/bin/python3 -c '"
            "import ssltop\n"
            "w = ssltop.init(\"wheel\", required=True)\n"
            "w.step(loss=1)\n"
            "w.finish()\n"
            "assert \"/site/ssltop/" SCRIPT_LIBRARY "\" in open(\"/proc/self/maps\").read()'"),
        0);
    expect_end("wheel", "finished", "");
}

Test(python, whatever_is_handed_over)
{
    run("refused", 0);
    expect_said("h is left out: ");
    expect_said("features are n x d, and this is of type str");
    expect_said("loss is left out: could not convert string to float: 'text'");
    expect_said("mine is left out: ");
    expect_said("there are 64 names at most, and this is 's63'");
    expect_said("a name has 1 to 31 bytes, and this is 'xxxx");
    expect_said("can't be the name of a run");
    expect_end("refused", "finished", "");
}

Test(python, is_steered)
{
    pid_t pid = start("steered");
    lab_ready(&lab, "steered", pid);
    struct answer a = lab_say(&lab, "steered", "pause");
    cr_assert(a.ok, "%s", a.text);
    int64_t at = a.step;
    lab_until_paused(&lab, "steered");
    cr_expect(lab_say(&lab, "steered", "status").step == at);
    a = lab_say(&lab, "steered", "step");
    cr_expect(a.ok && a.step == at, "%s", a.text);
    a = lab_say(&lab, "steered", "checkpoint");
    char want[64];
    snprintf(want, sizeof want, "saved at %" PRId64, at + 1);
    cr_expect(a.ok && strcmp(a.text, want) == 0, "%s, not %s", a.text, want);
    a = lab_say(&lab, "steered", "eval");
    cr_expect(!a.ok && strstr(a.text, "by zero"), "%s", a.text);
    a = lab_say(&lab, "steered", "lr 0.5");
    cr_expect(!a.ok && strstr(a.text, "optimizer"), "%s", a.text);
    // Three batches are drawn ahead: it holds behind them.
    a = lab_say(&lab, "steered", "mode continual");
    cr_expect(a.ok && a.step == at + 1 + 3, "%s", a.text);
    a = lab_say(&lab, "steered", "mode continual");
    cr_expect(!a.ok && strstr(a.text, "already"), "%s", a.text);
    a = lab_say(&lab, "steered", "until 50% then cumulative");
    cr_expect(a.ok && a.step == 50000, "%s", a.text);
    cr_expect(lab_say(&lab, "steered", "resume").ok);
    lab_until_step(&lab, "steered", at + 8);
    cr_expect(lab_say(&lab, "steered", "stop").ok);
    finish(pid, 0);
    expect_end("steered", "stopped", "");
    cr_expect_eq(lab_event(&lab, "steered", "mode", "ctl"), at + 4);
    json_t *events = lab_events(&lab, "steered"), *o;
    size_t i;
    int said = 0;
    json_array_foreach(events, i, o)
    {
        const char *text = json_string_value(json_object_get(o, "text"));
        said += text && strcmp(text, want) == 0;
    }
    cr_expect_eq(said, 1, "the log tells what the script said of its checkpoint");
    json_decref(events);
    json_t *log = lab_log(&lab, "steered");
    char key[64];
    for (int64_t t = at; t < at + 6; t++) {
        snprintf(key, sizeof key, "step/%" PRId64, t);
        const char *mode = json_string_value(json_object_get(json_object_get(log, key), "mode"));
        cr_expect(mode && strcmp(mode, t < at + 4 ? "multi-epoch" : "continual") == 0,
                  "step %" PRId64 ": %s", t, mode ? mode : "none");
    }
    json_decref(log);
}

Test(python, what_pytorch_hands_over)
{
    finish(SCRIPT(&lab, "tests/train/python_torch.py", "torch"), 0);
}

Test(python, probed)
{
    run("probed", 0);
    json_t *log = lab_log(&lab, "probed"), *eval = json_object_get(log, "eval/0");
    cr_assert_not_null(eval);
    cr_expect_eq(json_number_value(json_object_get(eval, "probe")), 1);
    cr_expect_eq(json_number_value(json_object_get(eval, "n_test")), 80);
    json_decref(log);
}
