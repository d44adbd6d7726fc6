// Finding the frames of a log, also while it grows and whatever happened to it. A frame counts once
// it decodes whole and its checksum is right, or, when its lines are not asked for, once its blocks
// are whole and something that can be a frame follows; everything else is stepped over to the next
// place where one begins. A scan always starts behind the last good frame, so that a tail that was
// cut off and written anew is seen as it is now. Format: RFC 8878.
#include "metrics/log/runlog_frames.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "metrics/base/file.h"
#include "metrics/base/memory.h"
#include "metrics/log/frame.h"

#define CHUNK ((size_t)256 << 10)
// Work on what turns out not to be a frame (bytes decoded, blocks looked at) that a file of `size`
// bytes may cause. Damage needs little; a file made to keep us busy ends here.
#define PATIENCE(size) ((int64_t)4 * RUNLOG_CONTENT_MAX + 64 * (size))

const char *const runlog_kind_name[RUNLOG_KINDS] = {
    [RUNLOG_OTHER] = "other",         [RUNLOG_SCALARS] = "scalars", [RUNLOG_LIVE] = "live spectra",
    [RUNLOG_EXACT] = "exact spectra", [RUNLOG_Z] = "spectra of z",
};

enum runlog_kind runlog_kind_of(const struct record_head *head)
{
    return head->type != RECORD_SPECTRUM    ? RUNLOG_SCALARS
           : head->source == SPECTRUM_LIVE  ? RUNLOG_LIVE
           : head->source == SPECTRUM_EXACT ? RUNLOG_EXACT
                                            : RUNLOG_Z;
}

// --- what a frame holds ---

#define NO_STEP 0xffffffffffffffu

unsigned char *runlog_put_holds(unsigned char *p, const struct runlog_holds *h)
{
    int has = h->first_step >= 0 && (uint64_t)h->first_step < NO_STEP;
    p = frame_put(p, has ? (uint64_t)h->first_step : NO_STEP, 7);
    p = frame_put(p, h->kind, 1);
    return frame_put(p, (uint64_t)h->lines, 4);
}

struct runlog_holds runlog_get_holds(const unsigned char *p)
{
    uint64_t step = frame_get(p, 7);
    return (struct runlog_holds){
        .kind = p[7] < RUNLOG_KINDS ? (enum runlog_kind)p[7] : RUNLOG_OTHER,
        .first_step = step == NO_STEP ? -1 : (int64_t)step,
        .lines = (int64_t)frame_get(p + 8, 4),
    };
}

static uint32_t crc(const unsigned char *p, size_t n)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), p, n);
}

size_t runlog_put_mark(unsigned char *out, const struct runlog_holds *h, size_t n)
{
    unsigned char *p = frame_put(out, RUNLOG_MARK, 4);
    p = frame_put(p, n * RUNLOG_HOLDS + 4, 4);
    for (size_t i = 0; i < n; i++)
        p = runlog_put_holds(p, &h[i]);
    p = frame_put(p, crc(out + 8, n * RUNLOG_HOLDS), 4);
    return (size_t)(p - out);
}

// --- bytes of the file ---

// Have at least `want` bytes at offset `at` in memory, as far as the file has them: 1 = more than
// before, 0 = the file has no more, -1 = error. *n gets how many there are from `at` on.
static int fill(struct runlog_scan *s, int64_t at, size_t want, size_t *n, struct error *e)
{
    if (at < s->base || at > s->base + (int64_t)s->in_n) {
        s->base = at;
        s->in_n = 0;
    }
    size_t off = (size_t)(at - s->base);
    *n = s->in_n - off;
    if (*n >= want)
        return 1;
    if (s->base + (int64_t)s->in_n >= s->limit)
        return 0;
    if (off) {
        s->effort += (int64_t)*n;
        memmove(s->in, s->in + off, *n);
        s->base = at;
        s->in_n = *n;
    }
    if (memory_room(s->in, s->in_cap, want > *n + CHUNK ? want : *n + CHUNK) < 0)
        return error_memory(e, "the log");
    int64_t next = at + (int64_t)s->in_n, left = s->limit - next;
    size_t room = s->in_cap - s->in_n, ask = left < (int64_t)room ? (size_t)left : room;
    size_t got = file_read_at(s->fd, s->in + s->in_n, ask, (uint64_t)next);
    if (got < ask && errno)
        return error_system(e, "can't read the log");
    *n = s->in_n += got;
    return got > 0;
}

// --- frames ---

// What begins at offset `at`; what the file does not have whole is bad. Its bytes are in memory
// unless it is skippable.
static int see(struct runlog_scan *s, int64_t at, struct frame *f, struct error *e)
{
    size_t n, want = 5;
    int more = fill(s, at, want, &n, e);
    for (*f = (struct frame){.kind = FRAME_BAD}; more >= 0;) {
        *f = frame_look(s->in + (at - s->base), n);
        s->effort += (int64_t)f->blocks;
        if (f->kind != FRAME_PART)
            return 0;
        // Doubled, so that the blocks are not followed anew for each one of them.
        want = f->size > 2 * n ? f->size : 2 * n;
        size_t had = n;
        more = fill(s, at, want > FRAME_MAX ? FRAME_MAX : want, &n, e);
        if (more >= 0 && n == had) {
            f->kind = FRAME_BAD;
            return 0;
        }
    }
    return -1;
}

// Room for so many bytes in `out`, which is empty then.
static int make_room(struct runlog_scan *s, size_t n, struct error *e)
{
    s->out_n = 0;
    if (n < s->out_cap)
        return 0;
    free(s->out);
    s->out_cap = 0;
    s->out = malloc(n + 1);
    if (!s->out)
        return error_memory(e, "a frame of the log");
    s->out_cap = n + 1;
    return 0;
}

// Decode a whole frame into `out`: 1 = good, 0 = damaged, -1 = error.
static int decode(struct runlog_scan *s, const unsigned char *p, const struct frame *f,
                  struct error *e)
{
    if (make_room(s, f->content, e))
        return -1;
    size_t n = ZSTD_decompressDCtx(s->zstd, s->out, f->content, p, f->size);
    if (ZSTD_isError(n)) {
        s->effort += (int64_t)f->content;
        return 0;
    }
    s->out_n = n;
    return 1;
}

// Whether a frame may begin at `at`, or the file ends there.
static int may_follow(struct runlog_scan *s, int64_t at, struct error *e)
{
    size_t n;
    if (fill(s, at, 4, &n, e) < 0)
        return -1;
    if (n < 4)
        return at + (int64_t)n >= s->limit;
    uint32_t magic = (uint32_t)frame_get(s->in + (at - s->base), 4);
    return magic == FRAME_MAGIC || (magic & ~0xfu) == FRAME_SKIPPABLE_MAGIC;
}

// Take the frame of lines at `at`, with `gap` bytes of rubble before it, if it is good: 1, 0, -1.
static int take_lines(struct runlog_scan *s, int64_t at, int64_t gap, const struct frame *f,
                      struct error *e)
{
    struct runlog_holds holds = {RUNLOG_OTHER, -1, -1};
    int kept = s->at_promised < s->n_promised && s->promised_at == at;
    if (kept)
        holds = s->promised[s->at_promised];
    s->decoded = 0;
    // In the middle of rubble only a checksum tells a frame from bytes that look like one.
    if (gap && !f->checked)
        return 0;
    int whole = !gap && (s->skip >> holds.kind & 1) ? may_follow(s, at + (int64_t)f->size, e) : 0;
    if (!whole) {
        size_t n;
        if (fill(s, at, f->size, &n, e) < 0) // may_follow may have let go of it
            return -1;
        whole = n < f->size ? 0 : decode(s, s->in + (at - s->base), f, e);
        s->decoded = whole == 1;
    }
    if (whole != 1)
        return whole;
    s->found = (struct runlog_frame){
        .offset = at,
        .size = (uint32_t)f->size,
        .content = (uint32_t)(s->decoded ? s->out_n : f->content),
        .kind = holds.kind,
        .first_step = holds.first_step,
        .lines = holds.lines,
        .live = runlog_live(holds.kind, holds.lines),
    };
    if (kept) {
        s->at_promised++;
        s->promised_at = at + (int64_t)f->size;
    } else {
        s->n_promised = s->at_promised = 0;
    }
    return 1;
}

// Read the mark at `at`: 1 = good, 0 = not a good one, -1 = error.
static int take_mark(struct runlog_scan *s, int64_t at, size_t size, struct error *e)
{
    size_t n, payload = size - 8, count = payload / RUNLOG_HOLDS;
    if (size > RUNLOG_MARK_BYTES || !count || payload != count * RUNLOG_HOLDS + 4)
        return 0;
    if (fill(s, at, size, &n, e) < 0)
        return -1;
    const unsigned char *p = s->in + (at - s->base);
    if (n < size || crc(p + 8, payload - 4) != frame_get(p + size - 4, 4))
        return 0;
    for (size_t i = 0; i < count; i++)
        s->promised[i] = runlog_get_holds(p + 8 + i * RUNLOG_HOLDS);
    s->n_promised = count;
    s->at_promised = 0;
    s->promised_at = at + (int64_t)size;
    return 1;
}

static uint32_t magic_at(const struct runlog_scan *s, int64_t at)
{
    return (uint32_t)frame_get(s->in + (at - s->base), 4);
}

// Whether the skippable frame is one to pass over: 1, 0, -1.
static int take_skippable(struct runlog_scan *s, int64_t at, const struct frame *f, int *mark,
                          struct error *e)
{
    *mark = magic_at(s, at) == RUNLOG_MARK;
    if (at + (int64_t)f->size > s->limit)
        return 0;
    return *mark ? take_mark(s, at, f->size, e) : 1;
}

// The first offset >= at where a frame may begin, or that of the end of the file.
static int seek_magic(struct runlog_scan *s, int64_t *at, struct error *e)
{
    for (;;) {
        size_t n;
        if (fill(s, *at, 4, &n, e) < 0)
            return -1;
        const unsigned char *p = s->in + (*at - s->base);
        for (size_t i = 0; i + 4 <= n; i++) {
            uint32_t magic = (uint32_t)frame_get(p + i, 4);
            if (magic == FRAME_MAGIC || (magic & ~0xfu) == FRAME_SKIPPABLE_MAGIC) {
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

// Whether the file may have something new; begins a scan then.
static int begin(struct runlog_scan *s, struct error *e)
{
    struct stat st;
    if (fstat(s->fd, &st))
        return error_system(e, "can't read the log");
    int same = st.st_size == s->size && st.st_mtim.tv_sec == s->at.tv_sec &&
               st.st_mtim.tv_nsec == s->at.tv_nsec;
    if (same || s->given_up)
        return 0;
    if (s->size >= 0) // what is in memory behind `whole` may be another tail's
        s->in_n = 0;
    s->size = -1;
    s->limit = st.st_size;
    s->at = st.st_mtim;
    return 1;
}

// Of a file of plain lines: the next of them, some at once, as if they were a frame.
static int next_plain(struct runlog_scan *s, struct error *e)
{
    size_t n = 0, take = 0;
    for (size_t want = CHUNK, had = SIZE_MAX; !take && n != had; want *= 2) {
        had = n;
        if (fill(s, s->whole, want, &n, e) < 0)
            return -1;
        const unsigned char *p = s->in + (s->whole - s->base);
        const unsigned char *newline = n ? memrchr(p, '\n', n) : NULL;
        int ends = s->whole + (int64_t)n == s->limit && n && p[n - 1] == '}';
        take = ends ? n : newline ? (size_t)(newline - p) + 1 : 0;
        if (!take && n > RUNLOG_LINE_MAX)
            s->given_up = 1;
        if (s->given_up)
            break;
    }
    s->tail = take ? 0 : s->limit - s->whole;
    if (!take) {
        s->size = s->limit;
        return 0;
    }
    if (make_room(s, take, e))
        return -1;
    memcpy(s->out, s->in + (s->whole - s->base), take);
    s->out_n = take;
    s->decoded = 1;
    s->found = (struct runlog_frame){.offset = s->whole,
                                     .size = (uint32_t)take,
                                     .content = (uint32_t)take,
                                     .first_step = -1,
                                     .lines = -1,
                                     .live = -1};
    s->whole += (int64_t)take;
    return 1;
}

int runlog_scan_next(struct runlog_scan *s, struct error *e)
{
    int rc = begin(s, e);
    if (rc <= 0)
        return rc;
    if (s->plain)
        return next_plain(s, e);
    int64_t at = s->whole, skipped = 0, marks = 0;
    int ahead = s->in_n > 0; // bytes that an earlier call read: they may have been cut off since
    while (at < s->limit) {
        struct frame f;
        if (s->effort > PATIENCE(s->limit)) {
            s->given_up = 1;
            break;
        }
        if (see(s, at, &f, e))
            return -1;
        int mark = 0, good = 0;
        int64_t gap = at - s->whole - skipped - marks; // rubble since the last good frame
        if (f.kind == FRAME_LINES)
            good = take_lines(s, at, gap, &f, e);
        else if (f.kind == FRAME_SKIPPABLE)
            good = take_skippable(s, at, &f, &mark, e);
        if (good < 0)
            return -1;
        if (ahead && (!good || (f.kind == FRAME_SKIPPABLE && !mark))) {
            at = s->whole;
            skipped = marks = ahead = 0;
            s->in_n = 0;
            continue;
        }
        if (good && f.kind == FRAME_LINES) {
            s->places += gap > 0;
            s->damaged += gap;
            s->whole = at + (int64_t)f.size;
            s->tail = 0;
            return 1;
        }
        if (good) {
            at += (int64_t)f.size;
            *(mark ? &marks : &skipped) += (int64_t)f.size;
            continue;
        }
        s->large |= f.large && !gap;
        at++;
        if (seek_magic(s, &at, e))
            return -1;
    }
    // A mark without its frames is part of what is missing.
    s->tail = s->limit > s->whole ? s->limit - s->whole - skipped : 0;
    s->size = s->limit;
    s->decoded = 0;
    return 0;
}

int runlog_scan_read(struct runlog_scan *s, const struct runlog_frame *found, struct error *e)
{
    struct stat st;
    struct frame f;
    size_t n;
    if (fstat(s->fd, &st))
        return error_system(e, "can't read the log");
    s->limit = st.st_size;
    s->in_n = 0;
    s->decoded = 0;
    if (fill(s, found->offset, found->size, &n, e) < 0)
        return -1;
    if (s->plain) {
        if (make_room(s, found->size, e))
            return -1;
        s->out_n = n < found->size ? n : found->size;
        memcpy(s->out, s->in + (found->offset - s->base), s->out_n);
        return s->decoded = 1;
    }
    if (see(s, found->offset, &f, e))
        return -1;
    int rc = f.kind == FRAME_LINES && f.size == found->size
                 ? decode(s, s->in + (found->offset - s->base), &f, e)
                 : 0;
    s->decoded = rc == 1;
    s->places += rc == 0;
    s->damaged += rc == 0 ? found->size : 0;
    return rc;
}

// Append to a sentence; parts are divided by "; ".
static void say(char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void say(char *text, size_t size, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list args;
    if (n && n + 2 < size) {
        memcpy(text + n, "; ", 3);
        n += 2;
    }
    va_start(args, fmt);
    vsnprintf(text + n, size - n, fmt, args);
    va_end(args);
}

const char *runlog_scan_lost(const struct runlog_scan *s, char *text, size_t size)
{
    text[0] = '\0';
    if (s->places)
        say(text, size, "%lld damaged place%s of together %lld bytes left out",
            (long long)s->places, s->places == 1 ? "" : "s", (long long)s->damaged);
    int64_t missing = 0;
    for (size_t i = s->at_promised; s->size >= 0 && i < s->n_promised; i++)
        missing += s->promised[i].lines;
    if (s->large)
        say(text, size,
            "a frame has more than %d MB of lines: what zstd -d makes of it can be read",
            RUNLOG_CONTENT_MAX >> 20);
    else if (s->tail)
        say(text, size, "the last %lld bytes are not a whole %s%s", (long long)s->tail,
            s->plain ? "line" : "frame", s->given_up ? ", and too broken to search" : "");
    else if (missing && s->promised_at == s->whole)
        say(text, size, "%lld lines are missing at the end", (long long)missing);
    return text[0] ? text : NULL;
}
