// An evaluation of features and labels that a client hands over: exact spectrum, fast probe and
// kNN, in a thread beside the steps.
#ifndef SSLTOP_TRAIN_RECORDER_PROBING_H
#define SSLTOP_TRAIN_RECORDER_PROBING_H

#include <pthread.h>

#include "metrics/log/record.h"
#include "train/client/link.h"

struct probing {
    int fd; // readable when it is done; -1: none
    int is_running, stands_back;
    pthread_t thread;
    struct link_probe head;
    struct link_probe_place at;
    void *memory;
    double auc_live;
    struct record eval, spectrum;
    double *sigma;
    struct error why; // "": it went well
};

int probing_init(struct probing *p, struct error *e);
void probing_free(struct probing *p); // waits for it

// Begin with what lies in this memfd, which is sealed for good; the descriptor stays the caller's.
// -1: it makes no sense, or the last one is still at work.
int probing_begin(struct probing *p, int memory, int64_t step, double auc_live, struct error *e);

// What it found, lent until the next one begins: 1; 0: none is done, -1: it failed. `wait` for one
// that is at work.
int probing_end(struct probing *p, int wait, struct error *e);

#endif
