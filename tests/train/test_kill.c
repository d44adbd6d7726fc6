// kill -9 at random moments of random schedules, then --resume: the result is that of the run that
// was never killed, whatever the moment. Five tests of ten kills each, so that they can run beside
// one another.
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <poll.h>

#include "metrics/base/clock.h"
#include "metrics/base/rng.h"
#include "tests/kit/runs.h"
#include "train/store/checkpoint.h"

enum { KILLS = 10, STEPS = 80 };

// A random way through a run.
static void draw_schedule(struct rng *r, char *text, size_t size)
{
    static const char *const mode[] = {"multi-epoch", "continual", "cumulative"};
    int first = (int)rng_below(r, 3), second = (int)rng_below(r, 3),
        chunks = 1 + (int)rng_below(r, 8);
    snprintf(text, size, "%s@%d:%d,%s", mode[first], chunks, 1 + (int)rng_below(r, STEPS - 1),
             mode[second]);
}

// Whatever has a checkpoint's name is one.
static void check_checkpoints(const struct lab *lab, const char *name)
{
    char path[256], file[512];
    snprintf(path, sizeof path, "%s/%s", lab->dir, name);
    DIR *d = opendir(path);
    cr_assert(d != NULL);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        struct checkpoint c;
        struct error e = {{0}};
        if (checkpoint_step(entry->d_name) < 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        cr_assert(checkpoint_read(file, &c, &e) == 0, "%s", e.text);
        cr_assert(c.step == checkpoint_step(entry->d_name));
        checkpoint_free(&c);
    }
    closedir(d);
}

// Killed after its end record, it has nothing left to do and says so.
static int is_over(const struct lab *lab, int code)
{
    char *said = lab_text(lab->out);
    int over = code == 0 || (code == 2 && strstr(said, "is finished"));
    free(said);
    return over;
}

static void kill_and_resume(uint64_t seed)
{
    struct lab lab;
    struct rng r;
    char schedule[64], steps[16], every[16];
    lab_open(&lab);
    rng_init(&r, seed, RNG_TEST, 0, 0);
    draw_schedule(&r, schedule, sizeof schedule);
    snprintf(steps, sizeof steps, "%d", STEPS);
    snprintf(every, sizeof every, "%d", 3 + (int)rng_below(&r, 20));
#define WHOLE                                                                                      \
    TINY, "--steps", steps, "--schedule", schedule, "--checkpoint-every", every, "--eval-every",   \
        "25"
    pid_t pid = START(&lab, WHOLE, "--name", "whole");
    lab_ready(&lab, "whole", pid);
    double since = clock_seconds();
    cr_assert(lab_wait(pid) == 0, "%s", lab_text(lab.out));
    double length = 1e3 * (clock_seconds() - since);
    for (int i = 0; i < KILLS; i++) {
        char name[32];
        snprintf(name, sizeof name, "killed%d", i);
        pid = START(&lab, WHOLE, "--name", name);
        // What is left of it is killed again in half of the cases, perhaps while it still starts.
        for (int kills = 1 + (int)rng_below(&r, 2); kills > 0; kills--) {
            lab_started(&lab, name, pid);
            poll(NULL, 0, (int)(length * rng_uniform(&r)));
            kill(pid, SIGKILL);
            int code = lab_wait(pid);
            cr_assert(is_over(&lab, code) || code == 1000 + SIGKILL, "%d: %s", code,
                      lab_text(lab.out));
            check_checkpoints(&lab, name);
            json_decref(lab_log(&lab, name)); // readable
            pid = START(&lab, "--resume", name);
        }
        int code = lab_wait(pid);
        cr_assert(is_over(&lab, code), "%s: %d %s", schedule, code, lab_text(lab.out));
        lab_same(&lab, "whole", name);
    }
    lab_close(&lab);
}

#define KILL_TEST(n)                                                                               \
    Test(kill, schedule_##n)                                                                       \
    {                                                                                              \
        kill_and_resume(n);                                                                        \
    }
KILL_TEST(1)
KILL_TEST(2)
KILL_TEST(3)
KILL_TEST(4)
KILL_TEST(5)
