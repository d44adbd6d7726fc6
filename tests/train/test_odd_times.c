// What happens around a training that nobody expects: clocks that jump, a run folder that is
// removed or may not be written any more, folders in /tmp that others made first. The work is done,
// or there is a sentence and an end.
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/kit/runs.h"
#include "train/wire/socket.h"

enum { YEAR = 31557600, NOBODY = 54321 };

// The wall's clock, which somebody sets at every look: back and on by years.
static atomic_int is_set, looks;

static time_t shift(void)
{
    return atomic_load(&is_set) ? (atomic_fetch_add(&looks, 1) % 3 - 1) * (time_t)YEAR : 0;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += shift();
    return rc;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    *out = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}

static double number(json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

// All lines of the log as they stand, of one type.
static void each_step(const struct lab *lab, const char *name, void (*look)(json_t *step))
{
    char command[256], line[1 << 14];
    snprintf(command, sizeof command, "zstdcat %s/%s/run.jsonl.zst", lab->dir, name);
    FILE *f = popen(command, "r");
    cr_assert_not_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *o = json_loads(line, 0, NULL);
        cr_assert_not_null(o, "%s", line);
        if (strcmp(json_string_value(json_object_get(o, "type")), "step") == 0)
            look(o);
        json_decref(o);
    }
    cr_assert_eq(pclose(f), 0);
}

static double last;
static int steps;

static void look_at_time(json_t *o)
{
    double t = number(o, "t"), speed = number(o, "images_s");
    cr_assert(t >= last && t < 600, "step %d is at %g s, the one before at %g", steps, t, last);
    cr_assert(isnan(speed) || (speed > 0 && speed < 1e7), "%g img/s", speed);
    last = t;
    steps++;
}

// Durations, rates and waits are none of the wall's business.
Test(odd_times, clocks_that_jump)
{
    struct lab lab;
    lab_open(&lab);
    atomic_store(&is_set, 1);
    pid_t pid = START(&lab, TINY, "--steps", "60", "--name", "j");
    lab_ready(&lab, "j", pid);
    lab_say(&lab, "j", "pause");
    lab_until_paused(&lab, "j");
    cr_assert(lab_say(&lab, "j", "resume").ok || lab_say(&lab, "j", "status").step >= 60);
    cr_assert(lab_wait(pid) == 0, "%s", lab_text(lab.out));
    each_step(&lab, "j", look_at_time);
    cr_assert_eq(steps, 60);
    cr_assert(RUN(&lab, "--resume", "j") == 2, "it is finished");
    lab_close(&lab);
}

// ---------------------------------------------------------------- the run folder

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

#define LONG TINY, "--steps", "100000", "--eval-every", "100000", "--checkpoint-every", "100000"

// A folder that is gone can't take the last checkpoint: that is said, at the first signal, or
// without one before long.
Test(odd_times, a_run_folder_that_is_removed)
{
    static const int sig[] = {SIGTERM, SIGINT, 0};
    struct lab lab;
    char path[128];
    lab_open(&lab);
    for (int i = 0; i < 3; i++) {
        pid_t pid = START(&lab, LONG, "--name", "r");
        lab_ready(&lab, "r", pid);
        lab_until_step(&lab, "r", 5);
        snprintf(path, sizeof path, "%s/r", lab.dir);
        cr_assert_eq(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        cr_assert_eq(kill(pid, sig[i]), 0);
        cr_assert(lab_wait(pid) == 1, "%s", lab_text(lab.out));
        lab_says(&lab, "its folder is removed: nothing more of it can be kept");
        cr_expect(!lab_exists(&lab, "r"), "it is not made again");
    }
    lab_close(&lab);
}

// It goes with its run, though another has its name meanwhile.
Test(odd_times, a_run_folder_that_is_moved)
{
    struct lab lab;
    char path[2][128], file[64];
    lab_open(&lab);
    pid_t pid = START(&lab, LONG, "--name", "a");
    lab_ready(&lab, "a", pid);
    snprintf(path[0], sizeof path[0], "%s/a", lab.dir);
    snprintf(path[1], sizeof path[1], "%s/b", lab.dir);
    cr_assert_eq(rename(path[0], path[1]), 0);
    pid_t second = START(&lab, LONG, "--name", "a", "--probe", "off");
    lab_ready(&lab, "a", second);
    struct answer a = lab_say(&lab, "b", "checkpoint");
    cr_assert(a.ok, "%s", a.text);
    cr_assert_eq(kill(pid, SIGTERM), 0);
    cr_assert(lab_wait(pid) == 143, "%s", lab_text(lab.out));
    cr_assert(lab_event(&lab, "b", "warning", "trainer") >= 0, "where it is now");
    snprintf(file, sizeof file, "b/ckpt-%ld.safetensors",
             (long)lab_event(&lab, "b", "stop", "signal"));
    cr_expect(lab_exists(&lab, file) && !lab_exists(&lab, "b/control"), "%s", file);
    *file = 'a';
    cr_expect(!lab_exists(&lab, file) && !lab_exists(&lab, "a/best.safetensors"));
    cr_expect(lab_say(&lab, "a", "stop").ok, "its socket is still found");
    cr_assert_eq(lab_wait(second), 0);
    cr_assert_eq(RUN(&lab, "--resume", "b", "--dry-run"), 0, "%s", lab_text(lab.out));
    lab_close(&lab);
}

// Somebody takes the lock for an old one: it is made again, and where another trainer was faster,
// it has the folder for itself.
Test(odd_times, a_lock_that_is_removed)
{
    struct lab lab;
    char path[128];
    int fd;
    lab_open(&lab);
    pid_t pid = START(&lab, LONG, "--name", "r");
    lab_ready(&lab, "r", pid);
    snprintf(path, sizeof path, "%s/r/lock", lab.dir);
    cr_assert_eq(unlink(path), 0);
    while (!lab_exists(&lab, "r/lock"))
        poll(NULL, 0, 5);
    cr_assert_neq(RUN(&lab, "--resume", "r"), 0);
    lab_says(&lab, "another trainer is running it");
    do {
        unlink(path);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0);
    cr_assert(lab_wait(pid) == 1, "%s", lab_text(lab.out));
    lab_close(&lab);
}

// As a user for whom rights count; root may write everywhere.
static void be_nobody(uid_t user)
{
    if (geteuid() == 0)
        cr_assert(setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0);
    unsetenv("XDG_RUNTIME_DIR");
}

Test(odd_times, a_run_folder_that_may_not_be_written)
{
    struct lab lab;
    char path[128];
    be_nobody(NOBODY);
    lab_open(&lab);
    snprintf(path, sizeof path, "%s/r", lab.dir);
    pid_t pid = START(&lab, LONG, "--name", "r");
    lab_ready(&lab, "r", pid);
    cr_assert_eq(chmod(path, 0500), 0);
    struct answer a = lab_say(&lab, "r", "checkpoint");
    cr_assert(!a.ok && strstr(a.text, "can't write"), "%s", a.text);
    // It trains on, and what is asked later is done when the folder is back.
    lab_until_step(&lab, "r", lab_say(&lab, "r", "status").step + 2);
    cr_assert_eq(chmod(path, 0700), 0);
    cr_assert(lab_say(&lab, "r", "checkpoint").ok);
    cr_assert_eq(chmod(path, 0500), 0);
    // What was just written would do for the end, too.
    lab_until_step(&lab, "r", lab_say(&lab, "r", "status").step + 1);
    cr_assert_eq(kill(pid, SIGTERM), 0);
    cr_assert(lab_wait(pid) == 1, "%s", lab_text(lab.out));
    lab_says(&lab, "no last checkpoint: can't write ");
    cr_assert_eq(chmod(path, 0700), 0);
    lab_close(&lab);
    snprintf(path, sizeof path, "/tmp/ssltop-%d", NOBODY); // its sockets'; nobody else's
    rmdir(path);
}

// ---------------------------------------------------------------- /tmp

static int is_refused(const char *folder)
{
    char path[128];
    struct error e = {""};
    int fd = socket_listen(path, sizeof path, &e);
    if (fd < 0 && strstr(e.text, folder) && strstr(e.text, "XDG_RUNTIME_DIR"))
        return 1;
    fprintf(stderr, "%s: %s\n", fd < 0 ? "refused" : path, e.text);
    return 0;
}

// The folder of sockets, where another user has made it, opened it, or put a link there.
Test(odd_times, folders_of_others)
{
    enum { VICTIM = NOBODY + 1 };
    char folder[64], lure[64] = "/tmp/ssltop-lure-XXXXXX";
    struct stat st;
    if (geteuid() != 0)
        cr_skip_test("needs two users");
    snprintf(folder, sizeof folder, "/tmp/ssltop-%d", VICTIM);
    for (int kind = 0; kind < 4; kind++) {
        pid_t pid;
        rmdir(folder);
        unlink(folder);
        if (kind == 0) { // another's, private
            cr_assert_eq(mkdir(folder, 0700), 0);
        } else if (kind == 1) { // another's, open to all
            cr_assert(mkdir(folder, 0777) == 0 && chmod(folder, 0777) == 0);
        } else if (kind == 2) { // a link to one's own
            cr_assert(mkdtemp(lure) && chown(lure, VICTIM, VICTIM) == 0);
            cr_assert_eq(symlink(lure, folder), 0);
        } else { // one's own, open to others
            cr_assert(mkdir(folder, 0700) == 0 && chown(folder, VICTIM, VICTIM) == 0 &&
                      chmod(folder, 0770) == 0);
        }
        cr_assert((pid = fork()) >= 0);
        if (pid == 0) {
            be_nobody(VICTIM);
            _exit(!is_refused(folder));
        }
        cr_assert_eq(lab_wait(pid), 0, "kind %d", kind);
    }
    cr_expect(stat(lure, &st) == 0 && st.st_nlink == 2 && rmdir(lure) == 0, "nothing is put there");
    rmdir(folder);
}
