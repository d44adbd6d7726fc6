// What passes between the writer thread and who trains: a command that came, and what `status` is
// answered from.
#ifndef SSLTOP_TRAIN_WIRE_REQUEST_H
#define SSLTOP_TRAIN_WIRE_REQUEST_H

#include <stdint.h>

#include "train/wire/control.h"

struct request {
    struct command_call call;
    uint64_t client;
    int signal; // not 0: a signal asks; `call` is a stop, there is nobody to answer
};

struct publisher_status {
    int64_t step;
    int paused;
    char text[200];
};

#endif
