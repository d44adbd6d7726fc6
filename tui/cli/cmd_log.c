// ssltop log: what a log holds and whether it is whole, and a whole one made of what is left.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/log/record_fields.h"
#include "metrics/log/runlog_map.h"
#include "metrics/base/text.h"
#include "tui/cli/cmd.h"
#include "tui/model/format.h"

enum { REPACKED = 128 << 10 }; // bytes of lines before a frame of a repaired log ends

struct wanted {
    int json;
    const char *runs, *out;
};

const struct option_row cmd_log_options[] = {
    {.name = "o",
     .type = OPTION_WORD,
     OPTION_FIELD(struct wanted, out),
     .argument = "FILE",
     .doc = "repair: where the whole log goes; must not exist."},
    {.name = "json",
     .type = OPTION_FLAG,
     OPTION_FIELD(struct wanted, json),
     .doc = "check: one JSON object."},
    {OPTION_RUNS(struct wanted, OPTION_WORD)},
    {0},
};

// --- check ---

struct findings {
    long long bytes, frames[RUNLOG_KINDS], lines[RECORD_END + 1], no_records, resumed;
    int64_t first_step, last_step; // of step records; -1
    int version;                   // of the run line, 0: there is none
    const char *index;             // good, none, damaged
    const char *lost;              // NULL: nothing
};

static void note_line(struct findings *f, const char *line, size_t n)
{
    struct record r;
    if (record_parse(line, n, &r, NULL)) {
        f->no_records++;
    } else {
        f->lines[r.type]++;
        if (r.type == RECORD_RUN && !f->version)
            f->version = r.u.run.version;
        if (r.type == RECORD_STEP && r.step >= 0) {
            // The run went on from an earlier step than the one where it had been.
            f->resumed += f->last_step >= r.step;
            f->first_step = f->first_step < 0 ? r.step : f->first_step;
            f->last_step = r.step;
        }
    }
    record_free(&r);
}

static int note_frame(struct runlog_map *m, size_t i, struct findings *f, struct error *e)
{
    const char *text;
    size_t n;
    int rc = runlog_map_read(m, i, &text, &n, e);
    if (rc < 0)
        return -1;
    f->frames[runlog_map_frame(m, i)->kind] += rc;
    for (size_t at = 0; rc && at < n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t len = newline ? (size_t)(newline - text) - at : n - at;
        if (len)
            note_line(f, text + at, len);
        at += len + 1;
    }
    return 0;
}

static const char *state_of_index(struct runlog_map *m, long long bytes)
{
    if (runlog_map_indexed(m))
        return "good";
    size_t n = runlog_map_count(m);
    const struct runlog_frame *last = n ? runlog_map_frame(m, n - 1) : NULL;
    return !last || last->offset + last->size == bytes || runlog_map_lost(m) ? "none" : "damaged";
}

static int look(const char *path, struct runlog_map *m, struct findings *f, struct error *e)
{
    struct stat st;
    *f = (struct findings){.first_step = -1, .last_step = -1};
    if (stat(path, &st))
        return error_set(e, "can't read %s: %s", path, strerror(errno));
    f->bytes = st.st_size;
    f->index = state_of_index(m, f->bytes);
    for (size_t i = 0; i < runlog_map_count(m); i++)
        if (note_frame(m, i, f, e))
            return -1;
    f->lost = runlog_map_lost(m);
    return 0;
}

static json_t *step_or_null(int64_t step)
{
    return step < 0 ? json_null() : json_integer(step);
}

static int print_json(const char *path, const struct findings *f)
{
    char name[PATH_MAX];
    text_clean(name, sizeof name, path);
    json_t *o = json_object(), *frames = json_object(), *lines = json_object();
    for (int k = 0; k < RUNLOG_KINDS; k++)
        json_object_set_new(frames, runlog_kind_name[k], json_integer(f->frames[k]));
    for (int t = RECORD_RUN; t <= RECORD_END; t++)
        json_object_set_new(lines, record_kind_table[t].name, json_integer(f->lines[t]));
    json_object_set_new(lines, "unknown", json_integer(f->lines[RECORD_UNKNOWN]));
    json_object_set_new(o, "file", json_string(name));
    json_object_set_new(o, "version", f->version ? json_integer(f->version) : json_null());
    json_object_set_new(o, "bytes", json_integer(f->bytes));
    json_object_set_new(o, "frames", frames);
    json_object_set_new(o, "lines", lines);
    json_object_set_new(o, "no_records", json_integer(f->no_records));
    json_object_set_new(o, "first_step", step_or_null(f->first_step));
    json_object_set_new(o, "last_step", step_or_null(f->last_step));
    json_object_set_new(o, "resumed", json_integer(f->resumed));
    json_object_set_new(o, "index", json_string(f->index));
    json_object_set_new(o, "lost", f->lost ? json_string(f->lost) : json_null());
    return cmd_print_json(o);
}

static void print_text(const char *path, const struct findings *f)
{
    char name[PATH_MAX];
    const char *comma = "";
    text_clean(name, sizeof name, path);
    printf("%s: ", name);
    if (f->version)
        printf("version %d, ", f->version);
    printf("%s bytes\n  frames  ", format_count(f->bytes).s);
    for (int k = 0; k < RUNLOG_KINDS; k++)
        if (f->frames[k]) {
            printf("%s%s of %s", comma, format_count(f->frames[k]).s, runlog_kind_name[k]);
            comma = ", ";
        }
    printf("%s\n  lines   ", *comma ? "" : "none");
    comma = "";
    for (int t = RECORD_UNKNOWN; t <= RECORD_END; t++)
        if (f->lines[t]) {
            printf("%s%s %s", comma, format_count(f->lines[t]).s,
                   t ? record_kind_table[t].name : "of a later version");
            comma = ", ";
        }
    printf("%s\n  steps   ", *comma ? "" : "none");
    if (f->first_step < 0)
        printf("none");
    else
        printf("%s to %s", format_count(f->first_step).s, format_count(f->last_step).s);
    if (f->resumed)
        printf(", %lld time%s gone back to an earlier one", f->resumed, f->resumed == 1 ? "" : "s");
    printf("\n  index   %s\n",
           f->index[0] == 'n' ? "none: the run was killed, or is still running" : f->index);
    printf("  lost    %s\n", f->lost ? f->lost : "nothing");
    if (f->no_records)
        printf("  %lld line%s no record\n", f->no_records, f->no_records == 1 ? " is" : "s are");
}

static int check(const char *path, const struct wanted *w, struct error *e)
{
    struct runlog_map *m;
    struct findings f;
    if (runlog_map_open(path, &m, e))
        return CMD_FAILED;
    int rc = look(path, m, &f, e) ? CMD_FAILED : CMD_OK;
    if (rc == CMD_OK && !w->json)
        print_text(path, &f);
    else if (rc == CMD_OK)
        rc = print_json(path, &f);
    int good = rc == CMD_OK && !f.lost && !f.no_records && runlog_map_count(m);
    runlog_map_free(m);
    return good ? CMD_OK : CMD_FAILED;
}

// --- repair ---

struct repaired {
    long long lines, left_out;
};

static int copy_lines(struct runlog_reader *r, struct runlog_writer *w, struct repaired *done,
                      struct error *e)
{
    const char *line;
    size_t n;
    int rc;
    while ((rc = runlog_next(r, &line, &n, e)) == 1) {
        struct record record;
        int bad = record_parse(line, n, &record, NULL) || n >= RUNLOG_LINE_MAX;
        record_free(&record);
        done->left_out += bad;
        if (bad)
            continue;
        done->lines++;
        if (runlog_write(w, line, n, e) || (runlog_pending(w) > REPACKED && runlog_flush(w, 0, e)))
            return -1;
    }
    return rc;
}

static int copy_log(struct runlog_reader *r, const char *part, struct repaired *done,
                    struct error *e)
{
    struct runlog_writer *w;
    *done = (struct repaired){0};
    unlink(part); // of a repair that was killed
    if (runlog_create(part, &w, e))
        return -1;
    int rc = copy_lines(r, w, done, e);
    if (runlog_close(w, rc ? NULL : e))
        rc = -1;
    return rc;
}

// Give the file its name; unlike rename this never replaces one that is there.
static int settle(const char *part, const char *out, struct error *e)
{
    if (link(part, out) == 0) {
        unlink(part);
        return 0;
    }
    int why = errno;
    struct stat st;
    // File systems without links.
    if ((why == EPERM || why == EOPNOTSUPP) && stat(out, &st) && rename(part, out) == 0)
        return 0;
    return error_set(e, "%s can't be made: %s", out, strerror(why));
}

static int repair(const char *path, const char *out, struct error *e)
{
    struct stat st;
    struct repaired done;
    struct runlog_reader *r;
    char part[PATH_MAX];
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): -o was asked for
    if (lstat(out, &st) == 0)
        return error_set(e, "%s exists; give a name that does not", out);
    if ((size_t)snprintf(part, sizeof part, "%s.part", out) >= sizeof part)
        return error_set(e, "the path %.60s... is too long", out);
    if (runlog_open(path, &r, e))
        return -1;
    int rc = copy_log(r, part, &done, e);
    if (!rc && !done.lines)
        rc = error_set(e, "%s: nothing in it can be read", path);
    if (!rc)
        rc = settle(part, out, e);
    if (rc)
        unlink(part);
    const char *lost = runlog_lost(r);
    if (!rc && lost)
        fprintf(stderr, "ssltop: %s\n", lost);
    if (!rc && done.left_out)
        fprintf(stderr, "ssltop: lines that are no records, left out: %lld\n", done.left_out);
    if (!rc)
        printf("%s lines\n", format_count(done.lines).s);
    runlog_reader_free(r);
    return rc;
}

int cmd_log(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    char path[PATH_MAX];
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    int is_check = strcmp(argv[1], "check") == 0;
    if (!is_check && strcmp(argv[1], "repair") != 0)
        error_set(&e, "log knows check and repair, not '%.60s'", argv[1]);
    else if (is_check && w.out)
        error_set(&e, "log check writes nothing: -o belongs to log repair");
    else if (!is_check && !w.out)
        error_set(&e, "log repair needs -o FILE");
    if (e.text[0])
        return cmd_complain(CMD_USAGE, &e);
    if (cmd_find_log(w.runs, argv[2], path, sizeof path, &e))
        rc = CMD_FAILED;
    else if (is_check)
        rc = check(path, &w, &e);
    else
        rc = repair(path, w.out, &e) ? CMD_FAILED : CMD_OK;
    return cmd_complain(rc, &e);
}
