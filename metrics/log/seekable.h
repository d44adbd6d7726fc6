// The seek table of the Zstandard seekable format, version 0.1.0 (zstd's
// contrib/seekable_format/zstd_seekable_compression_format.md): a skippable frame at the end of a
// file that says how long each frame is, compressed and not. Works on bytes in memory; entries have
// no checksums of their own (the frames carry theirs).
#ifndef SSLTOP_METRICS_LOG_SEEKABLE_H
#define SSLTOP_METRICS_LOG_SEEKABLE_H

#include <stddef.h>
#include <stdint.h>

enum { SEEKABLE_FOOTER = 9, SEEKABLE_ENTRY = 8, SEEKABLE_FRAMES_MAX = 0x8000000 };
#define SEEKABLE_MAGIC 0x8f92eab1u // the last four bytes of a file
#define SEEKABLE_FRAME 0x184d2a5eu // of the skippable frame

struct seekable_entry {
    uint32_t size;    // compressed bytes
    uint32_t content; // bytes that it decodes to; 0 for a skippable frame
};

// Bytes of the frame that holds a table of n entries.
size_t seekable_size(size_t n);
// Write the frame; `out` has seekable_size(n) bytes.
void seekable_write(unsigned char *out, const struct seekable_entry *entry, size_t n);
// What the last SEEKABLE_FOOTER bytes of a file say: bytes of the whole table's frame and its
// number of entries. 0, or -1 when they are not the end of a seek table.
int seekable_footer(const unsigned char *footer, uint64_t *size, uint32_t *n);
// Entry i of a table whose footer is good; p is where its frame begins and has `size` bytes. 0, or
// -1 when the frame's own header does not fit. Tables with checksums are read too.
int seekable_check(const unsigned char *p, size_t size);
struct seekable_entry seekable_entry_at(const unsigned char *p, size_t size, size_t i);

// Numbers as the formats of Zstandard have them: n bytes, the lowest first.
static inline uint64_t seekable_get(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}
static inline unsigned char *seekable_put(unsigned char *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> 8 * i);
    return p + n;
}

#endif
