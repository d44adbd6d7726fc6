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
    parallel_work *work;
    void *context;
    pthread_mutex_t lock;
    int failed;
    struct error first;
};

// The lock is for what fails: else the threads share nothing but the number of the next item.
static void do_one(struct job *j, int64_t i)
{
    struct error why = {""};
    if (j->work(j->context, i, &why) == 0)
        return;
    pthread_mutex_lock(&j->lock);
    if (!j->failed)
        j->first = why;
    j->failed = 1;
    pthread_mutex_unlock(&j->lock);
}

static void *help(void *argument)
{
    struct job *j = argument;
    for (int64_t i = j->next++; i < j->n; i = j->next++)
        do_one(j, i);
    return NULL;
}

int parallel_run(int threads, int64_t n, parallel_work *work, void *context, struct error *e)
{
    struct job job = {.n = n, .work = work, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
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
    pthread_mutex_destroy(&job.lock);
    return job.failed ? error_pass(e, &job.first) : 0;
}
