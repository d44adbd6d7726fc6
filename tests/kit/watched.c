// Trainings behind the screen, asked over their control socket.
#include "tests/kit/watched.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "train/run/runs.h"

static int remove_one(const char *path, const struct stat *st, int type_flag, struct FTW *at)
{
    return remove(path);
}

void watched_make(struct watched *r)
{
    strcpy(r->runs, "/tmp/ssltop-viewer-XXXXXX");
    cr_assert_not_null(mkdtemp(r->runs));
    snprintf(r->path, sizeof r->path, "%s/v", r->runs);
}

void watched_start(struct session *s, const struct watched *r)
{
    char *argv[] = {"ssltop",       "train", "--data",    "synthetic:512",
                    "--width",      "4",     "--batch",   "16",
                    "--steps",      "20000", "--threads", "1",
                    "--eval-every", "5000",  "--runs",    (char *)r->runs,
                    "--name",       "v",     NULL};
    session_start(s, argv);
    session_wait(s, "live 0."); // a step with a spectrum
}

pid_t watched_trainer(const struct watched *r)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = control_connect(r->path, 0, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    close(fd);
    return peer.pid;
}

struct answer watched_ask(const struct watched *r, enum command command)
{
    struct command_call call = {.command = command, .id = 1, .by = "ctl"};
    struct answer a;
    struct error e = {""};
    int fd = control_connect(r->path, 0, &e);
    cr_assert_geq(fd, 0, "%s", e.text);
    cr_assert_eq(control_call(fd, &call, DEADLINE * 1000, &a, &e), 0, "%s", e.text);
    close(fd);
    return a;
}

void watched_state(const struct watched *r, const char *state)
{
    struct runs_info *all;
    int n;
    cr_assert_eq(runs_list(r->runs, &all, &n, NULL), 0);
    cr_assert_eq(n, 1);
    cr_assert_str_eq(all[0].state, state);
    free(all);
}

void watched_death(pid_t pid)
{
    double end = clock_seconds() + DEADLINE;
    while (kill(pid, 0) == 0) {
        cr_assert_lt(clock_seconds(), end, "the trainer did not end");
        poll(NULL, 0, 20);
    }
}

void watched_end(struct watched *r, pid_t trainer)
{
    if (trainer > 0) {
        cr_assert(watched_ask(r, COMMAND_STOP).ok);
        watched_death(trainer);
        watched_state(r, "stopped");
    }
    cr_assert_eq(nftw(r->runs, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void watched_progress(const struct watched *r)
{
    int64_t step = watched_ask(r, COMMAND_STATUS).step;
    double end = clock_seconds() + DEADLINE;
    while (watched_ask(r, COMMAND_STATUS).step <= step + 1) {
        cr_assert_lt(clock_seconds(), end, "the training stands still");
        poll(NULL, 0, 20);
    }
}
