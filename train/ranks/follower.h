// A rank other than 0: it builds what rank 0 has built and does what it is told (orders.h), until
// it is told that all is over.
#ifndef SSLTOP_TRAIN_RANKS_FOLLOWER_H
#define SSLTOP_TRAIN_RANKS_FOLLOWER_H

#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"

// The process's exit code. 0 where rank 0 has ended all, whatever it came to: that one tells of it.
// Else 1, with the sentence; "" where another rank says it.
int follower_run(struct ranks *r, struct error *e);

#endif
