#include "data/photos/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local sigjmp_buf landing;
static _Thread_local volatile sig_atomic_t copying;
static struct sigaction before;

// SIGBUS is raised in the thread that touches the page. One that is not from a copy is not ours: it
// comes again when this returns, and finds what was there before.
static void on_bus(int number)
{
    if (copying)
        siglongjmp(landing, 1);
    sigaction(number, &before, NULL);
}

static void catch_bus(void)
{
    struct sigaction ours = {.sa_handler = on_bus};
    sigaction(SIGBUS, &ours, &before);
}

int mapped_open(struct mapped *m, int fd, size_t n, const char *path, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, catch_bus);
    *m = (struct mapped){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .path = strdup(path)};
    if (m->fd < 0)
        return error_set(e, "cannot open %.300s twice: %s", path, strerror(errno));
    if (!m->path)
        return error_set(e, "out of memory");
    void *at = mmap(NULL, n, PROT_READ, MAP_SHARED, m->fd, 0);
    if (at == MAP_FAILED)
        return error_set(e, "cannot map %.300s into memory: %s", path, strerror(errno));
    m->at = at;
    m->n = n;
    return 0;
}

void mapped_close(struct mapped *m)
{
    if (m->at)
        munmap((void *)(uintptr_t)m->at, m->n);
    if (m->fd >= 0)
        close(m->fd);
    free(m->path);
    *m = (struct mapped){.fd = -1};
}

int mapped_copy(const struct mapped *m, uint64_t at, void *to, size_t n, struct error *e)
{
    struct stat st;
    sigset_t bus;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS); // threads that compute are started with all signals blocked
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
    int whole = sigsetjmp(landing, 1) == 0; // with the mask: the handler blocks the signal
    if (whole) {
        copying = 1;
        memcpy(to, m->at + at, n);
    }
    copying = 0;
    // What is left of a page behind the end of a file reads as zeros, without a signal.
    if (fstat(m->fd, &st) == 0 && (uint64_t)st.st_size < at + n)
        return error_set(e, "cannot read %.300s at byte %" PRIu64 ": it has become shorter",
                         m->path, at);
    return whole ? 0
                 : error_set(e, "cannot read %.300s at byte %" PRIu64 ": %s", m->path, at,
                             strerror(EIO));
}
