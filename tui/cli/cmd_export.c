// ssltop export: what a run recorded, for other tools.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/text.h"
#include "tui/cli/cmd.h"
#include "tui/cli/export.h"

struct wanted {
    const char *runs, *format, *what, *columns, *from, *to, *out;
};

const struct cmd_option cmd_export_options[] = {
    {"format", "FORMAT", "csv (the default), jsonl (lines of JSON), or svg (a figure of the run).",
     offsetof(struct wanted, format), "csv|jsonl|svg"},
    {"what", "TYPE", "Records of which type: step (the default), spectrum, eval or event.",
     offsetof(struct wanted, what), "step|spectrum|eval|event"},
    {"columns", "NAME,...",
     "Only these fields, named as in ssltop-log(5); ms.data is data in the object ms. The default "
     "is all.",
     offsetof(struct wanted, columns), NULL},
    {"from", "STEP", "Leave out what was before this step.", offsetof(struct wanted, from), NULL},
    {"to", "STEP", "Leave out what came after this step.", offsetof(struct wanted, to), NULL},
    {"o", "FILE", "Where it goes. The default is standard output.", offsetof(struct wanted, out),
     CMD_A_FILE},
    CMD_RUNS(struct wanted),
    {0},
};

enum format { FORMAT_CSV, FORMAT_JSON, FORMAT_SVG, FORMATS };
static const char *const format_name[FORMATS] = {"csv", "jsonl", "svg"};

struct request {
    enum format format;
    enum record_type what;
    unsigned char columns[RECORD_COLUMNS_MAX];
    struct export_range range;
};

// --- what is asked for ---

static int read_step(const char *name, const char *word, int64_t *step, struct error *e)
{
    char *end;
    if (!word)
        return 0;
    errno = 0;
    long long v = strtoll(word, &end, 10);
    if (end == word || *end || v < 0 || errno)
        return error_set(e, "--%s needs a step, not '%.40s'", name, word);
    *step = v;
    return 0;
}

static int understand(const struct wanted *w, struct request *r, struct error *e)
{
    int format = 0;
    while (format < FORMATS && strcmp(format_name[format], w->format) != 0)
        format++;
    if (format == FORMATS)
        return error_set(e, "--format is csv, jsonl or svg, not '%.40s'", w->format);
    *r = (struct request){.format = (enum format)format, .range = {0, INT64_MAX}};
    if (format == FORMAT_SVG && (w->columns || w->what))
        return error_set(e, "a figure shows what it shows: --what and --columns are for tables");
    r->what = record_type_of(w->what ? w->what : "step");
    if (r->what == RECORD_UNKNOWN || r->what == RECORD_RUN)
        return error_set(e, "--what is step, spectrum, eval, event, checkpoint or end");
    if (export_columns(r->what, w->columns, r->columns, e) ||
        read_step("from", w->from, &r->range.from, e) || read_step("to", w->to, &r->range.to, e))
        return -1;
    if (r->range.from > r->range.to)
        return error_set(e, "--from is behind --to");
    return 0;
}

// --- doing it ---

static void say_lost(const char *lost)
{
    if (lost)
        fprintf(stderr, "ssltop: %s\n", lost);
}

static int export_table(const char *path, const struct request *r, FILE *f, struct error *e)
{
    struct export_lines *l;
    if (export_lines_open(path, r->what, r->range, &l, e))
        return -1;
    int rc = r->format == FORMAT_CSV ? export_csv(l, r->what, r->columns, f, e)
                                     : export_json(l, r->columns, f, e);
    if (rc == 0) {
        const char *lost = export_lines_lost(l);
        say_lost(lost);
        if (lost && !export_lines_passed(l))
            rc = error_set(e, "%s: nothing in it can be read", path);
    }
    export_lines_free(l);
    return rc;
}

static int export_figure(const char *path, const struct request *r, FILE *f, struct error *e)
{
    char *lost;
    int rc = export_svg(path, r->range, f, &lost, e);
    say_lost(lost);
    free(lost);
    return rc;
}

static int export(const char *path, const struct request *r, FILE *f, struct error *e)
{
    int rc = r->format == FORMAT_SVG ? export_figure(path, r, f, e) : export_table(path, r, f, e);
    if (rc == 0 && (fflush(f) || ferror(f)))
        return error_set(e, "can't write: %s", strerror(errno));
    return rc;
}

// What is there and no file (a pipe with a name, /dev/stderr) is written as it is.
static int is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

// Under a temporary name until all is there, so that nobody finds half a file.
static int export_to_file(const char *path, const struct request *r, const char *out,
                          struct error *e)
{
    char part[PATH_MAX];
    int direct = is_special(out);
    if ((size_t)snprintf(part, sizeof part, "%s%s", out, direct ? "" : ".part") >= sizeof part)
        return error_set(e, "the path %.60s... is too long", out);
    FILE *f = fopen(part, "we");
    if (!f)
        return error_set(e, "can't write %s: %s", part, strerror(errno));
    int rc = export(path, r, f, e);
    if (rc)
        error_prefix(e, "%s", out);
    if (fclose(f) && !rc)
        rc = error_set(e, "can't write %s: %s", out, strerror(errno));
    if (!rc && !direct && rename(part, out))
        rc = error_set(e, "can't make %s: %s", out, strerror(errno));
    if (rc && !direct)
        unlink(part);
    return rc;
}

int cmd_export(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {.runs = cmd_runs(), .format = "csv"};
    struct request r;
    char path[PATH_MAX];
    int rc = cmd_parse(&argc, argv, cmd_export_options, &w, 1, 1);
    if (rc != CMD_GO_ON)
        return rc;
    if (understand(&w, &r, &e))
        return cmd_complain(CMD_USAGE, &e);
    signal(SIGPIPE, SIG_DFL); // a reader that has enough (head) ends this without a word
    rc = cmd_find_log(w.runs, argv[1], path, sizeof path, &e);
    if (rc == 0)
        rc = w.out ? export_to_file(path, &r, w.out, &e) : export(path, &r, stdout, &e);
    return cmd_complain(rc ? CMD_FAILED : CMD_OK, &e);
}
