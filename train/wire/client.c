// The near end of the control socket: find it through the run folder, send a call, wait for its
// answer.
#include "train/wire/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "train/store/rundir.h"
#include "train/wire/socket.h"

enum { LINE_MAX_BYTES = 1 << 20, PEEK = 4096 };

// The socket's path from the file `control` of the run folder. 1: there is none.
static int read_path(const char *run_dir, char *path, size_t size, struct error *e)
{
    int fd = open(path_of("%s/control", run_dir).s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *path = '\0';
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (fd < 0)
        return error_system(e, "can't read %s/control", run_dir);
    ssize_t n = read(fd, path, size - 1);
    close(fd);
    if (n <= 0)
        return error_set(e, "%s/control is empty", run_dir);
    path[n] = '\0';
    path[strcspn(path, "\n")] = '\0';
    return 0;
}

// The connection; -1: can't be had; NOBODY is where `control` says, which is in `a`; or FULL: those
// who wait there already are as many as may, for the trainer takes none.
enum { NOBODY = -2, FULL = -3 };
static int try_connect(const char *run_dir, struct sockaddr_un *a, struct error *e)
{
    int rc = read_path(run_dir, a->sun_path, sizeof a->sun_path, e);
    if (rc)
        return rc < 0 ? -1 : NOBODY;
    if (a->sun_path[0] != '/')
        return error_set(e, "%s/control does not name a socket", run_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_system(e, "no socket");
    rc = connect(fd, (struct sockaddr *)a, sizeof *a);
    if (rc < 0 && (errno == ECONNREFUSED || errno == ENOENT))
        rc = NOBODY;
    else if (rc < 0 && errno == EAGAIN)
        rc = FULL;
    else if (rc < 0)
        error_system(e, "can't reach the trainer of %s", run_dir);
    else if (!socket_peer_is_mine(fd))
        rc = error_set(e, "the socket of %s belongs to somebody else", run_dir);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

// A folder that was copied while it was trained: the way to the socket that came with it leads to
// the trainer of the other.
static int is_copy(const char *run_dir)
{
    return path_is_file(path_of("%s/lock", run_dir).s) && rundir_alive(run_dir) == 0;
}

int control_connect(const char *run_dir, int patience_ms, struct error *e)
{
    enum { RETRY_MS = 50, BUSY_MS = 1000 }; // which is long for who only has to take them
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int64_t until = clock_ms() + patience_ms, busy = clock_ms() + BUSY_MS;
    for (;;) {
        int fd = try_connect(run_dir, &a, e);
        if (fd >= 0 && is_copy(run_dir)) {
            close(fd);
            return error_set(e, "no trainer is running %s", run_dir);
        }
        if (fd != NOBODY && fd != FULL)
            return fd;
        int alive = fd == NOBODY ? rundir_alive(run_dir) : 1;
        if (alive < 0)
            return error_system(e, "it can't be told whether a trainer runs %s", run_dir);
        if (!alive)
            return error_set(e, "no trainer is running %s", run_dir);
        if (clock_ms() >= until && clock_ms() >= busy && fd == FULL)
            return error_set(e,
                             "the trainer of %s does not answer: as many wait for it as may; is it "
                             "stopped?",
                             run_dir);
        if (clock_ms() >= until && fd == NOBODY)
            break;
        poll(NULL, 0, RETRY_MS);
    }
    if (!*a.sun_path)
        return error_set(e, "the trainer of %s can't be reached: it is just starting or ending",
                         run_dir);
    return error_set(e,
                     "the trainer of %s lives but can't be reached: its socket %s is not here; on "
                     "its machine, SIGUSR1 makes it another",
                     run_dir, a.sun_path);
}

static int send_line(int fd, const char *line, size_t n, struct error *e)
{
    while (n > 0) {
        ssize_t k = send(fd, line, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_system(e, "the trainer went away");
        line += k;
        n -= (size_t)k;
    }
    return 0;
}

// One line into buf[*used]; only its own bytes are taken from the socket, so that what follows
// stays for the caller. 1: a line; 0: time is over; -1: the trainer went away or the line has no
// end.
static int read_line(int fd, char *buf, size_t *used, int64_t deadline, struct error *e)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int rc = poll(&p, 1, clock_left(deadline));
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc < 0)
            return error_system(e, "can't wait for the trainer");
        if (rc == 0)
            return 0;
        size_t want = LINE_MAX_BYTES - *used < PEEK ? LINE_MAX_BYTES - *used : PEEK;
        ssize_t n = want ? recv(fd, buf + *used, want, MSG_PEEK) : -1;
        if (!want)
            return error_set(e, "the trainer sent a line without an end");
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(e, "the trainer went away");
        const char *end = memchr(buf + *used, '\n', (size_t)n);
        size_t own = end ? (size_t)(end - (buf + *used)) + 1 : (size_t)n;
        n = recv(fd, buf + *used, own, 0);
        if (n <= 0)
            return error_set(e, "the trainer went away");
        *used += (size_t)n;
        if (end && (size_t)n == own)
            return 1;
    }
}

pid_t control_stopped(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    char stat[512] = "";
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.pid <= 0)
        return 0;
    FILE *f = fopen(path_of("/proc/%d/stat", (int)peer.pid).s, "re");
    if (!f)
        return 0;
    size_t got = fread(stat, 1, sizeof stat - 1, f);
    fclose(f);
    stat[got] = '\0';
    const char *state = strrchr(stat, ')'); // its name may have any
    return state && strncmp(state, ") T", 3) == 0 ? peer.pid : 0;
}

int control_call(int fd, const struct command_call *c, int timeout_ms, struct answer *out,
                 struct error *e)
{
    int64_t deadline = clock_ms() + timeout_ms;
    char *line = command_to_json(c);
    size_t len = line ? strlen(line) : 0;
    if (!line)
        return error_set(e, "out of memory");
    line[len] = '\n'; // where the NUL was
    int rc = send_line(fd, line, len + 1, e);
    free(line);
    if (rc < 0)
        return -1;
    char *buf = malloc(LINE_MAX_BYTES);
    if (!buf)
        return error_set(e, "out of memory");
    for (;;) {
        size_t used = 0;
        rc = read_line(fd, buf, &used, deadline, e);
        if (rc == 0)
            rc = error_set(e, "the trainer did not answer in time");
        if (rc < 0)
            break;
        rc = answer_parse(buf, used - 1, out, e);
        if (rc == 1 && out->id == c->id) {
            rc = 0;
            break;
        }
    }
    free(buf);
    return rc;
}
