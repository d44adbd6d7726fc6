// Messages to and from the recorder, none of which is waited for.
#include "train/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct link_message client_message(enum link_kind kind)
{
    struct link_message m;
    memset(&m, 0, sizeof m);
    m.magic = LINK_MAGIC;
    m.version = LINK_VERSION;
    m.kind = (uint32_t)kind;
    m.step = m.steps = -1;
    return m;
}

int client_mine(const ssltop_client *c)
{
    return c && c->owner == getpid();
}

// A recorder that was killed leaves its socket, and the file `control` that names it: one that ends
// by itself removes both before its end of the line is closed.
static void sweep(const ssltop_client *c)
{
    char control[sizeof c->run + 16], path[200];
    struct stat st;
    snprintf(control, sizeof control, "%s/control", c->run);
    FILE *f = *c->run ? fopen(control, "re") : NULL;
    if (!f)
        return;
    path[0] = '\0';
    if (fgets(path, sizeof path, f))
        path[strcspn(path, "\n")] = '\0';
    fclose(f);
    if (path[0] == '/' && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
        unlink(path);
    unlink(control);
}

// The recorder is gone: said once, and the training goes on.
static void lose(ssltop_client *c, const char *why, int is_dead)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    if (is_dead)
        sweep(c);
    c->fd = -1;
    c->pause_at = -1;
    if (*c->run)
        fprintf(stderr, "ssltop: the recorder is gone (%s): the training goes on unrecorded\n",
                why);
}

// 0; 1: the recorder does not listen just now; -1: it is gone.
int client_say(ssltop_client *c, struct link_message *m, const char *text, size_t n, int memory)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part[2] = {{m, sizeof *m}, {(void *)(uintptr_t)text, n}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = n ? 2 : 1};
    if (c->fd < 0)
        return -1;
    m->length = (uint32_t)n;
    if (memory >= 0) {
        memset(&control, 0, sizeof control);
        h.msg_control = &control;
        h.msg_controllen = sizeof control.room;
        struct cmsghdr *x = CMSG_FIRSTHDR(&h);
        x->cmsg_level = SOL_SOCKET;
        x->cmsg_type = SCM_RIGHTS;
        x->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(x), &memory, sizeof memory);
    }
    ssize_t sent;
    do
        sent = sendmsg(c->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS)
        return 1;
    lose(c, strerror(errno), errno == EPIPE || errno == ECONNRESET);
    return -1;
}

// 1: a message, its text with a NUL; 0: none; -1: it is gone.
int client_hear(ssltop_client *c, struct link_message *m, char *text, size_t size)
{
    struct iovec part[2] = {{m, sizeof *m}, {text, size - 1}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = 2};
    if (c->fd < 0)
        return -1;
    ssize_t n;
    do
        n = recvmsg(c->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < (ssize_t)sizeof *m || m->magic != LINK_MAGIC) {
        lose(c,
             n == 0  ? "it ended"
             : n < 0 ? strerror(errno)
                     : "it says what nobody understands",
             n == 0 || (n < 0 && errno == ECONNRESET));
        return -1;
    }
    text[(size_t)n - sizeof *m] = '\0';
    return 1;
}
