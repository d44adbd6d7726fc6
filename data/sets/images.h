// Folders of photographs: an open function of the data set table (data/sets/dataset.h), and what
// packing them (data/sets/pack.h) needs.
#ifndef SSLTOP_DATA_SETS_IMAGES_H
#define SSLTOP_DATA_SETS_IMAGES_H

#include <stdint.h>

#include "data/sets/dataset.h"
#include "data/photos/pictures.h"
#include "metrics/base/error.h"

// A folder with train/ and val/ or test/, each with a folder per class, or a folder per class
// itself (then there is nothing to test on). Images of any size, seen through views of out->side
// (0: 224). Every file's head is read here; files that have none are left out.
int images_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e);

// Whether this data set is one.
int images_opened(const struct dataset *d);

// The name of a class, or NULL where there are none.
const char *images_class(const struct dataset *d, int label);

#endif
