// Block after block to the end of a frame.
#include "metrics/log/frame.h"

#include <stdint.h>
#include <zstd.h>

#include "metrics/log/seekable.h"

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
    uint32_t magic = (uint32_t)seekable_get(p, 4);
    if ((magic & ~0xfu) == FRAME_SKIPPABLE_MAGIC) {
        if (n < 8)
            return part(8, 0);
        // Not held in memory: its end is looked for in the file.
        return (struct frame){FRAME_SKIPPABLE, 8 + (size_t)seekable_get(p + 4, 4), 0, 0, 0, 0};
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
        uint32_t head = (uint32_t)seekable_get(p + at, 3), type = head >> 1 & 3, size = head >> 3;
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
