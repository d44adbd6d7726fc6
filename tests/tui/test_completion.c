// Completion: the script for bash is sourced and asked; those for zsh and fish are parsed by their
// shells where these are installed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/say.h"
#include "train/options/options.h"
#include "tui/cli/cmd.h"
#include "tui/cli/commands.h"

static char folder[64], script[96];

static void setup(void)
{
    strcpy(folder, "/tmp/ssltop-completion-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(script, sizeof script, "%s/script", folder);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(completion, .init = setup, .fini = teardown);

static void write_script(const char *shell)
{
    struct said s = SAY("completion", shell);
    FILE *f = fopen(script, "w");
    cr_assert(s.code == 0 && f, "%s", s.err);
    cr_assert(fputs(s.out, f) >= 0 && fclose(f) == 0);
    said_free(&s);
}

// What bash offers behind these words (quoted for the shell), one a line: " a b c ".
static char *offered(const char *words)
{
    static char all[32768];
    char command[1024];
    snprintf(command, sizeof command,
             "SSLTOP_RUNS=%s/runs bash --norc -c 'source %s || exit 9; COMP_WORDS=(ssltop %s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ssltop; printf \" %%s\" \"${COMPREPLY[@]}\"; "
             "echo \" \"' 2>&1",
             folder, script, words);
    FILE *f = popen(command, "r");
    cr_assert(f);
    all[fread(all, 1, sizeof all - 1, f)] = '\0';
    cr_assert_eq(pclose(f), 0, "%s", all);
    return all;
}

static int offers(const char *words, const char *want)
{
    char found[128];
    snprintf(found, sizeof found, " %s ", want);
    return strstr(offered(words), found) != NULL;
}

static void make_run(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/runs", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/runs/%s", folder, name);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/runs/%s/run.jsonl.zst", folder, name);
    FILE *f = fopen(path, "w");
    cr_assert(f && fclose(f) == 0);
}

Test(completion, bash_knows_every_command_and_option)
{
    write_script("bash");
    char *commands = strdup(offered("\"\""));
    cr_assert(commands);
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        char word[96], found[64];
        snprintf(found, sizeof found, " %s ", row->name);
        cr_assert(strstr(commands, found), "%s: %s", row->name, commands);
        snprintf(word, sizeof word, "%s -", row->name);
        char *all = offered(word);
        cr_assert(strstr(all, " --help "), "%s: %s", row->name, all);
        for (int t = 0; row->options[t]; t++)
            for (const struct option_row *o = row->options[t]; o->name; o++) {
                snprintf(found, sizeof found, " %s%s ", option_dashes(o), o->name);
                cr_assert(strstr(all, found), "%s %s", row->name, o->name);
            }
    }
    free(commands);
    char *all = offered("train --");
    cr_assert(strstr(all, " --theme ") && strstr(all, " --no-predictor "), "%s", all);
}

Test(completion, bash_knows_values)
{
    write_script("bash");
    make_run("calm");
    make_run("collapsed");
    cr_assert_str_eq(offered("tr"), " train \n");
    cr_assert_str_eq(offered("--metho"), " --method \n", "without a command: train");
    cr_assert_str_eq(offered("train --method s"), " simsiam \n");
    cr_assert_str_eq(offered("train --method = s"), " simsiam \n");
    cr_assert_str_eq(offered("train --method ="), offered("train --method \"\""));
    cr_assert_str_eq(offered("--precision b"), " bf16 \n");
    cr_assert(offers("train --schedule \"\"", "continual"));
    cr_assert(offers("train --schedule \"\"", "hybrid"));
    cr_assert(offers("train --data fashion", "fashion-mnist"));
    cr_assert_str_eq(offered("attach c"), " calm collapsed \n");
    cr_assert_str_eq(offered("attach --theme mono col"), " collapsed \n");
    cr_assert_str_eq(offered("ctl ca"), " calm \n");
    cr_assert_str_eq(offered("ctl calm pa"), " pause \n");
    cr_assert_str_eq(offered("ctl calm mode mul"), " multi-epoch \n");
    cr_assert_str_eq(offered("log ch"), " check \n");
    cr_assert(offers("log check c", "calm"));
    cr_assert_str_eq(offered("export calm --format s"), " svg \n");
    cr_assert_str_eq(offered("export calm --what sp"), " spectrum \n");
    cr_assert_str_eq(offered("completion z"), " zsh \n");
    cr_assert_str_eq(offered("devices x"), "  \n");
    char words[256], want[256];
    snprintf(words, sizeof words, "attach --runs %s/runs cal", folder);
    cr_assert_str_eq(offered(words), " calm \n");
    snprintf(words, sizeof words, "log repair calm -o %s/scr", folder);
    snprintf(want, sizeof want, " %s \n", script);
    cr_assert_str_eq(offered(words), want);
}

Test(completion, the_other_shells_can_read_theirs)
{
    static const char *const shell[] = {"bash", "zsh", "fish"};
    for (int i = 0; i < 3; i++) {
        char command[256];
        write_script(shell[i]);
        snprintf(command, sizeof command, "command -v %s >/dev/null", shell[i]);
        if (system(command) != 0) {
            cr_log_info("%s is not installed", shell[i]);
            continue;
        }
        snprintf(command, sizeof command, "%s -n %s", shell[i], script);
        cr_assert_eq(system(command), 0, "%s", shell[i]);
    }
    struct said s = SAY("completion", "csh");
    cr_assert(s.code == 2 && strstr(s.err, "bash, zsh and fish"));
    said_free(&s);
}

// Text without line breaks and indents.
static void plain(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from == '\n' ? ' ' : *from;
        if (c != ' ' || (to > text && to[-1] != ' '))
            *to++ = c;
    }
    *to = '\0';
}

// Every command says what it does and takes.
Test(completion, help_of_every_command)
{
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        struct said s = SAY(row->name, "--help"), same = SAY("help", row->name);
        if (strcmp(row->name, "help") != 0)
            cr_expect_str_eq(same.out, s.out, "help %s", row->name);
        said_free(&same);
        cr_assert_eq(s.code, 0, "%s", row->name);
        cr_assert(strstr(s.out, row->name) && strlen(s.out) > 60, "%s: %s", row->name, s.out);
        plain(s.out);
        for (int t = 0; row->options[t]; t++)
            for (const struct option_row *o = row->options[t]; o->name; o++) {
                char doc[3 * OPTION_TEXT];
                option_doc(o, doc, sizeof doc);
                cr_assert(strstr(s.out, doc), "%s %s", row->name, o->name);
            }
        said_free(&s);
    }
}

// "--NAME VALUE" and "--NAME=VALUE" everywhere, and a slip of the fingers is told what was meant.
Test(completion, every_command_takes_options_alike)
{
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        for (int t = 0; row->options[t]; t++)
            for (const struct option_row *o = row->options[t]; o->name; o++) {
                char word[96], joined[256], wrong[96], want[256], value[80] = "1";
                int n = (int)strlen(o->name);
                if (o->choices || o->values)
                    option_choice(o, 0, value, sizeof value);
                else if (o->lo > 1)
                    snprintf(value, sizeof value, "%.0f", o->lo);
                else if (strcmp(o->name, "normalize") == 0)
                    strcpy(value, "auto");
                snprintf(word, sizeof word, "%s%s", option_dashes(o), o->name);
                snprintf(joined, sizeof joined, "%s=%s", word, value);
                struct said s = o->argument ? SAY(row->name, word, value, "--help")
                                            : SAY(row->name, word, "--help");
                cr_expect_eq(s.code, 0, "%s %s: %s", row->name, word, s.err);
                said_free(&s);
                if (o->argument) {
                    s = SAY(row->name, joined, "-h");
                    cr_expect_eq(s.code, 0, "%s %s: %s", row->name, joined, s.err);
                    said_free(&s);
                    s = SAY(row->name, word);
                    snprintf(want, sizeof want, "%s needs a value: %s", word, word);
                    cr_expect(s.code == 2 && strstr(s.err, want), "%s: %s", row->name, s.err);
                    said_free(&s);
                }
                if (n < 4)
                    continue;
                snprintf(wrong, sizeof wrong, "--%.*s", n - 1, o->name);
                s = SAY(row->name, wrong);
                snprintf(want, sizeof want, "unknown option %s; the nearest is --", wrong);
                cr_expect(s.code == 2 && strstr(s.err, want), "%s: %s", row->name, s.err);
                said_free(&s);
            }
}

Test(completion, a_quote_in_a_text_stays_in_its_word)
{
    struct said s = SAY("completion", "zsh");
    cr_assert(strstr(s.out, "a checkpoint'\\''s"), "%s", s.out);
    said_free(&s);
    s = SAY("completion", "fish");
    cr_assert(strstr(s.out, "a checkpoint\\'s"), "%s", s.out);
    said_free(&s);
}
