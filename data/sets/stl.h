// STL-10 in its binary version (Coates, Lee, Ng, AISTATS 2011): an open function of the data set
// table (data/sets/dataset.h). 3 x 96 x 96, ten classes.
#ifndef SSLTOP_DATA_SETS_STL_H
#define SSLTOP_DATA_SETS_STL_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"

// A folder with unlabeled_X.bin, train_X.bin, train_y.bin, test_X.bin and test_y.bin, or one that
// has it as stl10_binary. Trained on are the unlabelled images (label -1); behind them, for the
// probe only, lie the labelled ones.
int stl10_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e);

#endif
