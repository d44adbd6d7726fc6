// Bytes of the seek table. Layout: skippable magic (4), size of what follows (4), entries, number
// of frames (4), descriptor (1: bit 7 = entries carry 4 bytes of checksum; bits 6 to 2 must be 0),
// seekable magic (4).
#include "metrics/log/seekable.h"

enum { HEADER = 8, CHECKSUM_FLAG = 0x80, RESERVED = 0x7c };

size_t seekable_size(size_t n)
{
    return HEADER + n * SEEKABLE_ENTRY + SEEKABLE_FOOTER;
}

void seekable_write(unsigned char *out, const struct seekable_entry *entry, size_t n)
{
    out = seekable_put(out, SEEKABLE_FRAME, 4);
    out = seekable_put(out, n * SEEKABLE_ENTRY + SEEKABLE_FOOTER, 4);
    for (size_t i = 0; i < n; i++) {
        out = seekable_put(out, entry[i].size, 4);
        out = seekable_put(out, entry[i].content, 4);
    }
    out = seekable_put(out, n, 4);
    out = seekable_put(out, 0, 1);
    seekable_put(out, SEEKABLE_MAGIC, 4);
}

static size_t entry_size(const unsigned char *footer)
{
    return footer[4] & CHECKSUM_FLAG ? SEEKABLE_ENTRY + 4 : SEEKABLE_ENTRY;
}

int seekable_footer(const unsigned char *footer, uint64_t *size, uint32_t *n)
{
    if (seekable_get(footer + 5, 4) != SEEKABLE_MAGIC || (footer[4] & RESERVED))
        return -1;
    *n = (uint32_t)seekable_get(footer, 4);
    *size = HEADER + *n * (uint64_t)entry_size(footer) + SEEKABLE_FOOTER;
    return *n <= SEEKABLE_FRAMES_MAX ? 0 : -1;
}

int seekable_check(const unsigned char *p, size_t size)
{
    return size >= HEADER + SEEKABLE_FOOTER && seekable_get(p, 4) == SEEKABLE_FRAME &&
                   seekable_get(p + 4, 4) == size - HEADER
               ? 0
               : -1;
}

struct seekable_entry seekable_entry_at(const unsigned char *p, size_t size, size_t i)
{
    const unsigned char *at = p + HEADER + i * entry_size(p + size - SEEKABLE_FOOTER);
    return (struct seekable_entry){(uint32_t)seekable_get(at, 4),
                                   (uint32_t)seekable_get(at + 4, 4)};
}
