// Block after block to the end of a frame; the seek table as it lies there.
#include "metrics/log/frame.h"

#include <stdint.h>
#include <zstd.h>

#define BLOCK_MAX (128u << 10)

static struct frame part(size_t size, size_t blocks)
{
    int large = size > FRAME_MAX;
    return (struct frame){large ? FRAME_BAD : FRAME_PART, size, 0, blocks, 0, large};
}

struct frame frame_look(const unsigned char *p, size_t n)
{
    struct frame bad = {.kind = FRAME_BAD};
    if (n < 4)
        return part(4, 0);
    uint32_t magic = (uint32_t)frame_get(p, 4);
    if ((magic & ~0xfu) == FRAME_SKIPPABLE_MAGIC) {
        if (n < 8)
            return part(8, 0);
        // Not held in memory: its end is looked for in the file.
        return (struct frame){FRAME_SKIPPABLE, 8 + (size_t)frame_get(p + 4, 4), 0, 0, 0, 0};
    }
    if (magic != FRAME_MAGIC)
        return bad;
    if (n < 5)
        return part(5, 0);
    unsigned flags = p[4];
    if (flags & 0x0b) // reserved, or a dictionary that we don't have
        return bad;
    unsigned single = flags >> 5 & 1, field = flags >> 6;
    size_t at = 5 + (single ? 0u : 1u) + (field ? 1u << field : single), blocks = 0;
    for (int last = 0; !last;) {
        if (n < at + 3)
            return part(at + 3, blocks);
        uint32_t head = (uint32_t)frame_get(p + at, 3), type = head >> 1 & 3, size = head >> 3;
        bad.blocks = ++blocks;
        if (type == 3 || size > BLOCK_MAX)
            return bad;
        last = head & 1;
        at += 3 + (type == 1 ? 1 : size);
    }
    at += flags & 4;
    if (n < at)
        return part(at, blocks);
    unsigned long long content = ZSTD_getFrameContentSize(p, n),
                       most = blocks * (uint64_t)BLOCK_MAX;
    if (content == ZSTD_CONTENTSIZE_ERROR)
        return bad;
    if (content == ZSTD_CONTENTSIZE_UNKNOWN)
        content = most < RUNLOG_CONTENT_MAX ? most : RUNLOG_CONTENT_MAX;
    bad.large = content <= most;
    if (content > most || content > RUNLOG_CONTENT_MAX)
        return bad;
    return (struct frame){
        FRAME_LINES, at, (size_t)content, blocks, (flags & 4) != 0, content == RUNLOG_CONTENT_MAX};
}

// --- the seek table ---
// Skippable magic (4), size of what follows (4), rows, number of frames (4), descriptor (1: bit 7 =
// rows carry 4 bytes of checksum; bits 6 to 2 must be 0), magic of the end (4).
enum { HEADER = 8, CHECKSUM_FLAG = 0x80, RESERVED = 0x7c };

size_t frame_table_size(size_t n)
{
    return HEADER + n * FRAME_TABLE_ROW + FRAME_TABLE_FOOTER;
}

void frame_table_write(unsigned char *out, const struct frame_row *row, size_t n)
{
    out = frame_put(out, FRAME_TABLE_MAGIC, 4);
    out = frame_put(out, n * FRAME_TABLE_ROW + FRAME_TABLE_FOOTER, 4);
    for (size_t i = 0; i < n; i++) {
        out = frame_put(out, row[i].size, 4);
        out = frame_put(out, row[i].content, 4);
    }
    out = frame_put(out, n, 4);
    out = frame_put(out, 0, 1);
    frame_put(out, FRAME_TABLE_END, 4);
}

static size_t row_size(const unsigned char *footer)
{
    return footer[4] & CHECKSUM_FLAG ? FRAME_TABLE_ROW + 4 : FRAME_TABLE_ROW;
}

int frame_table_footer(const unsigned char *footer, uint64_t *size, uint32_t *n)
{
    if (frame_get(footer + 5, 4) != FRAME_TABLE_END || (footer[4] & RESERVED))
        return -1;
    *n = (uint32_t)frame_get(footer, 4);
    *size = HEADER + *n * (uint64_t)row_size(footer) + FRAME_TABLE_FOOTER;
    return *n <= FRAME_TABLE_MAX ? 0 : -1;
}

int frame_table_check(const unsigned char *p, size_t size)
{
    return size >= HEADER + FRAME_TABLE_FOOTER && frame_get(p, 4) == FRAME_TABLE_MAGIC &&
                   frame_get(p + 4, 4) == size - HEADER
               ? 0
               : -1;
}

struct frame_row frame_table_row(const unsigned char *p, size_t size, size_t i)
{
    const unsigned char *at = p + HEADER + i * row_size(p + size - FRAME_TABLE_FOOTER);
    return (struct frame_row){(uint32_t)frame_get(at, 4), (uint32_t)frame_get(at + 4, 4)};
}
