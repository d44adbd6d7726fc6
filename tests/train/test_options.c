// Options: every row through every door (command line, file, JSON), and what is refused.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/rng.h"
#include "train/options/options.h"

// --- helpers ---

static char *row_text(const struct options *o, const struct option_row *row)
{
    static char text[OPTION_TEXT];
    option_value(row, o, text, sizeof text);
    return text;
}

// options_parse of a list of words that ends with NULL; the return value, and the sentence in *e.
static int parse_words(struct options *o, unsigned char *given, struct error *e, char **words)
{
    char *argv[32] = {"train"};
    int argc = 1;
    while (words[argc - 1] && argc < 31) {
        argv[argc] = words[argc - 1];
        argc++;
    }
    e->text[0] = '\0';
    return options_parse(o, NULL, argc, argv, given, e);
}
#define PARSE(o, given, e, ...) parse_words(o, given, e, (char *[]){__VA_ARGS__, NULL})

static void check_equal(const struct options *a, const struct options *b, enum option_place place)
{
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        if (row->place <= place)
            cr_assert(
                !memcmp((const char *)a + row->offset, (const char *)b + row->offset, row->size),
                "%s is '%s'", row->name, row_text(a, row));
    }
}

// A file with these bytes; unlinked by the caller.
static void write_temporary(char path[64], const char *bytes, size_t n)
{
    strcpy(path, "/tmp/ssltop-options-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static int read_text(struct options *o, const char *text, unsigned char *given, struct error *e)
{
    char path[64];
    write_temporary(path, text, strlen(text));
    int rc = options_read_file(o, path, given, e);
    unlink(path);
    return rc;
}

// Legal values of every kind, the odd ones among them.
static void random_value(struct rng *r, const struct option_row *row, char *text, size_t size)
{
    static const char *const odd[] = {
        "x",     " padded ", "\"quoted\"", "\"",
        "a ; b", "; c",      "# d",        "e = f : g",
        "[h]",   "größer",   "/a/b c",     "auc > 0.85 for 200 steps: continual; loss > 0: pause"};
    static const char *const subsets[] = {"20%", "0.125%", "700", "100%"};
    static const char *const normal[] = {"auto", "0.5/0.25", "0.1,0.2,0.3/1,2,3", "-1e-3/0.5"};
    double u = rng_uniform(r);
    if (row->word && rng_below(r, 4) == 0) {
        snprintf(text, size, "%s", row->word);
    } else if (row->choices) {
        snprintf(text, size, "%.*s", (int)strcspn(row->choices, "|"), row->choices);
    } else if (!strcmp(row->name, "subset")) {
        snprintf(text, size, "%s", subsets[rng_below(r, 4)]);
    } else if (!strcmp(row->name, "normalize")) {
        snprintf(text, size, "%s", normal[rng_below(r, 4)]);
    } else if (row->type == OPTION_STRING) {
        snprintf(text, size, "%s", odd[rng_below(r, sizeof odd / sizeof *odd)]);
        if (strlen(text) >= row->size)
            snprintf(text, size, "y");
    } else if (row->type == OPTION_FLAG) {
        snprintf(text, size, "%s", u < 0.5 ? "on" : "off");
    } else if (row->type == OPTION_DOUBLE) {
        snprintf(text, size, "%.17g", row->lo + (row->hi - row->lo) * u * u * u);
    } else if (row->type == OPTION_UINT64) {
        snprintf(text, size, "%llu", (unsigned long long)rng_u64(r));
    } else {
        int64_t x = (int64_t)(row->lo + (row->hi - row->lo) * u);
        snprintf(text, size, "%lld", (long long)x);
    }
}

static struct options random_options(struct rng *r)
{
    struct options o;
    options_default(&o);
    for (size_t i = 0; i < options_count; i++) {
        char text[OPTION_TEXT];
        struct error e = {""};
        if (options_table[i].place != OPTION_CONFIG || rng_below(r, 3) == 0)
            continue;
        random_value(r, &options_table[i], text, sizeof text);
        cr_assert(options_set(&o, options_table[i].name, text, &e) == 0, "%s", e.text);
    }
    return o;
}

// --- the table ---

Test(options, rows_are_sound)
{
    struct options o;
    options_default(&o);
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        static const size_t size[] = {[OPTION_INT] = sizeof(int),
                                      [OPTION_INT64] = sizeof(int64_t),
                                      [OPTION_UINT64] = sizeof(uint64_t),
                                      [OPTION_DOUBLE] = sizeof(double),
                                      [OPTION_FLAG] = sizeof(int)};
        if (row->type == OPTION_STRING)
            cr_assert(row->size > 1 && row->size <= OPTION_TEXT, "%s", row->name);
        else
            cr_assert(row->size == size[row->type], "%s", row->name);
        cr_assert((row->type == OPTION_FLAG) == !row->argument, "%s", row->name);
        cr_assert(row->type == OPTION_STRING || row->type == OPTION_FLAG || row->lo < row->hi, "%s",
                  row->name);
        cr_assert(row->doc && row->doc[strlen(row->doc) - 1] == '.', "%s", row->name);
        cr_assert(row->section && row->fallback, "%s", row->name);
        cr_assert(option_find(options_table, row->name) == row, "%s twice", row->name);
        for (size_t k = 0; k < i; k++)
            cr_assert(options_table[k].offset != row->offset, "%s", row->name);
        // a section is one run of rows
        if (i && strcmp(row->section, options_table[i - 1].section) != 0)
            for (size_t k = 0; k < i; k++)
                cr_assert(strcmp(row->section, options_table[k].section) != 0, "%s", row->section);
        // a default can be said again
        struct error e = {""};
        if (*row->fallback)
            cr_assert(options_set(&o, row->name, row->fallback, &e) == 0, "%s", e.text);
        if (row->offset != offsetof(struct options, runs))
            cr_assert_str_eq(row_text(&o, row), row->fallback);
    }
}

Test(options, defaults)
{
    struct options o;
    setenv("SSLTOP_RUNS", "", 1);
    options_default(&o);
    cr_assert_str_eq(o.data, "fashion-mnist");
    cr_assert_str_eq(o.arch, "resnet18");
    cr_assert_str_eq(o.method, "simsiam");
    cr_assert_str_eq(o.schedule, "multi-epoch");
    cr_assert_str_eq(o.augment, "auto");
    cr_assert_str_eq(o.optimizer, "auto");
    cr_assert_str_eq(o.stem, "auto");
    cr_assert_str_eq(o.precision, "auto");
    cr_assert_str_eq(o.device, "auto");
    cr_assert_str_eq(o.normalize, "auto");
    cr_assert_str_eq(o.runs, "./runs");
    cr_assert(o.lr == -1 && o.wd == -1 && o.tau == -1 && o.warmup == -1);
    cr_assert(o.momentum == 0.9 && o.epochs == 10 && o.predictor && o.stop_gradient);
    cr_assert(o.fix_pred_lr == -1 && o.proj_layers == 0 && o.keep == 3 && o.seed == 1);
    cr_assert(o.width == 0 && o.batch == 0 && o.steps == 0 && o.chunks == 0 && o.threads == 0);
    cr_assert(o.from == -1 && o.stop_at == 0 && !o.headless && !*o.guard && !*o.subset);
}

Test(options, runs_come_from_the_environment)
{
    struct options o;
    struct error e;
    setenv("SSLTOP_RUNS", "/big/runs", 1);
    cr_assert(PARSE(&o, NULL, &e, "--seed", "3") == 0, "%s", e.text);
    cr_assert_str_eq(o.runs, "/big/runs");
    cr_assert(PARSE(&o, NULL, &e, "--runs=here") == 0, "%s", e.text);
    cr_assert_str_eq(o.runs, "here");
    setenv("SSLTOP_RUNS", "a\nb", 1);
    cr_assert(PARSE(&o, NULL, &e, "--seed", "3") == -1);
    cr_assert(strstr(e.text, "SSLTOP_RUNS") != NULL, "%s", e.text);
}

// --- the command line ---

Test(options, command_line)
{
    struct options o;
    struct error e;
    unsigned char given[64];
    cr_assert(options_count <= sizeof given);
    cr_assert(PARSE(&o, given, &e, "--width", "16", "--lr=0.05", "--no-fix-pred-lr", "--headless",
                    "--data", "idx:/a b", "--guard=", "--from", "0", "--width=32",
                    "--schedule=continual@5:40%,multi-epoch", "--threads=auto") == 0,
              "%s", e.text);
    cr_assert(o.width == 32 && o.lr == 0.05 && !o.fix_pred_lr && o.headless && o.from == 0);
    cr_assert_str_eq(o.data, "idx:/a b");
    cr_assert_str_eq(o.schedule, "continual@5:40%,multi-epoch");
    static const char *const named[] = {"width", "lr",   "fix-pred-lr", "headless", "data",
                                        "guard", "from", "schedule",    "threads"};
    size_t n = 0;
    for (size_t i = 0; i < options_count; i++)
        n += given[i];
    cr_assert(n == sizeof named / sizeof *named);
    for (size_t i = 0; i < n; i++)
        cr_assert(given[option_find(options_table, named[i]) - options_table], "%s", named[i]);

    cr_assert(PARSE(&o, given, &e, "--fix-pred-lr=off", "--inexact", "--no-headless") == 0);
    cr_assert(!o.fix_pred_lr && o.inexact && !o.headless);
    cr_assert(PARSE(&o, NULL, &e, "-h", "--config", "/does/not/exist") == OPTION_HELP);
    cr_assert(PARSE(&o, NULL, &e, "--seed", "18446744073709551615") == 0);
    cr_assert(o.seed == UINT64_MAX);
}

Test(options, refuses_with_a_sentence)
{
    static const struct {
        const char *word, *value, *because;
    } bad[] = {
        {"--runs=~/r", NULL, "leave a blank there, --runs ~/r"},
        {"--init=~", NULL, "no shell makes a path"},
        {"--width", "0", "auto or a whole number from 1 to 1024"},
        {"--width", "1025", "whole number"},
        {"--width", "-4", "whole number"},
        {"--width", "16x", "--width '16x'"},
        {"--width", " 16", "whole number"},
        {"--width", "", "whole number"},
        {"--width", "4294967312", "whole number"},
        {"--width", "99999999999999999999", "whole number"},
        {"--width", "1e3", "whole number"},
        {"--width", "Auto", "whole number"},
        {"--width", NULL, "needs a value"},
        {"--width", "--headless", "needs a value"},
        {"--batch", "1", "from 2"},
        {"--lr", "nan", "auto or a number from 0"},
        {"--lr", "-nan", "auto or a number from 0"},
        {"--lr", "inf", "a number"},
        {"--lr", "1e999", "a number"},
        {"--lr", "-1", "a number"},
        {"--lr", "0x10", "a number"},
        {"--lr", "1,5", "a number"},
        {"--lr", "1e", "a number"},
        {"--lr", "Auto", "a number"},
        {"--momentum", "auto", "a number"},
        {"--fix-pred-lr=maybe", NULL, "on, off or auto"},
        {"--momentum", "1.1", "from 0 to 1"},
        {"--seed", "-1", "18446744073709551615"},
        {"--seed", "18446744073709551616", "18446744073709551615"},
        {"--from", "-1", "last or"},
        {"--steps", "0", "auto or"},
        {"--stop-at", "0", "end or"},
        {"--chunks", "2147483648", "from 1"},
        {"--proj-layers", "4", "from 2 to 3"},
        {"--stem", "cifa", "auto, cifar or imagenet"},
        {"--precision", "f16", "auto, f32 or bf16"},
        {"--subset", "120%", "100 %"},
        {"--subset", "x", "percentage"},
        {"--subset", "20 %", "percentage"},
        {"--normalize", "1/2,3", "MEAN/STD"},
        {"--normalize", "0.5/0", "above 0"},
        {"--normalize", "nan/1", "MEAN/STD"},
        {"--normalize", "0.5", "MEAN/STD"},
        {"--normalize", "0.5/1/1", "MEAN/STD"},
        {"--name", "a/b", "no '/'"},
        {"--name", "..", "'.'"},
        {"--data", "", "needs a value"},
        {"--data", "a\tb", "printable"},
        {"--data", "a\xff", "printable"},
        {"--headless=maybe", NULL, "on or off"},
        {"--no-headless=on", NULL, "unknown option --no-headless"},
        {"--no-width", NULL, "unknown option --no-width"},
        {"--config", "/does/not/exist.ini", "/does/not/exist.ini"},
        {"extra", NULL, "unexpected argument 'extra'"},
        {"--", NULL, "unexpected argument"},
        {"-w", NULL, "unknown option -w; ssltop train --help lists them"},
        {"-", NULL, "unexpected argument '-'"},
        {"--help=on", NULL, "unknown option --help"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct error e;
        int rc = PARSE(&o, NULL, &e, (char *)bad[i].word, (char *)bad[i].value);
        cr_assert(rc == -1, "%s %s was taken", bad[i].word, bad[i].value ? bad[i].value : "");
        cr_assert(strstr(e.text, bad[i].because) != NULL, "%s %s: %s", bad[i].word,
                  bad[i].value ? bad[i].value : "", e.text);
        for (const char *c = e.text; *c; c++)
            cr_assert((unsigned char)*c >= ' ' && *c != 0x7f, "%s: control character", bad[i].word);
    }
}

Test(options, a_value_that_is_too_long_is_refused)
{
    char text[OPTION_TEXT + 1];
    struct options o;
    struct error e = {""};
    options_default(&o);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        if (row->type != OPTION_STRING || row->choices || row->check)
            continue;
        text[row->size - 1] = '\0';
        cr_assert(options_set(&o, row->name, text, &e) == 0, "%s", e.text);
        text[row->size - 1] = 'x';
        text[row->size] = '\0';
        cr_assert(options_set(&o, row->name, text, &e) == -1, "%s", row->name);
        cr_assert(strstr(e.text, "longer") != NULL, "%s", e.text);
        text[row->size] = 'x';
    }
}

Test(options, an_unknown_name_is_told_the_nearest)
{
    static const char *const near[][2] = {
        {"--epoch", "--epochs"}, {"--bach", "--batch"},          {"--sched", "--schedule"},
        {"--withd", "--width"},  {"--presision", "--precision"}, {"--head-less", "--headless"}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct options o;
        struct error e;
        char want[64];
        cr_assert(PARSE(&o, NULL, &e, (char *)near[i][0]) == -1);
        snprintf(want, sizeof want, "nearest is %s", near[i][1]);
        cr_assert(strstr(e.text, near[i][0]) && strstr(e.text, want), "%s", e.text);
    }
    struct options o;
    struct error e;
    char longer[600];
    memset(longer, 'a', sizeof longer);
    memcpy(longer, "--", 2);
    longer[sizeof longer - 1] = '\0';
    cr_assert(PARSE(&o, NULL, &e, longer) == -1);
    cr_assert(strstr(e.text, "unknown option --aaa") != NULL, "%s", e.text);
}

Test(options, a_name_like_none_is_told_where_they_are_listed)
{
    static const char *const names[] = {"--bogus", "--x", "--frobnicate"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct options o;
        struct error e;
        cr_assert(PARSE(&o, NULL, &e, (char *)names[i]) == -1);
        cr_assert(strstr(e.text, names[i]) && strstr(e.text, "--help lists them"), "%s", e.text);
        cr_assert(!strstr(e.text, "nearest"), "%s", e.text);
    }
}

// --- the configuration file ---

Test(options, file_round_trips)
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int round = 0; round < 200; round++) {
        struct options o = random_options(&r), back;
        struct error e = {""};
        char path[64];
        write_temporary(path, "", 0);
        FILE *f = fopen(path, "w");
        cr_assert(f != NULL);
        options_write_file(&o, f);
        fclose(f);
        options_default(&back);
        cr_assert(options_read_file(&back, path, NULL, &e) == 0, "%s", e.text);
        unlink(path);
        check_equal(&back, &o, OPTION_CONFIG);
    }
}

Test(options, file_may_look_like_a_person_wrote_it)
{
    struct options o;
    struct error e = {""};
    unsigned char given[64] = {0};
    options_default(&o);
    cr_assert(
        read_text(&o,
                  "\xef\xbb\xbf# a comment\n; another\nseed=7\r\n[anything]\n  width :  32  \n"
                  "guard = auc > 0.9 ; loss > 0: pause\n\n[data]\nheadless = yes\n"
                  "fix-pred-lr = no\nruns = \"/my runs\"",
                  given, &e) == 0,
        "%s", e.text);
    cr_assert(o.seed == 7 && o.width == 32 && o.headless && !o.fix_pred_lr);
    cr_assert_str_eq(o.guard, "auc > 0.9 ; loss > 0: pause");
    cr_assert_str_eq(o.runs, "/my runs");
    size_t n = 0;
    for (size_t i = 0; i < options_count; i++)
        n += given[i];
    cr_assert(n == 6 && given[option_find(options_table, "seed") - options_table]);
}

Test(options, file_is_refused_with_its_line)
{
    static const struct {
        const char *text, *because;
    } bad[] = {
        {"seed = 1\nwidht = 8\n", "line 2: unknown option widht; the nearest is width"},
        {"\n\nwidth = -7\n", "line 3: --width '-7'"},
        {"seed = 1\nseed\n", "line 2: expected NAME = VALUE"},
        {"[data\nseed = 1\n", "line 1: expected"},
        {"seed = 1\n  2\n", "line 2: expected"},
        {"config = x\n", "line 1: config has no place"},
        {"help = on\n", "line 1: help has no place"},
        {"width =\n", "line 1: --width"},
        {"= 4\n", "line 1: unknown option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct error e = {""};
        options_default(&o);
        cr_assert(read_text(&o, bad[i].text, NULL, &e) == -1, "'%s' was taken", bad[i].text);
        cr_assert(strstr(e.text, bad[i].because) != NULL, "'%s': %s", bad[i].text, e.text);
        cr_assert(strncmp(e.text, "/tmp/ssltop-options-", 20) == 0, "%s", e.text);
    }
}

// The longest value of a run can be written into its configuration file and read back, as can the
// longest line; one more is refused and said.
Test(options, long_lines_of_a_file)
{
    enum { MOST = 4094 };
    struct options o;
    struct error e = {""};
    char path[64], line[MOST + 3] = "data = ";
    options_default(&o);
    memset(line + 7, 'd', OPTION_TEXT - 1);
    line[7 + OPTION_TEXT - 1] = '\n';
    write_temporary(path, line, 7 + OPTION_TEXT);
    cr_assert(options_read_file(&o, path, NULL, &e) == 0, "%s", e.text);
    cr_assert_eq(strlen(o.data), OPTION_TEXT - 1);
    unlink(path);
    memset(line, '#', sizeof line);
    for (size_t n = MOST; n <= MOST + 1; n++) {
        line[n] = '\n';
        write_temporary(path, line, n + 1);
        cr_expect_eq(options_read_file(&o, path, NULL, &e), n > MOST ? -1 : 0, "%zu", n);
        unlink(path);
        line[n] = '#';
    }
    cr_expect(strstr(e.text, "longer than 4094 bytes"), "%s", e.text);
}

Test(options, hostile_files_are_refused)
{
    struct options o;
    struct error e = {""};
    char path[64], line[8192];
    options_default(&o);
    cr_assert(options_read_file(&o, "/", NULL, &e) == -1); // a folder
    cr_assert(options_read_file(&o, "/dev/zero", NULL, &e) == -1);
    cr_assert(strstr(e.text, "zero byte") != NULL, "%s", e.text);
    memset(line, 'a', sizeof line);
    write_temporary(path, line, sizeof line);
    cr_assert(options_read_file(&o, path, NULL, &e) == -1);
    unlink(path);
    write_temporary(path, "seed = 1\0\nwidth = 4\n", 20);
    cr_assert(options_read_file(&o, path, NULL, &e) == -1);
    cr_assert(strstr(e.text, "line 1") != NULL, "%s", e.text);
    unlink(path);

    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    for (int round = 0; round < 300;
         round++) { // whatever comes: no crash, and a sentence if refused
        size_t n = (size_t)rng_below(&r, sizeof line);
        for (size_t i = 0; i < n; i++) {
            static const char alphabet[] = "\n\n= :;[]\"seedwith014\xff";
            line[i] = alphabet[rng_below(&r, sizeof alphabet)];
        }
        write_temporary(path, line, n);
        e.text[0] = '\0';
        int rc = options_read_file(&o, path, NULL, &e);
        cr_assert((rc == -1) == (e.text[0] != '\0'), "round %d: %d %s", round, rc, e.text);
        unlink(path);
    }
}

Test(options, command_line_wins_over_the_file)
{
    struct options o;
    struct error e;
    unsigned char given[64];
    char path[64];
    const char *text = "width = 8\nseed = 5\nlr = 2\n";
    write_temporary(path, text, strlen(text));
    int rc = PARSE(&o, given, &e, "--width", "12", "--config", path, "--lr=3");
    unlink(path);
    cr_assert(rc == 0, "%s", e.text);
    cr_assert(o.width == 12 && o.seed == 5 && o.lr == 3);
    cr_assert(given[option_find(options_table, "seed") - options_table] == 1);
    cr_assert(given[option_find(options_table, "wd") - options_table] == 0);
}

// --- JSON ---

Test(options, json_round_trips)
{
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (int round = 0; round < 200; round++) {
        struct options o = random_options(&r), back;
        struct error e = {""};
        char *json = options_to_json(&o);
        cr_assert_not_null(json);
        options_default(&back);
        cr_assert(options_from_json(&back, json, &e) == 0, "%s", e.text);
        check_equal(&back, &o, OPTION_COMMAND);
        free(json);
    }
}

Test(options, json_is_refused)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"width\":16}",
                                      "{\"width\":\"0\"}",
                                      "{\"widht\":\"16\"}",
                                      "{\"seed\":",
                                      "{\"a\":null}",
                                      "{\"name\":\"x\"}",
                                      "null",
                                      "{\"seed\":\"1\",\"seed\":\"2\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct error e = {""};
        options_default(&o);
        cr_assert(options_from_json(&o, bad[i], &e) == -1, "%s was taken", bad[i]);
        cr_assert(strncmp(e.text, "recorded options", 16) == 0, "%s", e.text);
    }
}

// --- the rest ---

Test(options, merge_takes_what_was_given)
{
    struct options recorded, call, plain;
    struct error e;
    unsigned char given[64];
    options_default(&plain);
    cr_assert(PARSE(&call, given, &e, "--schedule=multi-epoch", "--name", "b", "--seed=4") == 0);
    options_default(&recorded);
    strcpy(recorded.schedule, "hybrid");
    recorded.width = 8;
    options_merge(&recorded, &call, given);
    cr_assert_str_eq(recorded.schedule, "multi-epoch");
    cr_assert(recorded.width == 8 && recorded.seed == 4);
    cr_assert_str_eq(recorded.name, ""); // belongs to the call
}

Test(options, subset)
{
    static const struct {
        const char *text;
        int64_t total, want; // -1: refused
    } row[] = {{"", 60000, 60000}, {"20%", 60000, 12000}, {"33.3%", 1000, 333},
               {"100%", 7, 7},     {"5", 7, 5},           {"7", 7, 7},
               {"8", 7, -1},       {"1%", 7, -1},         {"0", 7, -1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct options o;
        struct error e = {""};
        int64_t n = -1;
        options_default(&o);
        cr_assert(options_set(&o, "subset", row[i].text, &e) == 0, "%s", e.text);
        int rc = options_subset(&o, row[i].total, &n, &e);
        cr_assert(rc == (row[i].want < 0 ? -1 : 0), "%s", row[i].text);
        cr_assert(rc < 0 ? strstr(e.text, "--subset") != NULL : n == row[i].want, "%s",
                  row[i].text);
    }
}

Test(options, normalize)
{
    struct options o;
    struct error e = {""};
    float mean[3], std[3];
    options_default(&o);
    cr_assert(options_normalize(&o, 3, mean, std, &e) == 0);
    cr_assert(options_set(&o, "normalize", "0.5,0.25,1/1,2,0.125", &e) == 0);
    cr_assert(options_normalize(&o, 3, mean, std, &e) == 1);
    cr_assert(mean[0] == 0.5f && mean[1] == 0.25f && mean[2] == 1 && std[2] == 0.125f);
    cr_assert(options_normalize(&o, 1, mean, std, &e) == -1);
    cr_assert(options_set(&o, "normalize", "0.5/0.25", &e) == 0);
    cr_assert(options_normalize(&o, 3, mean, std, &e) == 1);
    cr_assert(mean[2] == 0.5f && std[0] == 0.25f && std[2] == 0.25f);
    cr_assert(options_normalize(&o, 1, mean, std, &e) == 1 && std[0] == 0.25f);
}

Test(options, help_names_everything_and_keeps_its_width)
{
    for (int columns = 60; columns <= 140; columns += 40) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        cr_assert_not_null(f);
        option_help((const struct option_row *const[]){options_table, NULL}, f, columns);
        fclose(f);
        for (size_t i = 0; i < options_count; i++) {
            char want[80];
            snprintf(want, sizeof want, "%s ", options_table[i].name);
            cr_assert(strstr(text, want) != NULL, "%s", options_table[i].name);
        }
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            cr_assert((int)strlen(line) <= columns, "%d: %s", columns, line);
        free(text);
    }
}
