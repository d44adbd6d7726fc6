// ssltop export: what a run recorded, for other tools.
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "metrics/base/file.h"
#include "metrics/base/text.h"
#include "metrics/log/record_fields.h"
#include "tui/cli/cmd.h"
#include "tui/export/export.h"

struct wanted {
    const char *runs, *format, *what, *columns, *out;
    struct cursor_range range; // to -1: the end
};

static int type_value(int i, char *text, size_t size)
{
    int type = RECORD_RUN + 1 + i; // the run itself is no series
    return option_put(type <= RECORD_END ? record_kind_table[type].name : NULL, text, size);
}

#define STEP(n, f) CMD_ROW(n, OPTION_INT64, f), .argument = "STEP", OPTION_RANGE(0, OPTION_MANY)
const struct option_row cmd_export_options[] = {
    {CMD_WORD("format", format, "FORMAT"), .fallback = "csv", .choices = "csv|jsonl|svg|reference",
     .doc =
         "csv, jsonl (lines of JSON), svg (a figure of the run; of a calibration, a file that ends "
         "in "
         ".json: what it foretold of runs left out against what was measured), or reference (its "
         "curves in few lines of JSON, a log by themselves, for --reference)."},
    {CMD_WORD("what", what, "TYPE"), .values = type_value, .only = 1,
     .doc = "Records of which type: {}. The default is step."},
    {CMD_WORD("columns", columns, "NAME,..."),
     .doc = "Only these fields, named as in ssltop-log(5); ms.data is data in the object ms. The "
            "default is all."},
    {STEP("from", range.from), .fallback = "0", .doc = "Leave out what was before this step."},
    {STEP("to", range.to), .fallback = "end", .word = "end", .word_value = -1,
     .doc = "Leave out what came after this step."},
    {CMD_WORD("o", out, "FILE"), .doc = "Where it goes. The default is standard output."},
    {CMD_RUNS},
    {0},
};

enum format { FORMAT_CSV, FORMAT_JSON, FORMAT_SVG, FORMAT_REFERENCE };

struct request {
    enum format format;
    enum record_type what;
    unsigned char columns[RECORD_COLUMNS_MAX];
    struct cursor_range range;
};

// --- what is asked for ---

static int understand(const struct wanted *w, struct request *r, struct error *e)
{
    *r = (struct request){.range = w->range};
    r->format = w->format[0] == 'c'   ? FORMAT_CSV
                : w->format[0] == 'j' ? FORMAT_JSON
                : w->format[0] == 's' ? FORMAT_SVG
                                      : FORMAT_REFERENCE;
    if (r->range.to < 0)
        r->range.to = INT64_MAX;
    if (r->format >= FORMAT_SVG && (w->columns || w->what))
        return error_set(e, "a %s shows what it shows: --what and --columns are for tables",
                         r->format == FORMAT_SVG ? "figure" : "reference");
    r->what = record_type_of(w->what ? w->what : "step");
    if (export_columns(r->what, w->columns, r->columns, e))
        return -1;
    if (r->range.from > r->range.to)
        return error_set(e, "--from is behind --to");
    return 0;
}

// --- doing it ---

static int export_table(struct cursor *c, const char *path, const struct request *r, FILE *f,
                        struct error *e)
{
    struct record_own own = {.n = 0};
    if (r->format == FORMAT_CSV && r->what == RECORD_STEP && export_own(path, &own, e) < 0)
        return -1;
    cursor_want(c, &(struct cursor_wanted){
                       .kinds = r->what == RECORD_SPECTRUM ? 0 : 1u << RUNLOG_SCALARS,
                       .type = r->what,
                       .range = &r->range,
                       .newest = 1,
                   });
    int rc = r->format == FORMAT_CSV ? export_csv(c, r->what, r->columns, &own, f, e)
                                     : export_json(c, r->columns, f, e);
    return rc == 0 && cursor_passed(c) <= cursor_strangers(c)
               ? error_set(e, "nothing in it can be read")
               : rc;
}

static int export(const char *path, const struct request *r, const char *out, struct error *e)
{
    struct cursor *c;
    struct file f;
    if (file_distinct(out, path, e) < 0 || cmd_spares_runs(out, e) < 0 ||
        cursor_open(path, &c, e) < 0)
        return -1;
    int rc = file_create(&f, out, 0, e);
    if (rc == 0) {
        rc = r->format == FORMAT_SVG         ? export_svg(c, &r->range, f.stream, e)
             : r->format == FORMAT_REFERENCE ? export_reference(c, &r->range, f.stream, e)
                                             : export_table(c, path, r, f.stream, e);
        const char *lost = cursor_lost(c);
        if (rc)
            error_prefix(e, "%s", path);
        if (lost)
            fprintf(stderr, "ssltop: %s\n", lost);
        rc = file_finish(&f, rc, e);
    }
    cursor_free(c);
    return rc;
}

// A calibration: the figure of what it foretold.
static int export_calibration(const char *path, const char *out, struct error *e)
{
    struct forecast forecast;
    struct file f;
    if (file_distinct(out, path, e) < 0 || cmd_spares_runs(out, e) < 0 ||
        forecast_read(path, &forecast, e) < 0)
        return -1;
    int rc = file_create(&f, out, 0, e);
    if (rc == 0) {
        if ((rc = export_forecast(&forecast, f.stream, e)) < 0)
            error_prefix(e, "%s", path);
        rc = file_finish(&f, rc, e);
    }
    forecast_free(&forecast);
    return rc;
}

static int is_calibration(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

int cmd_export(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    struct request r;
    char path[PATH_MAX];
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (understand(&w, &r, &e))
        return cmd_complain(CMD_USAGE, &e);
    signal(SIGPIPE, SIG_DFL); // a reader that has enough (head) ends this without a word
    rc = cmd_find_log(w.runs, argv[1], path, sizeof path, &e);
    if (rc == 0 && r.format == FORMAT_SVG && is_calibration(path))
        rc = export_calibration(path, w.out ? w.out : "-", &e);
    else if (rc == 0)
        rc = export(path, &r, w.out ? w.out : "-", &e);
    return cmd_complain(rc ? CMD_FAILED : CMD_OK, &e);
}
