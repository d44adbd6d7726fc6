// Run folders: whoever starts at the same moment, each has its own, and nobody's is emptied.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/runs.h"
#include "train/run/runs.h"
#include "train/store/rundir.h"
#include "train/wire/control.h"

static void in_lab(struct lab *lab, struct options *o)
{
    lab_open(lab);
    options_default(o);
    snprintf(o->data, sizeof o->data, "synthetic:64");
    snprintf(o->runs, sizeof o->runs, "%s/runs", lab->dir);
}

static int has(const char *dir, const char *name)
{
    char path[4200];
    cr_assert(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
    return access(path, F_OK) == 0;
}

// A process that makes a folder when `go` ends, says how it went on `told`, and holds it until
// `stay` ends.
static void start(const struct options *o, const char *name, int publish, const int go[2],
                  const int told[2], const int stay[2])
{
    char byte, line[512];
    struct rundir d;
    struct error e = {{0}};
    close(go[1]);
    close(stay[1]);
    ssize_t n = read(go[0], &byte, 1);
    int rc = n == 0 ? rundir_create(&d, o->runs, name, o->data, o, &e) : -1;
    if (rc == 0 && publish)
        rc = rundir_publish(&d, &e);
    int len = snprintf(line, sizeof line, "%d %s %.300s\n", rc, rc ? "-" : d.name, e.text);
    n = write(told[1], line, (size_t)len);
    n = read(stay[0], &byte, 1);
    rundir_close(&d);
    _exit(n == 0 ? 0 : 1);
}

Test(rundir, starts_of_one_moment_each_get_a_folder)
{
    enum { STARTS = 16, ROUNDS = 4 };
    struct lab lab;
    struct options o;
    char name[STARTS * ROUNDS][256];
    int n = 0;
    in_lab(&lab, &o);
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], told[2], stay[2], rc;
        char why[300];
        cr_assert(pipe(go) == 0 && pipe(told) == 0 && pipe(stay) == 0);
        for (int i = 0; i < STARTS; i++) {
            pid_t pid = fork();
            cr_assert(pid >= 0);
            if (pid == 0)
                start(&o, "", 1, go, told, stay);
        }
        close(go[1]);
        FILE *f = fdopen(told[0], "r");
        close(told[1]);
        for (int i = 0; i < STARTS; i++, n++) {
            cr_assert(fscanf(f, "%d %255s%299[^\n]", &rc, name[n], why) == 3);
            cr_assert(rc == 0 && strcmp(why, " ") == 0, "%s", why);
            for (int k = 0; k < n; k++)
                cr_assert(strcmp(name[k], name[n]) != 0, "two are called %s", name[n]);
        }
        for (int i = 0; i < n; i++) {
            char dir[4200];
            cr_assert(snprintf(dir, sizeof dir, "%s/%s", o.runs, name[i]) < (int)sizeof dir);
            cr_assert(has(dir, "config.ini") && has(dir, "lock") && has(dir, "trainer.log"), "%s",
                      dir);
            cr_assert(rundir_alive(dir) == (i >= round * STARTS));
        }
        close(stay[1]);
        for (int i = 0; i < STARTS; i++)
            cr_assert(wait(&rc) > 0 && rc == 0);
        fclose(f);
        close(go[0]);
        close(stay[0]);
    }
    lab_close(&lab);
}

Test(rundir, who_starts_under_a_name_keeps_it)
{
    struct lab lab;
    struct options o;
    struct rundir d;
    struct error e = {{0}};
    char hidden[4200], why[300], first[256];
    int go[2], told[2], stay[2], rc;
    in_lab(&lab, &o);
    snprintf(hidden, sizeof hidden, "%s/.a.new", o.runs);
    cr_assert(pipe(go) == 0 && pipe(told) == 0 && pipe(stay) == 0);
    pid_t pid = fork();
    if (pid == 0)
        start(&o, "a", 0, go, told, stay);
    close(go[1]);
    FILE *f = fdopen(told[0], "r");
    cr_assert(fscanf(f, "%d %255s%299[^\n]", &rc, first, why) == 3 && rc == 0, "%s", why);
    cr_assert(rundir_create(&d, o.runs, "a", o.data, &o, &e) == -1);
    cr_assert(strstr(e.text, "another trainer is just starting a"), "%s", e.text);
    cr_assert(has(hidden, "config.ini") && has(hidden, "lock"), "it is as it was");
    // When it is gone, killed before it was done, the name is free and nothing of it is left.
    close(stay[1]);
    cr_assert(waitpid(pid, &rc, 0) == pid && has(hidden, "config.ini"));
    snprintf(why, sizeof why, "%.200s/ckpt-3.safetensors", hidden);
    close(open(why, O_WRONLY | O_CREAT, 0600));
    cr_assert(rundir_create(&d, o.runs, "a", o.data, &o, &e) == 0, "%s", e.text);
    cr_assert(!has(hidden, "ckpt-3.safetensors") && has(hidden, "config.ini"));
    cr_assert(rundir_publish(&d, &e) == 0 && !has(o.runs, ".a.new"));
    struct rundir again;
    cr_assert(rundir_create(&again, o.runs, "a", o.data, &o, &e) == -1 &&
              strstr(e.text, "exists already"));
    cr_assert(has(d.path, "config.ini"), "a refused start takes nothing away");
    rundir_close(&d);
    fclose(f);
    lab_close(&lab);
}

// The moment between making a folder and locking it: who comes second may have it then, and the
// first gets the next name.
Test(rundir, a_folder_belongs_to_who_holds_its_lock)
{
    struct lab lab;
    struct options o;
    struct rundir first, second;
    struct error e = {{0}};
    char hidden[4200];
    in_lab(&lab, &o);
    snprintf(hidden, sizeof hidden, "%s/.a.new", o.runs);
    cr_assert(mkdir(o.runs, 0777) == 0 && mkdir(hidden, 0700) == 0);
    cr_assert(rundir_create(&second, o.runs, "a", o.data, &o, &e) == 0, "%s", e.text);
    cr_assert(rundir_create(&first, o.runs, "a", o.data, &o, &e) == -1 &&
              has(hidden, "config.ini"));
    rundir_discard(&second);
    cr_assert(!has(o.runs, ".a.new"));
    cr_assert(rundir_create(&first, o.runs, "a", o.data, &o, &e) == 0, "%s", e.text);
    rundir_discard(&first);
    lab_close(&lab);
}

// What has the name already may be no run: there is nothing to go on with then.
Test(rundir, a_name_of_something_else)
{
    struct lab lab;
    struct error e = {""};
    char path[128];
    lab_open(&lab);
    snprintf(path, sizeof path, "%s/a", lab.dir);
    for (int kind = 0; kind < 2; kind++) {
        cr_assert(kind ? symlink("nowhere", path) == 0 : mkdir(path, 0700) == 0);
        cr_assert_eq(rundir_check(lab.dir, "a", &e), -1);
        cr_expect(strstr(e.text, "is no run") && !strstr(e.text, "--resume"), "%s", e.text);
        cr_assert(kind ? unlink(path) == 0 : rmdir(path) == 0);
    }
    lab_close(&lab);
}

// What can't be looked at is not called dead.
Test(rundir, what_cannot_be_told_is_unknown)
{
    struct lab lab;
    struct error e = {""};
    struct runs_info *all;
    struct rlimit was, none;
    char path[128], text[200];
    int n;
    lab_open(&lab);
    cr_assert_eq(RUN(&lab, TINY, "--steps", "1", "--name", "a"), 0, "%s", lab_text(lab.out));
    snprintf(path, sizeof path, "%s/a", lab.dir);
    cr_assert_eq(rundir_alive(path), 0);
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    int alive = rundir_alive(path);
    int fd = control_connect(path, 0, &e);
    setrlimit(RLIMIT_NOFILE, &was);
    cr_expect_eq(alive, -1);
    cr_expect(fd == -1 && !strstr(e.text, "no trainer is running"), "%s", e.text);

    snprintf(text, sizeof text, "echo no log > %s/run.jsonl.zst", path);
    cr_assert_eq(system(text), 0);
    cr_assert(runs_list(lab.dir, &all, &n, &e) == 0 && n == 1, "%s", e.text);
    cr_expect_str_eq(all->state, "unknown");
    free(all);
    lab_close(&lab);
}

// A pipe where the way to the socket is to be written has nobody who reads it.
Test(rundir, a_pipe_in_the_place_of_control, .timeout = 60)
{
    struct lab lab;
    char path[200];
    lab_open(&lab);
    cr_assert_eq(RUN(&lab, TINY, "--steps", "4", "--stop-at", "2", "--name", "a"), 0);
    snprintf(path, sizeof path, "%s/a/control", lab.dir);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(RUN(&lab, "--resume", "a"), 0, "%s", lab_text(lab.out));
    lab_close(&lab);
}

// Who steers the copy of a run that is trained would steer the run.
Test(rundir, a_copy_is_run_by_nobody)
{
    struct lab lab;
    struct error e = {""};
    char text[400], path[128];
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "100000", "--eval-every", "100000", "--name", "a");
    lab_ready(&lab, "a", pid);
    snprintf(path, sizeof path, "%s/b", lab.dir);
    snprintf(text, sizeof text, "cp -r %s/a %s && test -e %s/control", lab.dir, path, path);
    cr_assert_eq(system(text), 0);
    cr_expect_eq(control_connect(path, 0, &e), -1);
    cr_expect(strstr(e.text, "no trainer is running"), "%s", e.text);
    cr_assert(lab_say(&lab, "a", "stop").ok);
    cr_assert_eq(lab_wait(pid), 0);
    lab_close(&lab);
}

// A run that others may not look at is not said to be none. Where this user may look at everything
// it is tried as another.
Test(rundir, what_may_not_be_looked_at_is_said)
{
    struct lab lab;
    char path[128], inner[200];
    lab_open(&lab);
    snprintf(path, sizeof path, "%s/a", lab.dir);
    cr_assert(mkdir(path, 0700) == 0 && chmod(lab.dir, 0755) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct error e = {""};
        char found[4200];
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        if (geteuid() != 65534 && chmod(path, 0) != 0)
            _exit(3);
        snprintf(inner, sizeof inner, "%s/b", path);
        const char *const said[] = {inner, path, "a"};
        for (int i = 0; i < 3; i++)
            if (runs_find(lab.dir, said[i], 0, found, sizeof found, &e) != -1 ||
                !strstr(e.text, "Permission denied"))
                _exit(4 + i);
        _exit(0);
    }
    cr_expect_eq(lab_wait(pid), 0);
    chmod(path, 0700);
    lab_close(&lab);
}
