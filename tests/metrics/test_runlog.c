// The log as it is written and read: order, frames, readers that follow, a disk without room.
#include "metrics/log/cursor.h"
#include "metrics/log/runlog.h"

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

#include "tests/kit/logfile.h"

TestSuite(runlog, .init = logfile_open, .fini = logfile_close);

Test(runlog, is_private)
{
    struct stat st;
    cr_assert_eq(runlog_close(lines_create(), NULL), 0);
    cr_assert_eq(stat(logfile_path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(runlog, counts_and_order)
{
    struct runlog_writer *w = lines_create();
    cr_assert(runlog_lines(w) == 0 && runlog_pending(w) == 0);
    lines_flush(w, 1);
    cr_assert_eq(logfile_size(), 0, "an empty flush writes nothing");
    lines_put(w, 0);
    lines_put(w, 1);
    cr_assert(runlog_lines(w) == 2 && runlog_stored(w) == 0);
    cr_assert_eq(runlog_pending(w), strlen(lines_text(0)) + strlen(lines_text(1)) + 2);
    cr_assert_eq(logfile_size(), 0, "writing a line never touches the disk");
    lines_flush(w, 0);
    cr_assert(runlog_lines(w) == 2 && runlog_stored(w) == 2 && runlog_pending(w) == 0);
    lines_flush(w, 1);
    lines_put(w, 2);
    cr_assert_eq(runlog_dropped(w), 0);
    lines_finish(w);
    lines_expect_file(0, 3, 1);
    cr_assert_eq(runlog_close(NULL, NULL), 0);
    cursor_free(NULL);
}

// What zstdcat and other tools need: independent frames, each with a checksum and its size, one a
// flush, with a mark before it that they pass over.
Test(runlog, frames_are_independent)
{
    struct lines_sample s = lines_sample(9);
    struct bytes b = logfile_slurp();
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

Test(runlog, follows_a_growing_file)
{
    struct runlog_writer *w = lines_create();
    struct cursor *r = lines_reader();
    lines_expect(r, 0, 0);
    for (int i = 0; i < 300; i++) {
        lines_put(w, i);
        lines_expect(r, i, i);
        lines_flush(w, 0);
        lines_expect(r, i, i + 1);
    }
    for (int i = 300; i < 400; i++) {
        lines_put(w, i);
        if (i % 7 == 0)
            lines_flush(w, 0);
    }
    lines_finish(w);
    lines_expect(r, 300, 400);
    cr_assert_null(cursor_lost(r));
    cursor_free(r);
}

// A frame that arrives byte by byte is a loss only until it is whole.
Test(runlog, follows_byte_by_byte)
{
    struct lines_sample s = lines_sample(8);
    struct bytes b = logfile_slurp();
    b.n = s.end[7]; // no index yet
    logfile_spill(b.p, 0);
    struct cursor *r = lines_reader();
    FILE *f = fopen(logfile_path, "ab");
    cr_assert(f);
    int k = 0;
    for (size_t n = 1; n <= b.n; n++) {
        cr_assert_eq(fputc(b.p[n - 1], f), b.p[n - 1]);
        cr_assert_eq(fflush(f), 0);
        int before = k ? s.line_end[k - 1] : 0;
        if (n == s.end[k]) {
            lines_expect(r, before, s.line_end[k++]);
            cr_assert_null(cursor_lost(r));
        } else {
            lines_expect(r, before, before);
            cr_assert(cursor_lost(r));
        }
    }
    cr_assert_eq(k, s.frames);
    fclose(f);
    cursor_free(r);
    free(b.p);
}

// A reader that stays open while a torn tail, or an index, is cut off and the log goes on.
Test(runlog, follows_a_resumed_log)
{
    struct lines_sample s = lines_sample(6);
    struct bytes b = logfile_slurp();
    for (size_t cut = s.end[4]; cut <= b.n; cut++) {
        int lines = s.line_end[cut < s.end[5] ? 4 : 5];
        logfile_spill(b.p, cut);
        struct cursor *r = lines_reader();
        lines_expect(r, 0, lines);
        struct runlog_writer *w;
        struct error e = {0};
        int64_t kept;
        cr_assert_eq(runlog_append(logfile_path, &w, &kept, &e), 0, "%s", e.text);
        cr_assert_eq(kept, lines);
        for (int i = lines; i < lines + 40; i++) {
            lines_put(w, i);
            lines_flush(w, 0);
        }
        lines_expect(r, lines, lines + 40);
        cr_assert_null(cursor_lost(r));
        cursor_free(r);
        lines_finish(w);
        lines_expect_file(0, lines + 40, 1);
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
    struct lines_sample s = lines_sample(3);
    for (rlim_t room = 0; room < 45; room += 3) {
        unlink(logfile_path);
        s = lines_sample(3);
        size_t whole = s.end[2];
        int lines = s.lines;
        struct runlog_writer *w;
        struct error e = {0};
        cr_assert_eq(runlog_append(logfile_path, &w, NULL, &e), 0);
        limit_files(whole + room);
        lines_put(w, lines++);
        for (int attempt = 0; attempt < 3; attempt++) {
            e.text[0] = '\0';
            cr_assert_eq(runlog_flush(w, 1, &e), -1);
            cr_assert(e.text[0]);
            cr_assert_eq(logfile_size(), whole, "the file must end with its last whole frame");
            cr_assert(runlog_pending(w) > 0 && runlog_stored(w) == s.lines);
            lines_put(w, lines++);
        }
        lines_expect_file(0, s.lines, 1);
        limit_files(old.rlim_cur);
        lines_flush(w, 1);
        cr_assert(runlog_pending(w) == 0 && runlog_dropped(w) == 0);
        cr_assert(runlog_lines(w) == lines && runlog_stored(w) == lines);
        lines_put(w, lines++);
        lines_finish(w);
        lines_expect_file(0, lines, 1);
    }
}

// A disk that stays full: the oldest lines go, are counted, and the newest are written in the end.
Test(runlog, backlog_is_bounded)
{
    struct rlimit old;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    enum { LINE = 100000, LINES = 1200 };
    static const char front[] = "{\"type\":\"?\",\"text\":\"";
    char *line = logfile_need(LINE + 1), *at = line + sizeof front - 1;
    memset(line, 'x', LINE);
    memcpy(line, front, sizeof front - 1);
    memcpy(line + LINE - 2, "\"}", 2);
    struct runlog_writer *w = lines_create();
    struct error e = {0};
    limit_files(0);
    for (int i = 0; i < LINES; i++) {
        char number[16];
        snprintf(number, sizeof number, "%08d", i);
        memcpy(at, number, 8);
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
    lines_finish(w);
    struct cursor *r = lines_reader();
    const char *got;
    size_t len;
    for (int64_t i = dropped; i < LINES; i++) {
        cr_assert_eq(cursor_next(r, &got, &len, &e), 1);
        cr_assert_eq(len, LINE);
        cr_assert_eq(strtol(got + sizeof front - 1, NULL, 10), i);
    }
    cr_assert_eq(cursor_next(r, &got, &len, &e), 0);
    cr_assert_null(cursor_lost(r));
    cursor_free(r);
    free(line);
}

Test(runlog, long_lines)
{
    size_t n = RUNLOG_LINE_MAX - 1;
    char *line = logfile_need(n + 1);
    uint64_t state = 3;
    static const char front[] = "{\"type\":\"?\",\"text\":\"";
    for (size_t i = 0; i < n; i++)
        line[i] = (char)('#' + logfile_next(&state) % 57);
    memcpy(line, front, sizeof front - 1);
    memcpy(line + n - 2, "\"}", 2);
    struct runlog_writer *w = lines_create();
    struct error e = {0};
    lines_put(w, 0);
    cr_assert_eq(runlog_write(w, line, n, &e), 0, "%s", e.text);
    cr_assert_eq(runlog_write(w, line, n + 1, &e), -1);
    cr_assert_eq(runlog_write(w, line, 0, &e), -1);
    cr_assert_eq(runlog_write(w, "a\nb", 3, &e), -1);
    cr_assert_eq(runlog_lines(w), 2);
    lines_finish(w);
    struct cursor *r = lines_reader();
    const char *got;
    size_t len;
    cr_assert_eq(cursor_next(r, &got, &len, &e), 1);
    cr_assert_eq(cursor_next(r, &got, &len, &e), 1);
    cr_assert(len == n && !memcmp(got, line, n));
    cr_assert_eq(cursor_next(r, &got, &len, &e), 0);
    cr_assert_null(cursor_lost(r));
    cursor_free(r);
    free(line);
}

Test(runlog, refusals_leave_files_alone)
{
    struct runlog_writer *w;
    struct cursor *r;
    struct error e = {0};
    static const char stranger[] = "my diary, not a log\n";
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, &e), -1);
    cr_assert(!w && strstr(e.text, logfile_path) && access(logfile_path, F_OK));
    cr_assert_eq(cursor_open(logfile_path, &r, &e), -1);
    cr_assert_null(r);
    logfile_spill(stranger, sizeof stranger - 1);
    cr_assert_eq(runlog_create(logfile_path, &w, &e), -1);
    cr_assert(!w && strstr(e.text, logfile_path));
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, &e), -1);
    cr_assert(!w && strstr(e.text, logfile_path));
    struct bytes b = logfile_slurp();
    cr_assert(b.n == sizeof stranger - 1 && !memcmp(b.p, stranger, b.n));
    free(b.p);
    r = lines_reader();
    lines_expect(r, 0, 0);
    cr_assert(cursor_lost(r));
    cursor_free(r);
    cr_assert_eq(cursor_open(logfile_folder, &r, &e), -1);
    cr_assert_eq(runlog_append(logfile_folder, &w, NULL, &e), -1);
    cr_assert(!r && !w);
}
