// Threads that live for one call; items are claimed one at a time.
#include "data/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "metrics/base/cores.h"

struct job {
    int64_t n;
    _Atomic int64_t next;
    void (*work)(void *context, int64_t i);
    void *context;
};

static void *help(void *argument)
{
    struct job *j = argument;
    for (int64_t i = j->next++; i < j->n; i = j->next++)
        j->work(j->context, i);
    return NULL;
}

void parallel_run(int threads, int64_t n, void (*work)(void *context, int64_t i), void *context)
{
    struct job job = {.n = n, .work = work, .context = context};
    pthread_t thread[PARALLEL_MAX];
    int most = threads > 0 ? threads : cores_usable(), started = 0;
    most = most < PARALLEL_MAX ? most : PARALLEL_MAX;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); // signals are for the caller
    while (started < most - 1 && started < n - 1 &&
           pthread_create(&thread[started], NULL, help, &job) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    help(&job);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}
