// What a Zstandard frame (RFC 8878) is by its headers, of bytes that may be anything; and the one
// that ends a file whose frames are to be found at once: the seek table of the Zstandard seekable
// format, version 0.1.0 (zstd's contrib/seekable_format/zstd_seekable_compression_format.md).
#ifndef SSLTOP_METRICS_LOG_FRAME_H
#define SSLTOP_METRICS_LOG_FRAME_H

#include <stddef.h>
#include <stdint.h>

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

// --- the seek table ---
// A skippable frame that says how long each frame is, compressed and not. Works on bytes in memory;
// rows have no checksums of their own (the frames carry theirs).
enum { FRAME_TABLE_FOOTER = 9, FRAME_TABLE_ROW = 8, FRAME_TABLE_MAX = 0x8000000 };
#define FRAME_TABLE_END   0x8f92eab1u // the last four bytes of a file
#define FRAME_TABLE_MAGIC 0x184d2a5eu // of the skippable frame

struct frame_row {
    uint32_t size;    // compressed bytes
    uint32_t content; // bytes that it decodes to; 0 for a skippable frame
};

// Bytes of the frame that holds a table of n rows.
size_t frame_table_size(size_t n);
// Write the frame; `out` has frame_table_size(n) bytes.
void frame_table_write(unsigned char *out, const struct frame_row *row, size_t n);
// What the last FRAME_TABLE_FOOTER bytes of a file say: bytes of the whole table's frame and its
// number of rows. 0, or -1 when they are not the end of a seek table.
int frame_table_footer(const unsigned char *footer, uint64_t *size, uint32_t *n);
// Row i of a table whose footer is good; p is where its frame begins and has `size` bytes. 0, or
// -1 when the frame's own header does not fit. Tables with checksums are read too.
int frame_table_check(const unsigned char *p, size_t size);
struct frame_row frame_table_row(const unsigned char *p, size_t size, size_t i);

// Numbers as the formats of Zstandard have them: n bytes, the lowest first.
static inline uint64_t frame_get(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}
static inline unsigned char *frame_put(unsigned char *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> 8 * i);
    return p + n;
}

#endif
