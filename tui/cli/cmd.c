// Words and options of a command without a screen, taken apart by rows.
#include "tui/cli/cmd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/sets/dataset.h"
#include "metrics/base/text.h"
#include "train/run/runs.h"
#include "tui/cli/commands.h"

int cmd_complain(int code, const struct error *e)
{
    char text[sizeof e->text];
    text_clean(text, sizeof text, e->text);
    if (text[0])
        fprintf(stderr, "ssltop: %s\n", text);
    return code;
}

static int help(const char *name, const struct cmd_option *option)
{
    for (const struct command_line_row *c = command_line_table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            printf("usage: ssltop %s %s\n\n%s\n\n", c->name, c->usage, c->doc);
    for (; option->name; option++)
        printf("  %s%s%s%s\n        %s\n", option->name[1] ? "--" : "-", option->name,
               option->argument ? " " : "", option->argument ? option->argument : "", option->doc);
    return CMD_OK;
}

// Whether `word` is this option; *value is behind its '=', or NULL.
static int is_option(const struct cmd_option *o, const char *word, const char **value)
{
    size_t dashes = o->name[1] ? 2 : 1, n = strlen(o->name);
    *value = NULL;
    if (strncmp(word, "--", dashes) != 0 || strncmp(word + dashes, o->name, n) != 0)
        return 0;
    word += dashes + n;
    if (*word == '=')
        *value = word + 1;
    return *word == '\0' || *word == '=';
}

// The option at argv[*i], which moves on over its value.
static int take_option(int argc, char **argv, int *i, const struct cmd_option *option, void *into,
                       struct error *e)
{
    const char *word = argv[*i], *value;
    for (const struct cmd_option *o = option; o->name; o++) {
        if (!is_option(o, word, &value))
            continue;
        if (!o->argument) {
            *(int *)((char *)into + o->offset) = 1;
            return value ? error_set(e, "%.60s takes no value", word) : 0;
        }
        if (!value && *i + 1 < argc)
            value = argv[++*i];
        *(const char **)((char *)into + o->offset) = value;
        return value && *value ? 0 : error_set(e, "%.60s needs its %s", word, o->argument);
    }
    return error_set(e, "unknown option %.60s; see ssltop %.20s --help", word, argv[0]);
}

static const char *usage_of(const char *command)
{
    const struct command_line_row *c = command_line_table;
    while (c->name && strcmp(c->name, command) != 0)
        c++;
    return c->name ? c->usage : "--help";
}

int cmd_parse(int *argc, char **argv, const struct cmd_option *option, void *into, int least,
              int most)
{
    struct error e = {""};
    int words = 1, only_words = 0;
    for (int i = 1; i < *argc; i++) {
        const char *word = argv[i];
        if (only_words || word[0] != '-' || !word[1]) {
            argv[words++] = argv[i];
        } else if (strcmp(word, "--") == 0) {
            only_words = 1;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return help(argv[0], option);
        } else if (take_option(*argc, argv, &i, option, into, &e) < 0) {
            return cmd_complain(CMD_USAGE, &e);
        }
    }
    argv[words] = NULL;
    *argc = words;
    if (words - 1 < least)
        error_set(&e, "%s needs more words: ssltop %s %s", argv[0], argv[0], usage_of(argv[0]));
    else if (words - 1 > most)
        error_set(&e, "%s: '%.60s' is one word too many", argv[0], argv[most + 1]);
    return e.text[0] ? cmd_complain(CMD_USAGE, &e) : CMD_GO_ON;
}

int cmd_count(const char *name, const char *text, int64_t most, int64_t *number)
{
    struct error e = {""};
    char *end;
    *number = 0;
    if (!text)
        return CMD_GO_ON;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < 1 || n > most) {
        error_set(&e, "--%s needs a number from 1 to %lld", name, (long long)most);
        return cmd_complain(CMD_USAGE, &e);
    }
    *number = n;
    return CMD_GO_ON;
}

int cmd_threads(const char *text, int *threads)
{
    int64_t n;
    int rc = cmd_count("threads", text, 4096, &n);
    *threads = (int)n;
    return rc;
}

int cmd_take(int *argc, char **argv, const struct cmd_option *option, void *into, struct error *e)
{
    int kept = 1, i = 1;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;
        const struct cmd_option *o = option;
        while (o->name && !is_option(o, argv[i], &value))
            o++;
        if (!o->name)
            argv[kept++] = argv[i];
        else if (take_option(*argc, argv, &i, option, into, e))
            return -1;
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    argv[kept] = NULL;
    *argc = kept;
    return 0;
}

const char *cmd_runs(void)
{
    const char *set = getenv("SSLTOP_RUNS");
    return set && *set ? set : "./runs";
}

int cmd_find_log(const char *runs, const char *word, char *path, size_t size, struct error *e)
{
    struct stat st;
    if (stat(word, &st) == 0 && S_ISREG(st.st_mode)) {
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
    error_set(&e, "the answer cannot be written: memory is short, or a name is not UTF-8");
    return cmd_complain(CMD_FAILED, &e);
}

void cmd_name_broken(const struct dataset *d)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        struct pictures *source = d->split[s].source;
        int64_t n = source ? pictures_broken(source) : 0;
        if (source && source->notice)
            fprintf(stderr, "%s\n", source->notice);
        for (int64_t k = 0; k < n && k < PICTURES_BROKEN_KEPT; k++) {
            const char *text = pictures_sentence(source, k);
            fprintf(stderr, "broken, left out: %s\n", text ? text : "");
        }
        if (n > PICTURES_BROKEN_KEPT)
            fprintf(stderr, "broken, left out: %lld more\n", (long long)(n - PICTURES_BROKEN_KEPT));
    }
}
