// Several processes that train together, started by mpirun: they are as one; the same again is the
// same to the last bit; what one is told holds on all; one that dies ends all.
#include <criterion/criterion.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/path.h"
#include "tests/kit/several.h"
#include "train/store/safetensors.h"

// A run of some images, evaluated seldom.
#define SMALL                                                                                      \
    "--data", "synthetic:256", "--width", "4", "--batch", "32", "--threads", "1", "--precision",   \
        "f32", "--eval-images", "64", "--probe-images", "20", "--eval-share", "1"
// So many steps from a network that has trained a little: there rounding stays small.
#define STEPS 20
#define CALM(lab, init)                                                                            \
    SMALL, "--lr", "0.001", "--steps", "20", "--checkpoint-every", "3", "--keep", "20", "--init",  \
        init

static void trained(struct lab *lab, char init[128])
{
    cr_assert(RUN(lab, SMALL, "--steps", "100", "--lr", "0.5", "--name", "base", "--eval-every",
                  "1000") == 0,
              "%s", lab_text(lab->out));
    snprintf(init, 128, "%s/base/ckpt-100.safetensors", lab->dir);
}

static void finish(struct lab *lab, pid_t pid)
{
    int code = lab_wait(pid);
    cr_assert(code == 0, "%d: %s", code, lab_text(lab->out));
}

static double number(json_t *log, const char *type, int step, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%d", type, step);
    json_t *v = json_object_get(json_object_get(log, name), key);
    cr_assert(json_is_number(v), "%s has no %s", name, key);
    return json_number_value(v);
}

static int is_told(json_t *log, int step, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "step/%d", step);
    return json_is_number(json_object_get(json_object_get(log, name), key));
}

// --- as one ---
static void same_losses(const struct lab *lab, const char *a, const char *b)
{
    static const char *const key[] = {"loss", "zstd", "auc", "alignment", "uniformity"};
    enum { EACH = 3 }; // the others are told of some steps
    int told = 0;
    json_t *x = lab_log(lab, a), *y = lab_log(lab, b);
    for (int t = 0; t < STEPS; t++)
        for (size_t k = 0; k < sizeof key / sizeof *key; k++) {
            if (k >= EACH && !is_told(x, t, key[k]) && !is_told(y, t, key[k]))
                continue;
            double want = number(x, "step", t, key[k]), got = number(y, "step", t, key[k]);
            told += k >= EACH;
            cr_expect(fabs(got - want) <= 1e-6 * fabs(want),
                      "%s of step %d is %.9g in %s, not %.9g", key[k], t, got, b, want);
        }
    cr_expect(told > 0, "neither tells of alignment");
    json_decref(x);
    json_decref(y);
}

static float *tensor(struct safetensors *f, const struct tensor *t)
{
    struct error e;
    float *v = malloc((size_t)t->count * sizeof *v);
    cr_assert(v && safetensors_floats(f, t, v, (size_t)t->count, &e) == 0, "%s", t->name);
    return v;
}

// What a running statistic is measured by: the variances of its batch norm, whose squares they are
// where it is one.
static double spread_of(struct safetensors *f, const struct tensor *t)
{
    char name[256];
    const char *at = strstr(t->name, ".running_");
    double sum = 0;
    if (!at)
        return 0;
    snprintf(name, sizeof name, "%.*s.running_var", (int)(at - t->name), t->name);
    float *v = tensor(f, safetensors_find(f, name));
    int is_var = strcmp(name, t->name) == 0;
    for (size_t k = 0; k < t->count; k++)
        sum += is_var ? (double)v[k] * v[k] : v[k];
    free(v);
    return sum;
}

// What three steps added to all parameters together, and how far running statistics are apart.
static void same_updates(const struct lab *lab, const char *init, const char *a, const char *b)
{
    struct safetensors *f[3];
    struct error e;
    double dot = 0, one = 0, other = 0;
    struct path path[3] = {path_of("%s", init), path_of("%s/%s/ckpt-3.safetensors", lab->dir, a),
                           path_of("%s/%s/ckpt-3.safetensors", lab->dir, b)};
    for (int i = 0; i < 3; i++)
        cr_assert(safetensors_open(path[i].s, &f[i], &e) == 0, "%s", e.text);
    for (size_t i = 0; i < safetensors_count(f[1]); i++) {
        const struct tensor *t = safetensors_at(f[1], i);
        const struct tensor *from = safetensors_find(f[0], t->name),
                            *to = safetensors_find(f[2], t->name);
        if (t->dtype != DTYPE_F32 || strncmp(t->name, "optim.", 6) == 0)
            continue;
        cr_assert(from && to, "%s", t->name);
        float *u = tensor(f[0], from), *v = tensor(f[1], t), *w = tensor(f[2], to);
        double off = 0, size = spread_of(f[1], t);
        for (size_t k = 0; k < t->count; k++) {
            double x = (double)v[k] - u[k], y = (double)w[k] - u[k];
            off += (y - x) * (y - x);
            if (!strstr(t->name, ".running_")) {
                dot += x * y;
                one += x * x;
                other += y * y;
            }
        }
        if (strstr(t->name, ".running_"))
            cr_expect(off <= 1e-12 * size, "%s is %.1e apart", t->name, sqrt(off / size));
        free(u);
        free(v);
        free(w);
    }
    cr_expect(dot >= 0.9999 * sqrt(one) * sqrt(other), "the joint update has a cosine of %.6f",
              dot / sqrt(one * other));
    for (int i = 0; i < 3; i++)
        safetensors_close(f[i]);
}

Test(several, two_and_four_are_as_one)
{
    struct lab lab;
    char init[128];
    several_need();
    lab_open(&lab);
    trained(&lab, init);
    cr_assert(RUN(&lab, CALM(&lab, init), "--name", "one") == 0, "%s", lab_text(lab.out));
    for (int n = 2; n <= 4; n += 2) {
        const char *name = n == 2 ? "two" : "four";
        finish(&lab, SEVERAL(&lab, n, CALM(&lab, init), "--name", name));
        same_losses(&lab, "one", name);
        same_updates(&lab, init, "one", name);
    }
    // Statistics of their own make another training.
    finish(&lab, SEVERAL(&lab, 2, CALM(&lab, init), "--no-sync-bn", "--name", "apart"));
    json_t *x = lab_log(&lab, "one"), *y = lab_log(&lab, "apart");
    double want = number(x, "step", 0, "loss"), got = number(y, "step", 0, "loss");
    cr_expect(fabs(got - want) > 1e-4 * fabs(want), "%.9g", got);
    json_decref(x);
    json_decref(y);
    lab_close(&lab);
}

// --- to the last bit ---
Test(several, the_same_again_and_resumed)
{
    struct lab lab;
    several_need();
    lab_open(&lab);
#define WHOLE SMALL, "--steps", "16", "--schedule", "continual:50%,multi-epoch"
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "a"));
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "b"));
    lab_same(&lab, "a", "b");
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "c", "--stop-at", "8"));
    cr_expect(lab_wait(SEVERAL(&lab, 3, "--resume", "c")) != 0);
    cr_expect(lab_wait(START(&lab, "--resume", "c")) == 1);
    char *said = lab_text(lab.out);
    cr_expect(strstr(said, "ran in 2 processes, this is 1"), "%s", said);
    free(said);
    finish(&lab, SEVERAL(&lab, 2, "--resume", "c"));
    lab_same(&lab, "a", "c");
    cr_expect(RUN(&lab, "--resume", "c", "--inexact") == 2, "it is finished");
    lab_close(&lab);
}

Test(several, another_number_of_them_goes_on_where_that_is_allowed)
{
    struct lab lab;
    char init[128];
    several_need();
    lab_open(&lab);
    trained(&lab, init);
    cr_assert(RUN(&lab, CALM(&lab, init), "--name", "one") == 0, "%s", lab_text(lab.out));
    finish(&lab, SEVERAL(&lab, 4, CALM(&lab, init), "--name", "more", "--stop-at", "9"));
    finish(&lab, SEVERAL(&lab, 2, "--resume", "more", "--inexact"));
    same_losses(&lab, "one", "more");
    lab_close(&lab);
}

// --- what one is told ---
Test(several, a_switch_holds_from_the_same_step_on_all)
{
    struct lab lab;
    char init[128];
    several_need();
    lab_open(&lab);
    trained(&lab, init);
    char traces[128], command[600];
    snprintf(traces, sizeof traces, "%s/trace", lab.dir);
    setenv("SSLTOP_TRACE", traces, 1);
    pid_t pid = SEVERAL(&lab, 2, CALM(&lab, init), "--name", "led");
    unsetenv("SSLTOP_TRACE");
    lab_ready(&lab, "led", pid);
    struct answer pause = lab_say(&lab, "led", "pause");
    cr_assert(pause.ok, "%s", pause.text);
    lab_until_paused(&lab, "led");
    struct answer a = lab_say(&lab, "led", "mode continual");
    cr_assert(a.ok && a.step < STEPS, "%s", a.text);
    cr_assert(lab_say(&lab, "led", "lr 0.5").ok);
    cr_assert(lab_say(&lab, "led", "step").ok);
    lab_until_paused(&lab, "led");
    cr_assert(lab_say(&lab, "led", "eval").ok && lab_say(&lab, "led", "checkpoint").ok);
    cr_assert(lab_say(&lab, "led", "resume").ok);
    finish(&lab, pid);
    cr_expect(lab_event(&lab, "led", "mode", "ctl") == a.step);
    // Each drew its batches by its own schedule: of all steps, and by the new mode from that one
    // on.
    snprintf(command, sizeof command,
             "cmp %s.0 %s.1 && awk '{ mode[$1] = $2 } END { for (t = 0; t < %d; t++) if (mode[t] "
             "!= (t < %d ? \"multi-epoch\" : \"continual\")) exit 1 }' %s.1",
             traces, traces, STEPS, (int)a.step, traces);
    cr_expect_eq(system(command), 0);
    finish(&lab, SEVERAL(&lab, 2, "--rerun", "led", "--name", "again"));
    lab_same(&lab, "led", "again");
    // One process draws the very same batches.
    cr_assert(RUN(&lab, "--rerun", "led", "--name", "alone", "--inexact") == 0, "%s",
              lab_text(lab.out));
    same_losses(&lab, "alone", "led");
    lab_close(&lab);
}

// --- ends ---
Test(several, a_signal_makes_one_checkpoint)
{
    struct lab lab;
    pid_t rank[2];
    several_need();
    lab_open(&lab);
    static const int sent[] = {SIGTERM, SIGUSR2};
    for (int k = 0; k < 2; k++) { // whichever of them hears of it
        const char *name = k ? "second" : "first";
        pid_t pid = SEVERAL(&lab, 2, SMALL, "--steps", "5000", "--name", name);
        lab_ready(&lab, name, pid);
        several_find(&lab, pid, 2, rank);
        lab_until_step(&lab, name, 2);
        if (k) { // it has no socket to make anew
            kill(rank[k], SIGUSR1);
            lab_until_step(&lab, name, lab_say(&lab, name, "status").step + 2);
        }
        kill(rank[k], sent[k]);
        cr_expect(lab_wait(pid) == 128 + sent[k], "%s", lab_text(lab.out));
        int64_t at = lab_event(&lab, name, "stop", "signal");
        cr_expect(at > 0, "no stop by a signal in the log");
        char file[64];
        snprintf(file, sizeof file, "%s/ckpt-%ld.safetensors", name, (long)at);
        cr_expect(lab_exists(&lab, file), "%s is not there", file);
    }
    lab_close(&lab);
}

// What the ranks prepare takes minutes where the images are many.
Test(several, a_signal_while_they_prepare_ends_all, .timeout = 60)
{
    struct lab lab;
    pid_t rank[2];
    several_need();
    lab_open(&lab);
    pid_t pid = SEVERAL(&lab, 2, SMALL, "--data", "synthetic:250000:64", "--name", "r");
    several_find(&lab, pid, 2, rank);
    while (!lab_handles(rank[0], SIGUSR2))
        poll(NULL, 0, 1);
    cr_assert_eq(kill(rank[0], SIGUSR2), 0);
    int rc = lab_wait(pid); // of another launcher it may be another rank's
    cr_expect(getenv("SSLTOP_MPIRUN") ? rc != 0 : rc == 128 + SIGUSR2, "%d", rc);
    char *said = lab_text(lab.out);
    cr_expect(strstr(said, "interrupted before it began") != NULL, "%s", said);
    cr_expect(!lab_exists(&lab, "r") && !lab_exists(&lab, ".r.new"));
    free(said);
    lab_close(&lab);
}

// Broken off on all ranks after the same batch.
Test(several, a_signal_breaks_off_an_evaluation, .timeout = 120)
{
#define LONG_LOOK                                                                                  \
    "--data", "synthetic:4000", "--width", "4", "--batch", "8", "--threads", "1", "--precision",   \
        "f32", "--eval-images", "4000", "--probe-images", "20", "--eval-share", "1", "--steps",    \
        "3", "--eval-every", "100"
    struct lab lab;
    pid_t rank[2];
    several_need();
    lab_open(&lab);
    pid_t pid = SEVERAL(&lab, 2, LONG_LOOK, "--name", "r");
    lab_ready(&lab, "r", pid);
    several_find(&lab, pid, 2, rank);
    kill(rank[0], SIGTERM);
    cr_expect_eq(lab_wait(pid), 128 + SIGTERM);
    json_t *log = lab_log(&lab, "r");
    int evaluated = json_object_get(log, "eval/0") != NULL;
    cr_expect(evaluated == (lab_event(&lab, "r", "stop", "signal") > 0));
    json_decref(log);
    finish(&lab, SEVERAL(&lab, 2, "--resume", "r"));
    finish(&lab, SEVERAL(&lab, 2, LONG_LOOK, "--name", "whole"));
    lab_same(&lab, "whole", "r");
    lab_close(&lab);
}

static char *end_text(const struct lab *lab, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s/trainer.log", lab->dir, name);
    return lab_text(path);
}

Test(several, one_that_dies_ends_all)
{
    struct lab lab;
    pid_t rank[2];
    several_need();
    lab_open(&lab);
    finish(&lab,
           SEVERAL(&lab, 2, SMALL, "--steps", "30", "--name", "whole", "--checkpoint-every", "4"));
    for (int k = 0; k < 2; k++) {
        const char *name = k ? "second" : "first";
        pid_t pid =
            SEVERAL(&lab, 2, SMALL, "--steps", "30", "--name", name, "--checkpoint-every", "4");
        lab_ready(&lab, name, pid);
        several_find(&lab, pid, 2, rank);
        lab_until_step(&lab, name, 5);
        cr_assert(lab_say(&lab, name, "pause").ok); // it would be over before; a pause hears it too
        lab_until_paused(&lab, name);
        kill(rank[0], SIGUSR1); // wakes it, and is no order
        kill(rank[k], SIGKILL);
        cr_expect(lab_wait(pid) != 0);
        char *said = lab_text(lab.out), *log = end_text(&lab, name);
        cr_expect(several_named(said, k), "%s", said);
        if (k && strstr(said, "failed at step")) // rank 0 has written why it ended
            cr_expect(strstr(log, "rank 1 on ") && strstr(log, "is gone"), "%s", log);
        free(said);
        free(log);
        finish(&lab, SEVERAL(&lab, 2, "--resume", name));
        lab_same(&lab, "whole", name);
    }
    lab_close(&lab);
}

Test(several, a_batch_that_cannot_be_shared_is_refused)
{
    static const struct {
        int ranks;
        const char *batch, *bn, *why;
    } rows[] = {
        {3, "32", "--sync-bn", "batch 32 can't be shared by 3 processes: 30 or 33 can"},
        {3, "2", "--sync-bn", "batch 2 can't be shared by 3 processes: 3 can"},
        {2, "2", "--no-sync-bn", "each of 2 processes needs two images or more"},
    };
    struct lab lab;
    several_need();
    lab_open(&lab);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect(lab_wait(SEVERAL(&lab, rows[i].ranks, SMALL, "--batch", rows[i].batch, rows[i].bn,
                                   "--name", "no")) == 2);
        char *said = lab_text(lab.out);
        cr_expect(strstr(said, rows[i].why), "%s", said);
        free(said);
        cr_expect(!lab_exists(&lab, "no"));
    }
    lab_close(&lab);
}

// With the words of another MPI they are none either: each would find itself alone.
Test(several, another_launcher_than_the_librarys)
{
    struct lab lab;
    several_need();
    lab_open(&lab);
    // The trainer is a child of this program, and the library lies beside the other.
    setenv("SSLTOP_MPI", path_of("%sssltop-mpi.so", path_folder(getenv("SSLTOP")).s).s, 0);
    setenv("PMI_RANK", "1", 1); // as MPICH's launcher says it, but without its socket
    setenv("PMI_SIZE", "2", 1);
    cr_expect(lab_wait(START(&lab, SMALL, "--name", "no")) == 1);
    char *said = lab_text(lab.out);
    cr_expect(!strstr(said, "ssltop:"), "not the first one, and it speaks: %s", said);
    free(said);
    setenv("PMI_RANK", "0", 1);
    cr_expect(lab_wait(START(&lab, SMALL, "--name", "no")) == 1);
    said = lab_text(lab.out);
    cr_expect(strstr(said, "mpiexec has started 2 of these to train together") &&
                  strstr(said, "is built with another MPI"),
              "%s", said);
    free(said);
    cr_expect(!lab_exists(&lab, "no"));
    lab_close(&lab);
}

// Without what carries their words they are not trainings of their own.
Test(several, without_the_library_one_sentence)
{
    struct lab lab;
    several_need();
    lab_open(&lab);
    setenv("SSLTOP_MPI", "/nowhere/ssltop-mpi.so", 1);
    cr_expect(lab_wait(SEVERAL(&lab, 2, SMALL, "--name", "no")) == 1);
    char *said = lab_text(lab.out), *first = strstr(said, "ssltop-mpi.so cannot be loaded");
    cr_expect(first && !strstr(first + strlen("ssltop-mpi.so cannot"), "cannot be loaded"), "%s",
              said);
    free(said);
    cr_expect(!lab_exists(&lab, "no"));
    lab_close(&lab);
}
