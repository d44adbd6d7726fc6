// The best network so far: what counts, that it is kept, that a run that goes on knows it, and what
// a guard sees of it.
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/runs.h"
#include "train/run/embed.h"
#include "train/schedule/best.h"
#include "train/store/checkpoint.h"
#include "train/store/rundir.h"

static void expect(const struct best *b, enum best_by by, double value, int64_t step, int64_t age)
{
    cr_expect(b->by == by && b->value == value && b->step == step && b->age == age,
              "%s %g @%ld, %ld ago", best_by_name[b->by], b->value, (long)b->step, (long)b->age);
}

Test(best, only_what_is_better_counts)
{
    struct best b;
    char text[96];
    best_init(&b);
    cr_expect(!best_add(&b, 0, NAN, NAN));
    cr_expect(b.step == -1 && b.age == 0);
    cr_expect(best_add(&b, 10, NAN, 0.5));
    expect(&b, BEST_BY_FORECAST, 0.5, 10, 0);
    best_says(&b, text, sizeof text);
    cr_expect_str_eq(text, "");
    cr_expect(!best_add(&b, 20, NAN, 0.5), "a tie is no gain");
    cr_expect(!best_add(&b, 30, NAN, NAN), "nothing foretold is no gain");
    expect(&b, BEST_BY_FORECAST, 0.5, 10, 2);
    best_says(&b, text, sizeof text);
    cr_expect_str_eq(text, "nothing gained for 2 evaluations, since step 10");
    cr_expect(best_add(&b, 40, 0.4, 0.9), "what was measured counts, whatever was foretold");
    expect(&b, BEST_BY_PROBE, 0.4, 40, 0);
    cr_expect(!best_add(&b, 50, NAN, 0.99), "from then on only that");
    cr_expect(!best_add(&b, 60, 0.1, 0.99));
    expect(&b, BEST_BY_PROBE, 0.4, 40, 2);
    cr_expect(best_add(&b, 70, 0.41, NAN));
    expect(&b, BEST_BY_PROBE, 0.41, 70, 0);
}

// A resumed run evaluates once more where it begins.
Test(best, the_same_evaluation_again_is_no_other)
{
    struct best b;
    best_init(&b);
    cr_expect(best_add(&b, 10, 0.5, NAN));
    cr_expect(best_add(&b, 10, 0.5, NAN), "it is still the best");
    expect(&b, BEST_BY_PROBE, 0.5, 10, 0);
    cr_expect(!best_add(&b, 20, 0.4, NAN));
    cr_expect(!best_add(&b, 20, 0.4, NAN));
    expect(&b, BEST_BY_PROBE, 0.5, 10, 1);
}

Test(best, state_as_a_word)
{
    struct best b, c;
    struct error e;
    char text[BEST_STATE];
    best_init(&b);
    best_export(&b, text);
    cr_expect_str_eq(text, "");
    cr_expect(best_import(&c, text, &e) == 0 && c.step == -1 && c.last == -1);
    best_add(&b, 30, 1.0 / 3, NAN);
    best_add(&b, 40, 0.1, NAN);
    best_export(&b, text);
    cr_assert(best_import(&c, text, &e) == 0, "%s", text);
    expect(&c, BEST_BY_PROBE, 1.0 / 3, 30, 1);
    cr_expect_eq(c.last, 40);
    static const char *const bad[] = {
        "probe",           "probe:0.5:1:0",     "probe:0.5:1:0:2:", "guess:0.5:1:0:2",
        "probe:1.5:1:0:2", "probe:nan:1:0:2",   "probe:0.5:-1:0:2", "probe:0.5:1:-1:2",
        "probe:0.5:3:0:2", "probe:0.5:1:0:2 x", ":0.5:1:0:2",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(best_import(&c, bad[i], &e) < 0, "%s", bad[i]);
}

// ---------------------------------------------------------------- whole runs

// Evaluations of this run that say so, in order, from its log: steps of gains.
static int gains(const struct lab *lab, const char *name, int64_t every, int64_t steps,
                 int64_t *gain, const char *by)
{
    json_t *log = lab_log(lab, name);
    double best = -1;
    int64_t best_step = -1, age = 0;
    int n = 0;
    for (int64_t t = 0; t <= steps; t += every) {
        char key[32];
        snprintf(key, sizeof key, "eval/%ld", (long)t);
        json_t *eval = json_object_get(log, key), *b = json_object_get(eval, "best");
        cr_assert(eval, "%s of %s", key, name);
        json_t *value = json_object_get(eval, by);
        if (value && json_number_value(value) > best) {
            best = json_number_value(value);
            best_step = t;
            age = 0;
            gain[n++] = t;
        } else {
            age++;
        }
        if (best_step < 0) {
            cr_expect_null(b, "%s", key);
            continue;
        }
        cr_expect(json_number_value(json_object_get(b, "value")) == best, "%s of %s", key, name);
        cr_expect_eq(json_integer_value(json_object_get(b, "step")), best_step);
        cr_expect_eq(json_integer_value(json_object_get(b, "age")), age);
        cr_expect_str_eq(json_string_value(json_object_get(b, "by")), by);
    }
    json_decref(log);
    return n;
}

static int64_t kept(const struct lab *lab, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", lab->dir, name);
    return rundir_best(path);
}

Test(best, is_kept_and_known_after_a_kill, .timeout = 300)
{
    struct lab lab;
    int64_t gain[32];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "100", "--lr", "4", "--eval-every", "10", "--name",
                  "whole") == 0,
              "%s", lab_text(lab.out));
    int n = gains(&lab, "whole", 10, 100, gain, "probe");
    cr_assert(n > 1, "there is something to lose");
    cr_expect_eq(kept(&lab, "whole"), gain[n - 1]);
    // Killed between two evaluations, and gone on with from a checkpoint before the newest best.
    pid_t pid =
        START(&lab, TINY, "--steps", "100", "--lr", "4", "--eval-every", "10", "--name", "parts",
              "--checkpoint-every", "15", "--guard", "loss < 9 for 35 steps: pause");
    lab_ready(&lab, "parts", pid);
    lab_until_paused(&lab, "parts");
    cr_assert(lab_say(&lab, "parts", "checkpoint").ok); // the log is on disk too
    kill(pid, SIGKILL);
    cr_assert(lab_wait(pid) == 1000 + SIGKILL);
    cr_assert(RUN(&lab, "--resume", "parts", "--from", "15") == 0, "%s", lab_text(lab.out));
    lab_same(&lab, "whole", "parts");
    int64_t again[32];
    cr_expect_eq(gains(&lab, "parts", 10, 100, again, "probe"), n);
    cr_expect(memcmp(gain, again, (size_t)n * sizeof *gain) == 0);
    cr_expect_eq(kept(&lab, "parts"), gain[n - 1]);
    // Stopped and gone on with: the evaluation that a stop makes is none of these.
    cr_assert(RUN(&lab, TINY, "--steps", "100", "--lr", "4", "--eval-every", "10", "--name",
                  "stopped", "--stop-at", "33") == 0);
    cr_assert(RUN(&lab, "--resume", "stopped") == 0, "%s", lab_text(lab.out));
    cr_expect_eq(gains(&lab, "stopped", 10, 100, again, "probe"), n);
    cr_expect(memcmp(gain, again, (size_t)n * sizeof *gain) == 0);
    // The same network, however it came about.
    char a[200], b[200];
    struct checkpoint x, y;
    struct error e = {""};
    snprintf(a, sizeof a, "%s/whole/" CHECKPOINT_BEST, lab.dir);
    snprintf(b, sizeof b, "%s/parts/" CHECKPOINT_BEST, lab.dir);
    cr_assert(checkpoint_read(a, &x, &e) == 0 && checkpoint_read(b, &y, &e) == 0, "%s", e.text);
    cr_expect_str_eq(x.best, y.best);
    cr_expect_eq(x.step, y.step);
    checkpoint_free(&x);
    checkpoint_free(&y);
    lab_close(&lab);
}

Test(best, steered_another_way_it_keeps_no_network_of_the_old, .timeout = 300)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "100000", "--stop-at", "40", "--checkpoint-every", "10",
                  "--eval-every", "40", "--keep", "9", "--name", "a") == 0,
              "%s", lab_text(lab.out));
    // Whichever of the two was better: say that it was the one at 40.
    int64_t was = kept(&lab, "a");
    cr_assert(was == 0 || was == 40);
    char run[160], best[200], last[200];
    snprintf(run, sizeof run, "%s/a", lab.dir);
    snprintf(best, sizeof best, "%s/" CHECKPOINT_BEST, run);
    snprintf(last, sizeof last, "%s/ckpt-40.safetensors", run);
    cr_assert(rundir_link_best(run, 40) == 0 && kept(&lab, "a") == 40);
    cr_assert(rundir_link_best(run, 40) == 0, "again is fine");
    cr_assert(rundir_link_best(run, 41) < 0 && kept(&lab, "a") == 40);
    rundir_drop_after(run, 40);
    cr_expect_eq(kept(&lab, "a"), 40);
    pid_t pid = START(&lab, "--resume", "a", "--from", "10");
    lab_ready(&lab, "a", pid);
    cr_assert(lab_say(&lab, "a", "pause").ok);
    lab_until_paused(&lab, "a");
    struct answer now = lab_say(&lab, "a", "status");
    cr_assert(now.ok);
    cr_assert(lab_say(&lab, "a", "mode continual").ok);
    // Paused before step 40 it is gone with the checkpoints of the old course; paused later it was
    // come by before.
    if (now.step < 40)
        cr_expect(kept(&lab, "a") < 40, "%ld", (long)kept(&lab, "a"));
    cr_assert(lab_say(&lab, "a", "stop").ok);
    cr_assert(lab_wait(pid) == 0);
    lab_close(&lab);
}

Test(best, is_named_by_word_and_by_step, .timeout = 300)
{
    struct lab lab;
    struct error e = {""};
    char path[300], want[300];
    lab_open(&lab);
    cr_assert(
        RUN(&lab, TINY, "--steps", "40", "--keep", "1", "--eval-every", "10", "--name", "a") == 0,
        "%s", lab_text(lab.out));
    int64_t best = kept(&lab, "a");
    cr_assert(best >= 0);
    snprintf(want, sizeof want, "%s/a/" CHECKPOINT_BEST, lab.dir);
    cr_assert(embed_find(lab.dir, "a", "best", path, sizeof path, &e) == 0, "%s", e.text);
    cr_expect_str_eq(path, want);
    for (int i = 0; i < 2; i++) {
        snprintf(want, sizeof want, "%s/a/ckpt-40.safetensors", lab.dir);
        cr_assert(embed_find(lab.dir, "a", i ? "last" : NULL, path, sizeof path, &e) == 0);
        cr_expect_str_eq(path, want);
    }
    char word[32];
    snprintf(word, sizeof word, "%ld", (long)best);
    cr_assert(embed_find(lab.dir, "a", word, path, sizeof path, &e) == 0, "%s", e.text);
    cr_expect(embed_find(lab.dir, "a", "39", path, sizeof path, &e) < 0);
    cr_expect_not_null(strstr(e.text, "no checkpoint of step 39"));
    cr_expect(embed_check_which("best", &e) == 0 && embed_check_which("7", &e) == 0);
    static const char *const bad[] = {"", "first", "-1", "1x"};
    for (size_t i = 0; i < 4; i++)
        cr_expect(embed_check_which(bad[i], &e) < 0, "%s", bad[i]);
    // A branch from it, though its own checkpoint is pruned.
    cr_assert(RUN(&lab, "--resume", "a", "--from", word, "--name", "b", "--steps", "44") == 0, "%s",
              lab_text(lab.out));
    // A run without labels and without a calibration has none.
    cr_assert(RUN(&lab, TINY, "--probe", "off", "--calibration", "off", "--steps", "4", "--name",
                  "c") == 0);
    cr_expect_eq(kept(&lab, "c"), -1);
    cr_expect(embed_find(lab.dir, "c", "best", path, sizeof path, &e) < 0);
    cr_expect_not_null(strstr(e.text, "no best network"), "%s", e.text);
    lab_close(&lab);
}

// ---------------------------------------------------------------- by forecast, and the guard

static void write_calibration(const char *path)
{
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    fprintf(f,
            "{\"version\":2,\"data\":\"synthetic:128\",\"arch\":\"resnet18\",\"method\":"
            "\"simsiam\",\"logit_accuracy\":{\"constant\":2.2,\"auc\":-2.2},\"live_offset\":0.03,"
            "\"logit_quantile\":0.3,\"r2\":0.9,\"r2_left_out\":0.8,\"error_points\":2,"
            "\"error_points_live\":3,\"range\":{\"auc\":[0.3,1],\"loss\":[-1,1],\"zstd\":[0.1,"
            "1.4],\"width\":[4,8],\"accuracy\":[0.5,0.9]},\"evaluations\":9,\"collapsed\":1,"
            "\"runs\":[\"x\"]}\n");
    cr_assert(fclose(f) == 0);
}

Test(best, by_forecast_where_nothing_is_measured, .timeout = 300)
{
    struct lab lab;
    int64_t gain[32];
    char file[128];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    write_calibration(file);
    cr_assert(RUN(&lab, TINY, "--probe", "off", "--calibration", file, "--steps", "60",
                  "--eval-every", "10", "--name", "a") == 0,
              "%s", lab_text(lab.out));
    int n = gains(&lab, "a", 10, 60, gain, "forecast");
    cr_assert(n >= 1);
    cr_expect_eq(kept(&lab, "a"), gain[n - 1]);
    lab_close(&lab);
}

Test(best, a_guard_stops_where_nothing_is_gained, .timeout = 300)
{
    struct lab lab;
    int64_t gain[64];
    lab_open(&lab);
    // No guard, no stop: that a run of lr 0 gains nothing is said and nothing else.
    cr_assert(RUN(&lab, TINY, "--lr", "0", "--steps", "60", "--eval-every", "10", "--name", "on") ==
              0);
    int n = gains(&lab, "on", 10, 60, gain, "probe");
    cr_assert(n >= 1);
    cr_assert(RUN(&lab, TINY, "--lr", "0", "--steps", "400", "--eval-every", "10", "--guard",
                  "best_age >= 2: stop", "--name", "off") == 0,
              "%s", lab_text(lab.out));
    int64_t stop = lab_event(&lab, "off", "stop", "guard");
    // Two evaluations after a gain; the step that comes then is the last.
    cr_expect(stop >= 21 && stop % 10 == 1 && stop < 400, "%ld", (long)stop);
    cr_assert(RUN(&lab, TINY, "--lr", "0", "--steps", "40", "--calibration", "off", "--guard",
                  "forecast > 0: stop; forecast <= 0: stop", "--name", "none") == 0);
    cr_expect_eq(lab_event(&lab, "none", "stop", "guard"), -1, "what is not there is false");
    lab_close(&lab);
}
