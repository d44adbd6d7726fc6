// What tests of the log share.
#include "tests/kit/logfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char logfile_folder[64], logfile_path[96];

void logfile_open(void)
{
    strcpy(logfile_folder, "/tmp/ssltop-log-XXXXXX");
    cr_assert(mkdtemp(logfile_folder));
    snprintf(logfile_path, sizeof logfile_path, "%s/run.jsonl.zst", logfile_folder);
}

void logfile_close(void)
{
    unlink(logfile_path);
    rmdir(logfile_folder);
}

uint64_t logfile_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void *logfile_need(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    cr_assert(p);
    return p;
}

struct bytes logfile_slurp(void)
{
    FILE *f = fopen(logfile_path, "rb");
    cr_assert(f);
    cr_assert_eq(fseek(f, 0, SEEK_END), 0);
    struct bytes b = {NULL, (size_t)ftell(f)};
    rewind(f);
    b.p = logfile_need(b.n);
    cr_assert_eq(fread(b.p, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

void logfile_spill(const void *p, size_t n)
{
    FILE *f = fopen(logfile_path, "wb");
    cr_assert(f);
    cr_assert_eq(fwrite(p, 1, n, f), n);
    cr_assert_eq(fclose(f), 0);
}

size_t logfile_size(void)
{
    struct stat st;
    cr_assert_eq(stat(logfile_path, &st), 0);
    return (size_t)st.st_size;
}

// --- numbered lines ---

const char *lines_text(int i)
{
    static char line[4][96];
    char *s = line[i & 3];
    snprintf(s, sizeof line[0], "{\"type\":\"step\",\"step\":%d,\"auc\":%.17g}", i, 1.0 / (i + 2));
    return s;
}

struct runlog_writer *lines_create(void)
{
    struct runlog_writer *w;
    struct error e = {0};
    cr_assert_eq(runlog_create(logfile_path, &w, &e), 0, "%s", e.text);
    return w;
}

void lines_put(struct runlog_writer *w, int i)
{
    struct error e = {0};
    cr_assert_eq(runlog_write(w, lines_text(i), strlen(lines_text(i)), &e), 0, "%s", e.text);
}

void lines_flush(struct runlog_writer *w, int sync)
{
    struct error e = {0};
    cr_assert_eq(runlog_flush(w, sync, &e), 0, "%s", e.text);
}

void lines_finish(struct runlog_writer *w)
{
    struct error e = {0};
    cr_assert_eq(runlog_close(w, &e), 0, "%s", e.text);
}

struct cursor *lines_reader(void)
{
    struct cursor *r;
    struct error e = {0};
    cr_assert_eq(cursor_open(logfile_path, &r, &e), 0, "%s", e.text);
    return r;
}

int lines_get(struct cursor *r, int *i)
{
    const char *line;
    size_t len;
    struct error e = {0};
    int rc = cursor_next(r, &line, &len, &e);
    cr_assert(rc >= 0, "%s", e.text);
    if (!rc)
        return 0;
    char copy[128];
    cr_assert(len < sizeof copy);
    memcpy(copy, line, len);
    copy[len] = '\0';
    cr_assert_eq(sscanf(copy, "{\"type\":\"step\",\"step\":%d,", i), 1, "%s", copy);
    cr_assert_str_eq(copy, lines_text(*i));
    return 1;
}

void lines_expect(struct cursor *r, int from, int to)
{
    int i;
    for (int want = from; want < to; want++) {
        cr_assert(lines_get(r, &i), "line %d is missing", want);
        cr_assert_eq(i, want);
    }
    cr_assert(!lines_get(r, &i), "line %d is too much", i);
}

void lines_expect_file(int from, int to, int whole)
{
    struct cursor *r = lines_reader();
    lines_expect(r, from, to);
    if (whole)
        cr_assert_null(cursor_lost(r), "%s", cursor_lost(r));
    else
        cr_assert(cursor_lost(r));
    cursor_free(r);
}

struct lines_sample lines_sample(int frames)
{
    struct lines_sample s = {.frames = frames};
    struct runlog_writer *w = lines_create();
    for (int k = 0; k < frames; k++) {
        for (int i = 0; i < k % 4 + 1; i++)
            lines_put(w, s.lines++);
        lines_flush(w, 0);
        s.end[k] = logfile_size();
        s.line_end[k] = s.lines;
    }
    lines_finish(w);
    s.index_end = s.end[frames - 1] + 20 + 12 * (size_t)frames;
    cr_assert_eq(logfile_size(), s.index_end + 17 + 8 * (2 * (size_t)frames + 1));
    return s;
}

// A log tells names of files and machines: like all of a run it is its owner's only.
