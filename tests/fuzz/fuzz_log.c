// Run logs: as bytes, as lines, as frames; and a line alone.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "metrics/log/cursor.h"
#include "metrics/log/record_columns.h"
#include "metrics/log/run_facts.h"
#include "metrics/log/runlog_frames.h"
#include "metrics/log/frame.h"
#include "tests/fuzz/foreign.h"
#include "train/run/earlier.h"
#include "train/run/live_forecast.h"
#include "train/run/runs.h"
#include "train/schedule/schedule_text.h"
#include "tui/export/export.h"
#include "tui/feed/past.h"

// --- every reader of a log ---

// Records to the end; how many.
static int64_t read_records(struct cursor *c)
{
    struct record r;
    struct run_facts facts;
    int64_t n = 0;
    size_t length;
    for (; cursor_record(c, &r, NULL) == 1; record_free(&r), n++) {
        fuzz_require(r.type >= RECORD_UNKNOWN && r.type <= RECORD_END);
        fuzz_require(cursor_line(c, &length) && length > 0);
        if (r.type == RECORD_RUN)
            run_facts_read(&r.u.run, &facts);
    }
    record_free(&r);
    return n;
}

static void read_as(struct cursor *c, const struct cursor_wanted *wanted, int64_t most)
{
    cursor_want(c, wanted);
    fuzz_require(read_records(c) <= most);
}

static void find_in(struct cursor *c)
{
    static const int64_t steps[] = {0, 1, 3, 100, INT64_MAX};
    for (int kind = RUNLOG_SCALARS; kind < RUNLOG_KINDS; kind++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct record r;
            int rc = cursor_find(c, (enum runlog_kind)kind, steps[i], &r, NULL);
            fuzz_require(rc <= 0 || r.step <= steps[i]);
            if (rc > 0)
                record_free(&r);
        }
}

// What a viewer asks for at its cursor.
static void look_up(struct cursor *c)
{
    struct past_spectrum k;
    struct record r;
    past_spectrum_init(&k);
    for (int64_t step = 0; step < 6; step++) {
        for (int kind = RUNLOG_LIVE; kind < RUNLOG_KINDS; kind++)
            if (past_spectrum_find(c, &k, step, (enum runlog_kind)kind, NULL) == 0 && k.p.sigma) {
                volatile double smallest = k.p.sigma[k.p.d - 1]; // it is there
                fuzz_require(k.p.step <= step && (smallest <= 0 || !(smallest <= 0)));
            }
        if (past_step(c, step, &r, NULL) == 1) {
            fuzz_require(r.type == RECORD_STEP && r.step == step);
            record_free(&r);
        }
    }
    past_spectrum_free(&k);
}

static void export_from(struct cursor *c, const char *path)
{
    const struct cursor_range all = {0, INT64_MAX};
    unsigned char columns[RECORD_COLUMNS_MAX];
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    fuzz_require(f);
    for (int type = RECORD_STEP; type <= RECORD_EVENT; type++) {
        struct record_own own = {0};
        fuzz_require(export_columns((enum record_type)type, NULL, columns, NULL) == 0);
        if (type == RECORD_STEP && export_own(path, &own, NULL) < 0)
            continue;
        struct cursor_wanted wanted = {.kinds = type == RECORD_SPECTRUM ? 0 : 1u << RUNLOG_SCALARS,
                                       .type = (enum record_type)type,
                                       .range = &all,
                                       .newest = 1};
        cursor_want(c, &wanted);
        export_csv(c, (enum record_type)type, columns, &own, f, NULL);
        cursor_want(c, &wanted);
        for (int i = 0; i < RECORD_COLUMNS_MAX; i++)
            columns[i] = i % 3 != 1;
        export_json(c, columns, f, NULL);
    }
    export_svg(c, &all, f, NULL);
    fclose(f);
    free(text);
}

// What a run that goes on would take from it, and what a list of runs says of it.
static void resume_from(const char *path)
{
    struct earlier past;
    struct schedule s;
    struct rates rates = {0};
    struct options o;
    struct live_forecast forecast;
    struct runs_info *list;
    char dir[512], link[600];
    int runs;
    snprintf(dir, sizeof dir, "%s/run", foreign_folder());
    snprintf(link, sizeof link, "%s/run.jsonl.zst", dir);
    mkdir(dir, 0700);
    unlink(link);
    fuzz_require(symlink(path, link) == 0);
    if (earlier_read(dir, &past, NULL) == 0) {
        struct schedule_facts f = {.seed = 1, .n = 60, .batch = 4, .steps = 100, .chunks = 5};
        fuzz_require(past.has_run);
        options_default(&o);
        if (past.run.u.run.config)
            options_from_json(&o, past.run.u.run.config, NULL);
        if (past.run.u.run.steps > 0 && past.run.u.run.steps < 1000)
            f.steps = past.run.u.run.steps;
        if (schedule_text_parse(&s, &f, o.schedule, NULL) == 0) {
            earlier_apply(&past, 0, &s, &rates, NULL);
            for (int i = 0; i < s.n; i++)
                fuzz_require(s.entry[i].from < f.steps && s.entry[i].mode < MODE_COUNT);
            schedule_free(&s);
        }
        rates_free(&rates);
        earlier_find(&past, 3, "mode", NULL);
        earlier_evaluated(&past, 3);
    }
    earlier_free(&past);
    live_forecast_init(&forecast, &(struct live_forecast_facts){.width = 4, .d = 4, .samples = 8});
    live_forecast_replay(&forecast, dir, 4, NULL);
    live_forecast_loss(&forecast, 4);
    live_forecast_free(&forecast);
    if (runs_list(foreign_folder(), &list, &runs, NULL) == 0) {
        fuzz_require(runs <= 1);
        free(list);
    }
}

static void read_log(const char *path)
{
    struct cursor *c;
    struct error e = {""};
    if (cursor_open(path, &c, &e) < 0) {
        fuzz_require(*e.text);
        return;
    }
    int64_t all = read_records(c);
    size_t frames;
    cursor_frames(c, &frames);
    cursor_lost(c);
    fuzz_require(cursor_passed(c) >= all + cursor_strangers(c) || cursor_strangers(c) < 0);
    const struct cursor_range range = {1, 3};
    read_as(c, &(struct cursor_wanted){.kinds = CURSOR_CURVES}, all);
    read_as(c, &(struct cursor_wanted){.newest = 1}, all);
    read_as(c, &(struct cursor_wanted){.range = &range, .newest = 1}, all);
    read_as(c, &(struct cursor_wanted){.spectra = 2}, all);
    find_in(c);
    look_up(c);
    export_from(c, path);
    cursor_look(c, NULL);
    cursor_free(c);
    resume_from(path);
}

// A run that goes on writes behind what is whole, and that is read afterwards.
static void go_on(const char *path)
{
    static const char line[] = "{\"type\":\"event\",\"step\":7,\"what\":\"resume\",\"by\":\"key\"}";
    struct runlog_writer *w;
    struct cursor *c;
    const char *last = "", *is;
    size_t n = 0, n_last = 0;
    int64_t kept;
    if (runlog_append(path, &w, &kept, NULL) < 0)
        return;
    fuzz_require(kept >= 0 && runlog_write(w, line, sizeof line - 1, NULL) == 0);
    fuzz_require(runlog_close(w, NULL) == 0 && cursor_open(path, &c, NULL) == 0);
    int64_t lines = 0;
    int rc;
    for (; (rc = cursor_next(c, &is, &n, NULL)) == 1; lines++) {
        last = is;
        n_last = n;
    }
    // Of a version that is not known nothing is given.
    fuzz_require(rc < 0 || (lines == kept + 1 && n_last == sizeof line - 1 &&
                            memcmp(last, line, n_last) == 0));
    cursor_free(c);
}

int fuzz_log(const uint8_t *data, size_t size)
{
    read_log(foreign_file(0, data, size));
    go_on(foreign_path(0));
    return 0;
}

int fuzz_lines(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    unsigned how = input_byte(&in);
    const char *path = foreign_log(0, in, 1 + (int)(how & 15), how & 16);
    read_log(path);
    if (how & 32)
        go_on(path);
    return 0;
}

// --- frames, marks and index, whose checksums are right unless the input wants them wrong ---

struct piece {
    unsigned char p[1 << 16];
    size_t n;
};

static void add(struct piece *to, const void *p, size_t n)
{
    if (n > sizeof to->p - to->n)
        n = sizeof to->p - to->n;
    if (n)
        memcpy(to->p + to->n, p, n);
    to->n += n;
}

static void add_number(struct piece *to, uint64_t v, int bytes)
{
    unsigned char p[8];
    frame_put(p, v, bytes);
    add(to, p, (size_t)bytes);
}

static void add_lines(struct piece *to, struct input lines, int level)
{
    unsigned char out[1 << 15];
    size_t n = ZSTD_compress(out, sizeof out, lines.p, lines.n, level);
    if (!ZSTD_isError(n))
        add(to, out, n);
}

static void add_mark(struct piece *to, struct input holds, int wrong)
{
    add_number(to, RUNLOG_MARK, 4);
    add_number(to, holds.n + 4, 4);
    add(to, holds.p, holds.n);
    add_number(to, crc32_z(0, holds.p, holds.n) ^ (uint32_t)wrong, 4);
}

// An index whose rows and whose table are the input's.
static void add_index(struct piece *to, struct input holds, struct input rows, int wrong)
{
    size_t frames = holds.n / RUNLOG_HOLDS, entries = rows.n / FRAME_TABLE_ROW + 1;
    struct piece index = {.n = 0}, table = {.n = 0};
    add_number(&index, RUNLOG_INDEX, 4);
    add_number(&index, 12 + holds.n, 4);
    add_number(&index, RUNLOG_INDEX_VERSION, 4);
    add_number(&index, frames, 4);
    add(&index, holds.p, holds.n);
    add_number(&table, FRAME_TABLE_MAGIC, 4);
    add_number(&table, entries * FRAME_TABLE_ROW + FRAME_TABLE_FOOTER, 4);
    add(&table, rows.p, (entries - 1) * FRAME_TABLE_ROW);
    add_number(&table, index.n + 4, 4);
    add_number(&table, 0, 4);
    add_number(&table, entries, 4);
    add_number(&table, 0, 1);
    add_number(&table, FRAME_TABLE_END, 4);
    uLong crc = crc32_z(0, index.p + 8, index.n - 8);
    crc = crc32_z(crc, table.p, table.n);
    add_number(&index, crc ^ (uLong)wrong, 4);
    add(to, index.p, index.n);
    add(to, table.p, table.n);
}

int fuzz_frames(const uint8_t *data, size_t size)
{
    static struct piece file;
    struct input in = {data, size};
    file.n = 0;
    while (in.n > 0) {
        unsigned what = input_byte(&in);
        struct input a = input_take(&in, input_number(&in, 2));
        if (what % 5 == 0)
            add_lines(&file, a, (int)(what >> 6) * 6 + 1);
        else if (what % 5 == 1)
            add_mark(&file, a, what >> 7);
        else if (what % 5 == 2)
            add_index(&file, a, input_take(&in, input_number(&in, 2)), what >> 7);
        else
            add(&file, a.p, a.n);
    }
    read_log(foreign_file(0, file.p, file.n));
    go_on(foreign_path(0));
    return 0;
}

// --- a line ---

// What is written of a record is read as that record: the second line is the first.
static void write_again(const struct record *r)
{
    struct record again;
    char *first = NULL, *second = NULL;
    size_t n, m;
    if (record_format(r, &first, &n, NULL) < 0)
        return;
    fuzz_require(!memchr(first, '\n', n) && record_parse(first, n, &again, NULL) == 0);
    fuzz_require(record_format(&again, &second, &m, NULL) == 0);
    fuzz_require(n == m && memcmp(first, second, n) == 0);
    record_free(&again);
    free(first);
    free(second);
}

int fuzz_step(const uint8_t *data, size_t size)
{
    struct record r;
    struct record_head head;
    struct error e = {""};
    const char *line = (const char *)data;
    int is_record = record_head(line, size, &head);
    int rc = record_parse(line, size, &r, &e);
    fuzz_require(rc == 0 || *e.text);
    fuzz_require(rc < 0 || is_record); // what it is may be said twice: see cursor.c
    for (int k = 0; rc == 0 && k < record_columns(r.type); k++) {
        char *text;
        fuzz_require(record_cell(&r, k, &text) >= 0);
        free(text);
    }
    if (rc == 0)
        write_again(&r);
    record_free(&r);
    return 0;
}
