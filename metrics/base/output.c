// Whether a write waits is a matter of what is open, which others share: it is opened anew, for
// this process alone. Where that can't be (a socket, a terminal of somebody else), poll has to do.
#include "metrics/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"

enum { STREAMS = 3, PATIENCE_MS = 1000, AT_ONCE = 4096 }; // which a pipe takes whole or not at all

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int stuck; // it does not read
    int cut;   // in the middle of a line
} stream[STREAMS];

static int wait_for(int fd, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int rc = poll(&p, 1, clock_left(until));
    if (rc == 0)
        errno = EAGAIN;
    return rc > 0 || (rc < 0 && errno == EINTR);
}

static int put(int fd, int own, const char *text, size_t n, int64_t until, size_t *done)
{
    for (*done = 0; *done < n;) {
        if (own < 0 && !wait_for(fd, until))
            return -1;
        size_t some = n - *done < AT_ONCE ? n - *done : AT_ONCE;
        ssize_t k = write(own >= 0 ? own : fd, text + *done, some);
        if (k >= 0)
            *done += (size_t)k;
        else if (errno == EAGAIN ? !wait_for(own >= 0 ? own : fd, until) : errno != EINTR)
            return -1;
    }
    return 0;
}

int output_write(int fd, const char *text, size_t n)
{
    struct stat st;
    size_t done = 0;
    if (fstat(fd, &st) != 0)
        return -1;
    int waits = S_ISFIFO(st.st_mode) || isatty(fd);
    pthread_mutex_lock(&lock);
    int64_t until = clock_ms() + (stream[fd].stuck ? 0 : PATIENCE_MS);
    int own = waits ? open(path_of("/proc/self/fd/%d", fd).s,
                           O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                    : -1;
    int rc = stream[fd].cut ? put(fd, own, "\n", 1, until, &done) : 0;
    if (rc == 0) {
        rc = put(fd, own, text, n, until, &done);
        stream[fd].cut = rc < 0 && done;
    }
    int why = errno;
    stream[fd].stuck = rc < 0 && why == EAGAIN;
    pthread_mutex_unlock(&lock);
    if (own >= 0)
        close(own);
    errno = why;
    return rc;
}

// One write, so that threads do not mix their lines.
void output_log(int fd, int echo, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    clock_utc(line);
    size_t at = strlen(line);
    line[at++] = ' ';
    size_t text = at;
    va_start(ap, fmt);
    int n = vsnprintf(line + at, sizeof line - at - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    text_clean(line + at, sizeof line - at - 1, line + at); // of files and libraries
    n = (int)strlen(line + at);
    at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
    line[at++] = '\n';
    // The disk may be full or the reader gone: there is nowhere left to tell it.
    ssize_t told = fd >= 0 ? write(fd, line, at) : 0;
    if (echo)
        told = output_write(STDERR_FILENO, line + text, at - text);
    (void)told;
}

FILE *output_begin(struct output *o)
{
    *o = (struct output){0};
    return o->f = open_memstream(&o->text, &o->n);
}

int output_end(struct output *o, int fd)
{
    int rc = !o->f || fclose(o->f) != 0 ? -1 : output_write(fd, o->text, o->n);
    int why = errno;
    free(o->text);
    errno = why;
    return rc;
}

int output_flush(FILE *f)
{
    errno = 0;
    if (fflush(f) == 0 && !ferror(f))
        return 0;
    if (!errno && fputc('\n', f) != EOF)
        fflush(f);
    return -1;
}
