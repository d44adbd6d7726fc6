// The thread that looks after the other ranks; see watch.h.
#include "gpu/ranks/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "metrics/base/output.h"
#include "metrics/base/text.h"

struct ranks_watch {
    pthread_t thread;
    struct ranks *ranks;
    struct pollfd *fd; // [0]: told to end; then a process of this host each
    int *rank;         // of each fd
    int n;
    int said;                          // who is gone
    unsigned *heard, *before, *missed; // of each rank
};

static void is_gone(struct ranks *r, int rank)
{
    int none = 0;
    atomic_compare_exchange_strong(&r->gone, &none, rank + 1);
}

// Signs of life of other hosts. A rank that does not hear from any of them says nothing: rank 0
// talks with all, the others with rank 0.
static void beat(struct ranks_watch *w)
{
    struct ranks *r = w->ranks;
    if (r->engine->beat(r, w->heard) < 0)
        return; // who waits for the work will be told
    for (int k = 0; k < r->size; k++) {
        int talks = r->rank == 0 ? k > 0 : k == 0;
        w->missed[k] = w->heard[k] != w->before[k] || !talks ? 0 : w->missed[k] + 1;
        w->before[k] = w->heard[k];
        if (w->missed[k] >= WATCH_MISSED)
            is_gone(r, k);
    }
}

// Rank 0 says it for all, or the next one for rank 0, at once: who trains comes to it later, and
// a launcher may end everything in a hundredth of a second.
static void say(struct ranks_watch *w)
{
    struct error e;
    struct ranks *r = w->ranks;
    int gone = atomic_load(&r->gone), speaker = gone == 1;
    if (!gone || w->said)
        return;
    w->said = 1;
    if (r->rank != speaker)
        return;
    ranks_gone(r, gone - 1, &e);
    text_clean(e.text, sizeof e.text - 1, e.text); // a host may have any name
    size_t n = strlen(e.text);
    e.text[n] = '\n';
    (void)!output_write(STDERR_FILENO, e.text, n + 1);
}

static void *run(void *context)
{
    struct ranks_watch *w = context;
    struct ranks *r = w->ranks;
    int beats = r->engine->beat && r->locals < r->size;
    for (;;) {
        int n = poll(w->fd, (nfds_t)w->n, beats ? WATCH_BEAT_MS : -1);
        if (n < 0 && errno != EINTR)
            return NULL;
        if (n > 0 && w->fd[0].revents)
            return NULL;
        for (int i = 1; n > 0 && i < w->n; i++)
            if (w->fd[i].revents) {
                is_gone(r, w->rank[i]);
                w->fd[i].fd = -1; // poll passes over it
            }
        if (beats)
            beat(w);
        say(w);
    }
}

static void release(struct ranks_watch *w)
{
    for (int i = 0; w->fd && i < w->n; i++)
        if (w->fd[i].fd >= 0)
            close(w->fd[i].fd);
    free(w->fd);
    free(w->rank);
    free(w->heard);
    free(w->before);
    free(w->missed);
    free(w);
}

// A process of this host, by a descriptor that is readable when it has ended. An old kernel, or a
// name that containers share, has none: then the launcher and the engine have to tell.
static void look_after(struct ranks_watch *w, int rank)
{
    const struct rank_place *p = w->ranks->place;
    if (rank == w->ranks->rank || strcmp(p[rank].host, p[w->ranks->rank].host) != 0 ||
        p[rank].pid == (int)getpid())
        return;
    int fd = (int)syscall(SYS_pidfd_open, p[rank].pid, 0);
    if (fd < 0)
        return;
    w->fd[w->n] = (struct pollfd){.fd = fd, .events = POLLIN};
    w->rank[w->n++] = rank;
}

// Signals are for the thread that trains.
static int start(struct ranks_watch *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int watch_open(struct ranks *r, struct error *e)
{
    struct ranks_watch *w = calloc(1, sizeof *w);
    size_t n = (size_t)r->size;
    if (!w)
        return error_set(e, "out of memory");
    w->ranks = r;
    w->fd = calloc(n + 1, sizeof *w->fd);
    w->rank = calloc(n + 1, sizeof *w->rank);
    w->heard = calloc(n, sizeof *w->heard);
    w->before = calloc(n, sizeof *w->before);
    w->missed = calloc(n, sizeof *w->missed);
    int end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!w->fd || !w->rank || !w->heard || !w->before || !w->missed || end < 0) {
        if (end >= 0)
            close(end);
        release(w);
        return error_set(e, "out of memory or descriptors for the watch over %d ranks", r->size);
    }
    w->fd[w->n++] = (struct pollfd){.fd = end, .events = POLLIN};
    for (int k = 0; k < r->size; k++)
        look_after(w, k);
    r->watched = w->n - 1 + (r->engine->beat ? r->size - r->locals : 0);
    int rc = start(w);
    if (rc != 0) {
        release(w);
        return error_number(e, rc, "no thread for the watch over the ranks");
    }
    r->watch = w;
    return 0;
}

void watch_close(struct ranks *r)
{
    uint64_t one = 1;
    if (!r->watch)
        return;
    if (write(r->watch->fd[0].fd, &one, sizeof one) == sizeof one)
        pthread_join(r->watch->thread, NULL);
    release(r->watch);
    r->watch = NULL;
}
