// Trainings and signals: how they end by one, what they keep, what they are warned by, and what
// they say meanwhile.
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/kit/runs.h"

// Three evaluations in all: many of them would be lengthened where a busy machine makes them slow.
#define SELDOM "--eval-every", "200"

Test(trainer, resumes_after_signals)
{
    static const struct {
        int number, code;
        const char *name;
    } sent[] = {{SIGINT, 130, "int"}, {SIGTERM, 143, "term"}, {SIGHUP, 129, "hup"}};
    struct lab lab;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "600", SELDOM, "--name", "whole") == 0);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        pid_t pid = START(&lab, TINY, "--steps", "600", SELDOM, "--name", sent[i].name);
        lab_ready(&lab, sent[i].name, pid);
        kill(pid, sent[i].number);
        cr_assert(lab_wait(pid) == sent[i].code);
        lab_says(&lab, "stopped at step");
        cr_assert(lab_event(&lab, sent[i].name, "stop", "signal") >= 0);
        cr_assert(RUN(&lab, "--resume", sent[i].name) == 0, "%s", lab_text(lab.out));
        lab_same(&lab, "whole", sent[i].name);
    }
    lab_close(&lab);
}

#define ENDLESS TINY, "--steps", "1000000", "--eval-every", "1000000"

// By what schedulers warn, and machines that go down.
Test(trainer, a_warning_makes_a_checkpoint, .timeout = 120)
{
    static const int sent[] = {SIGUSR2, SIGXCPU, SIGALRM, SIGQUIT, SIGPWR};
    struct lab lab;
    char name[32], file[96];
    lab_open(&lab);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        snprintf(name, sizeof name, "r%zu", i);
        pid_t pid = START(&lab, ENDLESS, "--name", name);
        lab_ready(&lab, name, pid);
        kill(pid, sent[i]);
        cr_expect_eq(lab_wait(pid), 128 + sent[i]);
        int64_t at = lab_event(&lab, name, "stop", "signal");
        snprintf(file, sizeof file, "%s/ckpt-%ld.safetensors", name, (long)at);
        cr_expect(lab_exists(&lab, file), "%s: %s", sigabbrev_np(sent[i]), file);
    }
    lab_close(&lab);
}

// Who is told that time is nearly over does not evaluate first; the run that goes on does. (The
// first evaluation takes long enough for a signal to find it.)
Test(trainer, a_signal_breaks_off_an_evaluation, .timeout = 240)
{
#define LONG_LOOK                                                                                  \
    "--data", "synthetic:4000", "--width", "4", "--batch", "8", "--threads", "1", "--precision",   \
        "f32", "--eval-images", "4000", "--probe-images", "20", "--eval-share", "1", "--steps",    \
        "3", "--eval-every", "100"
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, LONG_LOOK, "--name", "r");
    lab_ready(&lab, "r", pid);
    kill(pid, SIGTERM);
    cr_expect_eq(lab_wait(pid), 128 + SIGTERM);
    json_t *log = lab_log(&lab, "r");
    int evaluated = json_object_get(log, "eval/0") != NULL;
    cr_expect(evaluated == (lab_event(&lab, "r", "stop", "signal") > 0));
    json_decref(log);
    cr_assert(RUN(&lab, "--resume", "r") == 0, "%s", lab_text(lab.out));
    cr_assert(RUN(&lab, LONG_LOOK, "--name", "whole") == 0);
    lab_same(&lab, "whole", "r");
    lab_close(&lab);
}

// As nohup and `trap '' USR2` leave them.
Test(trainer, what_is_ignored_stays_so, .timeout = 60)
{
    static const int sent[] = {SIGUSR2, SIGXCPU};
    struct lab lab;
    lab_open(&lab);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGXCPU, SIG_IGN);
    pid_t pid = START(&lab, ENDLESS, "--name", "r");
    lab_ready(&lab, "r", pid);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        kill(pid, sent[i]);
    lab_until_step(&lab, "r", lab_say(&lab, "r", "status").step + 2);
    kill(pid, SIGTERM);
    cr_expect_eq(lab_wait(pid), 128 + SIGTERM);
    lab_says(&lab, "by SIGTERM");
    lab_close(&lab);
}

// `ulimit -t` sets both limits, and the kernel kills at the second.
Test(trainer, is_warned_of_a_limit_of_cpu_time, .timeout = 60)
{
    enum { LIMIT = 1000 };
    struct rlimit limit = {LIMIT, LIMIT};
    struct lab lab;
    char path[64];
    long soft = 0, hard = 0;
    lab_open(&lab);
    cr_assert_eq(setrlimit(RLIMIT_CPU, &limit), 0);
    pid_t pid = START(&lab, ENDLESS, "--name", "r");
    lab_ready(&lab, "r", pid);
    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    char *text = lab_text(path), *line = strstr(text, "Max cpu time");
    cr_assert(line && sscanf(line, "Max cpu time %ld %ld", &soft, &hard) == 2);
    cr_expect(hard == LIMIT && soft < hard && soft >= LIMIT - LIMIT / 10, "%ld", soft);
    free(text);
    kill(pid, SIGTERM);
    cr_expect_eq(lab_wait(pid), 128 + SIGTERM);
    lab_close(&lab);
}

// Data that take minutes to make, or to read, are no reason to hear nothing meanwhile.
Test(trainer, ends_by_a_signal_while_it_prepares, .timeout = 60)
{
    struct lab lab;
    static const int sent[] = {SIGINT, SIGTERM, SIGUSR2};
    lab_open(&lab);
    for (int i = 0; i < 3; i++) {
        pid_t pid = START(&lab, "--data", "synthetic:250000:64", "--steps", "1", "--name", "long");
        while (!lab_handles(pid, SIGUSR1)) // the last that is taken
            poll(NULL, 0, 1);
        cr_assert_eq(kill(pid, sent[i]), 0);
        cr_expect_eq(lab_wait(pid), 128 + sent[i]);
        lab_says(&lab, "interrupted before it began");
        cr_expect(!lab_exists(&lab, "long") && !lab_exists(&lab, ".long.new"));
    }
    lab_close(&lab);
}

// 143 says that there is a checkpoint.
Test(trainer, ends_by_a_signal_without_a_checkpoint_fails)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = lab_start(&lab, 16384,
                          (const char *const[]){TINY, "--steps", "1000000", "--name", "s", NULL});
    lab_ready(&lab, "s", pid);
    lab_until_step(&lab, "s", 2);
    cr_assert(kill(pid, SIGTERM) == 0);
    cr_assert(lab_wait(pid) == 1);
    lab_says(&lab, "no last checkpoint: can't write ");
    lab_close(&lab);
}

// Whoever gives an order to a trainer that a signal stopped is told so at once, not after minutes.
Test(trainer, says_that_it_is_stopped)
{
    struct lab lab;
    char command[512], line[512];
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "100000", "--name", "s");
    lab_ready(&lab, "s", pid);
    cr_assert(kill(pid, SIGSTOP) == 0 && waitpid(pid, NULL, WUNTRACED) == pid);
    snprintf(command, sizeof command, "%s ctl %s/s status 2>&1", getenv("SSLTOP"), lab.dir);
    FILE *said = popen(command, "r");
    cr_assert(said && fgets(line, sizeof line, said));
    cr_expect(strstr(line, "is stopped by a signal; kill -CONT"), "%s", line);
    cr_assert(kill(pid, SIGCONT) == 0 && fgets(line, sizeof line, said));
    cr_expect(strstr(line, "running before step"), "%s", line);
    cr_expect(pclose(said) == 0);
    cr_assert(lab_say(&lab, "s", "stop").ok);
    cr_assert(lab_wait(pid) == 0);
    lab_close(&lab);
}
