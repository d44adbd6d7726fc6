// The writer thread: what goes into it comes out of log and socket, whoever does not read and
// whatever the disk does.
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/log/cursor.h"
#include "metrics/log/runlog.h"
#include "tests/kit/runs.h"
#include "train/wire/publisher.h"
#include "train/wire/socket.h"
#include "train/wire/watchers.h"

struct desk {
    struct lab lab; // is the run folder and holds the sockets
    struct publisher *p;
    struct error e;
};

// A disk that does not answer for as long as it is stuck.
static atomic_int disk_is_stuck;
int fdatasync(int fd)
{
    while (atomic_load(&disk_is_stuck))
        poll(NULL, 0, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

enum { PATIENCE_MS = 50 }; // where the disk is stuck; else it answers in time

static void desk_open(struct desk *d, int signal_fd)
{
    memset(d, 0, sizeof *d);
    lab_open(&d->lab);
    setenv("XDG_RUNTIME_DIR", d->lab.dir, 1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    struct publisher_options o = {.dir = d->lab.dir,
                                  .signal_fd = signal_fd,
                                  .trainer_log_fd = -1,
                                  .patience_ms = atomic_load(&disk_is_stuck) ? PATIENCE_MS : 60000};
    cr_assert(publisher_open(&o, &d->p, &d->e) == 0, "%s", d->e.text);
    cr_assert(publisher_settle(d->p, d->lab.dir, &d->e) == 0, "%s", d->e.text);
}

static void put_step(struct desk *d, int64_t step)
{
    struct record r;
    record_init(&r, RECORD_STEP, step);
    publisher_put(d->p, &r);
}

static void put_wide(struct desk *d, int64_t step)
{
    static double sigma[1024];
    struct record r;
    for (int i = 0; i < 1024; i++)
        sigma[i] = 1e4 * fabs(sin(1.7 * i * (double)(step + 1)));
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.d = 1024;
    r.u.spectrum.sigma = sigma;
    publisher_put(d->p, &r);
}

// Lines of the log on disk now: how many in all, how many step or spectrum records, and what
// warnings say is missing.
struct tally {
    int64_t lines, steps, missing, warnings;
};
static struct tally tally(const struct desk *d)
{
    struct tally t = {0};
    char path[128];
    struct cursor *r;
    const char *line;
    size_t n;
    snprintf(path, sizeof path, "%s/run.jsonl.zst", d->lab.dir);
    cr_assert(cursor_open(path, &r, NULL) == 0);
    while (cursor_next(r, &line, &n, NULL) == 1) {
        struct record rec;
        long long missing;
        cr_assert(record_parse(line, n, &rec, NULL) == 0);
        t.lines++;
        t.steps += rec.type == RECORD_STEP || rec.type == RECORD_SPECTRUM;
        if (rec.type == RECORD_EVENT && strcmp(rec.u.event.what, "warning") == 0) {
            t.warnings++;
            if (sscanf(rec.u.event.text, "%lld records are missing", &missing) == 1)
                t.missing += missing;
        }
        record_free(&rec);
    }
    cursor_free(r);
    return t;
}

static int dial(struct desk *d)
{
    int fd = control_connect(d->lab.dir, 0, &d->e);
    cr_assert(fd >= 0, "%s", d->e.text);
    return fd;
}

static struct answer call(struct desk *d, int fd, enum command command)
{
    struct command_call c = {.command = command, .id = 5, .by = "ctl", .factor = 1};
    struct answer a;
    cr_assert(control_call(fd, &c, 60000, &a, &d->e) == 0, "%s", d->e.text);
    return a;
}

static int64_t next_step(FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    struct record r;
    cr_assert(n > 0 && record_parse(line, (size_t)n - 1, &r, NULL) == 0);
    int64_t step = r.step;
    record_free(&r);
    free(line);
    return step;
}

Test(publisher, log_then_socket_has_every_line_once)
{
    struct desk d;
    desk_open(&d, -1);
    for (int t = 0; t < 100; t++)
        put_step(&d, t);
    int fd = dial(&d);
    struct answer a = call(&d, fd, COMMAND_WATCH);
    cr_assert(a.ok && a.lines == 100, "%ld", (long)a.lines);
    cr_assert(tally(&d).lines == 100, "they are on disk");
    for (int t = 100; t < 300; t++)
        put_step(&d, t);
    FILE *f = fdopen(fd, "r");
    for (int t = 100; t < 300; t++)
        cr_assert(next_step(f) == t);
    cr_assert(publisher_close(d.p, &d.e) == 0, "%s", d.e.text);
    cr_assert(fgetc(f) == EOF);
    fclose(f);
    cr_assert(tally(&d).lines == 300);
    cr_assert(!lab_exists(&d.lab, "control"));
    cr_assert(control_connect(d.lab.dir, 0, &d.e) == -1);
    lab_close(&d.lab);
}

Test(publisher, sync_means_on_disk)
{
    struct desk d;
    struct record r;
    desk_open(&d, -1);
    cr_assert(publisher_sync(d.p, NULL, &d.e) == 0, "nothing to wait for");
    for (int i = 1; i <= 20; i++) {
        record_init(&r, RECORD_EVENT, i);
        cr_assert(publisher_sync(d.p, &r, &d.e) == 0, "%s", d.e.text);
        cr_assert(tally(&d).lines == i);
    }
    put_step(&d, 21);
    cr_assert(publisher_sync(d.p, NULL, &d.e) == 0);
    cr_assert(tally(&d).lines == 21);
    publisher_close(d.p, NULL);
    lab_close(&d.lab);
}

Test(publisher, stuck_watcher_is_let_go)
{
    enum { LINES = 4000 };
    struct desk d;
    desk_open(&d, -1);
    int stuck = dial(&d), other = dial(&d);
    cr_assert(call(&d, stuck, COMMAND_WATCH).ok);
    for (int t = 0; t < LINES; t++) {
        put_wide(&d, t);
        if (t % 500 == 499) // the queue is bounded: let it run empty
            cr_assert(publisher_sync(d.p, NULL, &d.e) == 0);
    }
    cr_assert(call(&d, other, COMMAND_STATUS).ok, "everybody else is served");
    // What was on its way is still there, then the line is dead.
    char buf[65536];
    int64_t lines = 0;
    ssize_t n;
    while ((n = recv(stuck, buf, sizeof buf, 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += buf[i] == '\n';
    cr_assert(lines < LINES, "it was let go");
    close(stuck);
    close(other);
    cr_assert(publisher_close(d.p, &d.e) == 0, "%s", d.e.text);
    cr_assert(tally(&d).steps == LINES, "the log has them all");
    lab_close(&d.lab);
}

Test(publisher, what_the_queue_loses_is_counted)
{
    enum { LINES = 30000 };
    struct desk d;
    desk_open(&d, -1);
    for (int t = 0; t < LINES; t++)
        put_step(&d, t);
    publisher_close(d.p, NULL);
    struct tally t = tally(&d);
    cr_assert(t.steps + t.missing == LINES, "%ld + %ld", (long)t.steps, (long)t.missing);
    lab_close(&d.lab);
}

Test(publisher, disk_full_and_free_again)
{
    struct desk d;
    struct record r;
    desk_open(&d, -1);
    struct rlimit full = {4096, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    for (int t = 0; t < 10; t++)
        put_step(&d, t);
    cr_assert(publisher_sync(d.p, NULL, &d.e) == 0);
    cr_assert(setrlimit(RLIMIT_FSIZE, &full) == 0);
    for (int t = 10; t < 30; t++)
        put_wide(&d, t);
    record_init(&r, RECORD_EVENT, 30);
    cr_assert(publisher_sync(d.p, &r, &d.e) == -1);
    cr_assert(strstr(d.e.text, "can't write the log") != NULL, "%s", d.e.text);
    cr_assert(tally(&d).steps == 10, "what was written is whole");
    // A watcher that comes now gets from the socket what the disk does not have.
    int fd = dial(&d);
    struct answer a = call(&d, fd, COMMAND_WATCH);
    cr_assert(a.ok && a.lines == 10, "%ld", (long)a.lines);
    FILE *f = fdopen(fd, "r");
    for (int t = 10; t <= 30; t++)
        cr_assert(next_step(f) == t);
    cr_assert(setrlimit(RLIMIT_FSIZE, &all) == 0);
    cr_assert(publisher_sync(d.p, &r, &d.e) == 0, "%s", d.e.text);
    cr_assert(tally(&d).steps == 30 && tally(&d).warnings >= 1);
    fclose(f);
    cr_assert(publisher_close(d.p, &d.e) == 0, "%s", d.e.text);
    lab_close(&d.lab);
}

Test(publisher, commands_and_answers)
{
    struct desk d;
    struct request r;
    int ends[2];
    cr_assert(pipe(ends) == 0);
    desk_open(&d, ends[0]);
    int fd = dial(&d), gone = dial(&d);
    static const char one[] = "{\"id\":1,\"by\":\"key\",\"cmd\":\"pause\"}\n",
                      two[] = "{\"id\":2,\"cmd\":\"step\"}\n";
    cr_assert(send(gone, two, strlen(two), 0) == (ssize_t)strlen(two));
    cr_assert(publisher_next(d.p, &r, 1) == 1 && r.call.command == COMMAND_STEP);
    close(gone);
    struct answer a;
    answer_init(&a, 0);
    a.ok = 1;
    publisher_answer(d.p, &r, &a); // nobody is there: no harm
    cr_assert(send(fd, one, strlen(one), 0) == (ssize_t)strlen(one));
    cr_assert(publisher_next(d.p, &r, 1) == 1 && r.call.command == COMMAND_PAUSE && r.call.id == 1);
    cr_assert_str_eq(r.call.by, "key");
    strcpy(a.text, "yes");
    publisher_answer(d.p, &r, &a);
    char line[512];
    FILE *f = fdopen(fd, "r+");
    cr_assert(fgets(line, sizeof line, f) && answer_parse(line, strlen(line) - 1, &a, NULL) == 1);
    cr_assert(a.id == 1 && a.ok && strcmp(a.text, "yes") == 0);
    // Signals go first.
    cr_assert(send(fd, two, strlen(two), 0) == (ssize_t)strlen(two));
    cr_assert(write(ends[1], "\x0f", 1) == 1);
    int signals = 0, steps = 0;
    for (int i = 0; i < 2; i++) {
        cr_assert(publisher_next(d.p, &r, 1) == 1);
        signals += r.signal == 15;
        steps += !r.signal && r.call.command == COMMAND_STEP;
    }
    cr_assert(signals == 1 && steps == 1);
    cr_assert(publisher_next(d.p, &r, 0) == 0);
    // What is not answered when the training ends, is answered then.
    cr_assert(send(fd, one, strlen(one), 0) == (ssize_t)strlen(one));
    cr_assert(call(&d, dial(&d), COMMAND_STATUS).ok, "the thread has seen both");
    cr_assert(publisher_close(d.p, &d.e) == 0);
    cr_assert(fgets(line, sizeof line, f) && strstr(line, "the training has ended"), "%s", line);
    fclose(f);
    close(ends[0]);
    close(ends[1]);
    lab_close(&d.lab);
}

// Connections that say nothing hold nobody's place; those that follow keep theirs.
Test(publisher, silent_connections_give_way)
{
    enum { SILENT = WATCHERS_MAX + 20 };
    struct desk d;
    int fd[SILENT];
    char byte;
    desk_open(&d, -1);
    int follower = dial(&d);
    cr_assert(call(&d, follower, COMMAND_WATCH).ok);
    for (int i = 0; i < SILENT; i++)
        fd[i] = dial(&d);
    int asker = dial(&d);
    cr_assert(call(&d, asker, COMMAND_STATUS).ok);
    cr_assert(recv(fd[0], &byte, 1, 0) == 0, "the first of the silent is let go");
    cr_assert(recv(fd[SILENT - 1], &byte, 1, MSG_DONTWAIT) == -1, "the last is there");
    cr_assert(call(&d, asker, COMMAND_STATUS).ok);
    cr_assert(recv(follower, &byte, 1, MSG_DONTWAIT) != 0, "who follows stays");
    for (int i = 0; i < SILENT; i++)
        close(fd[i]);
    close(asker);
    close(follower);
    publisher_close(d.p, NULL);
    lab_close(&d.lab);
}

Test(publisher, too_much_at_once)
{
    enum { CALLS = 200 };
    struct desk d;
    desk_open(&d, -1);
    int fd = dial(&d);
    FILE *f = fdopen(dup(fd), "r");
    char line[512], longest[9000];
    for (int i = 0; i < CALLS; i++)
        cr_assert(dprintf(fd, "{\"id\":%d,\"cmd\":\"pause\"}\n", i) > 0);
    // The queue of commands has an end; those beyond it hear so at once.
    cr_assert(fgets(line, sizeof line, f) && strstr(line, "are waiting already"), "%s", line);
    cr_assert(strstr(line, "\"id\":64") != NULL, "%s", line);
    for (int i = 65; i < CALLS; i++)
        cr_assert(fgets(line, sizeof line, f) != NULL);
    // So has a line; the next is heard again.
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\n';
    cr_assert(send(fd, longest, sizeof longest, 0) == (ssize_t)sizeof longest);
    cr_assert(fgets(line, sizeof line, f) && strstr(line, "at most 4095 bytes"), "%s", line);
    cr_assert(call(&d, fd, COMMAND_STATUS).ok);
    fclose(f);
    close(fd);
    publisher_close(d.p, NULL);
    lab_close(&d.lab);
}

Test(publisher, sockets_are_private_and_the_dead_are_swept)
{
    struct lab lab;
    struct stat st;
    char dead[128], path[128], folder[128];
    struct error e = {{0}};
    lab_open(&lab);
    setenv("XDG_RUNTIME_DIR", lab.dir, 1);
    int first = socket_listen(path, sizeof path, &e);
    cr_assert(first >= 0, "%s", e.text);
    snprintf(folder, sizeof folder, "%s/ssltop", lab.dir);
    cr_assert(strncmp(path, folder, strlen(folder)) == 0, "%s", path);
    cr_assert(stat(folder, &st) == 0 && (st.st_mode & 0777) == 0700);
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    close(first); // killed: the name stays, nobody listens
    strcpy(dead, path);
    int second = socket_listen(path, sizeof path, &e);
    cr_assert(second >= 0 && strcmp(dead, path) != 0);
    cr_assert(access(dead, F_OK) < 0 && errno == ENOENT);
    int third = socket_listen(dead, sizeof dead, &e);
    cr_assert(third >= 0 && access(path, F_OK) == 0, "the living stay");
    close(second);
    close(third);
    // A folder that others can enter is not used.
    cr_assert(chmod(folder, 0755) == 0);
    int fourth = socket_listen(path, sizeof path, &e);
    cr_assert(fourth >= 0 && strncmp(path, folder, strlen(folder)) != 0, "%s", path);
    close(fourth);
    unlink(path);
    lab_close(&lab);
}

Test(publisher, a_stuck_disk_is_waited_for_once)
{
    struct desk d;
    struct record r;
    atomic_store(&disk_is_stuck, 1);
    desk_open(&d, -1);
    record_init(&r, RECORD_EVENT, 1);
    cr_assert(publisher_sync(d.p, &r, &d.e) == -1);
    cr_assert(strstr(d.e.text, "did not answer within 0.05 s") != NULL, "%s", d.e.text);
    // Nobody waits again for a disk that does not answer; what is put is kept.
    for (int i = 2; i < 5; i++) {
        record_init(&r, RECORD_EVENT, i);
        cr_assert(publisher_sync(d.p, &r, &d.e) == -1);
        cr_assert_str_eq(d.e.text, "the disk does not answer");
        cr_assert(publisher_sync(d.p, NULL, &d.e) == -1);
    }
    for (int t = 5; t < 100; t++)
        put_step(&d, t);
    atomic_store(&disk_is_stuck, 0);
    int fd = dial(&d); // answered behind what the thread was held up by
    cr_assert(call(&d, fd, COMMAND_STATUS).ok);
    record_init(&r, RECORD_EVENT, 100);
    cr_assert(publisher_sync(d.p, &r, &d.e) == 0, "%s", d.e.text);
    cr_assert(tally(&d).lines == 100);
    close(fd);
    cr_assert(publisher_close(d.p, &d.e) == 0, "%s", d.e.text);
    lab_close(&d.lab);
}

static void where(const struct desk *d, char path[128])
{
    char control[128];
    snprintf(control, sizeof control, "%s/control", d->lab.dir);
    FILE *f = fopen(control, "r");
    cr_assert(f && fscanf(f, "%127s", path) == 1);
    fclose(f);
}

// A logout removes the folder of the sockets; who is connected stays so.
Test(publisher, a_socket_that_is_removed_is_made_anew)
{
    struct desk d;
    char first[128], second[128], folder[128];
    int ends[2];
    cr_assert(pipe(ends) == 0);
    desk_open(&d, ends[0]);
    int before = dial(&d);
    where(&d, first);
    snprintf(folder, sizeof folder, "%s/ssltop", d.lab.dir);
    for (int asked = 0; asked < 2; asked++) {
        where(&d, second);
        cr_assert(unlink(second) == 0 && rmdir(folder) == 0);
        // By itself, or at once when a signal asks for it.
        if (asked)
            cr_assert(write(ends[1], (char[]){SIGUSR1}, 1) == 1);
        do {
            poll(NULL, 0, 5);
            where(&d, first);
        } while (strcmp(first, second) == 0);
        int fd = dial(&d);
        cr_assert(call(&d, fd, COMMAND_STATUS).ok);
        close(fd);
    }
    cr_assert(call(&d, before, COMMAND_STATUS).ok);
    close(before);
    struct request r;
    cr_assert(publisher_next(d.p, &r, 0) == 0, "that signal is not for the trainer");
    cr_assert(publisher_close(d.p, &d.e) == 0);
    cr_assert(access(first, F_OK) < 0, "nothing is left");
    close(ends[0]);
    close(ends[1]);
    lab_close(&d.lab);
}

// Whoever removes the way to it, or writes another there.
Test(publisher, the_way_to_the_socket_is_told_again)
{
    struct desk d;
    char first[128], path[128];
    struct error e = {""};
    desk_open(&d, -1);
    where(&d, first);
    snprintf(path, sizeof path, "%s/control", d.lab.dir);
    for (int wrong = 0; wrong < 2; wrong++) {
        if (wrong)
            cr_assert_eq(socket_tell(d.lab.dir, "/nowhere.sock", &e), 0, "%s", e.text);
        else
            cr_assert_eq(unlink(path), 0);
        while (!socket_is_told(d.lab.dir, first))
            poll(NULL, 0, 5);
    }
    cr_assert(publisher_close(d.p, &d.e) == 0);
    lab_close(&d.lab);
}

// Nothing of what it says is kept then, though each write went well.
Test(publisher, a_log_that_is_removed)
{
    struct desk d;
    char path[128];
    desk_open(&d, -1);
    put_step(&d, 0);
    snprintf(path, sizeof path, "%s/run.jsonl.zst", d.lab.dir);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(publisher_close(d.p, &d.e), -1);
    cr_expect(strstr(d.e.text, "its log was removed"), "%s", d.e.text);
    lab_close(&d.lab);
}

static void on_call(void *context, uint64_t client, const struct command_call *c)
{
    int *calls = context;
    *calls += 1;
}

// Where no descriptor is left, the listener stays readable: it must not be asked again at once.
Test(publisher, without_descriptors_nobody_spins)
{
    struct lab lab;
    struct watchers *w;
    struct error e = {{0}};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct rlimit was, few;
    struct pollfd set[WATCHERS_POLL];
    int calls = 0, timeout = -1, filler[64], fillers = 0;
    lab_open(&lab);
    setenv("XDG_RUNTIME_DIR", lab.dir, 1);
    int listener = socket_listen(a.sun_path, sizeof a.sun_path, &e);
    cr_assert(listener >= 0, "%s", e.text);
    cr_assert(watchers_new(listener, on_call, &calls, &w, &e) == 0);
    cr_assert(watchers_poll_set(w, set, 1000, &timeout) == 1 && set[0].fd == listener);
    cr_assert(timeout == -1, "nothing to wake for");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    cr_assert(getrlimit(RLIMIT_NOFILE, &was) == 0);
    few = (struct rlimit){32, was.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (fillers < 64 && (filler[fillers] = dup(fd)) >= 0)
        fillers++;
    cr_assert(poll(set, 1, -1) == 1);
    cr_assert(watchers_handle(w, set, 1000, &e) == -1 && strstr(e.text, "nobody new"), "%s",
              e.text);
    cr_assert(watchers_poll_set(w, set, 1001, &timeout) == 0, "deaf");
    cr_assert(timeout == 999, "%d", timeout);
    cr_assert(watchers_handle(w, set, 1001, &e) == 0);
    // When there are some again, who waited is heard.
    while (fillers > 0)
        close(filler[--fillers]);
    timeout = -1;
    cr_assert(watchers_poll_set(w, set, 2000, &timeout) == 1 && poll(set, 1, -1) == 1);
    cr_assert(watchers_handle(w, set, 2000, &e) == 0);
    cr_assert(write(fd, "{\"cmd\":\"pause\"}\n", 16) == 16);
    cr_assert(watchers_poll_set(w, set, 2001, &timeout) == 2 && poll(set, 2, -1) == 1);
    cr_assert(watchers_handle(w, set, 2001, &e) == 0 && calls == 1);
    close(fd);
    watchers_free(w);
    unlink(a.sun_path);
    lab_close(&lab);
}

// poll refuses more entries than a process may have descriptors: then the log goes on all the same,
// and signals are heard.
Test(publisher, where_poll_is_refused_the_log_and_signals_go_on)
{
    struct desk d;
    struct request r;
    struct rlimit was, few;
    int ends[2], fd[8];
    cr_assert(pipe(ends) == 0);
    desk_open(&d, ends[0]);
    for (int i = 0; i < 8; i++) {
        fd[i] = dial(&d);
        cr_assert(call(&d, fd[i], COMMAND_STATUS).ok);
    }
    cr_assert(getrlimit(RLIMIT_NOFILE, &was) == 0);
    few = (struct rlimit){4, was.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
    for (int t = 0; t < 100; t++)
        put_step(&d, t);
    cr_assert(publisher_sync(d.p, NULL, &d.e) == 0, "%s", d.e.text);
    cr_assert(write(ends[1], (char[]){SIGTERM}, 1) == 1);
    cr_assert(publisher_next(d.p, &r, 1) == 1 && r.signal == SIGTERM);
    cr_assert(setrlimit(RLIMIT_NOFILE, &was) == 0);
    cr_assert(tally(&d).lines == 100);
    for (int i = 0; i < 8; i++) {
        cr_assert(call(&d, fd[i], COMMAND_STATUS).ok, "and so do those who watch, later");
        close(fd[i]);
    }
    cr_assert(publisher_close(d.p, &d.e) == 0);
    close(ends[0]);
    close(ends[1]);
    lab_close(&d.lab);
}
