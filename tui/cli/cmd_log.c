// ssltop log: what a log holds and whether it is whole, and a whole one made of what is left.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "metrics/base/file.h"
#include "metrics/log/record_fields.h"
#include "metrics/log/cursor.h"
#include "metrics/base/text.h"
#include "tui/cli/cmd.h"
#include "tui/model/format.h"

enum { REPACKED = 128 << 10 }; // bytes of lines before a frame of a repaired log ends

struct wanted {
    int json;
    const char *runs, *out;
};

const struct option_row cmd_log_options[] = {
    {CMD_WORD("o", out, "FILE"), .doc = "repair: where the whole log goes; must not exist."},
    {CMD_FLAG("json", json), .doc = "check: one JSON object."},
    {CMD_RUNS},
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

static void note(struct findings *f, const struct record *r)
{
    f->lines[r->type]++;
    if (r->type == RECORD_RUN && !f->version)
        f->version = r->u.run.version;
    if (r->type == RECORD_STEP && r->step >= 0) {
        // The run went on from an earlier step than the one where it had been.
        f->resumed += f->last_step >= r->step;
        f->first_step = f->first_step < 0 ? r->step : f->first_step;
        f->last_step = r->step;
    }
}

static int look(const char *path, struct cursor *c, struct findings *f, struct error *e)
{
    struct stat st;
    struct record r;
    size_t n;
    int rc;
    *f = (struct findings){.first_step = -1, .last_step = -1};
    if (stat(path, &st))
        return error_system(e, "can't read %s", path);
    for (; (rc = cursor_record(c, &r, e)) == 1; record_free(&r))
        note(f, &r);
    const struct runlog_frame *frame = cursor_frames(c, &n);
    for (size_t i = 0; i < n; i++)
        f->frames[frame[i].kind] += !frame[i].damaged;
    f->bytes = st.st_size;
    f->no_records = cursor_strangers(c);
    f->lost = cursor_lost(c);
    // Behind the last frame lies what should be one, or nothing.
    int bare = !n || frame[n - 1].offset + frame[n - 1].size == f->bytes || f->lost;
    f->index = cursor_indexed(c) ? "good" : bare ? "none" : "damaged";
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
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
           f->index[0] == 'n'
               ? "none: the run was killed or is still running, or another tool wrote this"
               : f->index);
    printf("  lost    %s\n", f->lost ? f->lost : "nothing");
}

static int check(const char *path, const struct wanted *w, struct error *e)
{
    struct cursor *c;
    struct findings f;
    if (cursor_open(path, &c, e))
        return CMD_FAILED;
    int rc = look(path, c, &f, e) ? CMD_FAILED : CMD_OK;
    if (rc == CMD_OK && !w->json)
        print_text(path, &f);
    else if (rc == CMD_OK)
        rc = print_json(path, &f);
    int good = rc == CMD_OK && !f.lost && cursor_passed(c);
    cursor_free(c);
    return good ? CMD_OK : CMD_FAILED;
}

// --- repair ---

static int copy_lines(struct cursor *c, struct runlog_writer *w, struct error *e)
{
    struct record r;
    int rc, bad = 0;
    for (; !bad && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        size_t n;
        const char *line = cursor_line(c, &n);
        bad =
            runlog_write(w, line, n, e) || (runlog_pending(w) > REPACKED && runlog_flush(w, 0, e));
    }
    return bad ? -1 : rc;
}

static int copy_log(struct cursor *c, int fd, int64_t *lines, struct error *e)
{
    struct runlog_writer *w;
    if (runlog_create_in(fd, &w, e))
        return -1;
    int rc = copy_lines(c, w, e);
    *lines = runlog_lines(w);
    return runlog_close(w, rc ? NULL : e) ? -1 : rc;
}

static int repair(const char *path, const char *out, struct error *e)
{
    struct cursor *c;
    struct file f;
    int64_t lines = 0;
    if (cursor_open(path, &c, e))
        return -1;
    int rc = file_create(&f, out, FILE_NEW | FILE_DURABLE | FILE_PRIVATE | FILE_ANYWHERE, e);
    if (rc == 0) {
        rc = copy_log(c, fileno(f.stream), &lines, e);
        if (!rc && !lines)
            rc = error_set(e, "nothing in it can be read");
        if (rc)
            error_prefix(e, "%s", path);
        rc = file_finish(&f, rc, e);
    }
    const char *lost = cursor_lost(c);
    if (!rc && lost)
        fprintf(stderr, "ssltop: %s\n", lost);
    if (!rc)
        fprintf(file_is_standard(out) ? stderr : stdout, "%s lines\n", format_count(lines).s);
    cursor_free(c);
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
        return cmd_refuse("log knows check and repair, not '%.60s'", argv[1]);
    if (is_check && w.out)
        return cmd_refuse("log check writes nothing: -o belongs to log repair");
    if (!is_check && !w.out)
        return cmd_refuse("log repair needs -o FILE");
    if (cmd_find_log(w.runs, argv[2], path, sizeof path, &e))
        rc = CMD_FAILED;
    else if (is_check)
        rc = check(path, &w, &e);
    else
        rc = repair(path, w.out, &e) ? CMD_FAILED : CMD_OK;
    return cmd_complain(rc, &e);
}
