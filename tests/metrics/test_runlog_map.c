// A log as a list of frames: index and seek table against the published format, against a scan, and
// against damage; spectra found by step; scalars read without spectra.
#include "metrics/log/runlog_map.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/kit/logfile.h"
#include "metrics/log/record_head.h"
#include "metrics/log/runlog.h"
#include "metrics/log/seekable.h"

TestSuite(logmap, .init = logfile_open, .fini = logfile_close);

// --- a log of steps with a live spectrum each; an exact one and its eval every 10 steps ---

static void put(struct runlog_writer *w, const char *line)
{
    cr_assert_eq(runlog_write(w, line, strlen(line), NULL), 0);
}

static void put_spectrum(struct runlog_writer *w, int step, const char *source, int life)
{
    char line[256];
    snprintf(line, sizeof line,
             "{\"type\":\"spectrum\",\"step\":%d,\"source\":\"%s\",\"n\":9,\"sigma\":[%d,%d.5,1]}",
             step, source, 1000 + step, life);
    put(w, line);
}

enum { STEPS = 50, EVERY = 10, FLUSH = 4 };

static void put_steps(struct runlog_writer *w, int from, int to, int life)
{
    char line[128];
    for (int i = from; i < to; i++) {
        if (i % EVERY == 0) {
            snprintf(line, sizeof line, "{\"type\":\"eval\",\"step\":%d,\"auc\":0.5}", i);
            put(w, line);
            put_spectrum(w, i, "exact", life);
        }
        snprintf(line, sizeof line, "{\"type\":\"step\",\"step\":%d,\"auc\":0.%d}", i, i + 1);
        put(w, line);
        put_spectrum(w, i, "live", life);
        if (i % FLUSH == FLUSH - 1)
            cr_assert_eq(runlog_flush(w, 0, NULL), 0);
    }
    cr_assert_eq(runlog_flush(w, 0, NULL), 0);
}

// Lines of the whole log and the size of the file before its index.
static int64_t make(size_t *before_index)
{
    struct runlog_writer *w;
    struct stat st;
    cr_assert_eq(runlog_create(logfile_path, &w, NULL), 0);
    put(w, "{\"type\":\"run\",\"version\":1}");
    put_steps(w, 0, STEPS, 1);
    cr_assert_eq(stat(logfile_path, &st), 0);
    *before_index = (size_t)st.st_size;
    int64_t lines = runlog_lines(w);
    cr_assert_eq(runlog_close(w, NULL), 0);
    return lines;
}

static struct runlog_map *map(void)
{
    struct runlog_map *m;
    struct error e = {""};
    cr_assert_eq(runlog_map_open(logfile_path, &m, &e), 0, "%s", e.text);
    return m;
}

// The step of the spectrum found, or -1; its life in *life.
static int look(struct runlog_map *m, int64_t step, enum spectrum_source source, int *life)
{
    const char *line;
    size_t n;
    struct error e = {""};
    int rc = runlog_map_spectrum(m, step, source, &line, &n, &e);
    cr_assert(rc >= 0, "%s", e.text);
    if (!rc)
        return -1;
    struct record r;
    cr_assert_eq(record_parse(line, n, &r, NULL), 0);
    cr_assert(r.type == RECORD_SPECTRUM && r.u.spectrum.source == source);
    int found = (int)r.step;
    cr_assert_eq(r.u.spectrum.sigma[0], 1000 + found);
    if (life)
        *life = (int)r.u.spectrum.sigma[1];
    record_free(&r);
    return found;
}

// --- what is written ---

// The seek table read here by the words of the published format, with nothing of ours.
Test(logmap, seek_table_follows_the_format)
{
    size_t end;
    make(&end);
    struct bytes b = logfile_slurp();
    const unsigned char *footer = b.p + b.n - 9;
    cr_assert(!memcmp(footer + 5, "\xb1\xea\x92\x8f", 4));
    cr_assert_eq(footer[4], 0);
    size_t n = footer[0] | footer[1] << 8, size = 8 + 8 * n + 9, at = 0, text = 0;
    const unsigned char *table = b.p + b.n - size;
    cr_assert(!memcmp(table, "\x5e\x2a\x4d\x18", 4));
    cr_assert_eq((size_t)(table[4] | table[5] << 8), size - 8);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *row = table + 8 + 8 * i;
        size_t packed = row[0] | row[1] << 8, content = row[4] | row[5] << 8;
        cr_assert_eq(ZSTD_findFrameCompressedSize(b.p + at, b.n - at), packed, "frame %zu", i);
        if (content) {
            char out[8192];
            cr_assert_eq(ZSTD_decompress(out, sizeof out, b.p + at, packed), content);
            cr_assert_eq(out[content - 1], '\n');
            text += content;
        }
        at += packed;
    }
    cr_assert_eq(at, b.n - size, "the rows reach from the beginning of the file to the table");
    cr_assert(text > 0 && at > end);
    free(b.p);
}

Test(logmap, any_zstd_reads_it)
{
    size_t end;
    int64_t lines = make(&end);
    char command[256], said[64] = "";
    snprintf(command, sizeof command, "zstd -dc %s | jq -c .type | wc -l", logfile_path);
    FILE *f = popen(command, "r");
    cr_assert(f && fgets(said, sizeof said, f));
    cr_assert_eq(pclose(f), 0);
    cr_assert_eq(strtoll(said, NULL, 10), lines, "%s", said);
}

static void check_frames(struct runlog_map *m)
{
    int64_t of[RUNLOG_KINDS] = {0};
    const char *text;
    size_t n;
    for (size_t i = 0; i < runlog_map_count(m); i++) {
        const struct runlog_frame *f = runlog_map_frame(m, i);
        cr_assert_eq(runlog_map_read(m, i, &text, &n, NULL), 1);
        cr_assert(n <= f->content && n > 0);
        int64_t lines = 0;
        for (size_t at = 0; at < n; lines++) {
            struct record_head head;
            size_t len = (size_t)((const char *)memchr(text + at, '\n', n - at) - text) - at;
            cr_assert(record_head(text + at, len, &head));
            enum runlog_kind kind = head.type != RECORD_SPECTRUM   ? RUNLOG_SCALARS
                                    : head.source == SPECTRUM_LIVE ? RUNLOG_LIVE
                                                                   : RUNLOG_EXACT;
            cr_assert_eq(kind, f->kind);
            if (!lines && head.step >= 0)
                cr_assert_eq(head.step, f->first_step);
            at += len + 1;
        }
        cr_assert_eq(lines, f->lines);
        of[f->kind] += lines;
    }
    cr_assert_eq(of[RUNLOG_LIVE], STEPS);
    cr_assert_eq(of[RUNLOG_EXACT], STEPS / EVERY);
    cr_assert_eq(of[RUNLOG_SCALARS], 1 + STEPS + STEPS / EVERY);
    cr_assert_null(runlog_map_lost(m));
}

Test(logmap, index_says_what_a_scan_finds)
{
    size_t end;
    make(&end);
    struct runlog_map *with = map();
    cr_assert(runlog_map_indexed(with));
    struct bytes b = logfile_slurp();
    logfile_spill(b.p, end);
    free(b.p);
    struct runlog_map *without = map();
    cr_assert(!runlog_map_indexed(without));
    cr_assert_eq(runlog_map_count(with), runlog_map_count(without));
    for (size_t i = 0; i < runlog_map_count(with); i++) {
        const struct runlog_frame *a = runlog_map_frame(with, i), *c = runlog_map_frame(without, i);
        cr_assert(a->offset == c->offset && a->size == c->size && a->content <= c->content);
        cr_assert(a->kind == c->kind && a->first_step == c->first_step && a->lines == c->lines);
    }
    check_frames(with);
    check_frames(without);
    runlog_map_free(with);
    runlog_map_free(without);
    runlog_map_free(NULL);
}

// --- what is read ---

Test(logmap, spectra_by_step)
{
    size_t end;
    make(&end);
    struct runlog_map *m = map();
    for (int i = 0; i < STEPS; i++) {
        cr_assert_eq(look(m, i, SPECTRUM_LIVE, NULL), i);
        cr_assert_eq(look(m, i, SPECTRUM_EXACT, NULL), i / EVERY * EVERY);
    }
    cr_assert_eq(look(m, 1000000, SPECTRUM_LIVE, NULL), STEPS - 1);
    cr_assert_eq(look(m, -1, SPECTRUM_LIVE, NULL), -1);
    runlog_map_free(m);
}

// A run that was killed and resumed at an earlier step: what it did before from there on does not
// count any more.
Test(logmap, a_resumed_run_repeats_steps)
{
    size_t end;
    make(&end);
    for (int trial = 0; trial < 2; trial++) { // read by the index, then by a scan
        struct runlog_writer *w;
        struct stat st;
        cr_assert_eq(runlog_append(logfile_path, &w, NULL, NULL), 0);
        if (!trial)
            put_steps(w, 25, 38, 2);
        cr_assert_eq(stat(logfile_path, &st), 0);
        cr_assert_eq(runlog_close(w, NULL), 0);
        if (trial)
            cr_assert_eq(truncate(logfile_path, st.st_size), 0);
        struct runlog_map *m = map();
        cr_assert_eq(runlog_map_indexed(m), !trial);
        for (int i = 0; i < STEPS; i++) {
            int life, want = i < 38 ? i : 37;
            cr_assert_eq(look(m, i, SPECTRUM_LIVE, &life), want, "%d", i);
            cr_assert_eq(life, i < 25 ? 1 : 2, "%d", i);
        }
        cr_assert_eq(look(m, 45, SPECTRUM_EXACT, NULL), 30);
        cr_assert_null(runlog_map_lost(m));
        runlog_map_free(m);
    }
}

Test(logmap, skipping_spectra_counts_them)
{
    size_t end;
    int64_t lines = make(&end);
    struct runlog_reader *r;
    cr_assert_eq(runlog_open(logfile_path, &r, NULL), 0);
    runlog_skip(r, 1u << RUNLOG_LIVE);
    const char *line;
    size_t n;
    int64_t given = 0;
    while (runlog_next(r, &line, &n, NULL) == 1) {
        struct record_head head;
        cr_assert(record_head(line, n, &head));
        cr_assert(head.type != RECORD_SPECTRUM || head.source == SPECTRUM_EXACT);
        given++;
    }
    cr_assert_eq(given, lines - STEPS);
    cr_assert_eq(runlog_passed(r), lines);
    cr_assert_null(runlog_lost(r));
    runlog_reader_free(r);
}

Test(logmap, follows_a_growing_log)
{
    struct runlog_writer *w;
    cr_assert_eq(runlog_create(logfile_path, &w, NULL), 0);
    struct runlog_map *m = map();
    cr_assert_eq(runlog_map_count(m), 0);
    for (int i = 0; i < STEPS; i += FLUSH) {
        size_t before = runlog_map_count(m);
        put_steps(w, i, i + FLUSH, 1);
        int64_t more = runlog_map_update(m, NULL);
        cr_assert(more == 2 || more == 3);
        cr_assert_eq(runlog_map_count(m), before + (size_t)more);
        cr_assert_eq(runlog_map_update(m, NULL), 0);
        cr_assert_eq(look(m, i + 1, SPECTRUM_LIVE, NULL), i + 1);
    }
    size_t n = runlog_map_count(m);
    cr_assert_eq(runlog_close(w, NULL), 0);
    cr_assert_eq(runlog_map_update(m, NULL), 0, "index and table are no news");
    cr_assert_null(runlog_map_lost(m));
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, NULL), 0);
    put_steps(w, STEPS + 2, STEPS + 4, 2);
    cr_assert(runlog_map_update(m, NULL) > 0);
    cr_assert(runlog_map_count(m) > n);
    cr_assert_eq(look(m, STEPS + 9, SPECTRUM_LIVE, NULL), STEPS + 3);
    cr_assert_eq(runlog_close(w, NULL), 0);
    runlog_map_free(m);
}

// Frames without marks, as other tools pack them: any lines may be in them.
Test(logmap, repacked_by_zstd)
{
    size_t end;
    make(&end);
    char command[512];
    snprintf(command, sizeof command, "zstd -dcq %s | zstd -q > %s.new && mv %s.new %s",
             logfile_path, logfile_path, logfile_path, logfile_path);
    cr_assert_eq(system(command), 0);
    struct runlog_map *m = map();
    cr_assert(!runlog_map_indexed(m) && runlog_map_count(m) == 1);
    cr_assert_eq(runlog_map_frame(m, 0)->kind, RUNLOG_OTHER);
    cr_assert_eq(look(m, 17, SPECTRUM_LIVE, NULL), 17);
    cr_assert_eq(look(m, 17, SPECTRUM_EXACT, NULL), 10);
    runlog_map_free(m);
    // Such a log may be gone on with.
    struct runlog_writer *w;
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, NULL), 0);
    put_steps(w, STEPS, STEPS + 2, 1);
    cr_assert_eq(runlog_close(w, NULL), 0);
    m = map();
    cr_assert(runlog_map_indexed(m));
    cr_assert_eq(look(m, 17, SPECTRUM_LIVE, NULL), 17);
    cr_assert_eq(look(m, STEPS + 1, SPECTRUM_LIVE, NULL), STEPS + 1);
    runlog_map_free(m);
}

// --- damage ---

// Everything that a map can be asked. What it gives is what was written; returns the lines it gave.
static int64_t use(struct runlog_map *m)
{
    int64_t lines = 0;
    const char *text;
    size_t n;
    for (size_t i = 0; i < runlog_map_count(m); i++) {
        int rc = runlog_map_read(m, i, &text, &n, NULL);
        cr_assert(rc >= 0);
        for (size_t at = 0; rc && at < n; lines++) {
            const char *newline = memchr(text + at, '\n', n - at);
            struct record_head head;
            cr_assert(newline);
            cr_assert(record_head(text + at, (size_t)(newline - text) - at, &head));
            at = (size_t)(newline - text) + 1;
        }
    }
    for (int step = 0; step < STEPS; step += 7) {
        look(m, step, SPECTRUM_LIVE, NULL);
        look(m, step, SPECTRUM_EXACT, NULL);
    }
    return lines;
}

Test(logmap, cut_at_every_byte)
{
    size_t end;
    int64_t lines = make(&end), last = 0;
    struct bytes b = logfile_slurp();
    for (size_t n = 0; n <= b.n; n++) {
        logfile_spill(b.p, n);
        struct runlog_map *m = map();
        int64_t got = use(m);
        cr_assert(got >= last && got <= lines, "cut at %zu", n);
        cr_assert(n < end || got == lines);
        cr_assert_eq(runlog_map_indexed(m), n == b.n);
        last = got;
        runlog_map_free(m);
    }
    free(b.p);
}

Test(logmap, flipped_bits)
{
    size_t end;
    int64_t lines = make(&end);
    struct bytes b = logfile_slurp();
    uint64_t state = 11;
    for (int trial = 0; trial < 1000; trial++) {
        size_t bit = logfile_next(&state) % (8 * b.n);
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        logfile_spill(b.p, trial % 2 ? b.n : end); // with and without index
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        struct runlog_map *m = map();
        int64_t got = use(m);
        cr_assert(got <= lines);
        cr_assert(got == lines || runlog_map_lost(m), "bit %zu: the loss is not told", bit);
        runlog_map_free(m);
    }
    free(b.p);
}

// Endings that promise what the file does not have, with and without a right checksum.
Test(logmap, hostile_endings)
{
    size_t end;
    int64_t lines = make(&end);
    struct bytes b = logfile_slurp();
    unsigned char *footer = b.p + b.n - 9;
    static const unsigned char count[][4] = {
        {0xff, 0xff, 0xff, 0x7}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {1, 0, 0, 0}};
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) {
        unsigned char kept[4];
        memcpy(kept, footer, 4);
        memcpy(footer, count[i], 4);
        logfile_spill(b.p, b.n);
        memcpy(footer, kept, 4);
        struct runlog_map *m = map();
        cr_assert(!runlog_map_indexed(m));
        cr_assert_eq(use(m), lines);
        runlog_map_free(m);
    }
    // A good index behind another log's frames.
    unsigned char *p = malloc(b.n + end);
    cr_assert(p);
    memcpy(p, b.p, end);
    memcpy(p + end, b.p, b.n);
    logfile_spill(p, end + b.n);
    struct runlog_map *m = map();
    cr_assert(!runlog_map_indexed(m));
    cr_assert_eq(use(m), 2 * lines);
    runlog_map_free(m);
    // Only an ending.
    logfile_spill(b.p + end, b.n - end);
    m = map();
    cr_assert_eq(runlog_map_count(m), 0);
    runlog_map_free(m);
    free(p);
    free(b.p);
}
