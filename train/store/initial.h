// Parameters to start from, out of files that others wrote (--init): a whole network, an encoder
// alone, or an encoder among other things, under PyTorch's names and what wrappers put before them.
#ifndef SSLTOP_TRAIN_STORE_INITIAL_H
#define SSLTOP_TRAIN_STORE_INITIAL_H

#include "gpu/device.h"
#include "gpu/net.h"
#include "metrics/base/error.h"

enum { INITIAL_NOTICE = 320 };

// Parameters and running statistics into the plan; a target network that the file lacks begins as
// what it follows. The encoder must be there and fit; a projector or a predictor that the file does
// not have as this network needs it begins as it is. `notice` (INITIAL_NOTICE bytes) says what was
// left out and what begins at random, "" when there is nothing to say. Missing, extra and
// mis-shaped tensors of what is taken are refused by their names.
int initial_load(const char *path, const struct net *net, struct plan *plan,
                 char notice[INITIAL_NOTICE], struct error *e);

#endif
