// The surrogate of a data set as a safetensors file beside its run, so that who goes on with the
// run, or looks at it later, asks the same.
#ifndef SSLTOP_TRAIN_STORE_SURROGATE_FILE_H
#define SSLTOP_TRAIN_STORE_SURROGATE_FILE_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/surrogate.h"

#define SURROGATE_FILE "surrogates.safetensors" // its name in the folder of a run

// Tensors of doubles: mean, component, variance, centre.10 and so on. `crc` is of the data that it
// is for.
int surrogate_file_write(const char *path, const struct surrogate *s, uint32_t crc,
                         struct error *e);

// 0: out must be freed (surrogate_free); 1: there is no such file; -1: it cannot be used, among
// others because it is for other data or images of another number of pixels.
int surrogate_file_read(const char *path, int pixels, uint32_t crc, struct surrogate *out,
                        struct error *e);

#endif
