// One datagram a message, so that there is no half of one that could be waited for.
#include "train/recorder/line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int line_say(int fd, enum link_kind kind, struct link_message *m, const char *text)
{
    struct iovec part[2] = {{m, sizeof *m}, {(void *)(uintptr_t)text, strlen(text)}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = *text ? 2 : 1};
    m->magic = LINK_MAGIC;
    m->version = LINK_VERSION;
    m->kind = (uint32_t)kind;
    m->length = (uint32_t)strlen(text);
    ssize_t n;
    do
        n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

// The one descriptor that is asked for; of more than one the others are closed at once.
static void take(struct msghdr *h, int *memory)
{
    for (struct cmsghdr *x = CMSG_FIRSTHDR(h); x; x = CMSG_NXTHDR(h, x)) {
        if (x->cmsg_level != SOL_SOCKET || x->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= x->cmsg_len; at += sizeof(int)) {
            if (*memory >= 0)
                close(*memory);
            memcpy(memory, (char *)x + at, sizeof *memory);
        }
    }
}

int line_hear(int fd, struct link_message *m, char *text, size_t size, size_t *length, int *memory)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part[2] = {{m, sizeof *m}, {text, size - 1}};
    struct msghdr h = {.msg_iov = part,
                       .msg_iovlen = 2,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.room};
    ssize_t n;
    *memory = -1;
    *length = 0;
    memset(m, 0, sizeof *m);
    do
        n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    take(&h, memory);
    if (n == 0 && *memory < 0)
        return -1;
    *length = n > (ssize_t)sizeof *m ? (size_t)n - sizeof *m : 0;
    text[*length] = '\0';
    if (n < (ssize_t)sizeof *m || m->magic != LINK_MAGIC)
        m->kind = 0;
    return 1;
}
