// The log under everything that can happen to a file: cut at every byte, flipped bits, no room, a
// reader that follows, a second life after damage, and files made to do harm.
#include "metrics/runlog.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

static char folder[64], path[96];

static void setup(void)
{
    strcpy(folder, "/tmp/ssltop-runlog-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run.jsonl.zst", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(runlog, .init = setup, .fini = teardown);

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void *need(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    cr_assert(p);
    return p;
}

struct bytes {
    unsigned char *p;
    size_t n;
};

static struct bytes slurp(void)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f);
    cr_assert_eq(fseek(f, 0, SEEK_END), 0);
    struct bytes b = {NULL, (size_t)ftell(f)};
    rewind(f);
    b.p = need(b.n);
    cr_assert_eq(fread(b.p, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

static void spill(const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    cr_assert_eq(fwrite(p, 1, n, f), n);
    cr_assert_eq(fclose(f), 0);
}

static size_t file_size(void)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    return (size_t)st.st_size;
}

// Line i of every log here.
static const char *text(int i)
{
    static char line[4][96];
    char *s = line[i & 3];
    snprintf(s, sizeof line[0], "{\"type\":\"step\",\"step\":%d,\"auc\":%.17g}", i, 1.0 / (i + 2));
    return s;
}

static struct runlog_writer *create(void)
{
    struct runlog_writer *w;
    struct error e = {0};
    cr_assert_eq(runlog_create(path, &w, &e), 0, "%s", e.text);
    return w;
}

static void put(struct runlog_writer *w, int i)
{
    struct error e = {0};
    cr_assert_eq(runlog_write(w, text(i), strlen(text(i)), &e), 0, "%s", e.text);
}

static void flush(struct runlog_writer *w, int sync)
{
    struct error e = {0};
    cr_assert_eq(runlog_flush(w, sync, &e), 0, "%s", e.text);
}

static void finish(struct runlog_writer *w)
{
    struct error e = {0};
    cr_assert_eq(runlog_close(w, &e), 0, "%s", e.text);
}

static struct runlog_reader *reader(void)
{
    struct runlog_reader *r;
    struct error e = {0};
    cr_assert_eq(runlog_open(path, &r, &e), 0, "%s", e.text);
    return r;
}

// 1 and the number of the line, or 0. A line that nobody wrote fails the test.
static int get(struct runlog_reader *r, int *i)
{
    const char *line;
    size_t len;
    struct error e = {0};
    int rc = runlog_next(r, &line, &len, &e);
    cr_assert(rc >= 0, "%s", e.text);
    if (!rc)
        return 0;
    char copy[128];
    cr_assert(len < sizeof copy);
    memcpy(copy, line, len);
    copy[len] = '\0';
    cr_assert_eq(sscanf(copy, "{\"type\":\"step\",\"step\":%d,", i), 1, "%s", copy);
    cr_assert_str_eq(copy, text(*i));
    return 1;
}

// Read on: lines from .. to - 1 and no more.
static void expect(struct runlog_reader *r, int from, int to)
{
    int i;
    for (int want = from; want < to; want++) {
        cr_assert(get(r, &i), "line %d is missing", want);
        cr_assert_eq(i, want);
    }
    cr_assert(!get(r, &i), "line %d is too much", i);
}

static void expect_file(int from, int to, int whole)
{
    struct runlog_reader *r = reader();
    expect(r, from, to);
    if (whole)
        cr_assert_null(runlog_lost(r), "%s", runlog_lost(r));
    else
        cr_assert(runlog_lost(r));
    runlog_reader_free(r);
}

// A log of `frames` frames; frame k holds k % 4 + 1 lines and ends at end[k]. Behind the last stand
// the index, up to index_end, and the seek table.
struct sample {
    int frames, lines;
    size_t end[64], index_end;
    int line_end[64];
};

static struct sample make_sample(int frames)
{
    struct sample s = {.frames = frames};
    struct runlog_writer *w = create();
    for (int k = 0; k < frames; k++) {
        for (int i = 0; i < k % 4 + 1; i++)
            put(w, s.lines++);
        flush(w, 0);
        s.end[k] = file_size();
        s.line_end[k] = s.lines;
    }
    finish(w);
    s.index_end = s.end[frames - 1] + 20 + 12 * (size_t)frames;
    cr_assert_eq(file_size(), s.index_end + 17 + 8 * (2 * (size_t)frames + 1));
    return s;
}

// A log tells names of files and machines: like all of a run it is its owner's only.
Test(runlog, is_private)
{
    struct stat st;
    cr_assert_eq(runlog_close(create(), NULL), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(runlog, counts_and_order)
{
    struct runlog_writer *w = create();
    cr_assert(runlog_lines(w) == 0 && runlog_pending(w) == 0);
    flush(w, 1);
    cr_assert_eq(file_size(), 0, "an empty flush writes nothing");
    put(w, 0);
    put(w, 1);
    cr_assert(runlog_lines(w) == 2 && runlog_stored(w) == 0);
    cr_assert_eq(runlog_pending(w), strlen(text(0)) + strlen(text(1)) + 2);
    cr_assert_eq(file_size(), 0, "writing a line never touches the disk");
    flush(w, 0);
    cr_assert(runlog_lines(w) == 2 && runlog_stored(w) == 2 && runlog_pending(w) == 0);
    flush(w, 1);
    put(w, 2);
    cr_assert_eq(runlog_dropped(w), 0);
    finish(w);
    expect_file(0, 3, 1);
    cr_assert_eq(runlog_close(NULL, NULL), 0);
    runlog_reader_free(NULL);
}

// What zstdcat and other tools need: independent frames, each with a checksum and its size, one a
// flush, with a mark before it that they pass over.
Test(runlog, frames_are_independent)
{
    struct sample s = make_sample(9);
    struct bytes b = slurp();
    size_t at = 0;
    for (int k = 0; k < s.frames; k++) {
        cr_assert(!memcmp(b.p + at, "\x53\x2a\x4d\x18\x10\0\0\0", 8));
        at += 24;
        size_t n = ZSTD_findFrameCompressedSize(b.p + at, b.n - at);
        cr_assert(!ZSTD_isError(n));
        cr_assert_eq(at + n, s.end[k]);
        cr_assert(b.p[at + 4] & 4, "a frame without a checksum");
        char out[1024];
        unsigned long long size = ZSTD_getFrameContentSize(b.p + at, n);
        cr_assert_eq(ZSTD_decompress(out, sizeof out, b.p + at, n), size);
        cr_assert_eq(out[size - 1], '\n');
        at += n;
    }
    free(b.p);
}

Test(runlog, cut_at_every_byte)
{
    struct sample s = make_sample(12);
    struct bytes b = slurp();
    for (size_t n = 0; n <= b.n; n++) {
        int lines = 0, boundary = n == 0;
        size_t whole = 0;
        for (int k = 0; k < s.frames && s.end[k] <= n; k++) {
            lines = s.line_end[k];
            whole = s.end[k];
            boundary = whole == n;
        }
        size_t wreck = n - (n >= s.index_end ? s.index_end : whole);
        boundary |= n == s.index_end || n == b.n;
        spill(b.p, n);
        struct runlog_reader *r = reader();
        expect(r, 0, lines);
        cr_assert_eq((size_t)runlog_whole(r), whole);
        const char *lost = runlog_lost(r);
        char want[80];
        snprintf(want, sizeof want, "the last %zu bytes are not a whole frame", wreck);
        if (boundary)
            cr_assert_null(lost);
        else
            cr_assert_str_eq(lost, want);
        runlog_reader_free(r);
        // A second life.
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept = -1;
        cr_assert_eq(runlog_append(path, &w, &kept, &e), 0, "%zu: %s", n, e.text);
        cr_assert_eq(kept, lines);
        cr_assert(runlog_lines(w) == lines && runlog_stored(w) == lines);
        cr_assert_eq(file_size(), whole);
        put(w, lines);
        finish(w);
        expect_file(0, lines + 1, 1);
    }
    free(b.p);
}

Test(runlog, flipped_bits)
{
    struct sample s = make_sample(20);
    struct bytes b = slurp();
    uint64_t state = 42;
    for (int trial = 0; trial < 1500; trial++) {
        // The first frames get every bit of their headers, the rest is random.
        size_t bit = trial < 400 ? (size_t)trial : next(&state) % (8 * s.end[19]);
        int hit = 0;
        while (s.end[hit] <= bit / 8)
            hit++;
        int first = hit ? s.line_end[hit - 1] : 0, after = s.line_end[hit];
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        spill(b.p, b.n);
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        struct runlog_reader *r = reader();
        int i = -1, seen = 0, last = -1, of_hit = 0;
        while (get(r, &i)) {
            cr_assert(i > last, "bit %zu: line %d after %d", bit, i, last);
            of_hit += i >= first && i < after;
            last = i;
            seen++;
        }
        cr_assert_eq(seen - of_hit, s.lines - (after - first), "bit %zu: a whole frame is lost",
                     bit);
        cr_assert(of_hit == 0 || of_hit == after - first, "bit %zu: part of a frame", bit);
        cr_assert(of_hit || runlog_lost(r), "bit %zu: the loss is not told", bit);
        runlog_reader_free(r);
        if (trial % 10)
            continue;
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept = 0;
        cr_assert_eq(runlog_append(path, &w, &kept, &e), 0, "%s", e.text);
        cr_assert_eq(kept, seen);
        put(w, s.lines);
        finish(w);
        r = reader();
        for (last = -1; get(r, &i); last = i)
            seen--;
        cr_assert(seen == -1 && last == s.lines, "bit %zu: appending after damage", bit);
        runlog_reader_free(r);
    }
    free(b.p);
}

// Several wounds at once, bytes inserted and torn out: what comes is always some of what was
// written.
Test(runlog, mangled)
{
    make_sample(20);
    struct bytes b = slurp();
    uint64_t state = 7;
    for (int trial = 0; trial < 600; trial++) {
        unsigned char *p = need(b.n + 64);
        size_t n = b.n;
        memcpy(p, b.p, n);
        for (uint64_t k = next(&state) % 5 + 1; k > 0; k--) {
            size_t at = next(&state) % n, len = next(&state) % 12 + 1;
            int what = (int)(next(&state) % 3);
            if (what == 0) {
                for (size_t i = at; i < n && i < at + len; i++)
                    p[i] = (unsigned char)next(&state);
            } else if (what == 1 && at + len < n) {
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            } else if (n + len <= b.n + 64) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
        }
        spill(p, n);
        free(p);
        struct runlog_reader *r = reader();
        int i, last = -1;
        while (get(r, &i)) {
            cr_assert(i > last);
            last = i;
        }
        runlog_lost(r);
        runlog_reader_free(r);
    }
    free(b.p);
}

Test(runlog, follows_a_growing_file)
{
    struct runlog_writer *w = create();
    struct runlog_reader *r = reader();
    expect(r, 0, 0);
    for (int i = 0; i < 300; i++) {
        put(w, i);
        expect(r, i, i);
        flush(w, 0);
        expect(r, i, i + 1);
    }
    for (int i = 300; i < 400; i++) {
        put(w, i);
        if (i % 7 == 0)
            flush(w, 0);
    }
    finish(w);
    expect(r, 300, 400);
    cr_assert_null(runlog_lost(r));
    runlog_reader_free(r);
}

// A frame that arrives byte by byte is a loss only until it is whole.
Test(runlog, follows_byte_by_byte)
{
    struct sample s = make_sample(8);
    struct bytes b = slurp();
    b.n = s.end[7]; // no index yet
    spill(b.p, 0);
    struct runlog_reader *r = reader();
    FILE *f = fopen(path, "ab");
    cr_assert(f);
    int k = 0;
    for (size_t n = 1; n <= b.n; n++) {
        cr_assert_eq(fputc(b.p[n - 1], f), b.p[n - 1]);
        cr_assert_eq(fflush(f), 0);
        int before = k ? s.line_end[k - 1] : 0;
        if (n == s.end[k]) {
            expect(r, before, s.line_end[k++]);
            cr_assert_null(runlog_lost(r));
        } else {
            expect(r, before, before);
            cr_assert(runlog_lost(r));
        }
    }
    cr_assert_eq(k, s.frames);
    fclose(f);
    runlog_reader_free(r);
    free(b.p);
}

// A reader that stays open while a torn tail, or an index, is cut off and the log goes on.
Test(runlog, follows_a_resumed_log)
{
    struct sample s = make_sample(6);
    struct bytes b = slurp();
    for (size_t cut = s.end[4]; cut <= b.n; cut++) {
        int lines = s.line_end[cut < s.end[5] ? 4 : 5];
        spill(b.p, cut);
        struct runlog_reader *r = reader();
        expect(r, 0, lines);
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept;
        cr_assert_eq(runlog_append(path, &w, &kept, &e), 0, "%s", e.text);
        cr_assert_eq(kept, lines);
        for (int i = lines; i < lines + 40; i++) {
            put(w, i);
            flush(w, 0);
        }
        expect(r, lines, lines + 40);
        cr_assert_null(runlog_lost(r));
        runlog_reader_free(r);
        finish(w);
        expect_file(0, lines + 40, 1);
    }
    free(b.p);
}

static void limit_files(rlim_t n)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = n;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// No room for the next frame, wherever in it the room ends.
Test(runlog, disk_full)
{
    struct rlimit old;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct sample s = make_sample(3);
    for (rlim_t room = 0; room < 45; room += 3) {
        unlink(path);
        s = make_sample(3);
        size_t whole = s.end[2];
        int lines = s.lines;
        struct runlog_writer *w;
        struct error e = {0};
        cr_assert_eq(runlog_append(path, &w, NULL, &e), 0);
        limit_files(whole + room);
        put(w, lines++);
        for (int attempt = 0; attempt < 3; attempt++) {
            e.text[0] = '\0';
            cr_assert_eq(runlog_flush(w, 1, &e), -1);
            cr_assert(e.text[0]);
            cr_assert_eq(file_size(), whole, "the file must end with its last whole frame");
            cr_assert(runlog_pending(w) > 0 && runlog_stored(w) == s.lines);
            put(w, lines++);
        }
        expect_file(0, s.lines, 1);
        limit_files(old.rlim_cur);
        flush(w, 1);
        cr_assert(runlog_pending(w) == 0 && runlog_dropped(w) == 0);
        cr_assert(runlog_lines(w) == lines && runlog_stored(w) == lines);
        put(w, lines++);
        finish(w);
        expect_file(0, lines, 1);
    }
}

// A disk that stays full: the oldest lines go, are counted, and the newest are written in the end.
Test(runlog, backlog_is_bounded)
{
    struct rlimit old;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    enum { LINE = 100000, LINES = 1200 };
    char *line = need(LINE + 1);
    memset(line, 'x', LINE);
    struct runlog_writer *w = create();
    struct error e = {0};
    limit_files(0);
    for (int i = 0; i < LINES; i++) {
        char number[16];
        snprintf(number, sizeof number, "%08d", i);
        memcpy(line, number, 8);
        cr_assert_eq(runlog_write(w, line, LINE, &e), 0, "%s", e.text);
        cr_assert(runlog_pending(w) <= RUNLOG_PENDING_MAX);
        if (i % 100 == 0)
            cr_assert_eq(runlog_flush(w, 0, &e), -1);
    }
    int64_t dropped = runlog_dropped(w);
    cr_assert(dropped > 0 && runlog_lines(w) == LINES && runlog_stored(w) == 0);
    cr_assert(runlog_pending(w) >= RUNLOG_PENDING_MAX / 2);
    cr_assert_eq(runlog_pending(w), (size_t)(LINES - dropped) * (LINE + 1));
    limit_files(old.rlim_cur);
    finish(w);
    struct runlog_reader *r = reader();
    const char *got;
    size_t len;
    for (int64_t i = dropped; i < LINES; i++) {
        cr_assert_eq(runlog_next(r, &got, &len, &e), 1);
        cr_assert_eq(len, LINE);
        cr_assert_eq(strtol(got, NULL, 10), i);
    }
    cr_assert_eq(runlog_next(r, &got, &len, &e), 0);
    cr_assert_null(runlog_lost(r));
    runlog_reader_free(r);
    free(line);
}

Test(runlog, long_lines)
{
    size_t n = RUNLOG_LINE_MAX - 1;
    char *line = need(n + 1);
    uint64_t state = 3;
    for (size_t i = 0; i < n; i++)
        line[i] = (char)(' ' + next(&state) % 90);
    struct runlog_writer *w = create();
    struct error e = {0};
    put(w, 0);
    cr_assert_eq(runlog_write(w, line, n, &e), 0, "%s", e.text);
    cr_assert_eq(runlog_write(w, line, n + 1, &e), -1);
    cr_assert_eq(runlog_write(w, line, 0, &e), -1);
    cr_assert_eq(runlog_write(w, "a\nb", 3, &e), -1);
    cr_assert_eq(runlog_lines(w), 2);
    finish(w);
    struct runlog_reader *r = reader();
    const char *got;
    size_t len;
    cr_assert_eq(runlog_next(r, &got, &len, &e), 1);
    cr_assert_eq(runlog_next(r, &got, &len, &e), 1);
    cr_assert(len == n && !memcmp(got, line, n));
    cr_assert_eq(runlog_next(r, &got, &len, &e), 0);
    cr_assert_null(runlog_lost(r));
    runlog_reader_free(r);
    free(line);
}

Test(runlog, refusals_leave_files_alone)
{
    struct runlog_writer *w;
    struct runlog_reader *r;
    struct error e = {0};
    static const char stranger[] = "my diary, not a log\n";
    cr_assert_eq(runlog_append(path, &w, NULL, &e), -1);
    cr_assert(!w && strstr(e.text, path) && access(path, F_OK));
    cr_assert_eq(runlog_open(path, &r, &e), -1);
    cr_assert_null(r);
    spill(stranger, sizeof stranger - 1);
    cr_assert_eq(runlog_create(path, &w, &e), -1);
    cr_assert(!w && strstr(e.text, path));
    cr_assert_eq(runlog_append(path, &w, NULL, &e), -1);
    cr_assert(!w && strstr(e.text, path));
    struct bytes b = slurp();
    cr_assert(b.n == sizeof stranger - 1 && !memcmp(b.p, stranger, b.n));
    free(b.p);
    r = reader();
    expect(r, 0, 0);
    cr_assert(runlog_lost(r));
    runlog_reader_free(r);
    cr_assert_eq(runlog_open(folder, &r, &e), -1);
    cr_assert_eq(runlog_append(folder, &w, NULL, &e), -1);
    cr_assert(!r && !w);
}

// Logs that other tools wrote: unknown content size, no checksum, no last newline, empty frames, an
// index between frames.
Test(runlog, foreign_frames)
{
    unsigned char file[4096];
    size_t n = 0;
    char lines[512];
    ZSTD_CCtx *c = ZSTD_createCCtx();
    cr_assert(c);
    for (int i = 0; i < 5; i++) {
        int len = snprintf(lines, sizeof lines, "%s\n\n%s%s", text(2 * i), text(2 * i + 1),
                           i % 2 ? "\n" : "");
        ZSTD_inBuffer in = {lines, (size_t)len, 0};
        ZSTD_outBuffer out = {file, sizeof file, n};
        // Streamed in two steps: the size stays unknown.
        cr_assert(!ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush)));
        cr_assert_eq(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
        n = out.pos;
        memcpy(file + n, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
        n += 11;
        n += ZSTD_compress(file + n, sizeof file - n, "", 0, 1);
    }
    ZSTD_freeCCtx(c);
    spill(file, n);
    expect_file(0, 10, 1);
}

// Files whose headers promise what the file can't hold, or ask for endless work.
Test(runlog, hostile_files)
{
    static const unsigned char claims[][20] = {
        // 2^40 bytes of content in one RLE block; a skippable frame of 4 GB; a block of 2 MB; a
        // reserved
        // block; a dictionary; a window of terabytes
        {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 1, 'x'},
        {0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1, 2, 3},
        {0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0xff, 0xff, 0xff, 1, 2, 3},
        {0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x2f, 0, 0, 1, 2, 3, 4, 5},
        {0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 5, 0x29, 0, 0, 1, 2, 3, 4, 5},
        {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x29, 0, 0, 1, 2, 3, 4, 5},
    };
    struct runlog_writer *w = create();
    put(w, 0);
    finish(w);
    struct bytes b = slurp();
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        unsigned char *p = need(20 + 2 * b.n);
        memcpy(p, b.p, b.n);
        memcpy(p + b.n, claims[i], 20);
        spill(p, b.n + 20);
        expect_file(0, 1, 0);
        free(p);
    }
    free(b.p);
    // Random bytes full of magic numbers and frames that begin within each other, each promising 64
    // MB.
    uint64_t state = 5;
    size_t n = 1 << 20;
    unsigned char *p = need(n);
    static const struct {
        const char *p;
        size_t n;
    } rubble[] = {
        {"\x28\xb5\x2f\xfd", 4},
        // a raw block that holds the header of the next frame, so that every frame goes on to the
        // end
        {"\x28\xb5\x2f\xfd\x04\x70\x30\0\0", 9},
        // the same with 128 KB of 'z' in between; the last of it ends all frames, with a wrong
        // checksum
        {"\x28\xb5\x2f\xfd\x04\x70\x02\0\x10z\x30\0\0", 13},
    };
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < n; i++)
            p[i] = (unsigned char)next(&state);
        for (size_t i = 1; i + 16 < n; i += kind ? kind == 1 ? 9 : 13 : 4 + next(&state) % 40)
            memcpy(p + i, rubble[kind].p, rubble[kind].n);
        if (kind == 2) {
            size_t last = (n - 16) / 13 * 13 + 1;
            memcpy(p + last - 3, "\x01\0\0", 3);
        }
        spill(p, n);
        struct runlog_reader *r = reader();
        int i;
        cr_assert(!get(r, &i));
        cr_assert(runlog_lost(r));
        runlog_reader_free(r);
    }
    free(p);
}
