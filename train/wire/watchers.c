// Connections of viewers and scripts. Each has a bounded line to speak in and a bounded buffer of
// what it has not read yet: a stopped viewer fills its buffer and is let go, and the trainer never
// learns of it.
#include "train/wire/watchers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/memory.h"
#include "metrics/log/record.h"
#include "train/wire/socket.h"

enum { SAY_MAX = 4096, OWED_MAX = 8 << 20, OWED_ALL = 16 << 20, DEAF_MS = 1000, STUCK_MS = 30000 };

struct client {
    int fd;   // -1: free
    int slot; // in what is polled for; -1: not there
    uint64_t id;
    int following;
    int waiting;  // calls not answered yet
    int ended;    // it will say no more
    int skipping; // the rest of a line that was too long
    size_t said;  // bytes in `say`
    char *owed;   // to be sent: owed[sent .. used)
    size_t sent, used, cap;
    int64_t took; // ms: when it took some of that, or was owed nothing before
    char say[SAY_MAX];
};

struct watchers {
    int listen_fd, slot;
    int64_t deaf_until; // ms
    uint64_t next_id;
    void (*call)(void *context, uint64_t client, const struct command_call *c);
    void *context;
    struct client client[WATCHERS_MAX];
};

int watchers_new(int listen_fd,
                 void (*call)(void *context, uint64_t client, const struct command_call *c),
                 void *context, struct watchers **out, struct error *e)
{
    struct watchers *w = calloc(1, sizeof *w);
    *out = w;
    if (!w) {
        close(listen_fd);
        return error_set(e, "out of memory");
    }
    w->listen_fd = listen_fd;
    w->next_id = 1;
    w->call = call;
    w->context = context;
    for (int i = 0; i < WATCHERS_MAX; i++)
        w->client[i].fd = -1;
    return 0;
}

static void drop(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->owed);
    memset(c, 0, sizeof *c);
    c->fd = -1;
}

void watchers_free(struct watchers *w)
{
    if (!w)
        return;
    for (int i = 0; i < WATCHERS_MAX; i++)
        drop(&w->client[i]);
    close(w->listen_fd);
    free(w);
}

// Send as much as the socket takes now; drops the client when it is gone or done.
static void push(struct client *c)
{
    while (c->sent < c->used) {
        ssize_t n = send(c->fd, c->owed + c->sent, c->used - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) {
            drop(c);
            return;
        }
        c->sent += (size_t)n;
        c->took = clock_ms();
    }
    c->sent = c->used = 0;
    if (c->ended && !c->waiting && !c->following)
        drop(c);
}

// Owe the client n bytes more. A client that owes us too much reading is dropped.
static void owe(struct client *c, const char *text, size_t n)
{
    if (c->fd < 0)
        return;
    if (c->sent > 0) {
        memmove(c->owed, c->owed + c->sent, c->used - c->sent);
        c->used -= c->sent;
        c->sent = 0;
    }
    if (n > OWED_MAX - c->used) {
        drop(c);
        return;
    }
    if (memory_grow(c->owed, c->cap, c->used + n) < 0) {
        drop(c);
        return;
    }
    if (!c->used)
        c->took = clock_ms();
    memcpy(c->owed + c->used, text, n);
    c->used += n;
}

// All of them together must not take the trainer's memory: who owes the most reading goes first.
static void bound(struct watchers *w)
{
    for (;;) {
        size_t all = 0;
        struct client *most = w->client;
        for (int i = 0; i < WATCHERS_MAX; i++) {
            struct client *c = &w->client[i];
            all += c->used - c->sent;
            if (c->used - c->sent > most->used - most->sent)
                most = c;
        }
        if (all <= OWED_ALL)
            return;
        drop(most);
    }
}

static struct client *find(struct watchers *w, uint64_t id)
{
    for (int i = 0; i < WATCHERS_MAX; i++)
        if (w->client[i].fd >= 0 && w->client[i].id == id)
            return &w->client[i];
    return NULL;
}

static void owe_answer(struct client *c, const struct answer *a)
{
    char *line = answer_to_json(a);
    if (line) {
        owe(c, line, strlen(line));
        owe(c, "\n", 1);
    }
    free(line);
}

void watchers_answer(struct watchers *w, uint64_t client, const struct answer *a)
{
    struct client *c = find(w, client);
    if (!c)
        return;
    c->waiting--;
    owe_answer(c, a);
    if (c->fd >= 0)
        push(c);
}

void watchers_follow(struct watchers *w, uint64_t client, const char *backlog, size_t n)
{
    struct client *c = find(w, client);
    if (!c)
        return;
    c->following = 1;
    if (n)
        owe(c, backlog, n);
}

void watchers_broadcast(struct watchers *w, const char *line, size_t n)
{
    for (int i = 0; i < WATCHERS_MAX; i++) {
        struct client *c = &w->client[i];
        if (c->fd < 0 || !c->following)
            continue;
        owe(c, line, n);
        owe(c, "\n", 1);
    }
    bound(w);
}

int watchers_following(const struct watchers *w)
{
    int n = 0;
    for (int i = 0; i < WATCHERS_MAX; i++)
        n += w->client[i].fd >= 0 && w->client[i].following;
    return n;
}

void watchers_listen(struct watchers *w, int listen_fd)
{
    close(w->listen_fd);
    w->listen_fd = listen_fd;
    w->slot = -1;
}

// Whether it would not be missed: it follows nothing, waits for nothing and is owed nothing; or it
// has read nothing for long of what it is owed.
static int is_idle(const struct client *c, int64_t now)
{
    if (c->sent < c->used)
        return now - c->took >= STUCK_MS;
    return !c->following && !c->waiting;
}

// A place for who comes: a free one, or that of the oldest connection that is idle. -1: all of them
// are busy.
static int find_place(const struct watchers *w, int64_t now)
{
    int idle = -1;
    for (int i = 0; i < WATCHERS_MAX; i++) {
        const struct client *c = &w->client[i];
        if (c->fd < 0)
            return i;
        if (is_idle(c, now) && (idle < 0 || c->id < w->client[idle].id))
            idle = i;
    }
    return idle;
}

int watchers_poll_set(struct watchers *w, struct pollfd set[WATCHERS_POLL], int64_t now,
                      int *timeout_ms)
{
    int n = 0;
    for (int i = 0; i < WATCHERS_MAX; i++) {
        struct client *c = &w->client[i];
        short events = (short)((c->ended ? 0 : POLLIN) | (c->sent < c->used ? POLLOUT : 0));
        c->slot = c->fd >= 0 ? n++ : -1;
        if (c->fd >= 0)
            set[c->slot] = (struct pollfd){.fd = c->fd, .events = events};
    }
    // With no room left the others wait in the kernel's queue.
    w->slot = -1;
    if (find_place(w, now) < 0)
        return n;
    int64_t left = w->deaf_until - now;
    if (left > 0) {
        if (*timeout_ms < 0 || *timeout_ms > left)
            *timeout_ms = (int)left;
        return n;
    }
    w->slot = n++;
    set[w->slot] = (struct pollfd){.fd = w->listen_fd, .events = POLLIN};
    return n;
}

static int welcome(struct watchers *w, int64_t now, struct error *e)
{
    int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return 0;
        w->deaf_until = now + DEAF_MS;
        return error_system(e, "nobody new can watch or steer");
    }
    int i = socket_peer_is_mine(fd) ? find_place(w, now) : -1;
    if (i < 0) {
        close(fd);
        return 0;
    }
    drop(&w->client[i]);
    w->client[i].fd = fd;
    w->client[i].slot = -1;
    w->client[i].id = w->next_id++;
    return 0;
}

static void refuse(struct client *c, int64_t id, const struct error *why)
{
    struct answer a;
    answer_init(&a, id);
    text_clean(a.text, sizeof a.text, why->text);
    owe_answer(c, &a);
}

static void hear_line(struct watchers *w, struct client *c, const char *line, size_t n)
{
    struct command_call call;
    struct error why = {{0}};
    if (command_parse_json(line, n, &call, &why) < 0) {
        refuse(c, call.id, &why);
        return;
    }
    c->waiting++;
    w->call(w->context, c->id, &call);
}

// Split what was said into lines.
static void hear(struct watchers *w, struct client *c)
{
    size_t at = 0;
    uint64_t id = c->id;
    for (;;) {
        char *end = memchr(c->say + at, '\n', c->said - at);
        if (!end)
            break;
        size_t n = (size_t)(end - (c->say + at));
        if (n > 0 && !c->skipping)
            hear_line(w, c, c->say + at, n);
        if (c->id != id) // dropped while it was answered
            return;
        c->skipping = 0;
        at += n + 1;
    }
    memmove(c->say, c->say + at, c->said - at);
    c->said -= at;
    if (c->said == SAY_MAX) {
        struct error why;
        error_set(&why, "a command line has at most %d bytes", SAY_MAX - 1);
        if (!c->skipping)
            refuse(c, 0, &why);
        c->skipping = 1;
        c->said = 0;
    }
}

static void listen_to(struct watchers *w, struct client *c)
{
    ssize_t n = recv(c->fd, c->say + c->said, SAY_MAX - c->said, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n < 0) {
        drop(c);
        return;
    }
    if (n == 0)
        c->ended = 1;
    c->said += (size_t)n;
    hear(w, c);
}

int watchers_handle(struct watchers *w, const struct pollfd set[WATCHERS_POLL], int64_t now,
                    struct error *e)
{
    for (int i = 0; i < WATCHERS_MAX; i++) {
        struct client *c = &w->client[i];
        if (c->fd < 0 || c->slot < 0)
            continue;
        short got = set[c->slot].revents;
        if (got & POLLIN)
            listen_to(w, c);
        else if (got & (POLLHUP | POLLERR | POLLNVAL))
            drop(c);
        if (c->fd >= 0)
            push(c);
    }
    bound(w);
    return w->slot >= 0 && set[w->slot].revents & POLLIN ? welcome(w, now, e) : 0;
}

void watchers_drain(struct watchers *w, int timeout_ms)
{
    int64_t deadline = clock_ms() + timeout_ms;
    for (;;) {
        struct pollfd set[WATCHERS_MAX];
        nfds_t owed = 0;
        for (int i = 0; i < WATCHERS_MAX; i++) {
            struct client *c = &w->client[i];
            if (c->fd >= 0)
                push(c);
            if (c->fd >= 0 && c->sent < c->used)
                set[owed++] = (struct pollfd){.fd = c->fd, .events = POLLOUT};
        }
        int left = clock_left(deadline);
        if (!owed || left == 0)
            return;
        if (poll(set, owed, left) < 0 && errno != EINTR)
            return;
    }
}
