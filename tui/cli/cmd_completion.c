// ssltop completion: what bash, zsh and fish need to complete a command line, made from the tables
// of commands and options. `make install` puts them where Debian's shells look.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/text.h"
#include "metrics/log/mode.h"
#include "train/wire/control.h"
#include "tui/cli/cmd.h"

// --- what may stand in a place ---

// Kinds of words that a shell finds by itself, by the word for them in a usage.
static const struct kind {
    const char *argument, *bash, *zsh;
} kind_table[] = {
    {"RUN", "_ssltop_runs", "_ssltop_runs"},
    {"FILE", "_ssltop_files", "_files"},
    {"CKPT", "_ssltop_files", "_files"},
    {"DIR", "_ssltop_folders", "_files -/"},
};
enum { KINDS = sizeof kind_table / sizeof *kind_table, RUNS = 0 };

struct offer {
    char words[2048]; // divided by blanks
    unsigned kinds;   // a bit for each row of kind_table
};

static void add_word(struct offer *o, const char *word, size_t n)
{
    text_item(o->words, sizeof o->words, " ", "%.*s", (int)n, word);
}

// One alternative, as a usage has it: "check", "FILE.npy", "images:DIR", "synthetic[:N]".
static void add_alternative(struct offer *o, const char *word, size_t n)
{
    for (size_t k = 0; k < KINDS; k++) {
        size_t len = strlen(kind_table[k].argument);
        if (n >= len && !memcmp(word, kind_table[k].argument, len) &&
            (n == len || !isalpha((unsigned char)word[len]))) {
            o->kinds |= 1u << k;
            return;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (word[i] == ':' || word[i] == '[')
            n = i + (word[i] == ':');
    if (!isupper((unsigned char)*word))
        add_word(o, word, n);
}

static struct offer offer_of_word(const char *alternatives)
{
    struct offer o = {.kinds = 0};
    if (strcmp(alternatives, "COMMAND") == 0) { // and its argument
        for (int i = 0; i < COMMAND_COUNT; i++)
            if (i != COMMAND_WATCH)
                add_word(&o, command_table[i].name, SIZE_MAX);
        for (int i = 0; i < MODE_COUNT; i++)
            add_word(&o, mode_table[i].name, SIZE_MAX);
        return o;
    }
    size_t n;
    for (const char *word; (word = text_word(&alternatives, '|', &n));)
        add_alternative(&o, word, n);
    return o;
}

static struct offer offer_of(const struct option_row *row)
{
    struct offer o = offer_of_word(row->argument ? row->argument : "");
    char word[80];
    for (int i = 0; option_choice(row, i, word, sizeof word); i++)
        add_alternative(&o, word, strlen(word));
    return o;
}

// The i-th option of a command, --help last; NULL when there are no more.
static const struct option_row *option_of(const struct command_line_row *row, int i)
{
    for (int t = 0; row->options[t]; t++)
        for (const struct option_row *o = row->options[t]; o->name; o++)
            if (i-- == 0)
                return o;
    return i == 0 ? &option_help_row : NULL;
}

// Text between single quotes: `quote` for a quote in it, and what is in `special` behind a
// backslash.
static void put_quoted(const char *text, size_t n, const char *special, const char *quote)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(special, text[i]))
            putchar('\\');
        if (text[i] == '\'')
            fputs(quote, stdout);
        else
            putchar(text[i]);
    }
}

// The first sentence of what an option does, for a line in a menu.
static void put_sentence(const struct option_row *row, const char *special, const char *quote)
{
    char doc[3 * OPTION_TEXT];
    option_doc(row, doc, sizeof doc);
    const char *dot = strstr(doc, ". ");
    size_t n = dot ? (size_t)(dot - doc) : strlen(doc);
    put_quoted(doc, n - (n && doc[n - 1] == '.'), special, quote);
}

// --- bash ---

static void bash_offer(const struct offer *o)
{
    for (size_t k = 0; k < KINDS; k++)
        if (o->kinds & 1u << k)
            printf(" %s;", kind_table[k].bash);
    if (o->words[0])
        printf(" _ssltop_words '%s';", o->words);
}

static void bash_command(const struct command_line_row *row)
{
    const struct option_row *o;
    struct cmd_words words;
    struct offer offer;
    for (int i = 0; (o = option_of(row, i)); i++)
        if (o->argument) {
            offer = offer_of(o);
            printf("    %s:%s%s)", row->name, option_dashes(o), o->name);
            bash_offer(&offer);
            printf(" return ;;\n");
        }
    printf("    %s:*)\n        if [[ $cur == -* ]]; then\n            _ssltop_words '", row->name);
    for (int i = 0; (o = option_of(row, i)); i++) {
        printf("%s%s%s", i ? " " : "", option_dashes(o), o->name);
        if (o->type == OPTION_FLAG && o->place == OPTION_CONFIG)
            printf(" --no-%s", o->name);
    }
    printf("'\n            return\n        fi\n        case $at in\n");
    cmd_words(row->usage, &words);
    for (int i = 0; i < words.n; i++) {
        offer = offer_of_word(words.word[i]);
        if (i + 1 < words.n)
            printf("        %d)", i);
        else
            printf("        *)");
        bash_offer(&offer);
        printf(" ;;\n");
    }
    printf("%s        esac ;;\n", words.n ? "" : "        *) ;;\n");
}

// The options that take a value, whose next word is none of the command's.
static void bash_takers(void)
{
    const struct option_row *o;
    printf("    local takers=' ");
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        for (int i = 0; (o = option_of(row, i)); i++)
            if (o->argument)
                printf("%s:%s%s ", row->name, option_dashes(o), o->name);
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

static void zsh_offer(const struct offer *o)
{
    int runs = o->kinds & 1u << RUNS, others = 0;
    if (!o->kinds)
        printf("(");
    put_quoted(o->words, strlen(o->words), ":", "");
    if (!o->kinds)
        printf(")");
    for (size_t k = 1; k < KINDS && !others; k++)
        if (o->kinds & 1u << k) {
            printf("%s", runs ? "_ssltop_runs_or_files" : kind_table[k].zsh);
            others = 1;
        }
    if (runs && !others)
        printf("%s", kind_table[RUNS].zsh);
}

static void zsh_command(const struct command_line_row *row)
{
    const struct option_row *o;
    struct cmd_words words;
    struct offer offer;
    printf("    %s)\n        _arguments -s -S", row->name);
    for (int i = 0; (o = option_of(row, i)); i++) {
        printf(" \\\n            '%s%s%s[", option_dashes(o), o->name,
               o->argument && o->name[1] ? "=" : "");
        put_sentence(o, "[]\\", "'\\''");
        printf("]");
        offer = offer_of(o);
        if (o->argument) {
            printf(":%s:", o->name);
            if (offer.kinds || offer.words[0])
                zsh_offer(&offer);
        }
        printf("'");
    }
    cmd_words(row->usage, &words);
    for (int i = 0; i < words.n; i++) {
        offer = offer_of_word(words.word[i]);
        printf(" \\\n            '%s:word:", i + 1 < words.n ? "" : "*");
        zsh_offer(&offer);
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
           "_ssltop() {\n"
           "    local -a commands=(\n");
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        printf("        '%s:", row->name);
        put_quoted(row->doc, strlen(row->doc), ":\\", "'\\''");
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

static void fish_offer(const struct offer *o)
{
    int runs = o->kinds & 1u << RUNS;
    printf(" %s -a '%s%s%s'", o->kinds & ~(1u << RUNS) ? "-F" : "-f", runs ? "(__ssltop_runs)" : "",
           runs && o->words[0] ? " " : "", o->words);
}

static void fish_command(const struct command_line_row *row)
{
    const struct option_row *o;
    struct cmd_words words;
    struct offer offer;
    for (int i = 0; (o = option_of(row, i)); i++) {
        printf("complete -c ssltop -n '__ssltop_is %s' -%s %s", row->name, o->name[1] ? "l" : "s",
               o->name);
        offer = offer_of(o);
        if (o->argument)
            printf(" -r");
        if (o->argument && (offer.kinds || offer.words[0]))
            fish_offer(&offer);
        printf(" -d '");
        put_sentence(o, "\\", "\\'");
        printf("'\n");
    }
    cmd_words(row->usage, &words);
    for (int i = 0; i < words.n; i++) {
        offer = offer_of_word(words.word[i]);
        printf("complete -c ssltop -n '__ssltop_is %s; and __ssltop_word %d%s'", row->name, i,
               i + 1 < words.n ? "" : " more");
        fish_offer(&offer);
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
        put_quoted(row->doc, strlen(row->doc), "\\", "\\'");
        printf("'\n");
    }
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        fish_command(row);
}

int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shell[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    int rc = cmd_parse(&argc, argv, NULL);
    if (rc != CMD_GO_ON)
        return rc;
    for (size_t i = 0; i < sizeof shell / sizeof *shell; i++)
        if (strcmp(argv[1], shell[i].name) == 0) {
            shell[i].print();
            return CMD_OK;
        }
    return cmd_refuse("completion is there for bash, zsh and fish, not for '%.40s'", argv[1]);
}
