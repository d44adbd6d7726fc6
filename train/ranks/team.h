// What all ranks do together, each in the same call: agree on what they train, have the same state,
// gather what a step gave, share out an evaluation. Without ranks (NULL) it is done alone.
#ifndef SSLTOP_TRAIN_RANKS_TEAM_H
#define SSLTOP_TRAIN_RANKS_TEAM_H

#include <stdint.h>

#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"
#include "train/run/setup.h"

// --- before the first step ---
// Rank 0's options and algorithms ("" or NULL: to be chosen) on all. `algorithms` of the others is
// malloc'd.
int team_options(struct ranks *r, struct options *o, char **algorithms, struct error *e);
// After setup_open, whose outcome is rc (with its sentence in `e`): 0 where all could, and train on
// the same images with the same precision. Else not 0 on all of them, and on rank 0 the sentence
// with the rank and the host that it is about.
int team_agree(struct ranks *r, int rc, const struct setup *s, struct error *e);
// Schedule, parameters, running statistics and momenta of rank 0 on all.
int team_state(struct ranks *r, struct setup *s, struct error *e);

// Running statistics of rank 0 on all, where each has its own (--no-sync-bn).
int team_statistics(struct setup *s, struct error *e);

// --- a step ---
struct team {
    struct ranks *ranks;
    float *z; // rows of all ranks
    float *h; // features of all ranks, where images are asked for; one view
    int rows, dim, each;
    struct team_times *times; // of the last step, of each rank
};
// What a rank says of its step, once it is over but for the update.
struct team_times {
    double own;    // ms of its data, forward and backward pass
    double reduce; // ms of waiting for others
    double signal; // number of a signal that it was sent; 0: none
};
// For features of d numbers, and `rows` projections of `dim`.
int team_open(struct team *t, struct ranks *r, const struct setup *s, int d, int rows, int dim,
              struct error *e);
void team_close(struct team *t); // takes a zeroed struct too
// The features of one view of the whole batch, into rank 0's h (B x d); NULL on the others.
int team_features(struct team *t, struct setup *s, int view, float *h, struct error *e);
// The first rows of the whole batch's projections, of both views, into rank 0's z.
int team_projections(struct team *t, struct setup *s, float *const z[2], struct error *e);
// t->times of all, on rank 0.
int team_tell_times(struct team *t, const struct team_times *mine, struct error *e);

// --- an evaluation ---
// Rank 0 is asked before each batch whether it is to be broken off.
struct team_end {
    int (*is_wanted)(void *context); // NULL: never
    void *context;
};
enum { TEAM_BROKEN_OFF = -2 };
// Before features of an evaluation are asked for: running statistics of the encoder's batch norms
// are made anew of the weights as they are (plan_update_bn), from TEAM_BATCHES batches that are
// spread over `index` (n of `images`). At a high learning rate those that training leaves behind
// are of another network: SimSiam on Fashion-MNIST at width 4, lr 4: a probe of 10 % with them,
// of 53 % with these. TEAM_BROKEN_OFF as below.
enum { TEAM_BATCHES = 16 };
int team_update_bn(struct setup *s, struct images *images, const int64_t *index, int64_t n,
                   const struct team_end *end, struct error *e);
// plan_evaluate_all, the batches shared out; h (n x d) of rank 0. Where one rank could not, all of
// them say so, and go on together. TEAM_BROKEN_OFF: on all of them; `end` is rank 0's.
int team_evaluate(struct setup *s, struct images *images, const int64_t *index, int64_t n, float *h,
                  const struct team_end *end, struct error *e);

#endif
