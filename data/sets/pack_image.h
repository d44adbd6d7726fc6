// One image as it goes into a packed file.
#ifndef SSLTOP_DATA_SETS_PACK_IMAGE_H
#define SSLTOP_DATA_SETS_PACK_IMAGE_H

#include <stdint.h>

#include "data/sets/pack.h"
#include "data/photos/pictures.h"
#include "metrics/base/error.h"

struct pack_image {
    struct pack_record record;
    uint8_t *pixel; // height x width x 3, malloc'd; NULL: broken, and in the ledger of its source
};

// Image i of `s` with a shorter side of at most `size`. -1: it could not be made, and that is not
// its fault.
int pack_image_make(struct pictures_reader *reader, const struct pictures *s, int64_t i, int size,
                    struct pack_image *out, struct error *e);

#endif
