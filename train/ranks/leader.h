// What rank 0 does with the others before the first step and behind the last. Without ranks (NULL)
// there is nothing to do.
#ifndef SSLTOP_TRAIN_RANKS_LEADER_H
#define SSLTOP_TRAIN_RANKS_LEADER_H

#include <stdio.h>

#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"
#include "train/run/setup.h"

// How many there are, where, and what each works; the end of a sentence.
void leader_describe(const struct ranks *r, const struct setup *s, FILE *f);

// They build what is built here: what was found by measuring is found once. `threads`: as given, 0
// for each to choose. The outcome is setup_open's, with the sentence of whoever could not.
int leader_setup(struct ranks *r, const struct setup *s, int threads, char *algorithms,
                 const struct progress *p, struct error *e);
// They take the state that is here.
int leader_state(struct ranks *r, struct setup *s, struct error *e);

// Tell them that all is over, unless it ended half-way: cards are let go of by all together.
void leader_end(struct ranks *r);
// The end of any rank. Where it ended half-way this process may end here, before anybody above can
// say why: then it says so on stderr.
void leader_part(struct ranks *r, int code, struct error *e);

#endif
