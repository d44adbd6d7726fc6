#include "train/recorder/measuring.h"

#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/cores.h"

// Of a core's time, what the training may lose where it needs them all: also what takes only what
// others leave costs them their caches.
#define SHARE   0.005
#define CROWDED 1.5 // times as long as alone

// How long to rest after a measurement that took so long of the processor, and so long in all.
static double rest(double processor, double all)
{
    return all > CROWDED * processor ? processor / SHARE : 0;
}

// The thread has what time others leave, and may be stopped anywhere for long: it holds no lock
// that the one on poll, who takes the steps out of the ring, would have to wait for.
static void *work(void *of)
{
    struct measuring *m = of;
    if (m->stands_back)
        cores_stand_back();
    for (;;) {
        while (sem_wait(&m->wanted) < 0) {
        }
        if (m->ends)
            return NULL;
        double since = clock_seconds(), processor = clock_thread_seconds();
        m->rc = intake_step(&m->intake, (const struct intake_rows(*)[LINK_VIEWS])m->rows,
                            &m->result, &m->why);
        uint64_t one = 1;
        double now = clock_seconds();
        m->next =
            m->stands_back ? since + rest(clock_thread_seconds() - processor, now - since) : 0;
        atomic_store(&m->done, 1);
        if (write(m->fd, &one, sizeof one) < 0) // its count is 0 or 1: it cannot fail
            return NULL;
    }
}

int measuring_init(struct measuring *m, int stands_back, struct error *e)
{
    *m = (struct measuring){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                            .stands_back = stands_back};
    if (m->fd < 0)
        return error_system(e, "no descriptor for the measurements");
    if (sem_init(&m->wanted, 0, 0) < 0)
        return error_system(e, "no semaphore for the measurements");
    int rc = pthread_create(&m->thread, NULL, work, m);
    if (rc != 0)
        return error_number(e, rc, "no thread for the measurements");
    m->runs = 1;
    return 0;
}

void measuring_free(struct measuring *m)
{
    if (m->runs) {
        m->ends = 1;
        sem_post(&m->wanted);
        pthread_join(m->thread, NULL);
        sem_destroy(&m->wanted);
        close(m->fd);
    } else if (m->fd > 0) {
        close(m->fd);
    }
    intake_free(&m->intake);
    *m = (struct measuring){.fd = -1};
}

void measuring_begin(struct measuring *m, int64_t step, double loss, int slot,
                     const struct intake_rows rows[LINK_PLACES][LINK_VIEWS])
{
    memcpy(m->rows, rows, sizeof m->rows);
    m->step = step;
    m->slot = slot;
    m->result = (struct step_result){.n = NAN};
    for (int i = 0; i < METRIC_COUNT; i++)
        m->result.metric[i] = NAN;
    for (int i = 0; i < PHASE_COUNT; i++)
        m->result.ms[i] = NAN;
    m->result.metric[METRIC_LOSS] = loss;
    m->is_busy = 1;
    sem_post(&m->wanted);
}

int measuring_is_rested(const struct measuring *m)
{
    return clock_seconds() >= m->next;
}

int measuring_end(struct measuring *m)
{
    uint64_t done;
    if (!m->is_busy || read(m->fd, &done, sizeof done) < 0 || !atomic_exchange(&m->done, 0))
        return 0; // what the thread wrote is seen from here on
    m->is_busy = 0;
    return 1;
}

void measuring_wait(struct measuring *m, int ms)
{
    struct pollfd p = {m->fd, POLLIN, 0};
    poll(&p, 1, ms); // interrupted: the caller looks again
}
