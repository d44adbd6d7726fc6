// The example in PyTorch, as people use it: from a screen, and its logs afterwards.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/science/metric.h"
#include "tests/kit/script.h"
#include "tests/kit/session.h"
#include "tests/kit/theirs.h"

#define EXAMPLE  "train/client/examples/simsiam_fashion_mnist.py"
#define SMALL    "--whole", "--width", "4", "--batch", "32", "--threads", "1"
#define DOWN     "\033[B"
#define STEP_KEY "step/%" PRId64

#define COMPILE "-Wall -Wextra -pedantic -Werror -Itrain/client train/client/examples/client.c"

static struct lab lab;

static void open_lab(void)
{
    script_lab(&lab);
}

static void needs_images(void)
{
    if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0)
        cr_skip_test("no Fashion-MNIST: the example is not tested here");
}

static void close_lab(void)
{
    script_left_nothing(&lab);
    lab_close(&lab);
}

TestSuite(example, .init = open_lab, .fini = close_lab, .timeout = 300);

// A command of the shell, in the folder of runs.
static void shell(const char *what)
{
    char command[600];
    snprintf(command, sizeof command, "cd %s && %s", lab.dir, what);
    cr_expect_eq(system(command), 0, "%s", command);
}

// The number behind these words on the screen.
static int64_t number(struct session *s, const char *words)
{
    session_wait(s, words);
    return strtoll(strstr(session_text(s), words) + strlen(words), NULL, 10);
}

// What was said by keys, in its order.
static void said_by_keys(const char *name, const char *const *what, size_t n)
{
    json_t *events = lab_events(&lab, name), *o;
    size_t i, found = 0;
    json_array_foreach(events, i, o)
    {
        if (strcmp(json_string_value(json_object_get(o, "by")), "key") != 0)
            continue;
        const char *is = json_string_value(json_object_get(o, "what"));
        cr_expect(found < n && strcmp(is, what[found]) == 0, "%s is event %zu", is, found);
        found++;
    }
    cr_expect_eq(found, n);
    json_decref(events);
}

static const char *mode_at(json_t *log, int64_t t)
{
    char key[64];
    snprintf(key, sizeof key, STEP_KEY, t);
    const char *mode = json_string_value(json_object_get(json_object_get(log, key), "mode"));
    return mode ? mode : "none";
}

// 1 `run`, every step up to `steps` with all that its features say, `end`.
static void whole(const char *name, int64_t steps)
{
    char command[200];
    json_t *log = lab_log(&lab, name);
    for (int64_t t = 0; t < steps; t++) {
        cr_expect(theirs_field(log, "step", t, "lr") > 0);
        cr_expect(strcmp(mode_at(log, t), "none") != 0, "step %" PRId64 " has no mode", t);
        for (int i = 0; i < METRIC_COUNT; i++)
            cr_expect(!metric_is_given(i, THEIRS_KNOW) ||
                          isfinite(theirs_field(log, "step", t, metric_table[i].key)),
                      "%s of step %" PRId64, metric_table[i].key, t);
    }
    snprintf(command, sizeof command, STEP_KEY, steps);
    cr_expect_null(json_object_get(log, command));
    json_decref(log);
    snprintf(command, sizeof command,
             "$SSLTOP log check ./%s > .said && grep -q ' 1 run, .* 1 end' .said && "
             "grep -q 'lost *nothing' .said",
             name);
    shell(command);
}

// The same of the only run in a folder below, whatever its name is, of so many steps.
static void whole_in(const char *folder, int steps)
{
    char command[300];
    snprintf(
        command, sizeof command,
        "$SSLTOP log check %s/* > .said && grep -q ' 1 run, %d step, %d spectrum, 1 end' .said "
        "&& grep -q 'lost *nothing' .said",
        folder, steps, steps);
    shell(command);
}

// Every key that does something to a training, at a terminal of 80 x 24; a worker of the data
// loader draws batches ahead.
Test(example, at_a_terminal)
{
    static const char *const keys[] = {"pause", "step",   "mode", "checkpoint",
                                       "eval",  "resume", "stop"};
    struct session s = {0};
    needs_images();
    pid_t pid = SCRIPT(&lab, EXAMPLE, "--name", "screen", "--steps", "100000", SMALL, "--workers",
                       "1", "--eval-every", "0", "--eval-images", "250");
    if (!lab_started(&lab, "screen", pid))
        script_finish(&lab, pid, SCRIPT_SKIPPED);
    char *argv[] = {"ssltop", "attach", "--runs", lab.dir, "screen", NULL};
    session_start(&s, argv);
    session_wait(&s, "live 0.");

    session_type(&s, " ");
    int64_t at = number(&s, "paused from step ");
    session_wait(&s, "PAUSED");
    lab_until_paused(&lab, "screen");
    session_type(&s, "n");
    cr_expect_eq(number(&s, "makes step "), at);
    session_type(&s, "m");
    session_wait(&s, "Esc closes");
    session_type(&s, DOWN "\r");
    int64_t from = number(&s, "continual from step ");
    cr_expect(from > at + 1, "%" PRId64 " after %" PRId64, from, at); // what is drawn is drawn
    session_type(&s, "c");
    session_wait(&s, "model-");
    cr_expect_eq(number(&s, "model-"), at + 1);
    session_type(&s, "e");
    cr_expect_eq(number(&s, "evaluated before step "), at + 1);
    cr_expect_eq(lab_say(&lab, "screen", "status").step, at + 1); // nothing else made a step
    session_type(&s, " ");
    cr_expect_eq(number(&s, "goes on with step "), at + 1);
    lab_until_step(&lab, "screen", from + 2);
    session_type(&s, "q");
    session_wait(&s, "what becomes of the training?");
    cr_expect_null(strstr(session_text(&s), "with a checkpoint")); // the script's own affair
    session_type(&s, "s");
    session_end(&s);
    cr_expect(strstr(s.text, "screen: stopped at step"), "%s", s.text);
    script_finish(&lab, pid, 0);

    script_ended(&lab, "screen", "stopped", "");
    said_by_keys("screen", keys, sizeof keys / sizeof *keys);
    int64_t end = lab_event(&lab, "screen", "stop", "key");
    cr_expect_eq(lab_event(&lab, "screen", "mode", "key"), from);
    whole("screen", end);
    json_t *log = lab_log(&lab, "screen");
    cr_expect_str_eq(mode_at(log, from - 1), "multi-epoch");
    cr_expect_str_eq(mode_at(log, from), "continual");
    cr_expect(theirs_field(log, "eval", at + 1, "probe") > 0);
    json_decref(log);
    char file[64];
    snprintf(file, sizeof file, "screen/model-%" PRId64 ".pt", at + 1);
    cr_expect(lab_exists(&lab, file));
}

// What else there is for runs is there for these: replay, figures, calibrations.
Test(example, its_logs)
{
    enum { RUNS = 8, STEPS_OF_RUN = 12 };
    struct session s = {0};
    needs_images();
    script_finish(&lab,
                  SCRIPT(&lab, "tests/train/python_example.py", "r0", "r1", "r2", "r3", "r4", "r5",
                         "r6", "r7"),
                  0);
    for (int i = 0; i < RUNS; i++) {
        char name[8];
        snprintf(name, sizeof name, "r%d", i);
        whole(name, STEPS_OF_RUN);
        script_ended(&lab, name, "finished", "");
    }
    char *argv[] = {"ssltop", "replay", "--runs", lab.dir, "r0", NULL};
    session_start(&s, argv);
    session_wait(&s, "12 / 12");
    session_wait(&s, "finished");
    session_type(&s, "q");
    session_end(&s);
    shell("$SSLTOP export r0 --runs . --format svg > r0.svg && xmllint --noout r0.svg && "
          "grep -q '<path' r0.svg");
    shell("$SSLTOP fit --runs . r0 r1 r2 r3 r4 r5 r6 r7 -o c.json > .said 2>&1 || "
          "{ cat .said; false; }");
    char calibration[128];
    snprintf(calibration, sizeof calibration, "%s/c.json", lab.dir);
    script_finish(&lab,
                  SCRIPT(&lab, EXAMPLE, "--name", "foretold", "--steps", "6", SMALL, "--eval-every",
                         "0", "--calibration", calibration),
                  0);
    // Without one it would say uncalibrated.
    json_t *log = lab_log(&lab, "foretold"), *first = json_object_get(log, "step/0");
    const char *state = json_string_value(json_object_get(first, "forecast_state"));
    cr_expect(first && (!state || strcmp(state, "uncalibrated") != 0), "%s", state);
    json_decref(log);
}

// In C and, the same file, in C++.
Test(example, in_c)
{
    static const char *const compiler[] = {"gcc -std=c99", "g++ -x c++ -std=c++11"};
    char command[600];
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command,
                 "%s " COMPILE " -x none ./" SCRIPT_LIBRARY " -lm -o %s/program", compiler[i],
                 lab.dir);
        if (i == 1 && system("command -v g++ > /dev/null") != 0)
            continue;
        cr_assert_eq(system(command), 0, "%s", command);
        snprintf(command, sizeof command,
                 "LD_LIBRARY_PATH=. SSLTOP_RUNS=%s/c%d %s/program > /dev/null", lab.dir, i,
                 lab.dir);
        cr_assert_eq(system(command), 0, "%s", command);
        whole_in(i ? "c1" : "c0", 500);
    }
}

Test(example, in_numpy)
{
    if (system("/usr/bin/python3 -c 'import numpy' 2> /dev/null") != 0)
        cr_skip_test("no numpy: its example is not tested here");
    script_finish(&lab, SCRIPT(&lab, "train/client/examples/numpy_loop.py"), 0);
    shell("mkdir numpy && mv 20* numpy");
    whole_in("numpy", 500);
}
