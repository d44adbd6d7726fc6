// CIFAR-10 and CIFAR-100 in their binary versions (Krizhevsky 2009;
// www.cs.toronto.edu/~kriz/cifar): open functions of the data set table (data/sets/dataset.h). 3 x
// 32 x 32, 10 and 100 (fine) classes.
#ifndef SSLTOP_DATA_SETS_CIFAR_H
#define SSLTOP_DATA_SETS_CIFAR_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"

// A folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin, or one that has it as
// cifar-10-batches-bin.
int cifar10_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e);

// A folder with train.bin and test.bin, or one that has it as cifar-100-binary.
int cifar100_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e);

#endif
