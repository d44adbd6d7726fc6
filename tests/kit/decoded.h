// Files that lie in memory, read as a view reads them: for tests of decoding.
#ifndef SSLTOP_TESTS_KIT_DECODED_H
#define SSLTOP_TESTS_KIT_DECODED_H

#include <stddef.h>
#include <stdint.h>

#include "data/photos/decode.h"
#include "data/resize.h"

int decoded_head(const uint8_t *data, size_t n, struct decode_head *h, struct error *e);
// The crop of a file, resized: 3 x out x out floats, malloc'd. NULL with the reason.
float *decoded_view(const uint8_t *data, size_t n, const struct box *crop, int out,
                    struct picture *seen, struct error *e);
// Between n numbers, on average and at most.
void decoded_difference(const float *a, const float *b, size_t n, double *mean, double *most);

#endif
