// JPEG, PNG and WebP files, read as far as a view needs them: a look at the head for size and
// orientation, and later the pixels of a region, shrunk by a power of two where it is at least four
// times as large as its result on both sides even then. Against a file that is read in full and
// resized, photographs differ by 0.35 of 255 on average and by 10 in a single value at most, white
// noise by 0.9 and 7, squares of black and white by 1.1 and 16; what is not shrunk is the same. (At
// eight times as large it would be half to a third of that, for an eighth of the speed of large
// photographs.) Everything comes out as 8 bits RGB: gray repeated, palettes looked up, CMYK
// converted as PIL does (as if inverted, with Adobe's marker or without), alpha dropped (as PIL's
// convert("RGB") does), 16 bits cut to 8. A WebP is always read in full.
#ifndef SSLTOP_DATA_PHOTOS_DECODE_H
#define SSLTOP_DATA_PHOTOS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "data/photos/decode_head.h"
#include "data/resize.h"

// Work memory of one thread; grows to what its largest region needs.
struct decoder;
int decoder_new(struct decoder **out, struct error *e);
void decoder_free(struct decoder *d); // NULL is fine

// What is needed to resize these crops (of the upright image, 1 to 4) to out_h x out_w: a picture
// that stays until the next call, and the crops' boxes in it. `data` must have the head `h`. -1
// when the file is damaged where it is needed: cut off, a wrong checksum, nonsense.
// DECODE_UNABLE: out of memory.
int decoder_run(struct decoder *d, const struct decode_head *h, const uint8_t *data, size_t n,
                const struct box *crop, int crops, int out_h, int out_w, struct picture *picture,
                struct box *box, struct error *e);

// A whole file into memory that the decoder keeps until the next call: data[n]. -1: it is no file,
// is too large or cannot be read; or DECODE_UNABLE.
int decoder_read(struct decoder *d, int fd, const uint8_t **data, size_t *n, struct error *e);

#endif
