// Options: of a run's record, a configuration file, a command line, the screen's own file; and the
// words that completion is made of.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "tests/fuzz/foreign.h"
#include "train/methods/method.h"
#include "train/run/setup.h"
#include "tui/cli/cmd.h"
#include "tui/cli/commands.h"
#include "tui/hands/settings.h"

// Rows that belong to the run have the same values.
static void same(const struct options *a, const struct options *b)
{
    char x[OPTION_TEXT], y[OPTION_TEXT];
    for (size_t i = 0; i < options_count; i++) {
        option_value(&options_table[i], a, x, sizeof x);
        option_value(&options_table[i], b, y, sizeof y);
        fuzz_require(options_table[i].place != OPTION_CONFIG || strcmp(x, y) == 0);
    }
}

// What options that were taken lead to, and that they are written as they are read.
static void use(struct options *o)
{
    struct options again;
    float mean[3], std[3];
    int64_t n;
    char title[METHOD_TITLE], *text = options_to_json(o);
    fuzz_require(text);
    options_default(&again);
    fuzz_require(options_from_json(&again, text, NULL) == 0);
    same(o, &again);
    free(text);

    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    fuzz_require(f);
    options_write_file(o, f);
    fuzz_require(!ferror(f) && fclose(f) == 0);
    options_default(&again);
    fuzz_require(options_read_file(&again, foreign_file(1, text, bytes), NULL, NULL) == 0);
    same(o, &again);
    free(text);

    if (options_subset(o, 60000, &n, NULL) == 0)
        fuzz_require(n >= 1 && n <= 60000);
    for (int channels = 1; channels <= 3; channels += 2)
        if (options_normalize(o, channels, mean, std, NULL) == 1)
            fuzz_require(std[0] > 0);
    method_title(o, title, sizeof title);
    setup_names_data(o, NULL);
    if (setup_resolve(o, NULL) == 0)
        method_title(o, title, sizeof title);
}

int fuzz_json(const uint8_t *data, size_t size)
{
    struct options o;
    struct error e = {""};
    char *text = input_text((struct input){data, size});
    options_default(&o);
    int rc = options_from_json(&o, text, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0)
        use(&o);
    free(text);
    return 0;
}

int fuzz_ini(const uint8_t *data, size_t size)
{
    struct options o;
    struct error e = {""};
    unsigned char given[OPTIONS_MAX] = {0};
    options_default(&o);
    int rc = options_read_file(&o, foreign_file(0, data, size), given, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0)
        use(&o);
    return 0;
}

// --- a command line: a byte for the command, then words with a newline or a NUL behind each ---

enum { WORDS = 32 };

static void no_quiet_word(char *word) // one that would have another file read
{
    if (strstr(word, "config"))
        *word = 'x';
}

int fuzz_arguments(const uint8_t *data, size_t size)
{
    static _Alignas(16) char into[1 << 16]; // of any command
    struct input in = {data, size};
    unsigned which = input_byte(&in);
    struct options o;
    struct error e = {""};
    unsigned char given[OPTIONS_MAX];
    char *text = input_text(in), *argv[WORDS + 2] = {NULL};
    int argc = 0, words;
    for (size_t i = 0; i < in.n; i++)
        text[i] = text[i] == '\n' ? '\0' : text[i];
    size_t rows = 0;
    while (command_line_table[rows].name)
        rows++;
    const struct command_line_row *row = &command_line_table[which % rows];
    argv[argc++] = (char *)(uintptr_t)row->name;
    for (size_t at = 0; at < in.n && argc <= WORDS; at += strlen(text + at) + 1) {
        no_quiet_word(text + at);
        argv[argc++] = text + at;
    }
    int rc;
    if (strcmp(row->name, "train") == 0) {
        const struct option_set screen = {screen_option_table, into, NULL};
        rc = options_parse(&o, &screen, argc, argv, given, &e);
        if (rc == 0)
            use(&o);
    } else {
        struct option_set set[COMMAND_LINE_TABLES + 1] = {0};
        for (int i = 0; i < COMMAND_LINE_TABLES && row->options[i]; i++)
            set[i] = (struct option_set){row->options[i], into, NULL};
        rc = option_defaults(set, &e);
        rc = rc ? rc : option_parse(row->name, set, argc, argv, &words, &e);
        fuzz_require(rc || (words >= 0 && words < argc));
    }
    fuzz_require(rc >= 0 || *e.text);
    free(text);
    return 0;
}

// --- the screen's file ---

int fuzz_settings(const uint8_t *data, size_t size)
{
    struct look look = {0}, again = {0};
    struct error e = {""};
    int rc = settings_read(foreign_file(0, data, size), &look, &e);
    fuzz_require(rc == 0 || *e.text);
    char path[512];
    snprintf(path, sizeof path, "%s/a/ssltop.ini", foreign_folder());
    fuzz_require(settings_write(path, &look, NULL) == 0);
    fuzz_require(settings_read(path, &again, NULL) == 0);
    again.theme = look.theme ? again.theme : NULL;
    fuzz_require(!settings_differ(&look, &again));
    return 0;
}

// --- completion: a word for the shell, and usages ---

static void complete(char *shell)
{
    char name[] = "completion", *argv[] = {name, shell, NULL};
    fflush(stdout);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fuzz_require(nowhere >= 0);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    int rc = cmd_completion(2, argv);
    fflush(stdout);
    if (out >= 0)
        dup2(out, STDOUT_FILENO);
    if (err >= 0)
        dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    close(nowhere);
    fuzz_require(rc == CMD_OK || rc == CMD_USAGE);
}

int fuzz_completion(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct cmd_words words;
    char line[512], quoted[2048], shell[64];
    uint32_t code;
    if (input_line(&in, shell, sizeof shell))
        complete(shell);
    while (input_line(&in, line, sizeof line)) {
        cmd_words(line, &words);
        fuzz_require(words.n >= 0 && words.n <= 4 && words.least <= words.n);
        cmd_find(line);
        text_quote(quoted, sizeof quoted, line);
        text_clean(quoted, sizeof quoted, line);
        for (size_t at = 0, n; quoted[at]; at += n) {
            n = (size_t)text_utf8(quoted + at, strlen(quoted + at), &code);
            fuzz_require(n && code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0));
        }
    }
    return 0;
}
