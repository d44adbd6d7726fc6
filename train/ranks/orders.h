// What rank 0 tells the others to do. It alone decides: it has the log, the socket, the guard and
// the checkpoints. The others have the data, a device, the network and the schedule, and do what
// they are told, in the order in which they are told it; so whatever is ordered holds from the same
// step on all of them. Between two orders they wait without working.
#ifndef SSLTOP_TRAIN_RANKS_ORDERS_H
#define SSLTOP_TRAIN_RANKS_ORDERS_H

#include <stdint.h>
#include <stdio.h>

#include "gpu/device.h"
#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"
#include "train/run/setup.h"
#include "train/schedule/schedule.h"

enum order_kind {
    ORDER_SETUP,    // options and algorithms follow (team_options): build
    ORDER_STATE,    // schedule and tensors follow (team_state)
    ORDER_SWITCH,   // of the schedule
    ORDER_STEP,     // forward and backward pass of step t
    ORDER_UPDATE,   // the update that ends it
    ORDER_EVALUATE, // forward passes of an evaluation
    ORDER_END       // all is over
};

struct order {
    enum order_kind kind;
    struct schedule_switch change;
    int64_t t, last; // step, and the last whose batch is to be loaded
    struct update update;
    double tau; // of what follows; below 0: nothing does
};

// By rank 0; without ranks nothing happens. By the others: wait for the next one.
int orders_tell(struct ranks *r, const struct order *order, struct error *e);
int orders_hear(struct ranks *r, struct order *order, struct error *e);

// --- beside the steps, by rank 0; without ranks (NULL) there is nothing to do ---
// How many take them, where, and what each works; the end of a sentence.
void orders_describe(const struct ranks *r, const struct setup *s, FILE *f);
// They build what is built here: what was found by measuring is found once. `threads`: as given, 0
// for each to choose. The outcome is setup_open's, with the sentence of whoever could not.
int orders_setup(struct ranks *r, const struct setup *s, int threads, char *algorithms,
                 const struct progress *p, struct error *e);
// They take the state that is here.
int orders_state(struct ranks *r, struct setup *s, struct error *e);
// Tell them that all is over, unless it ended half-way: cards are let go of by all together.
void orders_end(struct ranks *r);
// The end of any rank. Where it ended half-way this process may end here, before anybody above can
// say why: then it says so on stderr.
void orders_leave(struct ranks *r, int code, struct error *e);

#endif
