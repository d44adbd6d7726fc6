// A living trainer's socket under everything that people and programs do to sockets: two hundred
// clients, half lines, a megabyte without a newline, a watcher that never reads, ten thousand
// orders. Everyone gets an answer or a closed connection, and the trainer keeps its memory.
#include <criterion/criterion.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "tests/kit/measure.h"
#include "tests/kit/runs.h"
#include "train/wire/socket.h"
#include "train/wire/watchers.h"

enum { CLIENTS = 200, ORDERS = 10000, KB = 20 * 1024, PATIENCE_MS = 60000 };

static long resident_kb(pid_t pid)
{
    char path[64], line[128];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    fclose(f);
    return kb;
}

static int dial(const struct lab *lab)
{
    struct error e = {""};
    char path[128];
    snprintf(path, sizeof path, "%s/s", lab->dir);
    int fd = control_connect(path, PATIENCE_MS, &e);
    cr_assert(fd >= 0, "%s", e.text);
    return fd;
}

// As much as the other end takes; 0: it let us go.
static int send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return 0;
        bytes += k;
        n -= (size_t)k;
    }
    return 1;
}

// Something, or the end, comes within the time.
static int hears(int fd)
{
    char bytes[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        return 0;
    return recv(fd, bytes, sizeof bytes, 0) >= 0 || errno == ECONNRESET;
}

static void two_hundred(const struct lab *lab)
{
    static const char *const says[] = {"{\"id\":1,\"cmd\":\"status\"}\n", "{\"id\":1,\"cmd\":\"sta",
                                       "\xff\xfe garbage \x01\n", "{}\n", "\n\n\n"};
    static char much[1 << 20];
    int fd[CLIENTS];
    memset(much, 'x', sizeof much);
    for (int i = 0; i < CLIENTS; i++) {
        fd[i] = dial(lab);
        if (i % 50 == 7)
            send_all(fd[i], much, sizeof much);
        else
            send_all(fd[i], says[i % 5], strlen(says[i % 5]));
    }
    // Of those that wait for nothing the last may keep their places: they have no answer to get.
    for (int i = 0; i < CLIENTS; i++)
        if (i < CLIENTS - WATCHERS_MAX || i % 5 == 0)
            cr_assert(hears(fd[i]), "client %d waits", i);
    for (int i = 0; i < CLIENTS; i++)
        close(fd[i]);
}

// Written as fast as they are taken, while the answers are read. None is left out.
static void ten_thousand(const struct lab *lab)
{
    static const char *const order[] = {"status", "resume", "step", "status"};
    static char answered[ORDERS + 1], text[1 << 16];
    int fd = dial(lab), sent = 0, heard = 0;
    size_t used = 0, at = 0, n = 0;
    char line[96];
    double end = clock_seconds() + 2 * PATIENCE_MS / 1000;
    while (heard < ORDERS) {
        if (at == n && sent < ORDERS) {
            sent++;
            n = (size_t)snprintf(line, sizeof line, "{\"id\":%d,\"cmd\":\"%s\"}\n", sent,
                                 order[sent % 4]);
            at = 0;
        }
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (at < n ? POLLOUT : 0))};
        cr_assert(poll(&p, 1, PATIENCE_MS) == 1 && clock_seconds() < end, "%d of %d are answered",
                  heard, ORDERS);
        if (p.revents & POLLOUT) {
            ssize_t k = send(fd, line + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            at += k > 0 ? (size_t)k : 0;
        }
        if (!(p.revents & POLLIN))
            continue;
        ssize_t k = recv(fd, text + used, sizeof text - used, MSG_DONTWAIT);
        cr_assert(k > 0, "it was let go after %d answers", heard);
        used += (size_t)k;
        char *from = text, *newline;
        while ((newline = memchr(from, '\n', used - (size_t)(from - text)))) {
            struct answer a;
            cr_assert(answer_parse(from, (size_t)(newline - from), &a, NULL) == 1);
            cr_assert(a.id > 0 && a.id <= ORDERS && !answered[a.id]++, "%ld", (long)a.id);
            heard++;
            from = newline + 1;
        }
        used -= (size_t)(from - text);
        memmove(text, from, used);
    }
    close(fd);
}

Test(socket_storm, everyone_is_answered_or_let_go)
{
    struct lab lab;
    lab_open(&lab);
    pid_t pid = START(&lab, TINY, "--steps", "1000000", "--eval-every", "1000000",
                      "--checkpoint-every", "1000000", "--name", "s");
    lab_ready(&lab, "s", pid);
    lab_until_step(&lab, "s", 200);
    long before = resident_kb(pid);
    int deaf = dial(&lab);
    cr_assert(send_all(deaf, "{\"cmd\":\"watch\"}\n", 16));
    two_hundred(&lab);
    ten_thousand(&lab);
    two_hundred(&lab);
    long after = resident_kb(pid);
    cr_expect(after - before <= KB || !MEMORY_IS_OURS, "it has %ld KB more", after - before);
    int64_t step = lab_say(&lab, "s", "status").step;
    lab_until_step(&lab, "s", step + 2);
    cr_assert(lab_say(&lab, "s", "stop").ok);
    cr_assert(lab_wait(pid) == 0, "%s", lab_text(lab.out));
    close(deaf);
    lab_close(&lab);
}

// ---------------------------------------------------------------- who holds places and memory

struct room {
    struct watchers *w;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

static void on_call(void *context, uint64_t client, const struct command_call *c)
{
    struct room *r = context;
    struct answer a;
    answer_init(&a, c->id);
    a.ok = 1;
    watchers_answer(r->w, client, &a);
    if (c->command == COMMAND_WATCH)
        watchers_follow(r->w, client, "", 0);
}

static void turn(struct room *r, int64_t now)
{
    struct pollfd set[WATCHERS_POLL];
    struct error e = {""};
    int wait = 0, n = watchers_poll_set(r->w, set, now, &wait);
    cr_assert(poll(set, (nfds_t)n, 0) >= 0);
    cr_assert(watchers_handle(r->w, set, now, &e) == 0, "%s", e.text);
}

static int come(struct room *r, const char *says)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(a.sun_path, r->path);
    cr_assert(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    cr_assert(send_all(fd, says, strlen(says)));
    return fd;
}

static void room_open(struct room *r, struct lab *lab)
{
    struct error e = {""};
    lab_open(lab);
    setenv("XDG_RUNTIME_DIR", lab->dir, 1);
    int fd = socket_listen(r->path, sizeof r->path, &e);
    cr_assert(fd >= 0, "%s", e.text);
    cr_assert(watchers_new(fd, on_call, r, &r->w, &e) == 0, "%s", e.text);
}

// Watchers that read nothing hold all places for half a minute, not for ever.
Test(socket_storm, watchers_that_are_stuck_give_way)
{
    struct room r;
    struct lab lab;
    int fd[WATCHERS_MAX];
    static char line[1 << 16];
    memset(line, 'x', sizeof line - 1);
    room_open(&r, &lab);
    for (int i = 0; i < WATCHERS_MAX; i++) {
        fd[i] = come(&r, "{\"cmd\":\"watch\"}\n");
        turn(&r, clock_ms()); // it is let in
        turn(&r, clock_ms()); // and heard
    }
    cr_assert_eq(watchers_following(r.w), WATCHERS_MAX);
    for (int i = 0; i < 6; i++) // more than a socket holds
        watchers_broadcast(r.w, line, sizeof line - 1);
    turn(&r, clock_ms());
    int late = come(&r, "{\"id\":3,\"cmd\":\"status\"}\n");
    turn(&r, clock_ms());
    cr_assert_eq(watchers_following(r.w), WATCHERS_MAX, "they may still read");
    turn(&r, clock_ms() + 31000);
    turn(&r, clock_ms());
    cr_assert_eq(watchers_following(r.w), WATCHERS_MAX - 1);
    cr_assert(hears(late));
    watchers_free(r.w);
    for (int i = 0; i < WATCHERS_MAX; i++)
        close(fd[i]);
    close(late);
    unlink(r.path);
    lab_close(&lab);
}

// A trainer that is stopped takes nobody: who comes when as many wait as may is told so.
Test(socket_storm, a_trainer_that_takes_nobody)
{
    struct lab lab;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct error e = {""};
    int fd[64], n = 0;
    lab_open(&lab);
    setenv("XDG_RUNTIME_DIR", lab.dir, 1);
    int listening = socket_listen(path, sizeof path, &e);
    cr_assert(listening >= 0 && socket_tell(lab.dir, path, &e) == 0, "%s", e.text);
    while (n < 64 && (fd[n] = control_connect(lab.dir, 100, &e)) >= 0)
        n++;
    cr_assert(n >= 16 && n < 64, "%d", n);
    cr_expect(strstr(e.text, "does not answer: as many wait for it as may"), "%s", e.text);
    while (n-- > 0)
        close(fd[n]);
    close(listening);
    unlink(path);
    lab_close(&lab);
}

// What they all are owed has a bound, not only what one is.
Test(socket_storm, together_they_are_owed_no_more_than_some_megabytes)
{
    enum { SOME = 8, LINES = 100 };
    struct room r;
    struct lab lab;
    int fd[SOME];
    static char line[1 << 16];
    memset(line, 'x', sizeof line - 1);
    room_open(&r, &lab);
    for (int i = 0; i < SOME; i++) {
        fd[i] = come(&r, "{\"cmd\":\"watch\"}\n");
        turn(&r, clock_ms());
        turn(&r, clock_ms());
    }
    long before = resident_kb(getpid());
    for (int i = 0; i < LINES; i++) // six megabytes, each of which would do
        watchers_broadcast(r.w, line, sizeof line - 1);
    int left = watchers_following(r.w);
    cr_expect(left >= 1 && left < SOME, "%d are left", left);
    long more = resident_kb(getpid()) - before;
    cr_expect(more <= 2 * KB || !MEMORY_IS_OURS, "%ld KB", more);
    watchers_free(r.w);
    for (int i = 0; i < SOME; i++)
        close(fd[i]);
    unlink(r.path);
    lab_close(&lab);
}
