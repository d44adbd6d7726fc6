// IDX files, the format of MNIST and its relatives: open functions of the data set table
// (data/sets/dataset.h).
#ifndef SSLTOP_DATA_SETS_IDX_H
#define SSLTOP_DATA_SETS_IDX_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "metrics/base/error.h"

// A folder with the four MNIST file names, each plain or .gz: gray images up to 4096 x 4096,
// classes = largest label + 1.
int idx_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e);

// Fashion-MNIST from where Debian's package puts it, or from the folder in the environment variable
// SSLTOP_FASHION_MNIST. `argument` and `seed` are not used.
int idx_open_fashion_mnist(const char *argument, uint64_t seed, struct dataset *out,
                           struct error *e);

#endif
