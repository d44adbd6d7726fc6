// What a Zstandard frame (RFC 8878) is by its headers, of bytes that may be anything.
#ifndef SSLTOP_METRICS_LOG_FRAME_H
#define SSLTOP_METRICS_LOG_FRAME_H

#include <stddef.h>

#include "metrics/log/runlog.h"

#define FRAME_MAGIC           0xfd2fb528u
#define FRAME_SKIPPABLE_MAGIC 0x184d2a50u // the last four bits are free
// A frame of RUNLOG_CONTENT_MAX that would not compress, with room for block headers.
#define FRAME_MAX ((size_t)RUNLOG_CONTENT_MAX + ((size_t)1 << 20))

enum frame_kind { FRAME_BAD, FRAME_PART, FRAME_SKIPPABLE, FRAME_LINES };

struct frame {
    enum frame_kind kind;
    size_t size;    // bytes of a whole frame; of a part: how many would be needed to see more
    size_t content; // bytes that it can decode to, at most
    size_t blocks;
    int checked; // carries a checksum
    int large;   // may be good, but is more than is read at once
};

// What begins at p, of which n bytes are there. Follows the block headers and decodes nothing.
struct frame frame_look(const unsigned char *p, size_t n);

#endif
