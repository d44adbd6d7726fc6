// Whole trainings, from options to exit code: what is logged, how they are steered, what they
// refuse.
#include <criterion/criterion.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "metrics/science/views.h"
#include "tests/kit/runs.h"
#include "train/run/runs.h"
#include "train/run/trainer.h"
#include "train/store/safetensors.h"

static int count(const json_t *log, const char *prefix, const char *suffix)
{
    const char *key;
    json_t *value;
    int n = 0;
    json_object_foreach((json_t *)log, key, value)
    {
        size_t a = strlen(key), b = strlen(suffix);
        n +=
            strncmp(key, prefix, strlen(prefix)) == 0 && a >= b && strcmp(key + a - b, suffix) == 0;
    }
    return n;
}

static double number(const json_t *log, const char *key, const char *field)
{
    return json_number_value(json_object_get(json_object_get(log, key), field));
}

Test(trainer, records)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(
        RUN(&lab, TINY, "--steps", "40", "--lr", "1", "--eval-every", "1000", "--name", "a") == 0,
        "%s", lab_text(lab.out));
    json_t *log = lab_log(&lab, "a");
    cr_assert(count(log, "step/", "") == 40);
    cr_assert(count(log, "spectrum/", "live") == 40);
    cr_assert(count(log, "spectrum/", "exact") == 2);
    cr_assert(count(log, "eval/", "") == 2);
    cr_assert(json_object_get(log, "eval/0") && json_object_get(log, "eval/40"));
    for (int t = 0; t < 40; t++) {
        char key[32];
        snprintf(key, sizeof key, "step/%d", t);
        double loss = number(log, key, "loss"), auc = number(log, key, "auc");
        cr_assert(loss >= -1 && loss <= 1);
        cr_assert(auc > 0.5 && auc <= 1);
        double peak = 1.0 * 8 / 256, want = peak * 0.5 * (1 + cos(M_PI * t / 40));
        cr_assert(number(log, key, "lr") == want);
        cr_assert(number(log, key, "lr_pred") == peak);
        snprintf(key, sizeof key, "spectrum/%d/live", t);
        json_t *sigma = json_object_get(json_object_get(log, key), "sigma");
        cr_assert(json_array_size(sigma) == 32);
        for (size_t i = 1; i < 32; i++)
            cr_assert(json_number_value(json_array_get(sigma, i)) <=
                      json_number_value(json_array_get(sigma, i - 1)));
    }
    json_decref(log);
    cr_assert(lab_exists(&lab, "a/ckpt-40.safetensors"));
    cr_assert(lab_exists(&lab, "a/config.ini") && lab_exists(&lab, "a/trainer.log"));
    cr_assert(!lab_exists(&lab, "a/control"));
    lab_says(&lab, "finished at step 40");
    lab_close(&lab);
}

Test(trainer, same_seed_same_run)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "30", "--schedule", "hybrid", "--name", "a") == 0);
    cr_assert(RUN(&lab, TINY, "--steps", "30", "--schedule", "hybrid", "--name", "b") == 0);
    lab_same(&lab, "a", "b");
    cr_assert(lab_event(&lab, "a", "mode", "plan") == 12);
    cr_assert(RUN(&lab, TINY, "--steps", "30", "--schedule", "hybrid", "--seed", "2", "--name",
                  "c") == 0);
    json_t *a = lab_log(&lab, "a"), *c = lab_log(&lab, "c");
    cr_assert(number(a, "step/5", "loss") != number(c, "step/5", "loss"));
    json_decref(a);
    json_decref(c);
    lab_close(&lab);
}

// Asked for where one is due it is the one that was due: a run that goes on from there, or is
// repeated, counts the same as the best and its age.
Test(trainer, an_evaluation_that_is_asked_for_where_one_is_due, .timeout = 120)
{
    enum { DUE = 40 };
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "80", "--eval-every", "40", "--name", "s");
    lab_ready(&lab, "s", pid);
    int64_t at = lab_say(&lab, "s", "pause").step;
    lab_until_paused(&lab, "s");
    cr_assert(at < DUE, "%ld", (long)at);
    for (; at < DUE; at++) {
        cr_assert(lab_say(&lab, "s", "step").ok);
        lab_until_paused(&lab, "s");
    }
    cr_assert(lab_say(&lab, "s", "eval").ok && lab_say(&lab, "s", "stop").ok);
    cr_assert_eq(lab_wait(pid), 0);
    cr_assert(RUN(&lab, "--resume", "s") == 0, "%s", lab_text(lab.out));
    cr_assert(RUN(&lab, "--rerun", "s", "--name", "again") == 0, "%s", lab_text(lab.out));
    lab_same(&lab, "s", "again");
    lab_close(&lab);
}

// A pager that stays at its first page: the training neither stands still nor goes deaf.
Test(trainer, goes_on_where_nobody_reads_its_lines, .timeout = 120)
{
    static const char block[4096];
    struct lab lab;
    int ends[2];
    const char *program = getenv("SSLTOP");
    lab_open(&lab);
    cr_assert(program && pipe(ends) == 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], block, sizeof block) > 0)
        continue;
    while (write(ends[1], block, 1) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    char *said = malloc(4096);
    cr_assert(read(ends[0], said, 4096) == 4096); // room for how it begins
    free(said);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execl(program, program, "train", "--headless", "--runs", lab.dir, TINY, "--steps",
              "1000000", "--eval-every", "5", "--name", "unread", (char *)NULL);
        _exit(127);
    }
    lab_ready(&lab, "unread", pid);
    lab_until_step(&lab, "unread", 300);
    cr_assert_eq(kill(pid, SIGTERM), 0);
    cr_expect_eq(lab_wait(pid), 143);
    close(ends[0]);
    close(ends[1]);
    lab_close(&lab);
}

// A steered run: commands while paused, so that the steps from which they hold are known.
static void steer(struct lab *lab, const char *name)
{
    pid_t pid = START(lab, TINY, "--steps", "100000", "--name", name);
    lab_ready(lab, name, pid);
    // A switch that holds from the first step is no event of a repetition, which begins with it.
    lab_until_step(lab, name, 1);
    struct answer a = lab_say(lab, name, "pause");
    int64_t at = a.step;
    cr_assert(a.ok && at > 0);
    lab_until_paused(lab, name);
    cr_assert(lab_say(lab, name, "status").step == at);
    cr_assert(!lab_say(lab, name, "pause").ok);

    a = lab_say(lab, name, "mode continual");
    cr_assert(a.ok && a.step == at, "%s", a.text);
    cr_assert(!lab_say(lab, name, "mode continual").ok);
    a = lab_say(lab, name, "step");
    cr_assert(a.ok && a.step == at);
    lab_until_paused(lab, name);
    cr_assert(lab_say(lab, name, "status").step == at + 1, "exactly one step");

    a = lab_say(lab, name, "lr 0.5x");
    cr_assert(a.ok && a.step == at + 1);
    char until[64];
    snprintf(until, sizeof until, "until %ld then cumulative@4", (long)at + 20);
    a = lab_say(lab, name, until);
    cr_assert(a.ok && a.step == at + 20, "%s", a.text);
    cr_assert(!lab_say(lab, name, "until 0 then cumulative").ok);
    a = lab_say(lab, name, "mode cumulative@100");
    cr_assert(!a.ok && strstr(a.text, "at most 16"), "%s", a.text);
    cr_assert(lab_say(lab, name, "eval").ok);
    cr_assert(lab_say(lab, name, "checkpoint").ok);
    cr_assert(lab_say(lab, name, "resume").ok);
    cr_assert(!lab_say(lab, name, "resume").ok);
    cr_assert(!lab_say(lab, name, "step").ok);
    lab_until_step(lab, name, at + 30);
    cr_assert(lab_say(lab, name, "stop").ok);
    cr_assert(lab_wait(pid) == 0);

    json_t *log = lab_log(lab, name);
    char key[40];
    snprintf(key, sizeof key, "step/%ld", (long)at);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(log, key), "mode")),
                     "continual");
    cr_assert(json_integer_value(json_object_get(json_object_get(log, key), "chunk")) == 0);
    double full = number(log, key, "lr_pred");
    snprintf(key, sizeof key, "step/%ld", (long)at + 1);
    cr_assert(number(log, key, "lr_pred") == 0.5 * full);
    snprintf(key, sizeof key, "step/%ld", (long)at + 20);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(log, key), "mode")),
                     "cumulative");
    json_decref(log);
    cr_assert(lab_event(lab, name, "mode", "ctl") == at);
    cr_assert(lab_event(lab, name, "mode", "plan") == at + 20);
    cr_assert(lab_event(lab, name, "lr", "ctl") == at + 1);
    static const char *const each[] = {"pause",      "resume", "step", "eval",
                                       "checkpoint", "stop",   "until"};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        cr_assert(lab_event(lab, name, each[i], "ctl") >= 0, "no event for %s", each[i]);
}

Test(trainer, steering_is_repeated_exactly)
{
    struct lab lab;
    lab_open(&lab);
    steer(&lab, "s");
    cr_assert(RUN(&lab, "--rerun", "s", "--name", "again") == 0, "%s", lab_text(lab.out));
    lab_same(&lab, "s", "again");
    cr_assert(lab_event(&lab, "again", "mode", "ctl") == lab_event(&lab, "s", "mode", "ctl"));
    cr_assert(lab_event(&lab, "again", "mode", "plan") == lab_event(&lab, "s", "mode", "plan"));
    lab_close(&lab);
}

Test(trainer, switch_survives_a_kill)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "100000", "--name", "k");
    lab_ready(&lab, "k", pid);
    lab_until_step(&lab, "k", 3);
    struct answer mode = lab_say(&lab, "k", "mode continual"), lr = lab_say(&lab, "k", "lr 0.25");
    kill(pid, SIGKILL);
    cr_assert(mode.ok && lr.ok);
    cr_assert(lab_wait(pid) == 1000 + SIGKILL);
    cr_assert(lab_event(&lab, "k", "mode", "ctl") == mode.step);
    char stop[32], key[32];
    snprintf(stop, sizeof stop, "%ld", (long)mode.step + 10);
    cr_assert(RUN(&lab, "--resume", "k", "--stop-at", stop) == 0, "%s", lab_text(lab.out));
    json_t *log = lab_log(&lab, "k");
    for (int64_t t = mode.step - 1; t <= mode.step; t++) {
        snprintf(key, sizeof key, "step/%ld", (long)t);
        cr_assert_str_eq(json_string_value(json_object_get(json_object_get(log, key), "mode")),
                         t < mode.step ? "multi-epoch" : "continual");
    }
    snprintf(key, sizeof key, "step/%ld", (long)lr.step);
    double slow = number(log, key, "lr_pred");
    cr_assert(slow == 0.25 * number(log, "step/0", "lr_pred"));
    json_decref(log);
    cr_assert(RUN(&lab, "--rerun", "k", "--name", "again") == 0);
    lab_same(&lab, "k", "again");
    lab_close(&lab);
}

Test(trainer, branches)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "60", "--checkpoint-every", "10", "--keep", "9", "--name",
                  "a") == 0);
    cr_assert(RUN(&lab, "--resume", "a", "--from", "20", "--name", "same") == 0, "%s",
              lab_text(lab.out));
    cr_assert(RUN(&lab, "--resume", "a", "--from", "20", "--name", "other", "--schedule",
                  "cumulative") == 0);
    json_t *a = lab_log(&lab, "a"), *same = lab_log(&lab, "same"), *other = lab_log(&lab, "other");
    cr_assert(json_object_get(same, "step/19") == NULL);
    for (int t = 20; t < 60; t++) {
        char key[32];
        snprintf(key, sizeof key, "step/%d", t);
        cr_assert(json_equal(json_object_get(a, key), json_object_get(same, key)), "%s", key);
    }
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(other, "step/20"), "mode")),
                     "cumulative");
    cr_assert(number(a, "step/21", "loss") != number(other, "step/21", "loss"));
    json_decref(a);
    json_decref(same);
    json_decref(other);
    cr_assert(lab_event(&lab, "other", "mode", "plan") == 20);
    // A branch stands by itself: it is repeated from the checkpoint that it began with.
    cr_assert(RUN(&lab, "--rerun", "other", "--name", "other2") == 0, "%s", lab_text(lab.out));
    lab_same(&lab, "other", "other2");
    cr_assert(RUN(&lab, "--resume", "a", "--from", "21", "--name", "no") != 0);
    lab_says(&lab, "has no checkpoint of step 21; there are 10, 20");
    cr_assert(!lab_exists(&lab, "no"));
    lab_close(&lab);
}

Test(trainer, starts_from_a_file)
{
    struct lab lab;
    char file[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "20", "--name", "a") == 0);
    snprintf(file, sizeof file, "%s/a/ckpt-20.safetensors", lab.dir);
    cr_assert(RUN(&lab, TINY, "--steps", "20", "--init", file, "--name", "b") == 0, "%s",
              lab_text(lab.out));
    cr_assert(RUN(&lab, TINY, "--steps", "20", "--init", file, "--name", "b2") == 0);
    lab_same(&lab, "b", "b2");
    json_t *a = lab_log(&lab, "a"), *b = lab_log(&lab, "b");
    // The same parameters give the same exact spectrum.
    cr_assert(number(a, "eval/20", "auc") == number(b, "eval/0", "auc"));
    cr_assert(number(a, "eval/0", "auc") != number(b, "eval/0", "auc"));
    json_decref(a);
    json_decref(b);
    cr_assert(RUN(&lab, TINY, "--width", "8", "--steps", "20", "--init", file, "--name", "c") == 1);
    lab_says(&lab,
             "encoder.conv1.weight has the shape [4, 1, 3, 3], the network needs [8, 1, 3, 3]");
    cr_assert(RUN(&lab, "--rerun", "b", "--name", "b3") == 0);
    lab_same(&lab, "b", "b3");
    lab_close(&lab);
}

Test(trainer, guard_switches_and_is_resumed)
{
    // Uniformity is of one step in 16: what it said last counts in the others, resumed or not.
    static const char rule[] = "loss < 2 for 5 steps: cumulative; auc > 0.1 for 9 steps: lr 0.5x; "
                               "uniformity < 0 for 12 steps: multi-epoch";
    struct lab lab;
    lab_open(&lab);
    // What steps say of images depends on the last evaluation, nothing else on any.
    cr_assert(RUN(&lab, TINY, "--steps", "60", "--chunks", "4", "--guard", rule, "--surrogates",
                  "off", "--name", "a") == 0);
    cr_assert(lab_event(&lab, "a", "mode", "guard") == 13);
    cr_assert(lab_event(&lab, "a", "lr", "guard") == 9);
    cr_assert(RUN(&lab, TINY, "--steps", "60", "--chunks", "4", "--guard", rule, "--stop-at", "7",
                  "--surrogates", "off", "--eval-every", "60", "--name", "b") == 0);
    cr_assert(RUN(&lab, "--resume", "b") == 0, "%s", lab_text(lab.out));
    json_t *a = lab_log(&lab, "a"), *b = lab_log(&lab, "b");
    for (int t = 0; t < 60; t++) {
        char key[32];
        snprintf(key, sizeof key, "step/%d", t);
        const json_t *of = json_object_get(a, key);
        cr_assert_eq(json_is_number(json_object_get(of, "uniformity")), t % VIEWS_EVERY == 0);
        cr_assert_eq(json_is_number(json_object_get(of, "rankme_raw")), t % VIEWS_EVERY == 0);
        cr_assert_str_eq(json_string_value(json_object_get(of, "mode")),
                         t > 5 && t < 13 ? "cumulative" : "multi-epoch", "%s", key);
        cr_assert(json_equal(json_object_get(a, key), json_object_get(b, key)), "%s", key);
    }
    json_decref(a);
    json_decref(b);
    pid_t pid = START(&lab, TINY, "--steps", "100000", "--guard", "loss < 2 for 5 steps: pause",
                      "--name", "p");
    lab_ready(&lab, "p", pid);
    lab_until_paused(&lab, "p");
    int64_t at = lab_say(&lab, "p", "status").step;
    cr_assert(at == lab_event(&lab, "p", "pause", "guard") && at <= 6);
    cr_assert(lab_say(&lab, "p", "stop").ok);
    cr_assert(lab_wait(pid) == 0);
    lab_close(&lab);
}

Test(trainer, pauses_where_the_loss_is_not_finite)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "100", "--lr", "1000000", "--wd", "1000", "--name",
                      "n", "--on-nan", "pause");
    lab_ready(&lab, "n", pid);
    lab_until_paused(&lab, "n");
    struct answer a = lab_say(&lab, "n", "status");
    cr_assert(strstr(a.text, "not finite") != NULL, "%s", a.text);
    cr_assert(!lab_say(&lab, "n", "resume").ok);
    cr_assert(!lab_say(&lab, "n", "checkpoint").ok);
    cr_assert(!lab_say(&lab, "n", "mode continual").ok);
    cr_assert(lab_say(&lab, "n", "stop").ok);
    cr_assert(lab_wait(pid) == 1);
    cr_assert(lab_event(&lab, "n", "pause", "trainer") == a.step);
    char file[64], log[128];
    snprintf(file, sizeof file, "n/ckpt-%ld.safetensors", (long)a.step + 1);
    cr_assert(!lab_exists(&lab, file));
    snprintf(log, sizeof log, "%s/n/trainer.log", lab.dir);
    char *text = lab_text(log);
    cr_assert(strstr(text, "not finite") != NULL);
    free(text);
    lab_close(&lab);
}

// Nobody watches a headless training: it ends, with what was good before.
Test(trainer, ends_where_the_loss_is_not_finite)
{
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "100", "--lr", "1000000", "--wd", "1000", "--name", "n",
                  "--checkpoint-every", "1") == 1);
    lab_says(&lab, "not finite; branch: --resume n --from ");
    lab_says(&lab, "failed at step");
    cr_assert(lab_exists(&lab, "n/ckpt-1.safetensors"));
    cr_assert(lab_event(&lab, "n", "stop", "trainer") >= 1);
    cr_assert(lab_event(&lab, "n", "pause", "trainer") == -1);
    cr_assert(RUN(&lab, "--resume", "n", "--from", "1", "--name", "b", "--lr", "0", "--wd", "0",
                  "--stop-at", "2") == 0,
              "%s", lab_text(lab.out));
    lab_close(&lab);
}

// A copy of the parameters in `from` with one tensor a thousand million million million times as
// large.
static void enlarge(const char *from, const char *to, const char *name)
{
    struct safetensors *f;
    struct error e = {{0}};
    cr_assert(safetensors_open(from, &f, &e) == 0, "%s", e.text);
    size_t n = 0, all = safetensors_count(f);
    struct tensor_source *s = calloc(all, sizeof *s);
    for (size_t i = 0; i < all; i++) {
        const struct tensor *t = safetensors_at(f, i);
        if (t->dtype != DTYPE_F32 || strncmp(t->name, "optim.", 6) == 0)
            continue;
        float *v = malloc(t->count * sizeof *v);
        cr_assert(safetensors_floats(f, t, v, t->count, &e) == 0, "%s", e.text);
        for (size_t k = 0; k < t->count; k++)
            v[k] *= strcmp(t->name, name) == 0 ? 1e21f : 1;
        s[n] = (struct tensor_source){.dtype = t->dtype, .ndim = t->ndim, .data = v};
        snprintf(s[n].name, sizeof s[n].name, "%s", t->name);
        memcpy(s[n++].dim, t->dim, sizeof t->dim);
    }
    FILE *out = fopen(to, "w");
    cr_assert(safetensors_write(out, s, n, NULL, 0, NULL, NULL, &e) == 0, "%s", e.text);
    cr_assert(fclose(out) == 0);
    while (n-- > 0)
        free((void *)s[n].data);
    free(s);
    safetensors_close(f);
}

// The variance of large features is no float while the loss is sound still.
Test(trainer, ends_where_a_checkpoint_is_not_finite)
{
    static const char *const on_nan[] = {"stop", "pause"};
    struct lab lab;
    char from[128], to[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "1", "--name", "a") == 0);
    snprintf(from, sizeof from, "%s/a/ckpt-1.safetensors", lab.dir);
    snprintf(to, sizeof to, "%s/large", lab.dir);
    enlarge(from, to, "encoder.fc.0.weight");
    for (int i = 0; i < 2; i++) {
        const char *name = on_nan[i];
        pid_t pid = START(&lab, TINY, "--steps", "100", "--init", to, "--checkpoint-every", "1",
                          "--name", name, "--on-nan", name);
        if (i == 1) {
            lab_ready(&lab, name, pid);
            lab_until_paused(&lab, name);
            cr_assert(lab_say(&lab, name, "stop").ok);
        }
        cr_assert(lab_wait(pid) == 1);
        lab_says(&lab, "the state before step 1 is not finite; ");
        lab_says(&lab, "--from 0");
        cr_assert(lab_event(&lab, name, name, "trainer") == 1);
    }
    lab_close(&lab);
}

// What is printed goes to no file that would take the place of a closed standard output.
Test(trainer, starts_without_standard_descriptors)
{
    struct lab lab;
    char command[512], path[128];
    const char *program = getenv("SSLTOP");
    lab_open(&lab);
    cr_assert_not_null(program);
    snprintf(command, sizeof command,
             "%s train --headless --data synthetic:64 --width 4 --batch 8 --threads 1 --steps 3 "
             "--name a --runs %s <&- >&- 2>&-",
             program, lab.dir);
    cr_assert(WIFEXITED(system(command))); // 1: what it had to say is lost
    static const char *const file[] = {"lock", "trainer.log", "config.ini", "run.jsonl.zst"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/a/%s", lab.dir, file[i]);
        char *text = lab_text(path);
        cr_expect(!strstr(text, "img/s") && !strstr(text, "parameters, "), "%s: %s", file[i], text);
        free(text);
    }
    json_t *log = lab_log(&lab, "a");
    cr_expect_eq(count(log, "step/", ""), 3);
    json_decref(log);
    lab_close(&lab);
}

// Not headless: progress and then the folder through a pipe; the terminal is left alone, and
// hanging up does not end it.
Test(trainer, tells_who_started_it)
{
    struct lab lab;
    char line[512], path[128];
    int ends[2], progress = 0;
    lab_open(&lab);
    cr_assert(pipe(ends) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        char *argv[] = {"train", "--runs", lab.dir, TINY, "--steps", "100000", "--name", "r"};
        unsigned char given[256];
        struct options o;
        close(ends[0]);
        if (options_parse(&o, NULL, (int)(sizeof argv / sizeof *argv), argv, given, NULL) < 0)
            _exit(2);
        _exit(trainer_main(&o, given, ends[1], NULL));
    }
    close(ends[1]);
    FILE *f = fdopen(ends[0], "r");
    cr_assert(f != NULL);
    while (fgets(line, sizeof line, f) && line[0] == '#')
        progress++;
    cr_assert(progress > 0);
    snprintf(path, sizeof path, "%s/r\n", lab.dir);
    cr_assert_str_eq(line, path);
    cr_assert(fgetc(f) == EOF, "it is closed then");
    fclose(f);
    kill(pid, SIGHUP);
    lab_ready(&lab, "r", pid);
    lab_until_step(&lab, "r", 2);
    char name[64], target[256];
    for (int fd = 0; fd < 3; fd++) {
        snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)pid, fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        cr_assert(n > 0);
        target[n] = '\0';
        cr_assert(strstr(target, fd ? "/r/trainer.log" : "/dev/null"), "%d is %s", fd, target);
    }
    cr_assert(lab_say(&lab, "r", "stop").ok);
    cr_assert(lab_wait(pid) == 0);
    lab_close(&lab);
}

static long ticks(pid_t pid)
{
    char path[64];
    long user = -1, sys = -1;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    char *text = lab_text(path), *at = strrchr(text, ')');
    cr_assert(at && sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
                           &sys) == 2);
    free(text);
    return user + sys;
}

// The promise is about five seconds, so the test waits for them. What was trained before the pause
// is compressed and flushed within a second of it: that second is not the pause's.
Test(trainer, uses_no_time_while_paused)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "100000", "--name", "p");
    lab_ready(&lab, "p", pid);
    cr_assert(lab_say(&lab, "p", "pause").ok);
    lab_until_paused(&lab, "p");
    poll(NULL, 0, 1100);
    long before = ticks(pid);
    poll(NULL, 0, 5000);
    double used = (double)(ticks(pid) - before) / (double)sysconf(_SC_CLK_TCK);
    cr_assert(used < 0.05, "%.2f s of the processor in 5 s", used);
    cr_assert(lab_say(&lab, "p", "stop").ok);
    cr_assert(lab_wait(pid) == 0);
    lab_close(&lab);
}

Test(trainer, goes_on_when_the_disk_is_full)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = lab_start(&lab, 16384,
                          (const char *const[]){TINY, "--steps", "120", "--name", "full", NULL});
    cr_assert(lab_wait(pid) == 1, "%s", lab_text(lab.out));
    lab_says(&lab, "failed at step 120, no last checkpoint: can't write ");
    lab_says(&lab, "no checkpoint: can't write ");
    cr_assert(!lab_exists(&lab, "full/ckpt-120.safetensors"));
    cr_assert(!lab_exists(&lab, "full/ckpt-120.safetensors.part"));
    char log[128];
    snprintf(log, sizeof log, "%s/full/trainer.log", lab.dir);
    char *text = lab_text(log);
    cr_assert(strstr(text, "can't write") != NULL);
    free(text);
    // What was written before is whole: it can be resumed.
    cr_assert(RUN(&lab, "--resume", "full") == 0, "%s", lab_text(lab.out));
    json_t *all = lab_log(&lab, "full");
    cr_assert(count(all, "step/", "") == 120);
    json_decref(all);
    lab_close(&lab);
}

Test(trainer, refuses_without_a_trace)
{
    static const struct {
        const char *word[5];
        int code;
        const char *says;
    } wrong[] = {
        {{"--batch", "200"}, 2, "batch 200 is larger than the data set (128 images)"},
        {{"--chunks", "17", "--schedule", "continual"}, 2, "at most 16"},
        {{"--data", "idx:/nowhere"}, 1, "/nowhere"},
        {{"--data", "nothing"}, 1, "nothing"},
        {{"--width", "0"}, 2, "--width"},
        {{"--width", "1025"}, 2, "--width"},
        {{"--arch", "vgg"}, 2, "vgg"},
        {{"--method", "moco"}, 2, "moco"},
        {{"--augment", "none2"}, 2, "none2"},
        {{"--guard", "beauty > 1: pause"}, 2, "beauty"},
        {{"--schedule", "sometimes"}, 2, "sometimes"},
        {{"--subset", "0"}, 2, "subset"},
        {{"--colour", "red"}, 2, "--colour"},
        {{"--init", "/nowhere.safetensors"}, 1, "/nowhere.safetensors"},
        {{"--resume", "nothing"}, 1, "nothing"},
        {{"--rerun", "nothing"}, 1, "nothing"},
        {{"--from", "3"}, 2, "--resume"},
        {{"--runs", "/dev/null"}, 1, "/dev/null is not a folder"},
        {{"--runs", "/dev/null/x"}, 1, "/dev/null/x"},
        {{"--runs", "/proc/ssltop"}, 1, "/proc/ssltop"},
    };
    struct lab lab;
    lab_open(&lab);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *word[32] = {TINY, "--name", "x"};
        int n = 12;
        for (int j = 0; wrong[i].word[j]; j++)
            word[n++] = wrong[i].word[j];
        cr_assert(lab_wait(lab_start(&lab, 0, word)) == wrong[i].code, "%s %s: %s",
                  wrong[i].word[0], wrong[i].word[1], lab_text(lab.out));
        lab_says(&lab, wrong[i].says);
        cr_assert(!lab_exists(&lab, "x") && !lab_exists(&lab, ".x.new"));
    }
    lab_close(&lab);
}

Test(trainer, refuses_what_exists_or_is_locked)
{
    struct lab lab;
    char path[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "20", "--stop-at", "5", "--name", "a") == 0);
    cr_assert(RUN(&lab, TINY, "--steps", "20", "--name", "a") == 1);
    lab_says(&lab, "exists already");
    snprintf(path, sizeof path, "%s/a/lock", lab.dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    cr_assert(RUN(&lab, "--resume", "a") == 1);
    lab_says(&lab, "is locked");
    struct runs_info *info;
    int n;
    cr_assert(runs_list(lab.dir, &info, &n, NULL) == 0 && n == 1 && info[0].alive);
    free(info);
    close(fd);
    cr_assert(RUN(&lab, "--resume", "a", "--lr", "7") == 2);
    lab_says(&lab, "--lr was 0.5 in");
    cr_assert(RUN(&lab, "--resume", "a", "--name", "b", "--no-predictor") == 2);
    lab_says(&lab, "--predictor is on in");
    cr_assert(RUN(&lab, "--resume", "a", "--threads", "2") == 2);
    lab_says(&lab, "--inexact allows it");
    cr_assert(RUN(&lab, "--resume", "a", "--threads", "2", "--inexact") == 0, "%s",
              lab_text(lab.out));
    cr_assert(RUN(&lab, "--resume", "a") == 2);
    lab_says(&lab, "is finished");
    cr_assert(runs_list(lab.dir, &info, &n, NULL) == 0 && n == 1);
    cr_assert(!info[0].alive && info[0].step == 19 && info[0].steps == 20);
    cr_assert_str_eq(info[0].state, "finished");
    cr_assert_str_eq(info[0].name, "a");
    free(info);
    char found[256];
    cr_assert(runs_find(lab.dir, "", 0, found, sizeof found, NULL) == 0);
    cr_assert(runs_find(lab.dir, "b", 0, found, sizeof found, NULL) == -1);
    lab_close(&lab);
}
