// Everything a run stands on before its first step: options without a gap, data, device, network,
// schedule.
#ifndef SSLTOP_TRAIN_RUN_SETUP_H
#define SSLTOP_TRAIN_RUN_SETUP_H

#include <stdint.h>

#include "data/augment.h"
#include "data/sets/dataset.h"
#include "gpu/device.h"
#include "gpu/net.h"
#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"
#include "train/schedule/guard.h"
#include "train/run/surrogates.h"
#include "train/store/initial.h"
#include "train/options/options.h"
#include "train/schedule/schedule.h"

struct setup {
    struct ranks *ranks; // processes that train together; NULL: alone
    struct options o;    // resolved: nothing is "auto" any more
    struct dataset data;
    uint32_t data_crc; // of the training images
    int64_t n, steps;  // images after --subset, T
    int64_t epoch;     // steps of one, S
    int64_t *order;    // arrival order: n indices of training images
    struct schedule schedule;
    struct guard guard;
    const struct augment_recipe *recipe;
    struct device *device;
    struct net net;
    struct images *images;        // the training images
    struct plan *plan;            // compiled, with initial weights
    int d;                        // numbers of a feature
    struct surrogates surrogates; // of the data; zeroed until the caller opens it, and without
    char notice[INITIAL_NOTICE];  // something to tell about the start, or ""
    char compared[320];           // what was measured of the precisions, or ""
};

// Whether features are asked for their images: surrogates are to be opened, by rank 0.
int setup_asks(const struct setup *s);

// Tells a waiting person what takes so long.
struct progress {
    void (*say)(void *context, const char *what);
    void *context;
};

// What can be resolved and refused from the words alone: the method's values for what says auto,
// names and rules, the place of the data made absolute. Opens no data and no device: what they
// tell says auto still. -1: an option can't work.
int setup_resolve(struct options *o, struct error *e);

// -1 when the options (a recipe's) say which kind of data but not where they are.
int setup_names_data(const struct options *o, struct error *e);

// Resolve and build. `algorithms` NULL: choose them. Returns 0, or the exit code: 2 when an option
// can't work, 1 when the machine or a file is to blame. Writes nothing anywhere. setup_close is
// needed in any case. `ranks` (or NULL): each of them does so by itself, for its part of a batch.
int setup_open(struct setup *s, const struct options *o, const char *algorithms,
               struct ranks *ranks, const struct progress *p, struct error *e);
// Images of a batch that this process works.
int setup_share(const struct setup *s);
// A plan that computes as an earlier run's did, which o->algorithms (or NULL) says. Where there is
// another processor or another oneDNN it can't: then as this machine chooses if `inexact`, else -1.
int setup_compile(struct device *d, const struct net *net, const struct plan_options *o,
                  int inexact, struct plan **out, struct error *e);
void setup_close(struct setup *s); // takes a zeroed struct too

#endif
