// ssltop completion: what bash, zsh and fish need to complete a command line, made from the tables
// of commands, options and their values. `make install` puts them where Debian's shells look.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/sets/dataset.h"
#include "train/wire/control.h"
#include "train/methods/method.h"
#include "train/options/options.h"
#include "train/schedule/schedule_text.h"
#include "tui/cli/cmd.h"
#include "tui/cli/commands.h"

// An option of any command, as the generators need it.
struct offer {
    const char *name, *doc;
    int takes_value;
    char values[512]; // alternatives divided by '|', CMD_A_... among them; "": anything
};

// --- the tables ---

static void add(char *list, size_t size, const char *word, const char *suffix)
{
    size_t n = strlen(list);
    snprintf(list + n, size - n, "%s%s%s", n ? "|" : "", word, suffix);
}

static void add_datasets(char *list, size_t size)
{
    for (const struct dataset_kind *d = dataset_table; d->name; d++)
        add(list, size, d->name, d->argument && *d->argument != '[' ? ":" : "");
}

static void add_recipes(char *list, size_t size)
{
    for (const struct augment_recipe *r = augment_table; r->name; r++)
        add(list, size, r->name, "");
}

static void add_archs(char *list, size_t size)
{
    for (const struct arch_row *a = arch_table; a->name; a++)
        add(list, size, a->name, "");
}

static void add_methods(char *list, size_t size)
{
    for (const struct method_row *m = method_table; m->name; m++)
        add(list, size, m->name, "");
}

static void add_modes(char *list, size_t size)
{
    for (int i = 0; i < MODE_COUNT; i++)
        add(list, size, mode_table[i].name, "");
}

static void add_plans(char *list, size_t size)
{
    add_modes(list, size);
    for (const struct schedule_text_row *p = schedule_text_table; p->name; p++)
        add(list, size, p->name, "");
}

// Values that other tables have, by the option that takes them.
static const struct {
    const char *option;
    void (*add)(char *list, size_t size);
} table_of[] = {
    {"data", add_datasets},  {"augment", add_recipes}, {"arch", add_archs},
    {"method", add_methods}, {"schedule", add_plans},
};

static void values_of(const char *option, const char *argument, const char *given, char *list,
                      size_t size)
{
    list[0] = '\0';
    if (given)
        add(list, size, given, "");
    for (size_t i = 0; !given && i < sizeof table_of / sizeof *table_of; i++)
        if (strcmp(option, table_of[i].option) == 0)
            table_of[i].add(list, size);
    if (list[0] || !argument)
        return;
    if (strncmp(argument, "FILE", 4) == 0)
        add(list, size, CMD_A_FILE, "");
    else if (strncmp(argument, "DIR", 3) == 0)
        add(list, size, CMD_A_FOLDER, "");
    else if (strcmp(argument, "RUN") == 0)
        add(list, size, CMD_A_RUN, "");
}

// Option i of a command: 1, or 0 when there are no more.
static int offer_of(const struct command_line_row *row, size_t i, struct offer *o)
{
    const struct cmd_option *own = row->options ? row->options : screen_option_table;
    int is_train = strcmp(row->name, "train") == 0;
    if (is_train && i < option_count) {
        const struct option_row *r = &option_table[i];
        *o = (struct offer){.name = r->name, .doc = r->doc, .takes_value = r->type != OPTION_FLAG};
        values_of(r->name, r->argument, r->choices, o->values, sizeof o->values);
        return 1;
    }
    if (is_train)
        i -= option_count;
    if (!is_train && !row->options)
        return 0;
    for (size_t k = 0; k < i; k++)
        if (!own[k].name)
            return 0;
    if (!own[i].name)
        return 0;
    *o = (struct offer){.name = own[i].name, .doc = own[i].doc, .takes_value = !!own[i].argument};
    values_of(own[i].name, own[i].argument, own[i].values, o->values, sizeof o->values);
    return 1;
}

static const char *dashes(const struct offer *o)
{
    return o->name[1] ? "--" : "-";
}

// The first sentence, for a line in a menu.
static int sentence(const char *doc)
{
    const char *dot = strstr(doc, ". ");
    size_t n = dot ? (size_t)(dot - doc) : strlen(doc);
    while (n && doc[n - 1] == '.')
        n--;
    return (int)n;
}

// A text with every character of `special` behind `escape`.
static void put_escaped(const char *text, int n, const char *special, const char *escape)
{
    for (int i = 0; i < n; i++) {
        if (strchr(special, text[i]))
            fputs(escape, stdout);
        putchar(text[i]);
    }
}

// The same between single quotes, where a quote ends the word and begins it anew.
static void put_in_quotes(const char *text, int n, const char *special)
{
    for (int i = 0; i < n; i++) {
        if (text[i] == '\'')
            fputs("'\\'", stdout);
        else if (strchr(special, text[i]))
            putchar('\\');
        putchar(text[i]);
    }
}

// Walk through the alternatives of a list: 1 and one of them in `word`.
static int next_value(const char **list, char *word, size_t size)
{
    size_t n = strcspn(*list, "|");
    if (!n)
        return 0;
    snprintf(word, size, "%.*s", (int)n, *list);
    *list += n + ((*list)[n] == '|');
    return 1;
}

// The alternatives of word `i` (from 0) behind a command; the last ones repeat.
static void word_values(const struct command_line_row *row, int i, char *list, size_t size)
{
    const char *at = row->words ? row->words : "";
    for (; i > 0 && at[strcspn(at, " ")]; i--)
        at += strcspn(at, " ") + 1;
    snprintf(list, size, "%.*s", (int)strcspn(at, " "), at);
}

static int word_count(const struct command_line_row *row)
{
    int n = row->words && *row->words;
    for (const char *c = row->words; c && *c; c++)
        n += *c == ' ';
    return n;
}

// --- bash ---

static void bash_values(const char *list)
{
    char word[64], plain[512] = "";
    while (next_value(&list, word, sizeof word)) {
        if (strcmp(word, CMD_A_FILE) == 0)
            printf(" _ssltop_files;");
        else if (strcmp(word, CMD_A_FOLDER) == 0)
            printf(" _ssltop_folders;");
        else if (strcmp(word, CMD_A_RUN) == 0)
            printf(" _ssltop_runs;");
        else if (strcmp(word, CMD_A_CALL) == 0)
            printf(" _ssltop_calls;");
        else {
            size_t n = strlen(plain);
            snprintf(plain + n, sizeof plain - n, "%s%s", n ? " " : "", word);
        }
    }
    if (plain[0])
        printf(" _ssltop_words '%s';", plain);
}

static void bash_command(const struct command_line_row *row)
{
    struct offer o;
    char list[512];
    for (size_t i = 0; offer_of(row, i, &o); i++)
        if (o.takes_value) {
            printf("    %s:%s%s)", row->name, dashes(&o), o.name);
            bash_values(o.values);
            printf(" return ;;\n");
        }
    printf("    %s:*)\n        if [[ $cur == -* ]]; then\n            _ssltop_words '", row->name);
    for (size_t i = 0; offer_of(row, i, &o); i++)
        printf("%s%s ", dashes(&o), o.name);
    if (strcmp(row->name, "train") == 0)
        for (size_t i = 0; i < option_count; i++)
            if (option_table[i].type == OPTION_FLAG && option_table[i].place == OPTION_CONFIG)
                printf("--no-%s ", option_table[i].name);
    printf("--help'\n            return\n        fi\n        case $at in\n");
    for (int i = 0; i < word_count(row); i++) {
        word_values(row, i, list, sizeof list);
        if (i + 1 < word_count(row))
            printf("        %d)", i);
        else
            printf("        *)");
        bash_values(list);
        printf(" ;;\n");
    }
    if (!word_count(row))
        printf("        *) ;;\n");
    printf("        esac ;;\n");
}

static void print_calls(void)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (i != COMMAND_WATCH)
            printf(" %s", command_table[i].name);
    for (int i = 0; i < MODE_COUNT; i++)
        printf(" %s", mode_table[i].name);
}

// The options that take a value, whose next word is none of the command's.
static void bash_takers(void)
{
    printf("    local takers=' ");
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        struct offer o;
        for (size_t i = 0; offer_of(row, i, &o); i++)
            if (o.takes_value)
                printf("%s:%s%s ", row->name, dashes(&o), o.name);
    }
    printf("'\n");
}

static void bash(void)
{
    printf("# bash completion for ssltop, made by: ssltop completion bash\n"
           "_ssltop_words() {\n"
           "    COMPREPLY+=($(compgen -W \"$1\" -- \"$cur\"))\n}\n"
           "_ssltop_files() {\n"
           "    compopt -o filenames 2>/dev/null\n"
           "    local IFS=$'\\n'\n"
           "    COMPREPLY+=($(compgen -f -- \"$cur\"))\n}\n"
           "_ssltop_folders() {\n"
           "    compopt -o filenames 2>/dev/null\n"
           "    local IFS=$'\\n'\n"
           "    COMPREPLY+=($(compgen -d -- \"$cur\"))\n}\n"
           "_ssltop_runs() {\n"
           "    local log IFS=$'\\n'\n"
           "    for log in \"$runs\"/*/run.jsonl.zst; do\n"
           "        log=${log%%/run.jsonl.zst}\n"
           "        log=${log##*/}\n"
           "        [[ $log != '*' && $log == \"$cur\"* ]] && COMPREPLY+=(\"$log\")\n"
           "    done\n}\n"
           "_ssltop_calls() {\n    _ssltop_words '");
    print_calls();
    printf("'\n}\n"
           "_ssltop() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local cmd= at=0 i word runs=${SSLTOP_RUNS:-./runs}\n");
    bash_takers();
    printf("    COMPREPLY=()\n"
           "    # --option=value comes as three words\n"
           "    if [[ $cur == = ]]; then cur=\n"
           "    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=${COMP_WORDS[i]}\n"
           "        if [[ -z $cmd && $word == -* ]]; then cmd=train; fi\n"
           "        if [[ -z $cmd ]]; then cmd=$word; continue; fi\n"
           "        if [[ $word == -* ]]; then\n"
           "            if [[ $takers == *\" $cmd:$word \"* ]]; then\n"
           "                ((i++))\n"
           "                [[ ${COMP_WORDS[i]} == = ]] && ((i++))\n"
           "                [[ $word == --runs && $i -lt COMP_CWORD ]] && runs=${COMP_WORDS[i]}\n"
           "            fi\n"
           "            continue\n"
           "        fi\n"
           "        ((at++))\n"
           "    done\n"
           "    if [[ -z $cmd && $cur == -* ]]; then cmd=train; fi\n"
           "    if [[ -z $cmd ]]; then\n"
           "        _ssltop_words '");
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        printf("%s ", row->name);
    printf("'\n        return\n    fi\n    case $cmd:$prev in\n");
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        bash_command(row);
    printf("    esac\n}\ncomplete -F _ssltop ssltop\n");
}

// --- zsh ---

static void zsh_action(const char *list)
{
    char word[64];
    const char *at = list;
    int plain = 0, kinds = 0;
    for (; next_value(&at, word, sizeof word); kinds++)
        plain += word[0] != '<';
    at = list;
    if (plain == kinds) {
        printf("(");
        for (int i = 0; next_value(&at, word, sizeof word); i++) {
            printf("%s", i ? " " : "");
            put_escaped(word, (int)strlen(word), ":", "\\");
        }
        printf(")");
    } else if (strcmp(list, CMD_A_RUN "|" CMD_A_FILE) == 0) {
        printf("_ssltop_runs_or_files");
    } else {
        printf("%s", strcmp(list, CMD_A_FILE) == 0     ? "_files"
                     : strcmp(list, CMD_A_FOLDER) == 0 ? "_files -/"
                     : strcmp(list, CMD_A_RUN) == 0    ? "_ssltop_runs"
                                                       : "_ssltop_calls");
    }
}

static void zsh_command(const struct command_line_row *row)
{
    struct offer o;
    char list[512];
    printf("    %s)\n        _arguments -s -S", row->name);
    for (size_t i = 0; offer_of(row, i, &o); i++) {
        printf(" \\\n            '%s%s%s[", dashes(&o), o.name,
               o.takes_value && o.name[1] ? "=" : "");
        put_in_quotes(o.doc, sentence(o.doc), "[]\\");
        printf("]");
        if (o.takes_value) {
            printf(":%s:", o.name);
            if (o.values[0])
                zsh_action(o.values);
        }
        printf("'");
    }
    if (strcmp(row->name, "train") != 0) // which has it among its own
        printf(" \\\n            '--help[say what it does and takes]'");
    for (int i = 0; i < word_count(row); i++) {
        word_values(row, i, list, sizeof list);
        printf(" \\\n            '%s:%s:", i + 1 < word_count(row) ? "" : "*", "word");
        zsh_action(list);
        printf("'");
    }
    printf(" ;;\n");
}

static void zsh(void)
{
    printf("#compdef ssltop\n# zsh completion for ssltop, made by: ssltop completion zsh\n"
           "_ssltop_runs() {\n"
           "    local dir=${SSLTOP_RUNS:-./runs}\n"
           "    local -a found=($dir/*/run.jsonl.zst(N:h:t))\n"
           "    compadd -a found\n}\n"
           "_ssltop_runs_or_files() { _ssltop_runs; _files }\n"
           "_ssltop_calls() { compadd");
    print_calls();
    printf(" }\n_ssltop() {\n"
           "    local -a commands=(\n");
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        printf("        '%s:", row->name);
        put_in_quotes(row->doc, (int)strlen(row->doc), ":\\");
        printf("'\n");
    }
    printf("    )\n"
           "    local cmd=${words[2]}\n"
           "    if (( CURRENT == 2 )) && [[ $cmd != -* ]]; then\n"
           "        _describe command commands\n        return\n    fi\n"
           "    if [[ $cmd == -* ]]; then cmd=train; else shift words; (( CURRENT-- )); fi\n"
           "    case $cmd in\n");
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        zsh_command(row);
    printf("    esac\n}\n_ssltop \"$@\"\n");
}

// --- fish ---

static void fish_values(const char *list)
{
    char word[64];
    const char *at = list;
    int files = 0;
    while (next_value(&at, word, sizeof word))
        files |= strcmp(word, CMD_A_FILE) == 0 || strcmp(word, CMD_A_FOLDER) == 0;
    printf(files ? " -F" : " -f");
    printf(" -a '");
    for (int i = 0; next_value(&list, word, sizeof word); i++) {
        if (strcmp(word, CMD_A_RUN) == 0)
            printf("%s(__ssltop_runs)", i ? " " : "");
        else if (strcmp(word, CMD_A_CALL) == 0)
            print_calls();
        else if (word[0] != '<')
            printf("%s%s", i ? " " : "", word);
    }
    printf("'");
}

static void fish_command(const struct command_line_row *row)
{
    struct offer o;
    char list[512];
    for (size_t i = 0; offer_of(row, i, &o); i++) {
        printf("complete -c ssltop -n '__ssltop_is %s' -%s %s", row->name, o.name[1] ? "l" : "s",
               o.name);
        if (o.takes_value) {
            printf(" -r");
            if (o.values[0])
                fish_values(o.values);
        }
        printf(" -d '");
        put_escaped(o.doc, sentence(o.doc), "'\\", "\\");
        printf("'\n");
    }
    for (int i = 0; i < word_count(row); i++) {
        word_values(row, i, list, sizeof list);
        printf("complete -c ssltop -n '__ssltop_is %s; and __ssltop_word %d%s'", row->name, i,
               i + 1 < word_count(row) ? "" : " more");
        fish_values(list);
        printf("\n");
    }
}

static void fish(void)
{
    printf(
        "# fish completion for ssltop, made by: ssltop completion fish\n"
        "function __ssltop_runs\n"
        "    set -l dir ./runs\n"
        "    set -q SSLTOP_RUNS; and test -n \"$SSLTOP_RUNS\"; and set dir $SSLTOP_RUNS\n"
        "    for log in $dir/*/run.jsonl.zst\n"
        "        basename (dirname $log)\n"
        "    end\n"
        "end\n"
        "function __ssltop_is\n"
        "    set -l words (commandline -opc)\n"
        "    set -l cmd train\n"
        "    if test (count $words) -gt 1; and not string match -q -- '-*' $words[2]\n"
        "        set cmd $words[2]\n"
        "    else if test (count $words) -eq 1\n"
        "        string match -q -- '-*' (commandline -ct); or return 1\n"
        "    end\n"
        "    test $cmd = $argv[1]\n"
        "end\n"
        "# Whether the word at the cursor is number $argv[1] behind the command (or a later one).\n"
        "function __ssltop_word\n"
        "    set -l words (commandline -opc)\n"
        "    set -l n (math (count (string match -v -- '-*' $words)) - 2)\n"
        "    test $n -eq $argv[1]; or begin; test (count $argv) -gt 1; and test $n -gt $argv[1]; "
        "end\n"
        "end\n"
        "complete -c ssltop -f\n");
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        printf("complete -c ssltop -n __fish_use_subcommand -a %s -d '", row->name);
        put_escaped(row->doc, (int)strlen(row->doc), "'\\", "\\");
        printf("'\n");
    }
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        fish_command(row);
}

int cmd_completion(int argc, char **argv)
{
    static const struct cmd_option none[] = {{0}};
    struct error e = {""};
    static const struct {
        const char *name;
        void (*print)(void);
    } shell[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    int rc = cmd_parse(&argc, argv, none, NULL, 1, 1);
    if (rc != CMD_GO_ON)
        return rc;
    for (size_t i = 0; i < sizeof shell / sizeof *shell; i++)
        if (strcmp(argv[1], shell[i].name) == 0) {
            shell[i].print();
            return CMD_OK;
        }
    error_set(&e, "completion is there for bash, zsh and fish, not for '%.40s'", argv[1]);
    return cmd_complain(CMD_USAGE, &e);
}
