// The mathematics of a step in a thread beside the recorder's loop, one step at a time: it takes
// only what time the training leaves, while the loop stays quick to answer.
#ifndef SSLTOP_TRAIN_RECORDER_MEASURING_H
#define SSLTOP_TRAIN_RECORDER_MEASURING_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "train/recorder/intake.h"
#include "train/recorder/slots.h"

struct measuring {
    int fd; // readable when a step is measured; -1: none
    pthread_t thread;
    sem_t wanted;    // posted when there is work, or the thread shall leave
    int runs, ends;  // it is there; shall leave
    atomic_int done; // the work, and what it wrote can be seen
    int stands_back;
    struct intake intake; // the thread's while it has work
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS];
    // What the caller may read between measuring_end and the next measuring_begin.
    int is_busy, slot, rc; // its slot is held
    int64_t step;
    double next;               // no other one before, by clock_seconds
    struct step_result result; // metrics, spectrum (lent) and its milliseconds
    struct error why;          // of rc < 0
};

// `stands_back`: the thread works when nothing else wants the processor. 0: the training waits for
// it.
int measuring_init(struct measuring *m, int stands_back, struct error *e);
void measuring_free(struct measuring *m); // waits for it; takes one whose init failed, too

// Whether another step may be measured yet: where the training needs every core, few are. Not while
// it is busy.
int measuring_is_rested(const struct measuring *m);
// Begin with the rows of a step that lie in this slot, which stays held.
void measuring_begin(struct measuring *m, int64_t step, double loss, int slot,
                     const struct intake_rows rows[LINK_PLACES][LINK_VIEWS]);
// 1: the step is measured, its slot is the caller's again. 0: it is not done, or there is none.
int measuring_end(struct measuring *m);
// Until it is done, at most so many milliseconds (-1: as long as it takes).
void measuring_wait(struct measuring *m, int ms);

#endif
