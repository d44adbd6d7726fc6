// What the head of an image file says, and what may be wrong with a file.
#ifndef SSLTOP_DATA_PHOTOS_DECODE_HEAD_H
#define SSLTOP_DATA_PHOTOS_DECODE_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

// Larger images are refused, whatever their head says.
#define DECODE_PIXELS_MAX ((int64_t)1 << 26)
#define DECODE_FILE_MAX   ((int64_t)1 << 28) // bytes

enum decode_kind { DECODE_JPEG, DECODE_PNG, DECODE_WEBP };

struct decode_head {
    enum decode_kind kind;
    int height, width; // as stored
    int orientation;   // EXIF's, 1 to 8; from 5 on an upright image is as wide as this one is high
};

// The head of an open file, whatever its name is. Reads a few hundred bytes, skips the rest.
int decode_head(int fd, struct decode_head *out, struct error *e);
// Size of the image as it is looked at.
void decode_upright(const struct decode_head *h, int *height, int *width);

// What decoder_run and decoder_read return when the fault is not the file's: this machine is short
// of memory or of file descriptors. -1: the file is broken, and will be when it is tried again.
enum { DECODE_UNABLE = -2 };
// Which of the two it is when a file was refused with this errno.
int decode_blame(int code);

#endif
