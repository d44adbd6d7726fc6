// Words and options of a command without a screen, taken apart by rows.
#include "metrics/base/file.h"
#include "metrics/base/output.h"
#include "train/store/rundir.h"
#include "tui/cli/cmd.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "metrics/base/text.h"
#include "train/run/runs.h"

int cmd_complain(int code, const struct error *e)
{
    char text[sizeof e->text];
    text_clean(text, sizeof text, e->text);
    if (text[0])
        fprintf(stderr, "ssltop: %s\n", text);
    return code;
}

int cmd_refuse(const char *fmt, ...)
{
    struct error e;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    return cmd_complain(CMD_USAGE, &e);
}

int cmd_columns(int otherwise)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col
                                                                             : otherwise;
}

void cmd_words(const char *usage, struct cmd_words *out)
{
    *out = (struct cmd_words){.n = 0};
    size_t n;
    const char *word;
    while (out->n < (int)(sizeof out->word / sizeof *out->word) &&
           (word = text_word(&usage, ' ', &n))) {
        size_t opened = *word == '[', closed = word[n - 1] == ']';
        if (word[opened] == '-' || strncmp(word, "[options]", n) == 0)
            return;
        if (strncmp(word, "...", 3) == 0) {
            out->repeats = 1;
            continue;
        }
        snprintf(out->word[out->n++], sizeof *out->word, "%.*s", (int)(n - opened - closed),
                 word + opened);
        out->least += !opened;
    }
}

const struct command_line_row *cmd_find(const char *name)
{
    for (const struct command_line_row *c = command_line_table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int help(const struct command_line_row *row)
{
    printf("usage: ssltop %s %s\n\n%s\n\n", row->name, row->usage, row->doc);
    option_help(row->options, stdout, cmd_columns(80));
    return CMD_OK;
}

int cmd_parse(int *argc, char **argv, void *into)
{
    struct error e = {""};
    struct option_set set[COMMAND_LINE_TABLES + 1] = {0};
    struct cmd_words words;
    int given;
    const struct command_line_row *row = cmd_find(argv[0]);
    for (int i = 0; i < COMMAND_LINE_TABLES && row->options[i]; i++)
        set[i] = (struct option_set){row->options[i], into, NULL};
    int rc = option_defaults(set, &e);
    if (rc == 0)
        rc = option_parse(row->name, set, *argc, argv, &given, &e);
    if (rc)
        return rc == OPTION_HELP ? help(row) : cmd_complain(CMD_USAGE, &e);
    *argc = given + 1;
    cmd_words(row->usage, &words);
    if (given < words.least)
        return cmd_refuse("%s needs more words: ssltop %s %s", row->name, row->name, row->usage);
    if (given > words.n && !words.repeats)
        return cmd_refuse("%s: '%.60s' is one word too many", row->name, argv[words.n + 1]);
    return CMD_GO_ON;
}

int cmd_find_log(const char *runs, const char *word, char *path, size_t size, struct error *e)
{
    if (path_is_file(word)) {
        if ((size_t)snprintf(path, size, "%s", word) < size)
            return 0;
        return error_set(e, "the path %.60s... is too long", word);
    }
    if (runs_find(runs, word, 0, path, size, e))
        return -1;
    size_t n = strlen(path);
    if ((size_t)snprintf(path + n, size - n, "/run.jsonl.zst") < size - n)
        return 0;
    return error_set(e, "the path %.60s... is too long", path);
}

int cmd_spares_runs(const char *out, struct error *e)
{
    char *real = realpath(out, NULL);
    int owns = rundir_owns(real ? real : out);
    free(real);
    return owns ? error_set(e, "%.300s belongs to a run: the output needs another name", out) : 0;
}

int cmd_begins(const char *path, const char *with)
{
    char head[16] = {0};
    FILE *f = fopen(path, "re");
    int is = f && fread(head, 1, strlen(with), f) == strlen(with) && strcmp(head, with) == 0;
    if (f)
        fclose(f);
    return is;
}

int cmd_spares_data(const char *out, const char *data, const char *magic, struct error *e)
{
    const char *from = strchr(data, ':');
    if (!from || file_distinct(out, from + 1, e) < 0)
        return from ? -1 : 0;
    char *folder = realpath(from + 1, NULL), *file = realpath(out, NULL);
    size_t n = folder ? strlen(folder) : 0;
    int rc = 0;
    if (folder && file && strncmp(file, folder, n) == 0 && file[n] == '/' && path_is_file(file) &&
        !cmd_begins(file, magic))
        rc = error_set(e,
                       "%.200s lies in the folder of the data and is no earlier output: the "
                       "output needs another name",
                       out);
    free(folder);
    free(file);
    return rc;
}

int cmd_check_output(struct error *e)
{
    if (output_flush(stdout) == 0)
        return 0;
    error_set(e, "can't write to standard output%s%s", errno ? ": " : "",
              errno ? strerror(errno) : "");
    __fpurge(stdout);
    clearerr(stdout);
    return -1;
}

json_t *cmd_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

int cmd_print_json(json_t *object)
{
    struct error e = {""};
    int rc = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17)) : -1;
    json_decref(object);
    if (rc == 0 && putchar('\n') != EOF)
        return CMD_OK;
    if (ferror(stdout)) // which is said in the end
        return CMD_FAILED;
    error_set(&e, "the answer cannot be written: memory is short, or a name is not UTF-8");
    return cmd_complain(CMD_FAILED, &e);
}
