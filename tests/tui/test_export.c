// ssltop export and ssltop log: what they print of a log that was made here, of one that was
// damaged, and what they refuse.
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/log/record_columns.h"
#include "metrics/log/runlog.h"
#include "tests/kit/say.h"

enum { STEPS = 30, AGAIN = 15, D = 4 };

static char folder[64], path[96], out[96];

static void setup(void)
{
    strcpy(folder, "/tmp/ssltop-export-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run.jsonl.zst", folder);
    snprintf(out, sizeof out, "%s/out", folder);
}

static void teardown(void)
{
    char part[128];
    snprintf(part, sizeof part, "%s.part", out);
    cr_assert_eq(access(part, F_OK), -1, "a temporary file is left");
    unlink(path);
    unlink(out);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(export, .init = setup, .fini = teardown);

// --- the log ---

static void put(struct runlog_writer *w, struct record *r)
{
    struct error e = {""};
    char *line;
    size_t n;
    cr_assert(record_format(r, &line, &n, &e) == 0, "%s", e.text);
    cr_assert(runlog_write(w, line, n, &e) == 0, "%s", e.text);
    free(line);
    record_free(r);
}

static void put_spectrum(struct runlog_writer *w, int step, enum spectrum_source source)
{
    struct record r;
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.source = source;
    r.u.spectrum.n = 64;
    r.u.spectrum.d = D;
    r.u.spectrum.sigma = calloc(D, sizeof(double));
    cr_assert(r.u.spectrum.sigma);
    for (int i = 0; i < D; i++)
        r.u.spectrum.sigma[i] = (step + 1) / (double)(i * i + 1);
    put(w, &r);
}

static void put_event(struct runlog_writer *w, int step, const char *what, const char *by,
                      const char *text)
{
    struct record r;
    record_init(&r, RECORD_EVENT, step);
    snprintf(r.u.event.what, sizeof r.u.event.what, "%s", what);
    snprintf(r.u.event.by, sizeof r.u.event.by, "%s", by);
    snprintf(r.u.event.text, sizeof r.u.event.text, "%s", text);
    put(w, &r);
}

// Steps of a life; the AUC tells which, and is missing in every fifth step.
static void put_steps(struct runlog_writer *w, int from, int to, int life)
{
    struct record r;
    for (int i = from; i < to; i++) {
        if (i % 10 == 0) {
            record_init(&r, RECORD_EVAL, i);
            r.u.eval.metric[METRIC_AUC] = 0.5 + 0.001 * i;
            r.u.eval.probe = 0.6 + 0.001 * i;
            put(w, &r);
            put_spectrum(w, i, SPECTRUM_EXACT);
        }
        record_init(&r, RECORD_STEP, i);
        r.u.step.mode = i < 20 ? MODE_CONTINUAL : MODE_MULTI_EPOCH;
        r.u.step.t = 0.1 * i;
        if (i % 5)
            r.u.step.metric[METRIC_AUC] = 0.5 + 0.01 * i + 0.001 * life;
        r.u.step.metric[METRIC_LOSS] = -1.0 / (i + 1);
        r.u.step.ms[PHASE_FORWARD] = 7;
        if (i > 10) {
            r.u.step.forecast = 0.6 + 0.001 * i;
            r.u.step.forecast_lo = r.u.step.forecast - 0.03;
            r.u.step.forecast_hi = r.u.step.forecast + 0.03;
        }
        put(w, &r);
        put_spectrum(w, i, SPECTRUM_LIVE);
        if (i % 4 == 3)
            cr_assert_eq(runlog_flush(w, 0, NULL), 0);
    }
    cr_assert_eq(runlog_flush(w, 0, NULL), 0);
}

// A run that came to step 22, was killed, and was resumed at 15.
static void make(void)
{
    struct runlog_writer *w;
    struct record r;
    cr_assert_eq(runlog_create(path, &w, NULL), 0);
    record_init(&r, RECORD_RUN, -1);
    r.u.run.version = 1;
    r.u.run.steps = STEPS;
    r.u.run.model.d = D;
    r.u.run.model.width = 8;
    snprintf(r.u.run.name, sizeof r.u.run.name, "a <b> & \"c\"");
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name, "synthetic");
    put(w, &r);
    put_steps(w, 0, 22, 1);
    put_event(w, AGAIN, "resume", "trainer", "went on, \"exactly\", from a checkpoint");
    put_steps(w, AGAIN, STEPS, 2);
    record_init(&r, RECORD_END, STEPS);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "finished");
    put(w, &r);
    cr_assert_eq(runlog_close(w, NULL), 0);
}

static void damage(long at)
{
    FILE *f = fopen(path, "r+b");
    cr_assert(f && fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) == 0);
    int c = fgetc(f);
    cr_assert(fseek(f, -1, SEEK_CUR) == 0 && fputc(c ^ 0x55, f) != EOF);
    cr_assert_eq(fclose(f), 0);
}

static int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

// --- tables ---

Test(export, steps_as_csv)
{
    make();
    struct said s = SAY("export", path);
    cr_assert_eq(s.code, 0, "%s", s.err);
    cr_assert_str_empty(s.err);
    cr_assert_eq(lines_of(s.out), 1 + STEPS);
    cr_assert_eq(strncmp(s.out, "step,t,mode,chunk,lr,lr_pred,auc,", 33), 0, "%s", s.out);
    char *line = strchr(s.out, '\n') + 1;
    int columns = record_columns(RECORD_STEP) - 1; // nothing of its own
    for (int i = 0; i < STEPS; i++) {
        char *cell[RECORD_COLUMNS_MAX], *end = strchr(line, '\n'), *at = line;
        *end = '\0';
        for (int c = 0; c < columns; c++)
            cr_assert((cell[c] = strsep(&at, ",")), "step %d has %d cells", i, c);
        cr_assert_null(at);
        cr_assert_eq(strtol(cell[0], NULL, 10), i);
        cr_assert_str_eq(cell[2], i < 20 ? "continual" : "multi-epoch");
        cr_assert_str_empty(cell[3], "a chunk that is not there is no number");
        const char *auc = cell[record_column_find(RECORD_STEP, "auc", 3)];
        double want = 0.5 + 0.01 * i + 0.001 * (i < AGAIN ? 1 : 2);
        if (i % 5)
            cr_assert_eq(strtod(auc, NULL), want, "step %d: the last record of a step wins", i);
        else
            cr_assert_str_empty(auc);
        cr_assert_str_eq(cell[record_column_find(RECORD_STEP, "ms.forward", 10)], "7");
        line = end + 1;
    }
    said_free(&s);
}

Test(export, columns_and_steps_that_are_asked_for)
{
    make();
    struct said s =
        SAY("export", path, "--columns", "loss,step,ms.forward", "--from=7", "--to", "9");
    cr_assert_eq(s.code, 0, "%s", s.err);
    cr_assert_str_eq(s.out, "step,loss,ms.forward\n7,-0.125,7\n"
                            "8,-0.1111111111111111,7\n9,-0.10000000000000001,7\n");
    said_free(&s);
    s = SAY("export", path, "--format", "jsonl", "--columns", "auc,ms.forward,mode", "--from",
            "21");
    cr_assert_eq(lines_of(s.out), STEPS - 21);
    for (char *line = strtok(s.out, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);
        cr_assert_eq(json_object_size(o), 4, "%s", line);
        cr_assert_str_eq(json_string_value(json_object_get(o, "type")), "step");
        cr_assert_str_eq(json_string_value(json_object_get(o, "mode")), "multi-epoch");
        cr_assert_eq(json_object_size(json_object_get(o, "ms")), 1);
        json_decref(o);
    }
    said_free(&s);
}

Test(export, json_lines_are_those_of_the_log)
{
    make();
    struct said s = SAY("export", path, "--format", "jsonl", "--what", "spectrum");
    cr_assert_eq(s.code, 0, "%s", s.err);
    cr_assert_eq(lines_of(s.out), STEPS + 3);
    char command[256], *log = calloc(1, 1 << 16);
    snprintf(command, sizeof command, "zstd -dcq %s", path);
    FILE *f = popen(command, "r");
    cr_assert(f && log);
    size_t n = fread(log, 1, (1 << 16) - 1, f);
    cr_assert(n > 0 && pclose(f) == 0);
    for (char *line = strtok(s.out, "\n"); line; line = strtok(NULL, "\n"))
        cr_assert(strstr(log, line), "%s", line);
    free(log);
    said_free(&s);
}

Test(export, spectra_evals_and_events)
{
    make();
    struct said s = SAY("export", path, "--what", "spectrum", "--from", "10", "--to", "10");
    cr_assert_str_eq(s.out, "step,source,n,sigma_1,sigma_2,sigma_3,sigma_4\n"
                            "10,live,64,11,5.5,2.2,1.1\n10,exact,64,11,5.5,2.2,1.1\n");
    said_free(&s);
    s = SAY("export", path, "--what", "eval", "--columns", "step,probe");
    cr_assert_str_eq(s.out, "step,probe\n0,0.59999999999999998\n10,0.60999999999999999\n"
                            "20,0.62\n");
    said_free(&s);
    s = SAY("export", path, "--what", "event", "--columns", "step,what,text");
    cr_assert_str_eq(s.out, "step,what,text\n"
                            "15,resume,\"went on, \"\"exactly\"\", from a checkpoint\"\n");
    said_free(&s);
}

Test(export, to_a_file_and_to_nobody)
{
    make();
    struct said s = SAY("export", path, "-o", out, "--columns", "step");
    cr_assert(s.code == 0 && !*s.out && !*s.err, "%s", s.err);
    struct stat st;
    char part[112];
    snprintf(part, sizeof part, "%s.part", out);
    cr_assert_eq(stat(out, &st), 0);
    cr_assert_gt(st.st_size, STEPS);
    said_free(&s);
    // What was there stays when there is nothing to replace it.
    s = SAY("export", "/nowhere/at/all", "-o", out);
    cr_assert(s.code == 1 && *s.err);
    off_t before = st.st_size;
    cr_assert(stat(out, &st) == 0 && st.st_size == before);
    said_free(&s);
    // Nor is it written over what it comes from, however that is called.
    cr_assert_eq(link(path, part), 0);
    for (int i = 0; i < 2; i++) {
        s = SAY("export", path, "-o", i ? part : path);
        cr_assert(s.code == 1 && strstr(s.err, "is what is read"), "%s", s.err);
        said_free(&s);
    }
    unlink(part);
    s = SAY("export", path, "-o", "-", "--columns", "step");
    cr_assert(s.code == 0 && strncmp(s.out, "step\n", 5) == 0 && access("-", F_OK) < 0);
    said_free(&s);
    s = SAY("export", path, "-o", "/nowhere/at/all");
    cr_assert(s.code == 1 && *s.err);
    said_free(&s);
    // A reader that went away is no reason to complain.
    s = say(1, (const char *const[]){"export", path, "--what", "spectrum", NULL});
    cr_assert_eq(s.code, 1000 + SIGPIPE);
    cr_assert_str_empty(s.err);
    said_free(&s);
}

Test(export, refusals)
{
    make();
    static const char *const bad[][3] = {
        {"--columns", "auc,colour", "there is no column 'colour'; there are step,t,mode"},
        {"--format", "xls", "csv, jsonl, svg or reference"},
        {"--what", "run", "expected step, spectrum, eval"},
        {"--from", "-1", "--from '-1': expected a whole number from 0"},
        {"--to", "1e3", "--to '1e3': expected end or"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct said s = SAY("export", path, bad[i][0], bad[i][1]);
        cr_assert_eq(s.code, 2, "%s", bad[i][0]);
        cr_assert(strstr(s.err, bad[i][2]), "%s", s.err);
        cr_assert_str_empty(s.out);
        said_free(&s);
    }
    struct said s = SAY("export", path, "--format", "svg", "--what", "eval");
    cr_assert_eq(s.code, 2);
    said_free(&s);
    s = SAY("export", path, "--from", "9", "--to", "3");
    cr_assert_eq(s.code, 2);
    said_free(&s);
}

Test(export, damaged_logs)
{
    make();
    damage(400);
    struct said s = SAY("export", path, "--columns", "step");
    cr_assert_eq(s.code, 0);
    cr_assert(strstr(s.err, "damaged place"), "%s", s.err);
    cr_assert(lines_of(s.out) > 10 && lines_of(s.out) < 1 + STEPS);
    said_free(&s);
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs("my diary\n", f) >= 0 && fclose(f) == 0);
    static const char *const format[] = {"csv", "jsonl", "svg"};
    for (int i = 0; i < 3; i++) {
        s = SAY("export", path, "--format", format[i], "-o", out);
        cr_assert(s.code == 1 && strstr(s.err, "nothing in it can be read"), "%s", s.err);
        cr_assert_eq(access(out, F_OK), -1);
        said_free(&s);
    }
    cr_assert(truncate(path, 0) == 0); // as a full disk leaves it
    for (int i = 0; i < 2; i++) {
        s = SAY("export", path, "--format", format[i], "-o", out);
        cr_assert(s.code == 1 && strstr(s.err, "nothing in it can be read"), "%s", s.err);
        cr_assert_eq(access(out, F_OK), -1);
        said_free(&s);
    }
}

// --- the figure ---

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

// No two texts of a line touch each other, and none leaves the figure. A letter is taken for wide
// (of a bold one, Helvetica's widest word in a title has 0.6 of its size).
static void expect_room(const char *svg)
{
    enum { MOST = 200 };
    struct {
        int y, from, to;
        const char *at;
    } box[MOST];
    int n = 0, width;
    cr_assert_eq(sscanf(strstr(svg, "viewBox"), "viewBox=\"0 0 %d", &width), 1);
    for (const char *at = svg; (at = strstr(at, "<text x=")); at++, n++) {
        int x, y, letters = 0, size = 105;
        char anchor[16];
        cr_assert_lt(n, MOST);
        cr_assert_eq(sscanf(at, "<text x=\"%d\" y=\"%d\" text-anchor=\"%15[a-z]", &x, &y, anchor),
                     3);
        const char *begin = strchr(at, '>') + 1, *font = strstr(at, "font-size:");
        if (font && font < begin)
            size = atoi(font + 10);
        for (const char *p = begin; *p != '<'; p++) {
            if (*p == '&')
                p = strchr(p, ';');
            letters += (*p & 0xC0) != 0x80;
        }
        int w = letters * size * 6 / 10;
        box[n].from = anchor[0] == 's' ? x : anchor[0] == 'm' ? x - w / 2 : x - w;
        box[n].to = box[n].from + w;
        box[n].y = y;
        box[n].at = begin;
        cr_assert(box[n].from >= 0 && box[n].to <= width, "%.60s", begin);
        for (int i = 0; i < n; i++)
            cr_assert(abs(box[i].y - y) >= 105 || box[i].to + 60 <= box[n].from ||
                          box[n].to + 60 <= box[i].from,
                      "%.40s and %.40s", box[i].at, begin);
    }
    cr_assert_gt(n, 30);
}

Test(export, figure_is_sound)
{
    make();
    struct said s = SAY("export", path, "--format", "svg", "-o", out);
    cr_assert_eq(s.code, 0, "%s", s.err);
    said_free(&s);
    char command[256];
    snprintf(command, sizeof command, "xmllint --noout --nonet %s", out);
    cr_assert_eq(system(command), 0);
    FILE *f = fopen(out, "r");
    char *svg = calloc(1, 1 << 18);
    cr_assert(f && svg && fread(svg, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    cr_assert(strstr(svg, "a &lt;b&gt; &amp; &quot;c&quot;"));
    cr_assert_eq(count(svg, ">continual</text>"), 3, "a band in each panel over steps");
    cr_assert_eq(count(svg, ">multi-epoch</text>"), 3);
    cr_assert_eq(count(svg, "fill=\"#fff\" stroke="), 8,
                 "evaluations: three of AUC, three of the probe; and two of the legends");
    expect_room(svg);
    cr_assert(strstr(svg, "exact, step 0") && strstr(svg, "exact, step 20"));
    cr_assert(!strstr(svg, "nan") && !strstr(svg, "inf"));
    // Gaps: every fifth step has no AUC, so its curve consists of six pieces.
    char *auc = strstr(svg, "collapse: AUC");
    cr_assert(auc);
    *auc = '\0';
    char *curve = NULL;
    for (char *at = svg; (at = strstr(at, "stroke=\"#0072B2\"")); at++)
        if (!strstr(at + 1, "stroke=\"#0072B2\""))
            curve = strstr(at, " d=\"");
    cr_assert(curve);
    *strchr(curve + 4, '"') = '\0';
    cr_assert_eq(count(curve, "M"), 6, "%s", curve);
    free(svg);
}

Test(export, figures_of_little)
{
    struct runlog_writer *w;
    struct record r;
    cr_assert_eq(runlog_create(path, &w, NULL), 0);
    record_init(&r, RECORD_RUN, -1);
    put(w, &r);
    cr_assert_eq(runlog_close(w, NULL), 0);
    struct said s = SAY("export", path, "--format", "svg");
    cr_assert(s.code == 1 && strstr(s.err, "no steps"), "%s", s.err);
    said_free(&s);
    cr_assert_eq(runlog_append(path, &w, NULL, NULL), 0);
    record_init(&r, RECORD_STEP, 0);
    put(w, &r);
    cr_assert_eq(runlog_close(w, NULL), 0);
    s = SAY("export", path, "--format", "svg");
    cr_assert_eq(s.code, 0, "%s", s.err);
    cr_assert(strstr(s.out, "</svg>") && !strstr(s.out, "nan") && !strstr(s.out, "inf"));
    said_free(&s);
}

// --- ssltop log ---

TestSuite(logcheck, .init = setup, .fini = teardown);

static json_t *checked(const char *file, int code)
{
    struct said s = SAY("log", "check", "--json", file);
    cr_assert_eq(s.code, code, "%s%s", s.out, s.err);
    json_t *o = json_loads(s.out, 0, NULL);
    cr_assert(o);
    said_free(&s);
    return o;
}

Test(logcheck, says_what_there_is)
{
    make();
    json_t *o = checked(path, 0), *lines = json_object_get(o, "lines");
    cr_assert_eq(json_integer_value(json_object_get(o, "version")), 1);
    cr_assert_eq(json_integer_value(json_object_get(lines, "step")), 22 + STEPS - AGAIN);
    cr_assert_eq(json_integer_value(json_object_get(lines, "event")), 1);
    cr_assert_eq(json_integer_value(json_object_get(o, "last_step")), STEPS - 1);
    cr_assert_eq(json_integer_value(json_object_get(o, "resumed")), 1);
    cr_assert_str_eq(json_string_value(json_object_get(o, "index")), "good");
    cr_assert(json_is_null(json_object_get(o, "lost")));
    json_decref(o);
    struct said s = SAY("log", "check", path);
    cr_assert(s.code == 0 && strstr(s.out, "lost    nothing") && strstr(s.out, "index   good"));
    said_free(&s);
    damage(-30); // in the seek table
    o = checked(path, 0);
    cr_assert_str_eq(json_string_value(json_object_get(o, "index")), "damaged");
    cr_assert(json_is_null(json_object_get(o, "lost")), "all lines are there");
    json_decref(o);
    damage(400);
    o = checked(path, 1);
    cr_assert(json_is_string(json_object_get(o, "lost")));
    json_decref(o);
}

Test(logcheck, repairs_what_is_whole)
{
    make();
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    for (off_t n = st.st_size; n > 0; n -= 97) {
        cr_assert_eq(truncate(path, n), 0);
        struct said before = SAY("export", path, "--what", "step");
        struct said s = SAY("log", "repair", path, "-o", out);
        cr_assert(s.code == (before.code ? 1 : 0), "%s%s", s.err, before.err);
        if (s.code == 0) {
            struct said after = SAY("export", out, "--what", "step");
            cr_assert_str_eq(before.out, after.out);
            cr_assert_str_empty(after.err);
            said_free(&after);
            json_decref(checked(out, 0));
            cr_assert_eq(unlink(out), 0);
        }
        cr_assert_eq(access(out, F_OK), -1);
        said_free(&before);
        said_free(&s);
    }
}

Test(logcheck, repairs_to_standard_output)
{
    make();
    struct said s = SAY("log", "repair", path, "-o", "-");
    cr_assert(s.code == 0 && strstr(s.err, " lines") && access("-", F_OK) < 0, "%s", s.err);
    cr_assert(memcmp(s.out + 1, "*M\x18", 3) == 0); // the mark of a frame to be passed over
    said_free(&s);
}

Test(logcheck, refusals)
{
    make();
    FILE *f = fopen(out, "w");
    cr_assert(f && fclose(f) == 0);
    struct said s = SAY("log", "repair", path, "-o", out);
    cr_assert(s.code == 1 && strstr(s.err, "exists"), "%s", s.err);
    said_free(&s);
    s = SAY("log", "repair", path, "-o", path);
    cr_assert_eq(s.code, 1);
    said_free(&s);
    json_decref(checked(path, 0));
    static const char *const bad[][3] = {
        {"repair", NULL, NULL}, {"check", "-o", "x"}, {"mend", NULL, NULL}};
    for (int i = 0; i < 3; i++) {
        s = SAY("log", bad[i][0], path, bad[i][1], bad[i][2]);
        cr_assert_eq(s.code, 2, "%s", bad[i][0]);
        said_free(&s);
    }
}
