// Reading the log of a run, also while it grows and whatever happened to it. A frame counts once it
// decodes whole and its checksum is right; everything else is stepped over to the next place where
// one begins. A scan always starts behind the last good frame, so that a tail that was cut off and
// written anew is seen as it is now. Format: RFC 8878.
#include "metrics/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC           0xfd2fb528u
#define MAGIC_SKIPPABLE 0x184d2a50u // the last four bits are free
#define BLOCK_MAX       (128u << 10)
#define CHUNK           ((size_t)256 << 10)
// A frame of RUNLOG_CONTENT_MAX that would not compress, with room for block headers.
#define FRAME_MAX ((size_t)RUNLOG_CONTENT_MAX + ((size_t)1 << 20))
// Work on what turns out not to be a frame (bytes decoded, blocks looked at) that a file of `size`
// bytes may cause. Damage needs little; a file made to keep us busy ends here.
#define PATIENCE(size) ((int64_t)4 * RUNLOG_CONTENT_MAX + 64 * (size))

struct runlog_reader {
    int fd;
    int64_t limit;      // size of the file when the scan began: what ends before it was written
                        // whole, and so was all before that
    int64_t whole;      // offset behind the last good frame of lines
    int64_t size;       // of the file, and
    struct timespec at; // its time, when the last scan ended without a frame; size -1: scan anew
    char *in;           // bytes [base, base + in_n) of the file
    int64_t base;
    size_t in_n, in_cap;
    char *out; // lines of the last good frame: out[out_at .. out_n)
    size_t out_at, out_n, out_cap;
    ZSTD_DCtx *zstd;
    int64_t effort;
    int64_t places, damaged; // gaps between good frames: how many, and their bytes
    int64_t tail;            // bytes behind `whole` that are no frame (yet)
    int given_up;
    char lost[256];
};

int runlog_open(const char *path, struct runlog_reader **out, struct error *e)
{
    *out = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, "can't open the log %s: %s", path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(e, "can't read the log %s: it is not a file", path);
    }
    struct runlog_reader *r = calloc(1, sizeof *r);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    if (!r || !zstd) {
        close(fd);
        free(r);
        ZSTD_freeDCtx(zstd);
        return error_set(e, "out of memory for the log %s", path);
    }
    r->fd = fd;
    r->zstd = zstd;
    r->size = -1;
    *out = r;
    return 0;
}

void runlog_reader_free(struct runlog_reader *r)
{
    if (!r)
        return;
    close(r->fd);
    ZSTD_freeDCtx(r->zstd);
    free(r->in);
    free(r->out);
    free(r);
}

// --- bytes of the file ---

// Have at least `want` bytes at offset `at` in memory, as far as the file has them: 1 = more than
// before, 0 = the file has no more, -1 = error. *n gets how many there are from `at` on.
static int fill(struct runlog_reader *r, int64_t at, size_t want, size_t *n, struct error *e)
{
    if (at < r->base || at > r->base + (int64_t)r->in_n) {
        r->base = at;
        r->in_n = 0;
    }
    size_t off = (size_t)(at - r->base);
    *n = r->in_n - off;
    if (*n >= want)
        return 1;
    if (r->base + (int64_t)r->in_n >= r->limit)
        return 0;
    if (off) {
        r->effort += (int64_t)*n;
        memmove(r->in, r->in + off, *n);
        r->base = at;
        r->in_n = *n;
    }
    size_t room = want > *n + CHUNK ? want : *n + CHUNK;
    if (room > r->in_cap) {
        char *in = realloc(r->in, room);
        if (!in)
            return error_set(e, "out of memory for the log");
        r->in = in;
        r->in_cap = room;
    }
    int grew = 0;
    while (r->in_n < want && at + (int64_t)r->in_n < r->limit) {
        int64_t next = at + (int64_t)r->in_n, left = r->limit - next;
        size_t ask = r->in_cap - r->in_n;
        if (left < (int64_t)ask)
            ask = (size_t)left;
        ssize_t got = pread(r->fd, r->in + r->in_n, ask, next);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(e, "can't read the log: %s", strerror(errno));
        if (!got)
            break;
        r->in_n += (size_t)got;
        grew = 1;
    }
    *n = r->in_n;
    return grew;
}

// --- frames ---

enum frame_kind { FRAME_BAD, FRAME_PART, FRAME_SKIPPABLE, FRAME_LINES };

struct frame {
    enum frame_kind kind;
    size_t size;    // bytes of a whole frame; of a part: how many would be needed to see more
    size_t content; // bytes that it can decode to, at most
    size_t blocks;
    int checked; // carries a checksum
};

static uint32_t le(const unsigned char *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

static struct frame part(size_t size, size_t blocks)
{
    return (struct frame){size > FRAME_MAX ? FRAME_BAD : FRAME_PART, size, 0, blocks, 0};
}

// What begins at p, of which n bytes are there. Follows the block headers and decodes nothing.
static struct frame look(const unsigned char *p, size_t n)
{
    struct frame bad = {.kind = FRAME_BAD};
    if (n < 4)
        return part(4, 0);
    uint32_t magic = le(p, 4);
    if ((magic & ~0xfu) == MAGIC_SKIPPABLE) {
        if (n < 8)
            return part(8, 0);
        // Not held in memory: its end is looked for in the file.
        return (struct frame){FRAME_SKIPPABLE, 8 + (size_t)le(p + 4, 4), 0, 0, 0};
    }
    if (magic != MAGIC)
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
        uint32_t head = le(p + at, 3), type = head >> 1 & 3, size = head >> 3;
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
    if (content > most || content > RUNLOG_CONTENT_MAX)
        return bad;
    return (struct frame){FRAME_LINES, at, (size_t)content, blocks, (flags & 4) != 0};
}

// Decode a whole frame into `out`: 1 = good, 0 = damaged, -1 = error.
static int decode(struct runlog_reader *r, const char *p, const struct frame *f, struct error *e)
{
    r->out_at = r->out_n = 0;
    if (f->content >= r->out_cap) {
        free(r->out);
        r->out_cap = 0;
        r->out = malloc(f->content + 1);
        if (!r->out)
            return error_set(e, "out of memory for a frame of the log");
        r->out_cap = f->content + 1;
    }
    size_t n = ZSTD_decompressDCtx(r->zstd, r->out, f->content, p, f->size);
    if (ZSTD_isError(n)) {
        r->effort += (int64_t)f->content;
        return 0;
    }
    r->out_n = n;
    return 1;
}

// The frame at offset `at`, decoded if it is one of lines; what the file does not have whole is
// bad.
static int try_frame(struct runlog_reader *r, int64_t at, struct frame *f, struct error *e)
{
    size_t n, want = 5;
    int more = fill(r, at, want, &n, e);
    for (*f = (struct frame){.kind = FRAME_BAD}; more >= 0;) {
        const unsigned char *p = (const unsigned char *)r->in + (at - r->base);
        *f = look(p, n);
        r->effort += (int64_t)f->blocks;
        if (f->kind == FRAME_LINES) {
            int good = decode(r, (const char *)p, f, e);
            if (!good)
                f->kind = FRAME_BAD;
            return good < 0 ? -1 : 0;
        }
        if (f->kind != FRAME_PART)
            return 0;
        // Doubled, so that the blocks are not followed anew for each one of them.
        want = f->size > 2 * n ? f->size : 2 * n;
        size_t had = n;
        more = fill(r, at, want > FRAME_MAX ? FRAME_MAX : want, &n, e);
        if (more >= 0 && n == had) {
            f->kind = FRAME_BAD;
            return 0;
        }
    }
    return -1;
}

// The first offset >= at where a frame may begin, or that of the end of the file.
static int seek_magic(struct runlog_reader *r, int64_t *at, struct error *e)
{
    for (;;) {
        size_t n;
        if (fill(r, *at, 4, &n, e) < 0)
            return -1;
        const unsigned char *p = (const unsigned char *)r->in + (*at - r->base);
        for (size_t i = 0; i + 4 <= n; i++) {
            uint32_t magic = le(p + i, 4);
            if (magic == MAGIC || (magic & ~0xfu) == MAGIC_SKIPPABLE) {
                *at += (int64_t)i;
                return 0;
            }
        }
        if (n < 4) {
            *at += (int64_t)n;
            return 0;
        }
        *at += (int64_t)n - 3;
    }
}

// Find the next good frame of lines behind `whole`: 1 = its lines are in `out`, 0 = none now, -1 =
// error.
static int next_frame(struct runlog_reader *r, struct error *e)
{
    struct stat st;
    if (fstat(r->fd, &st))
        return error_set(e, "can't read the log: %s", strerror(errno));
    int same = st.st_size == r->size && st.st_mtim.tv_sec == r->at.tv_sec &&
               st.st_mtim.tv_nsec == r->at.tv_nsec;
    if (same || r->given_up)
        return 0;
    if (r->size >= 0) // what is in memory behind `whole` may be another tail's
        r->in_n = 0;
    r->size = -1;
    r->limit = st.st_size;
    int64_t at = r->whole, skipped = 0;
    int ahead = r->in_n > 0; // bytes that an earlier call read: they may have been cut off since
    while (at < st.st_size) {
        struct frame f;
        if (r->effort > PATIENCE(st.st_size)) {
            r->given_up = 1;
            break;
        }
        if (try_frame(r, at, &f, e))
            return -1;
        if (ahead && f.kind != FRAME_LINES) {
            ahead = 0;
            r->in_n = 0;
            continue;
        }
        ahead = 0;
        int64_t gap = at - r->whole - skipped;
        // In the middle of rubble only a checksum tells a frame from bytes that look like one.
        if (f.kind == FRAME_LINES && (!gap || f.checked)) {
            r->places += gap > 0;
            r->damaged += gap;
            r->whole = at + (int64_t)f.size;
            r->tail = 0;
            return 1;
        }
        if (f.kind == FRAME_SKIPPABLE && at + (int64_t)f.size <= st.st_size) {
            at += (int64_t)f.size;
            skipped += (int64_t)f.size;
            continue;
        }
        r->out_at = r->out_n = 0;
        at++;
        if (seek_magic(r, &at, e))
            return -1;
    }
    r->tail = st.st_size > r->whole ? st.st_size - r->whole - skipped : 0;
    r->size = st.st_size;
    r->at = st.st_mtim;
    return 0;
}

// --- lines ---

int runlog_next(struct runlog_reader *r, const char **line, size_t *len, struct error *e)
{
    for (;;) {
        while (r->out_at < r->out_n) {
            const char *p = r->out + r->out_at;
            size_t left = r->out_n - r->out_at;
            const char *newline = memchr(p, '\n', left);
            *len = newline ? (size_t)(newline - p) : left;
            r->out_at += *len + (newline ? 1 : 0);
            *line = p;
            if (*len)
                return 1;
        }
        int rc = next_frame(r, e);
        if (rc != 1)
            return rc;
    }
}

const char *runlog_lost(struct runlog_reader *r)
{
    if (!r->places && !r->tail)
        return NULL;
    size_t n = 0;
    r->lost[0] = '\0';
    if (r->places) {
        int k = snprintf(r->lost, sizeof r->lost,
                         "%lld damaged place%s of together %lld bytes left out",
                         (long long)r->places, r->places == 1 ? "" : "s", (long long)r->damaged);
        n = k > 0 ? (size_t)k : 0;
    }
    if (r->tail && n < sizeof r->lost)
        snprintf(r->lost + n, sizeof r->lost - n, "%sthe last %lld bytes are not a whole frame%s",
                 n ? "; " : "", (long long)r->tail,
                 r->given_up ? ", and too broken to search" : "");
    return r->lost;
}

int64_t runlog_whole(const struct runlog_reader *r)
{
    return r->whole;
}
