// Nothing breaks the training: whatever becomes of the recorder, its disk and those who watch, the
// script goes on; whatever becomes of the script, its run has an end.
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/script.h"
#include "tests/kit/theirs.h"

static struct lab lab;
static float h[2][ROWS * D], z[2][ROWS * DIM];

static void open_lab(void)
{
    script_lab(&lab);
}

static void close_lab(void)
{
    script_left_nothing(&lab);
    lab_close(&lab);
}

TestSuite(recorder, .init = open_lab, .fini = close_lab, .timeout = 120);

static void steps(ssltop_client *c, int64_t from, int64_t to)
{
    ssltop_order o;
    for (int64_t t = from; t < to; t++) {
        theirs_step(c, t, h, z);
        cr_assert(ssltop_next(c, &o) == 0);
    }
}

// A command of the shell, in the folder of runs.
static int run(const char *what)
{
    char command[600];
    snprintf(command, sizeof command, "cd %s && %s", lab.dir, what);
    return system(command);
}

Test(recorder, disk_full)
{
    struct rlimit was, limit;
    cr_assert(getrlimit(RLIMIT_FSIZE, &was) == 0);
    limit = was;
    limit.rlim_cur = 16384; // of the recorder, which inherits it
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    ssltop_client *c = theirs_open(&lab, "full", 0);
    cr_assert(setrlimit(RLIMIT_FSIZE, &was) == 0);
    steps(c, 0, 600);
    cr_expect(ssltop_alive(c) && ssltop_dropped(c) == 0);
    ssltop_close(c, SSLTOP_FINISHED, "");
    cr_expect(run("grep -qi 'too large' full/trainer.log") == 0);
    cr_expect(run("$SSLTOP export ./full > /dev/null 2>&1") == 0);
}

Test(recorder, folder_gone)
{
    ssltop_client *c = theirs_open(&lab, "gone", 0);
    steps(c, 0, 3);
    cr_assert(run("rm -r gone") == 0);
    steps(c, 3, 50);
    cr_expect(ssltop_alive(c) && ssltop_dropped(c) == 0);
    ssltop_close(c, SSLTOP_FINISHED, "");
}

// One who watches and never reads, and is killed.
Test(recorder, viewer_killed)
{
    theirs_whole = 1;
    ssltop_client *c = theirs_open(&lab, "watched", 0);
    char dir[128];
    struct error e = {""};
    int ready[2];
    char byte = 0;
    snprintf(dir, sizeof dir, "%s/watched", lab.dir);
    steps(c, 0, 3);
    cr_assert(pipe(ready) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        static const char watch[] = "{\"id\":1,\"cmd\":\"watch\"}\n";
        int fd = control_connect(dir, CONTROL_PATIENCE_MS, &e);
        if (fd < 0 || write(fd, watch, sizeof watch - 1) < 0 || read(fd, &byte, 1) != 1)
            _exit(1);
        if (write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    cr_assert(read(ready[0], &byte, 1) == 1);
    steps(c, 3, 100);
    kill(pid, SIGKILL);
    cr_assert(lab_wait(pid) == 1000 + SIGKILL);
    steps(c, 100, 200);
    cr_expect(ssltop_alive(c) && ssltop_dropped(c) == 0);
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "watched");
    cr_expect(isfinite(theirs_field(log, "step", 199, "auc")));
    json_decref(log);
}

// A recorder that does not come along: whole steps are dropped and counted, the newest are kept.
Test(recorder, ring_full)
{
    enum { STORM = 60, KEPT = 8 };
    ssltop_order o;
    ssltop_client *c = theirs_open(&lab, "storm", 0);
    steps(c, 0, 1);
    pid_t recorder = theirs_recorder(getpid());
    kill(recorder, SIGSTOP);
    for (int t = 1; t <= STORM; t++) {
        theirs_hand_over(c, t, h, z);
        cr_assert(ssltop_next(c, &o) == 0);
    }
    cr_expect_eq(ssltop_dropped(c), STORM - KEPT);
    kill(recorder, SIGCONT);
    theirs_settle(c);
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "storm");
    for (int t = STORM - KEPT + 1; t <= STORM; t++)
        cr_expect_eq(theirs_field(log, "step", t, "loss"), -0.25);
    cr_expect_eq(theirs_field(log, "step", STORM, "dropped"), STORM - KEPT);
    cr_expect(json_object_get(log, "step/1") == NULL);
    json_decref(log);
    cr_expect(theirs_log_has(&lab, "storm", "52 steps came faster than they could be recorded"));
}

// Eigenvalues that take longer than a step: no step is missing, as many are measured as time allows
// (one at least, where other tests need every core), and records lie in order.
Test(recorder, measures_what_it_can)
{
    enum { WIDE = 512, FEW = 8, MADE = 30 };
    static float x[FEW * WIDE];
    ssltop_client *c = theirs_open(&lab, "wide", 0);
    for (int t = 0; t < MADE; t++) {
        theirs_draw(x, FEW, WIDE, t, 0);
        cr_assert(ssltop_features(c, "h", 0, x, FEW, WIDE, WIDE, SSLTOP_F32) == 0);
        ssltop_end_step(c, t, t, 0.1);
        while (ssltop_pending(c) > 2) // the one at work, and the newest
            usleep(100);
    }
    cr_expect_eq(ssltop_dropped(c), 0);
    theirs_settle(c); // the newest one too, however busy the processors are
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "wide");
    int measured = 0;
    for (int t = 0; t < MADE; t++) {
        cr_expect_eq(theirs_field(log, "step", t, "loss"), t);
        measured += isfinite(theirs_field(log, "step", t, "auc"));
    }
    cr_expect(measured >= 1 && measured < MADE, "%d", measured);
    json_decref(log);
}

// Nobody waits for a spectrum that takes long: a ring for more rows is taken, and at the end it is
// left out.
Test(recorder, ends_before_a_large_spectrum)
{
    enum { WIDE = 6144, FEW = 2, MANY = 16 };
    static float x[MANY * WIDE];
    ssltop_client *c = theirs_open(&lab, "large", 0);
    theirs_draw(x, FEW, WIDE, 0, 0);
    cr_assert(ssltop_features(c, "h", 0, x, FEW, WIDE, WIDE, SSLTOP_F32) == 0);
    ssltop_end_step(c, 0, 0.5, 0.1);
    cr_assert(ssltop_features(c, "h", 0, x, MANY, WIDE, WIDE, SSLTOP_F32) == 0);
    ssltop_end_step(c, 1, 0.25, 0.1);
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "large");
    cr_expect_eq(theirs_field(log, "step", 0, "loss"), 0.5);
    cr_expect_eq(theirs_field(log, "step", 1, "loss"), 0.25);
    json_decref(log);
    script_ended(&lab, "large", "finished", "");
}

// Features that are copied as they are handed over: what is written over them afterwards, a second
// hand-over of the same view, and larger ones in the same step change nothing of the others.
Test(recorder, copies_at_once)
{
    enum { WIDE = 32, FEW = 64, MANY = 4096 };
    static float x[MANY * WIDE], gone[MANY * WIDE];
    char why[300];
    ssltop_settings s = {.name = "once", .runs = lab.dir, .config = "{}", .whole = 1};
    ssltop_client *c = ssltop_open(&s, why, sizeof why);
    cr_assert(c != NULL, "%s", why);
    for (int t = 0; t < 6; t++) {
        int changes = t % 2;
        theirs_draw(x, FEW, WIDE, t / 2, 0);
        if (changes) { // the wrong ones first
            theirs_draw(gone, FEW, WIDE, 77, 0);
            cr_assert(ssltop_features(c, "z", 0, gone, FEW, WIDE, WIDE, SSLTOP_F32) == 0);
        }
        cr_assert(ssltop_features(c, "z", 0, x, FEW, WIDE, WIDE, SSLTOP_F32) == 0);
        cr_expect_eq(ssltop_copied(c), t > 0);
        cr_expect_eq(ssltop_pending(c), 0);
        if (changes)
            memset(x, 0, sizeof x);
        if (t == 3) { // there is no room for these: the ring moves, and the ones before with it
            cr_assert(ssltop_features(c, "h", 0, gone, MANY, WIDE, WIDE, SSLTOP_F32) == 0);
            cr_expect_eq(ssltop_copied(c), 0);
        }
        ssltop_end_step(c, t, t, 0.1);
    }
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "once");
    cr_expect(isfinite(theirs_field(log, "step", 3, "auc")));
    for (int t = 0; t < 6; t += 2)
        cr_expect_float_eq(theirs_field(log, "step", t, "zstd"),
                           theirs_field(log, "step", t + 1, "zstd"), 1e-12);
    json_decref(log);
}

// A training that waits for its recorder.
Test(recorder, whole)
{
    enum { WIDE = 256, FEW = 8, MADE = 10 };
    static float x[FEW * WIDE];
    char why[300];
    ssltop_settings s = {.name = "whole", .runs = lab.dir, .config = "{}", .whole = 1};
    ssltop_client *c = ssltop_open(&s, why, sizeof why);
    cr_assert(c != NULL, "%s", why);
    for (int t = 0; t < MADE; t++) {
        theirs_draw(x, FEW, WIDE, t, 0);
        cr_assert(ssltop_features(c, "h", 0, x, FEW, WIDE, WIDE, SSLTOP_F32) == 0);
        ssltop_end_step(c, t, t, 0.1);
        cr_expect_eq(ssltop_pending(c), 0);
    }
    ssltop_close(c, SSLTOP_FINISHED, "");
    json_t *log = lab_log(&lab, "whole");
    for (int t = 0; t < MADE; t++)
        cr_expect(isfinite(theirs_field(log, "step", t, "auc")), "step %d", t);
    json_decref(log);
    s.name = "alone";
    c = ssltop_open(&s, why, sizeof why);
    cr_assert(c != NULL, "%s", why);
    ssltop_end_step(c, 0, 0, 0.1);
    kill(theirs_recorder(getpid()), SIGKILL);
    for (int t = 1; t < 4; t++) // nobody to wait for
        ssltop_end_step(c, t, t, 0.1);
    ssltop_close(c, SSLTOP_FINISHED, "");
}

// os._exit, while a data loader that was forked still holds everything open.
Test(recorder, trainer_that_leaves_without_a_word)
{
    int ready[2];
    cr_assert(pipe(ready) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        ssltop_client *c = theirs_open(&lab, "left", 0);
        steps(c, 0, 3);
        pid_t loader = fork();
        if (loader == 0) {
            close(ready[1]);
            pause();
        }
        if (write(ready[1], &loader, sizeof loader) != sizeof loader)
            _exit(9);
        _exit(3);
    }
    pid_t loader;
    cr_assert(read(ready[0], &loader, sizeof loader) == sizeof loader);
    cr_assert(lab_wait(pid) == 3);
    while (lab_exists(&lab, "left/control"))
        usleep(1000);
    kill(loader, SIGKILL);
    cr_expect(theirs_log_has(&lab, "left", "\"failed\",\"text\":\"the trainer is gone\""));
}

Test(recorder, told_to_end)
{
    ssltop_client *c = theirs_open(&lab, "ended", 0);
    steps(c, 0, 3);
    kill(theirs_recorder(getpid()), SIGTERM);
    ssltop_order o;
    for (int64_t t = 3; ssltop_alive(c); t++) {
        theirs_hand_over(c, t, h, z);
        cr_assert(ssltop_next(c, &o) == 0);
    }
    cr_expect(!ssltop_stopped(c));
    ssltop_close(c, SSLTOP_FINISHED, "");
    cr_expect(theirs_log_has(&lab, "ended",
                             "\"stopped\",\"text\":\"the recorder was ended by SIGTERM\""));
}

// Schedulers warn all processes of a job, and it is the training that answers.
Test(recorder, warnings_are_for_the_training)
{
    static const int sent[] = {SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM, SIGQUIT, SIGPWR, SIGHUP};
    ssltop_client *c = theirs_open(&lab, "warned", 0);
    steps(c, 0, 3);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        kill(theirs_recorder(getpid()), sent[i]);
    steps(c, 3, 6);
    cr_expect(ssltop_alive(c));
    ssltop_close(c, SSLTOP_STOPPED, "out of time");
    cr_expect(theirs_log_has(&lab, "warned", "\"stopped\",\"text\":\"out of time\""));
}

// A script that names its data by a path, and gives no name.
Test(recorder, data_by_their_path)
{
    static const struct {
        const char *config, *ends;
    } row[] = {{"{\"data\":\"/data/sets/imagenet/\"}", "-imagenet"},
               {"{\"data\":\"./cifar\"}", "-cifar"},
               {"{\"data\":\"//\"}", "-run"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char why[300];
        ssltop_settings s = {.runs = lab.dir, .config = row[i].config};
        ssltop_client *c = ssltop_open(&s, why, sizeof why);
        cr_assert(c != NULL, "%s", why);
        steps(c, 0, 1);
        const char *name = strrchr(ssltop_run(c), '-');
        cr_expect(name && strcmp(name, row[i].ends) == 0, "%s", ssltop_run(c));
        ssltop_close(c, SSLTOP_FINISHED, "");
    }
}

// A recorder of another release. (That a client of another is refused: test_hostile_client.c)
Test(recorder, of_another_version)
{
    char path[128], why[300];
    snprintf(path, sizeof path, "%s/later", lab.dir);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs("#!/usr/bin/env python3\n"
          "import socket\n"
          "s = socket.socket(fileno=3)\n"
          "m = bytearray(s.recv(70000)[:128])\n"
          "m += bytes(200 - len(m))\n"
          "m[8], m[12] = 99, 2  # version, READY\n"
          "s.send(m)\n"
          "s.recv(1)\n",
          f);
    cr_assert(fclose(f) == 0 && chmod(path, 0700) == 0);
    ssltop_settings s = {.program = path, .runs = lab.dir};
    cr_expect(!ssltop_open(&s, why, sizeof why) && strstr(why, "another version"), "%s", why);
}
