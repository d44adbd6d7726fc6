// The log under what can happen to a file: cut at every byte, flipped bits, a second life after
// damage, frames of other tools, and files made to do harm.
#include "metrics/log/cursor.h"
#include "metrics/log/runlog.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "tests/kit/logfile.h"

TestSuite(damage, .init = logfile_open, .fini = logfile_close);

Test(damage, cut_at_every_byte)
{
    struct lines_sample s = lines_sample(12);
    struct bytes b = logfile_slurp();
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
        logfile_spill(b.p, n);
        struct cursor *r = lines_reader();
        lines_expect(r, 0, lines);
        size_t frames;
        const struct runlog_frame *f = cursor_frames(r, &frames);
        cr_assert_eq(frames ? (size_t)f[frames - 1].offset + f[frames - 1].size : 0, whole);
        const char *lost = cursor_lost(r);
        char want[80];
        snprintf(want, sizeof want, "the last %zu bytes are not a whole frame", wreck);
        if (boundary)
            cr_assert_null(lost);
        else
            cr_assert_str_eq(lost, want);
        cursor_free(r);
        // A second life.
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept = -1;
        cr_assert_eq(runlog_append(logfile_path, &w, &kept, &e), 0, "%zu: %s", n, e.text);
        cr_assert_eq(kept, lines);
        cr_assert(runlog_lines(w) == lines && runlog_stored(w) == lines);
        cr_assert_eq(logfile_size(), whole);
        lines_put(w, lines);
        lines_finish(w);
        lines_expect_file(0, lines + 1, 1);
    }
    free(b.p);
}

Test(damage, flipped_bits)
{
    struct lines_sample s = lines_sample(20);
    struct bytes b = logfile_slurp();
    uint64_t state = 42;
    for (int trial = 0; trial < 1500; trial++) {
        // The first frames get every bit of their headers, the rest is random.
        size_t bit = trial < 400 ? (size_t)trial : logfile_next(&state) % (8 * s.end[19]);
        int hit = 0;
        while (s.end[hit] <= bit / 8)
            hit++;
        int first = hit ? s.line_end[hit - 1] : 0, after = s.line_end[hit];
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        logfile_spill(b.p, b.n);
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        struct cursor *r = lines_reader();
        int i = -1, seen = 0, last = -1, of_hit = 0;
        while (lines_get(r, &i)) {
            cr_assert(i > last, "bit %zu: line %d after %d", bit, i, last);
            of_hit += i >= first && i < after;
            last = i;
            seen++;
        }
        cr_assert_eq(seen - of_hit, s.lines - (after - first), "bit %zu: a whole frame is lost",
                     bit);
        cr_assert(of_hit == 0 || of_hit == after - first, "bit %zu: part of a frame", bit);
        cr_assert(of_hit || cursor_lost(r), "bit %zu: the loss is not told", bit);
        cursor_free(r);
        if (trial % 10)
            continue;
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept = 0;
        cr_assert_eq(runlog_append(logfile_path, &w, &kept, &e), 0, "%s", e.text);
        cr_assert_eq(kept, seen);
        lines_put(w, s.lines);
        lines_finish(w);
        r = lines_reader();
        for (last = -1; lines_get(r, &i); last = i)
            seen--;
        cr_assert(seen == -1 && last == s.lines, "bit %zu: appending after damage", bit);
        cursor_free(r);
    }
    free(b.p);
}

// Several wounds at once, bytes inserted and torn out: what comes is always some of what was
// written.
Test(damage, mangled)
{
    lines_sample(20);
    struct bytes b = logfile_slurp();
    uint64_t state = 7;
    for (int trial = 0; trial < 600; trial++) {
        unsigned char *p = logfile_need(b.n + 64);
        size_t n = b.n;
        memcpy(p, b.p, n);
        for (uint64_t k = logfile_next(&state) % 5 + 1; k > 0; k--) {
            size_t at = logfile_next(&state) % n, len = logfile_next(&state) % 12 + 1;
            int what = (int)(logfile_next(&state) % 3);
            if (what == 0) {
                for (size_t i = at; i < n && i < at + len; i++)
                    p[i] = (unsigned char)logfile_next(&state);
            } else if (what == 1 && at + len < n) {
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            } else if (n + len <= b.n + 64) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
        }
        logfile_spill(p, n);
        free(p);
        struct cursor *r = lines_reader();
        int i, last = -1;
        while (lines_get(r, &i)) {
            cr_assert(i > last);
            last = i;
        }
        cursor_lost(r);
        cursor_free(r);
    }
    free(b.p);
}

// Logs that other tools wrote: unknown content size, no checksum, no last newline, empty frames, an
// index between frames.
Test(damage, foreign_frames)
{
    unsigned char file[4096];
    size_t n = 0;
    char lines[512];
    ZSTD_CCtx *c = ZSTD_createCCtx();
    cr_assert(c);
    for (int i = 0; i < 5; i++) {
        int len = snprintf(lines, sizeof lines, "%s\n\n%s%s", lines_text(2 * i),
                           lines_text(2 * i + 1), i % 2 ? "\n" : "");
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
    logfile_spill(file, n);
    lines_expect_file(0, 10, 1);
}

// Files whose headers promise what the file can't hold, or ask for endless work.
Test(damage, hostile_files)
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
    struct runlog_writer *w = lines_create();
    lines_put(w, 0);
    lines_finish(w);
    struct bytes b = logfile_slurp();
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        unsigned char *p = logfile_need(20 + 2 * b.n);
        memcpy(p, b.p, b.n);
        memcpy(p + b.n, claims[i], 20);
        logfile_spill(p, b.n + 20);
        lines_expect_file(0, 1, 0);
        free(p);
    }
    free(b.p);
    // Random bytes full of magic numbers and frames that begin within each other, each promising 64
    // MB.
    uint64_t state = 5;
    size_t n = 1 << 20;
    unsigned char *p = logfile_need(n);
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
            p[i] = (unsigned char)logfile_next(&state);
        for (size_t i = 1; i + 16 < n;
             i += kind ? kind == 1 ? 9 : 13 : 4 + logfile_next(&state) % 40)
            memcpy(p + i, rubble[kind].p, rubble[kind].n);
        if (kind == 2) {
            size_t last = (n - 16) / 13 * 13 + 1;
            memcpy(p + last - 3, "\x01\0\0", 3);
        }
        logfile_spill(p, n);
        struct cursor *r = lines_reader();
        int i;
        cr_assert(!lines_get(r, &i));
        cr_assert(cursor_lost(r));
        cursor_free(r);
    }
    free(p);
}
