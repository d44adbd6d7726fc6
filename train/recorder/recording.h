// The state of a recorder. Private to this room.
#ifndef SSLTOP_TRAIN_RECORDER_RECORDING_H
#define SSLTOP_TRAIN_RECORDER_RECORDING_H

#include <stdint.h>
#include <sys/types.h>

#include "metrics/base/signals.h"
#include "metrics/science/metric.h"
#include "train/client/link.h"
#include "train/recorder/measuring.h"
#include "train/recorder/probing.h"
#include "train/recorder/slots.h"
#include "train/run/report.h"
#include "train/schedule/guard.h"
#include "train/store/rundir.h"

enum { ORDERS = 32 };

struct order {   // that the client has not answered yet
    uint64_t id; // 0: this place is free
    struct request request;
    int64_t from; // of a mode that is to come later; -1: as soon as it can
    int by_guard;
    char text[200]; // the guard's rule
};

enum { STEPS_WAITING = 5 };
struct step_waiting {
    struct link_slot head;
    int slot; // that is held for its rows; -1: none
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS];
};
struct waiting { // steps that are out of the ring and not yet in the log, the oldest first
    struct step_waiting step[STEPS_WAITING];
    int n, is_measured; // what was measured last is in no record yet
};

struct recorder {
    int fd, pidfd;
    pid_t client;
    struct signals signals;
    struct rundir dir;
    struct report report;
    struct slots slots;
    struct slots before; // the ring that the measurement under way reads, where it is not that one
    struct measuring measuring;
    struct waiting waiting;
    struct probing probing;
    struct guard guard;
    double last_value[GUARD_VALUES]; // for the guard
    struct link_message hello;
    char word[LINK_WORDS][1024]; // but the configuration
    char *config;                // a JSON object of strings
    char data[256], arch[64], method[64];
    int width, d;          // of the encoder, 0: not known; of the first features
    struct record_own own; // names of the client's scalars; values of the step
    struct order order[ORDERS];
    uint64_t ids;
    int64_t step, dropped; // the newest, and how many are missing
    enum mode mode;
    int begun, paused, over;
    int told_features, told_order;
    char early[4][256]; // warnings from before there is a log
    int n_early;
    char reason[16], why[256];
};

#endif
