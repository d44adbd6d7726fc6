// A log as a list of frames: index and seek table against the published format, against a scan, and
// against damage; spectra found by step; scalars read without spectra.
#include "metrics/log/cursor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/kit/logfile.h"
#include "metrics/log/runlog.h"
#include "metrics/log/frame.h"

TestSuite(cursor, .init = logfile_open, .fini = logfile_close);

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

static struct cursor *map(void)
{
    struct cursor *m;
    struct error e = {""};
    cr_assert_eq(cursor_open(logfile_path, &m, &e), 0, "%s", e.text);
    cr_assert(cursor_look(m, &e) >= 0, "%s", e.text);
    return m;
}

static size_t frames(const struct cursor *m)
{
    size_t n;
    cursor_frames(m, &n);
    return n;
}

static const struct runlog_frame *frame(const struct cursor *m, size_t i)
{
    size_t n;
    return cursor_frames(m, &n) + i;
}

// The step of the spectrum found, or -1; its life in *life.
static int look(struct cursor *m, int64_t step, enum spectrum_source source, int *life)
{
    struct error e = {""};
    struct record r;
    int rc = cursor_find(m, source == SPECTRUM_LIVE ? RUNLOG_LIVE : RUNLOG_EXACT, step, &r, &e);
    cr_assert(rc >= 0, "%s", e.text);
    if (!rc)
        return -1;
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
Test(cursor, seek_table_follows_the_format)
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

Test(cursor, any_zstd_reads_it)
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

// Each line is of a frame of its kind, which begins with the step that it is said to begin with.
static void check_frames(struct cursor *m)
{
    int64_t of[RUNLOG_KINDS] = {0}, want[RUNLOG_KINDS] = {0};
    const char *line;
    size_t n;
    int64_t last = -1;
    enum runlog_kind was = RUNLOG_OTHER;
    size_t f = 0;
    cursor_want(m, &(struct cursor_wanted){0});
    while (cursor_next(m, &line, &n, NULL) == 1) {
        const struct record_head *head = cursor_head(m);
        enum runlog_kind kind = runlog_kind_of(head);
        if (kind != was || of[kind] == want[kind]) {
            cr_assert_eq(frame(m, f)->kind, kind);
            want[kind] += frame(m, f)->lines;
            if (head->step >= 0)
                cr_assert_eq(frame(m, f)->first_step, head->step);
            f++;
        }
        was = kind;
        of[kind]++;
        last = head->step;
    }
    cr_assert_eq(last, STEPS - 1);
    cr_assert_eq(f, frames(m));
    cr_assert_eq(of[RUNLOG_LIVE], STEPS);
    cr_assert_eq(of[RUNLOG_EXACT], STEPS / EVERY);
    cr_assert_eq(of[RUNLOG_SCALARS], 1 + STEPS + STEPS / EVERY);
    cr_assert_null(cursor_lost(m));
}

Test(cursor, index_says_what_a_scan_finds)
{
    size_t end;
    make(&end);
    struct cursor *with = map();
    cr_assert(cursor_indexed(with));
    struct bytes b = logfile_slurp();
    logfile_spill(b.p, end);
    free(b.p);
    struct cursor *without = map();
    cr_assert(!cursor_indexed(without));
    cr_assert_eq(frames(with), frames(without));
    for (size_t i = 0; i < frames(with); i++) {
        const struct runlog_frame *a = frame(with, i), *c = frame(without, i);
        cr_assert(a->offset == c->offset && a->size == c->size && a->content <= c->content);
        cr_assert(a->kind == c->kind && a->first_step == c->first_step && a->lines == c->lines);
    }
    check_frames(with);
    check_frames(without);
    cursor_free(with);
    cursor_free(without);
    cursor_free(NULL);
}

// --- what is read ---

Test(cursor, spectra_by_step)
{
    size_t end;
    make(&end);
    struct cursor *m = map();
    for (int i = 0; i < STEPS; i++) {
        cr_assert_eq(look(m, i, SPECTRUM_LIVE, NULL), i);
        cr_assert_eq(look(m, i, SPECTRUM_EXACT, NULL), i / EVERY * EVERY);
    }
    cr_assert_eq(look(m, 1000000, SPECTRUM_LIVE, NULL), STEPS - 1);
    cr_assert_eq(look(m, -1, SPECTRUM_LIVE, NULL), -1);
    cursor_free(m);
}

// A run that was killed and resumed at an earlier step: what it did before from there on does not
// count any more.
// A line that says twice what it is would be found as one thing and read as another.
Test(cursor, lines_of_two_kinds)
{
    static const char *const odd[] = {
        "{\"type\":\"spectrum\",\"step\":3,\"source\":\"live\",\"sigma\":[2,1],\"type\":\"step\","
        "\"t\":1}",
        "{\"type\":\"step\",\"step\":3,\"type\":\"eval\",\"auc\":0.5}",
        "{\"type\":\"step\",\"step\":3,\"step\":30}",
        "{\"type\":\"later\",\"step\":3,\"type\":\"run\",\"name\":\"x\"}",
    };
    enum { ODD = sizeof odd / sizeof *odd };
    for (int i = 0; i < ODD; i++) {
        struct runlog_writer *w;
        struct cursor *c;
        struct record r;
        cr_assert_eq(runlog_create(logfile_path, &w, NULL), 0);
        put(w, odd[i]);
        cr_assert_eq(runlog_close(w, NULL), 0);
        cr_assert_eq(cursor_open(logfile_path, &c, NULL), 0);
        for (int kind = RUNLOG_SCALARS; kind < RUNLOG_KINDS; kind++)
            cr_expect_eq(cursor_find(c, (enum runlog_kind)kind, 9, &r, NULL), 0, "%s", odd[i]);
        cr_expect_eq(cursor_record(c, &r, NULL), 0, "%s", odd[i]);
        cr_expect_eq(cursor_strangers(c), 1, "%s", odd[i]);
        cursor_free(c);
        unlink(logfile_path);
    }
}

Test(cursor, a_resumed_run_repeats_steps)
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
        struct cursor *m = map();
        cr_assert_eq(cursor_indexed(m), !trial);
        for (int i = 0; i < STEPS; i++) {
            int life, want = i < 38 ? i : 37;
            cr_assert_eq(look(m, i, SPECTRUM_LIVE, &life), want, "%d", i);
            cr_assert_eq(life, i < 25 ? 1 : 2, "%d", i);
        }
        cr_assert_eq(look(m, 45, SPECTRUM_EXACT, NULL), 30);
        cr_assert_null(cursor_lost(m));
        cursor_free(m);
    }
}

// What counts of steps and evaluations, as text: "s0 s1 e1 ...".
static const char *counted(void)
{
    static char text[400];
    struct cursor *m = map();
    const char *line;
    size_t n, at = 0;
    cursor_want(m, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS, .newest = 1});
    while (cursor_next(m, &line, &n, NULL) == 1) {
        const struct record_head *h = cursor_head(m);
        if (h->type == RECORD_STEP || h->type == RECORD_EVAL)
            at += (size_t)snprintf(text + at, sizeof text - at, " %c%d",
                                   h->type == RECORD_EVAL ? 'e' : 's', (int)h->step);
    }
    cursor_free(m);
    return text;
}

static void put_words(const char *const *word)
{
    struct runlog_writer *w;
    char line[100];
    unlink(logfile_path); // of the words before
    cr_assert_eq(runlog_create(logfile_path, &w, NULL), 0);
    put(w, "{\"type\":\"run\",\"version\":1}");
    for (; *word; word++) {
        const char *type = **word == 'e' ? "eval" : **word == 's' ? "step" : "event";
        snprintf(line, sizeof line, "{\"type\":\"%s\",\"step\":%s%s}", type, *word + 1,
                 **word == 'r' ? ",\"what\":\"resume\",\"by\":\"trainer\"" : "");
        put(w, line);
    }
    cr_assert_eq(runlog_close(w, NULL), 0);
}
#define WORDS(...) put_words((const char *const[]){__VA_ARGS__, NULL})

// An evaluation of another's training may be worked out steps later than those it is of: the steps
// meanwhile were made once.
Test(cursor, an_evaluation_that_comes_late)
{
    WORDS("e0", "s0", "s1", "s2", "s3", "e2", "s4", "s5", "e4");
    cr_expect_str_eq(counted(), " e0 s0 s1 s2 s3 e2 s4 s5 e4");
    // A second life, which says that it is one, or does not.
    WORDS("s0", "s1", "s2", "s3", "e1", "e3", "r2", "s2", "s3", "e3");
    cr_expect_str_eq(counted(), " s0 s1 e1 s2 s3 e3");
    WORDS("s0", "s1", "s2", "s3", "e1", "e3", "s2", "s3", "s4", "e3");
    cr_expect_str_eq(counted(), " s0 s1 e1 s2 s3 s4 e3");
}

Test(cursor, skipping_spectra_counts_them)
{
    size_t end;
    int64_t lines = make(&end);
    struct cursor *r = map();
    cursor_want(r, &(struct cursor_wanted){.kinds = CURSOR_CURVES});
    const char *line;
    size_t n;
    int64_t given = 0;
    while (cursor_next(r, &line, &n, NULL) == 1) {
        cr_assert(runlog_kind_of(cursor_head(r)) != RUNLOG_LIVE);
        given++;
    }
    cr_assert_eq(given, lines - STEPS);
    cr_assert_eq(cursor_passed(r), lines);
    cr_assert_null(cursor_lost(r));
    cursor_free(r);
}

Test(cursor, follows_a_growing_log)
{
    struct runlog_writer *w;
    cr_assert_eq(runlog_create(logfile_path, &w, NULL), 0);
    struct cursor *m = map();
    cr_assert_eq(frames(m), 0);
    for (int i = 0; i < STEPS; i += FLUSH) {
        size_t before = frames(m);
        put_steps(w, i, i + FLUSH, 1);
        int64_t more = cursor_look(m, NULL);
        cr_assert(more == 2 || more == 3);
        cr_assert_eq(frames(m), before + (size_t)more);
        cr_assert_eq(cursor_look(m, NULL), 0);
        cr_assert_eq(look(m, i + 1, SPECTRUM_LIVE, NULL), i + 1);
    }
    size_t n = frames(m);
    cr_assert_eq(runlog_close(w, NULL), 0);
    cr_assert_eq(cursor_look(m, NULL), 0, "index and table are no news");
    cr_assert_null(cursor_lost(m));
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, NULL), 0);
    put_steps(w, STEPS + 2, STEPS + 4, 2);
    cr_assert(cursor_look(m, NULL) > 0);
    cr_assert(frames(m) > n);
    cr_assert_eq(look(m, STEPS + 9, SPECTRUM_LIVE, NULL), STEPS + 3);
    cr_assert_eq(runlog_close(w, NULL), 0);
    cursor_free(m);
}

// Frames without marks, as other tools pack them: any lines may be in them.
Test(cursor, repacked_by_zstd)
{
    size_t end;
    make(&end);
    char command[512];
    snprintf(command, sizeof command, "zstd -dcq %s | zstd -q > %s.new && mv %s.new %s",
             logfile_path, logfile_path, logfile_path, logfile_path);
    cr_assert_eq(system(command), 0);
    struct cursor *m = map();
    cr_assert(!cursor_indexed(m) && frames(m) == 1);
    cr_assert_eq(frame(m, 0)->kind, RUNLOG_OTHER);
    cr_assert_eq(look(m, 17, SPECTRUM_LIVE, NULL), 17);
    cr_assert_eq(look(m, 17, SPECTRUM_EXACT, NULL), 10);
    cursor_free(m);
    // Such a log may be gone on with.
    struct runlog_writer *w;
    cr_assert_eq(runlog_append(logfile_path, &w, NULL, NULL), 0);
    put_steps(w, STEPS, STEPS + 2, 1);
    cr_assert_eq(runlog_close(w, NULL), 0);
    m = map();
    cr_assert(cursor_indexed(m));
    cr_assert_eq(look(m, 17, SPECTRUM_LIVE, NULL), 17);
    cr_assert_eq(look(m, STEPS + 1, SPECTRUM_LIVE, NULL), STEPS + 1);
    cursor_free(m);
}

// --- damage ---

// Everything that a map can be asked. What it gives is what was written; returns the lines it gave.
static int64_t use(struct cursor *m)
{
    int64_t lines = 0;
    const char *line;
    size_t n;
    int rc;
    cursor_want(m, &(struct cursor_wanted){0});
    for (; (rc = cursor_next(m, &line, &n, NULL)) == 1; lines++)
        cr_assert(cursor_head(m)->type != RECORD_UNKNOWN);
    cr_assert_eq(rc, 0);
    for (int step = 0; step < STEPS; step += 7) {
        look(m, step, SPECTRUM_LIVE, NULL);
        look(m, step, SPECTRUM_EXACT, NULL);
    }
    return lines;
}

Test(cursor, cut_at_every_byte)
{
    size_t end;
    int64_t lines = make(&end), last = 0;
    struct bytes b = logfile_slurp();
    for (size_t n = 0; n <= b.n; n++) {
        logfile_spill(b.p, n);
        struct cursor *m = map();
        int64_t got = use(m);
        cr_assert(got >= last && got <= lines, "cut at %zu", n);
        cr_assert(n < end || got == lines);
        cr_assert_eq(cursor_indexed(m), n == b.n);
        last = got;
        cursor_free(m);
    }
    free(b.p);
}

Test(cursor, flipped_bits)
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
        struct cursor *m = map();
        int64_t got = use(m);
        cr_assert(got <= lines);
        cr_assert(got == lines || cursor_lost(m), "bit %zu: the loss is not told", bit);
        cursor_free(m);
    }
    free(b.p);
}

// Endings that promise what the file does not have, with and without a right checksum.
Test(cursor, hostile_endings)
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
        struct cursor *m = map();
        cr_assert(!cursor_indexed(m));
        cr_assert_eq(use(m), lines);
        cursor_free(m);
    }
    // A good index behind another log's frames.
    unsigned char *p = malloc(b.n + end);
    cr_assert(p);
    memcpy(p, b.p, end);
    memcpy(p + end, b.p, b.n);
    logfile_spill(p, end + b.n);
    struct cursor *m = map();
    cr_assert(!cursor_indexed(m));
    cr_assert_eq(use(m), 2 * lines);
    cursor_free(m);
    // Only an ending.
    logfile_spill(b.p + end, b.n - end);
    m = map();
    cr_assert_eq(frames(m), 0);
    cursor_free(m);
    free(p);
    free(b.p);
}
