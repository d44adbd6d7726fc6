// Index and seek table. They are believed only with the index' checksum, which covers the table
// too, and only if the frames end where the index begins.
#include "metrics/log/runlog_ending.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "metrics/base/file.h"
#include "metrics/base/memory.h"
#include "metrics/base/text.h"
#include "metrics/log/frame.h"
#include "metrics/log/runlog_frames.h"

enum { HEAD = 16, CRC = 4 }; // of the index: magic, size, version, count; checksum

void runlog_ending_add(struct runlog_ending *ending, const struct runlog_frame *f)
{
    if (!ending->broken)
        ending->broken = memory_grow(ending->frame, ending->cap, ending->n + 1) < 0;
    if (!ending->broken)
        ending->frame[ending->n++] = *f;
}

void runlog_ending_free(struct runlog_ending *ending)
{
    free(ending->frame);
    *ending = (struct runlog_ending){0};
}

int64_t runlog_count(const char *text, size_t n)
{
    int64_t lines = 0;
    const char *line;
    size_t at = 0, len;
    while (text_line(text, n, &at, &line, &len))
        lines += len > 0;
    return lines;
}

// --- writing ---

// The rows of the seek table before the index' own: a frame of lines each, and one for what lies
// between them (marks), which decodes to nothing. How many, or 0: they can't be written.
static size_t table_rows(const struct runlog_ending *ending, int64_t end, struct frame_row *row)
{
    size_t n = 0;
    int64_t at = 0;
    for (size_t i = 0; i < ending->n; i++) {
        const struct runlog_frame *f = &ending->frame[i];
        if (f->offset - at > UINT32_MAX || f->lines < 0 || f->lines > UINT32_MAX || !f->content)
            return 0;
        if (f->offset > at)
            row[n++] = (struct frame_row){(uint32_t)(f->offset - at), 0};
        row[n++] = (struct frame_row){f->size, f->content};
        at = f->offset + f->size;
    }
    return at == end ? n : 0;
}

static uint32_t checksum(const unsigned char *bytes, size_t index, size_t table)
{
    uLong c = crc32_z(crc32_z(0, NULL, 0), bytes + 8, index - 8 - CRC);
    return (uint32_t)crc32_z(c, bytes + index, table);
}

unsigned char *runlog_ending_bytes(const struct runlog_ending *ending, int64_t end, size_t *size)
{
    size_t most = 2 * ending->n + 1;
    if (ending->broken || !ending->n || most > FRAME_TABLE_MAX)
        return NULL;
    struct frame_row *row = malloc(most * sizeof *row);
    size_t n = row ? table_rows(ending, end, row) : 0;
    size_t index = HEAD + ending->n * RUNLOG_HOLDS + CRC, table = frame_table_size(n + 1);
    unsigned char *bytes = n && index <= UINT32_MAX ? malloc(index + table) : NULL;
    if (bytes) {
        row[n] = (struct frame_row){(uint32_t)index, 0};
        unsigned char *p = frame_put(bytes, RUNLOG_INDEX, 4);
        p = frame_put(p, index - 8, 4);
        p = frame_put(p, RUNLOG_INDEX_VERSION, 4);
        p = frame_put(p, ending->n, 4);
        for (size_t i = 0; i < ending->n; i++) {
            const struct runlog_frame *f = &ending->frame[i];
            struct runlog_holds h = {f->kind, f->first_step, f->lines};
            p = runlog_put_holds(p, &h);
        }
        frame_table_write(bytes + index, row, n + 1);
        frame_put(p, checksum(bytes, index, table), CRC);
        *size = index + table;
    }
    free(row);
    return bytes;
}

// --- reading ---

// Read n bytes at `at`, malloc'd; NULL: they can't be (and then the file is scanned).
static unsigned char *piece(int fd, int64_t at, size_t n)
{
    unsigned char *p = malloc(n);
    if (p && file_read_at(fd, p, n, (uint64_t)at) == n)
        return p;
    free(p);
    return NULL;
}

// Index and seek table as they lie at the end of a file.
struct last {
    unsigned char *bytes; // both; the seek table alone until the index is found
    size_t index, table;  // bytes of each
    uint32_t rows;        // of the table
    int64_t at;           // where the index begins
};

static int read_table(int fd, int64_t size, struct last *l)
{
    uint64_t table = 0;
    unsigned char *footer =
        size > FRAME_TABLE_FOOTER ? piece(fd, size - FRAME_TABLE_FOOTER, FRAME_TABLE_FOOTER) : NULL;
    int rc = footer ? frame_table_footer(footer, &table, &l->rows) : -1;
    free(footer);
    if (rc || !l->rows || table > (uint64_t)size)
        return -1;
    l->table = table;
    l->bytes = piece(fd, size - (int64_t)table, table);
    return l->bytes ? frame_table_check(l->bytes, table) : -1;
}

static int read_last(int fd, int64_t size, struct last *l)
{
    if (read_table(fd, size, l))
        return -1;
    // The last row is the index itself: its size says where it begins.
    l->index = frame_table_row(l->bytes, l->table, l->rows - 1).size;
    if (l->index < HEAD + CRC || l->table + l->index > (uint64_t)size)
        return -1;
    l->at = size - (int64_t)(l->table + l->index);
    free(l->bytes);
    l->bytes = piece(fd, l->at, l->index + l->table);
    return l->bytes ? 0 : -1;
}

// Whether the index is good; how many frames of lines it names.
static int is_good(const struct last *l, uint32_t *frames)
{
    const unsigned char *p = l->bytes;
    *frames = (uint32_t)frame_get(p + 12, 4);
    return frame_get(p, 4) == RUNLOG_INDEX && frame_get(p + 4, 4) == l->index - 8 &&
           frame_get(p + 8, 4) == RUNLOG_INDEX_VERSION &&
           l->index == HEAD + (uint64_t)*frames * RUNLOG_HOLDS + CRC &&
           frame_get(p + l->index - CRC, CRC) == checksum(p, l->index, l->table);
}

// 1 = the list is whole, 0 = index and table do not belong together.
static int list(const struct last *l, uint32_t frames, struct runlog_ending *ending)
{
    const unsigned char *table = l->bytes + l->index, *holds = l->bytes + HEAD;
    int64_t at = 0;
    for (size_t i = 0; i + 1 < l->rows; i++) {
        struct frame_row row = frame_table_row(table, l->table, i);
        if (row.content) {
            if (ending->n == frames || row.content > RUNLOG_CONTENT_MAX)
                return 0;
            struct runlog_holds h = runlog_get_holds(holds + ending->n * RUNLOG_HOLDS);
            struct runlog_frame f = {.offset = at,
                                     .size = row.size,
                                     .content = row.content,
                                     .kind = h.kind,
                                     .first_step = h.first_step,
                                     .lines = h.lines,
                                     .live = runlog_live(h.kind, h.lines)};
            runlog_ending_add(ending, &f);
            if (ending->broken)
                return 0;
        }
        at += row.size;
    }
    return frames && ending->n == frames && at == l->at;
}

int runlog_ending_read(int fd, struct runlog_ending *ending, struct error *e)
{
    struct last l = {0};
    uint32_t frames;
    int64_t size = lseek(fd, 0, SEEK_END);
    *ending = (struct runlog_ending){0};
    int rc =
        size > 0 && !read_last(fd, size, &l) && is_good(&l, &frames) && list(&l, frames, ending);
    free(l.bytes);
    if (ending->broken)
        error_memory(e, "the index of a log");
    if (rc)
        return 1;
    rc = ending->broken ? -1 : 0;
    runlog_ending_free(ending);
    return rc;
}
