// Rows to mdoc. Text of the rows is free: it is wrapped, escaped and made whole sentences here.
#include "man/tables.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/sets/dataset_table.h"
#include "man/fields.h"
#include "metrics/base/text.h"
#include "metrics/science/metric.h"
#include "metrics/log/record.h"
#include "train/wire/control.h"
#include "train/schedule/guard.h"
#include "train/methods/method.h"
#include "train/options/options.h"
#include "train/schedule/schedule_text.h"
#include "tui/hands/actions.h"
#include "tui/cli/cmd.h"
#include "tui/cli/commands.h"
#include "tui/hands/settings.h"
#include "tui/draw/views.h"

enum { COLUMNS = 78 };

// --- text to mdoc ---

// One word, escaped; `first` on its line, where '.' and ''' would be control characters. The
// columns it takes.
static int put_word(FILE *f, const char *word, int n, int first)
{
    int columns = 0;
    if (first && (*word == '.' || *word == '\''))
        columns += fprintf(f, "\\&");
    for (int i = 0; i < n; i++)
        columns += word[i] == '\\' ? fprintf(f, "\\e") : fputc(word[i], f) != EOF;
    return columns;
}

// Text as lines; each sentence begins a new one, as mdoc wants it. Begins with a capital and ends
// with a full stop.
static void say(FILE *f, const char *text)
{
    int at = 0, end = 0, last = 0;
    for (int begin = 1; *text; begin = 0) {
        int n = (int)strcspn(text, " ");
        if (at && (end || at + 1 + n > COLUMNS)) {
            fputc('\n', f);
            at = 0;
        } else if (at) {
            at += fprintf(f, " ");
        }
        // a word with a capital, a digit or a symbol (RankMe, f32) keeps its beginning
        int plain = begin && n > 1;
        for (int i = 0; i < n && plain; i++)
            plain = islower((unsigned char)text[i]) || text[i] == '-' ||
                    (i == n - 1 && strchr(",:;", text[i]));
        if (plain)
            fputc(toupper((unsigned char)*text), f);
        at += plain + put_word(f, text + plain, n - plain, !at);
        end = text[n - 1] == '.' && (n < 2 || text[n - 2] != '.'); // but not an ellipsis
        last = text[n - 1];
        text += n;
        text += strspn(text, " ");
    }
    fprintf(f, last == '.' ? "\n" : ".\n");
}

static void begin_list(FILE *f)
{
    fprintf(f, ".Bl -tag -width Ds\n");
}

static void end_list(FILE *f)
{
    fprintf(f, ".El\n");
}

// An item "Cm name", with an argument unless NULL, and its text.
static void item(FILE *f, const char *name, const char *argument, const char *doc)
{
    fprintf(f, ".It Cm %s%s%s\n", name, argument ? " Ar " : "", argument ? argument : "");
    say(f, doc);
}

// --- tables of ssltop.1 ---

// ".Fl Fl width Ar N", what it does, and its default.
static void print_option(FILE *f, const struct option_row *row)
{
    char doc[3 * OPTION_TEXT];
    const char *fl = row->name[1] ? "Fl " : "", *name = row->name;
    int flag = row->type == OPTION_FLAG, both = flag && row->place == OPTION_CONFIG;
    fprintf(f, ".It Fl %s%s", fl, name);
    if (both)
        fprintf(f, " , Fl Fl no-%s", name);
    fprintf(f, "%s%s\n", row->argument ? " Ar " : "", row->argument ? row->argument : "");
    option_doc(row, doc, sizeof doc);
    say(f, doc);
    if (row->fallback && *row->fallback && (both || !flag))
        fprintf(f, "The default is\n.Cm %s .\n", row->fallback);
}

static void print_options(FILE *f)
{
    const char *section = "";
    for (const struct option_row *row = options_table; row->name; row++) {
        if (strcmp(section, row->section) != 0) {
            if (*section)
                end_list(f);
            fprintf(f, ".Ss Options: %s\n", row->section);
            begin_list(f);
        }
        section = row->section;
        print_option(f, row);
    }
    print_option(f, &option_help_row);
    end_list(f);
}

static void print_datasets(FILE *f)
{
    begin_list(f);
    for (const struct dataset_kind *row = dataset_table; row->name; row++) {
        char name[128];
        dataset_usage(row, name, sizeof name);
        item(f, name, NULL, row->doc);
    }
    end_list(f);
}

static void print_recipes(FILE *f)
{
    begin_list(f);
    for (const struct augment_recipe *row = augment_table; row->name; row++)
        item(f, row->name, NULL, row->doc);
    end_list(f);
}

static void print_archs(FILE *f)
{
    begin_list(f);
    for (const struct arch_row *row = arch_table; row->name; row++)
        item(f, row->name, NULL, row->doc);
    end_list(f);
}

static void print_methods(FILE *f)
{
    begin_list(f);
    for (const struct method_row *const *row = method_table; *row; row++)
        item(f, (*row)->name, NULL, (*row)->doc);
    end_list(f);
}

static void print_modes(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < MODE_COUNT; i++)
        item(f, mode_table[i].name, NULL, mode_table[i].doc);
    for (const struct schedule_text_row *row = schedule_text_table; row->name; row++) {
        item(f, row->name, NULL, row->doc);
        fprintf(f, "The same as\n.Cm %s .\n", row->schedule);
    }
    end_list(f);
}

static void print_guard_actions(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < GUARD_ACTION_COUNT; i++) {
        const struct guard_action_row *row = &guard_action_table[i];
        if (i == GUARD_MODE)
            fprintf(f, ".It Ar %s\n", row->name);
        else
            fprintf(f, ".It Cm %s%s%s\n", row->name, row->argument ? " Ar " : "",
                    row->argument ? row->argument : "");
        say(f, row->doc);
    }
    end_list(f);
}

static void print_guard_values(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < GUARD_VALUES - METRIC_COUNT; i++)
        item(f, guard_value_table[i].key, NULL, guard_value_table[i].doc);
    end_list(f);
}

static void print_commands(FILE *f)
{
    begin_list(f);
    for (const struct command_line_row *row = command_line_table; row->name; row++)
        item(f, row->name, *row->usage ? row->usage : NULL, row->doc);
    end_list(f);
}

// The options of every command but train, whose own are sections.
static void print_command_options(FILE *f)
{
    for (const struct command_line_row *row = command_line_table; row->name; row++) {
        if (!row->options[0] || row->options[0] == options_table)
            continue;
        fprintf(f, ".Ss Options of %s\n", row->name);
        begin_list(f);
        for (int i = 0; row->options[i]; i++)
            for (const struct option_row *o = row->options[i]; o->name; o++)
                print_option(f, o);
        end_list(f);
    }
}

static void print_screen_options(FILE *f)
{
    begin_list(f);
    for (const struct option_row *row = screen_option_table; row->name; row++)
        print_option(f, row);
    end_list(f);
}

static void print_settings(FILE *f)
{
    begin_list(f);
    for (const struct setting *row = setting_table; row->name; row++) {
        fprintf(f, ".It Cm %s No = Ar %s\n", row->name, row->choices ? row->choices : "NAME");
        say(f, row->doc);
    }
    end_list(f);
}

static void print_views(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < VIEW_COUNT; i++)
        item(f, view_table[i].name, NULL, view_table[i].doc);
    end_list(f);
}

// "? F1" as the arguments of a macro: words of punctuation would be its delimiters.
static void put_keys(FILE *f, const char *keys)
{
    size_t n;
    for (const char *word, *comma = ""; (word = text_word(&keys, ' ', &n)); comma = " ,")
        fprintf(f, "%s %s%.*s", comma, ispunct((unsigned char)*word) ? "\\&" : "", (int)n, word);
}

static void print_keys(FILE *f)
{
    for (int c = 0; c < CONTEXT_COUNT; c++) {
        if (c == CONTEXT_MAIN)
            fprintf(f, ".Ss Keys\n");
        else
            fprintf(f, ".Ss Keys %s\n", context_title[c]);
        begin_list(f);
        for (const struct action *a = action_table; a->keys; a++) {
            if ((int)a->context != c)
                continue;
            fprintf(f, ".It Cm");
            put_keys(f, a->keys);
            fputc('\n', f);
            say(f, a->doc);
        }
        end_list(f);
    }
}

static void print_steering(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (i != COMMAND_WATCH) // of the protocol; a person attaches
            item(f, command_table[i].name, command_table[i].argument, command_table[i].doc);
    end_list(f);
}

static void print_bound(FILE *f, double x)
{
    if (isnan(x))
        fprintf(f, "the number of features");
    else if (isinf(x))
        fprintf(f, "%sinfinity", x < 0 ? "minus " : "");
    else
        fprintf(f, "%g", x);
}

static void print_range(FILE *f, double lo, double hi)
{
    print_bound(f, lo);
    fprintf(f, " to ");
    print_bound(f, hi);
}

static void print_loss_ranges(FILE *f)
{
    for (const struct method_row *const *row = method_table; *row; row++) {
        fprintf(f, "%s", row == method_table ? "" : ", ");
        print_range(f, (*row)->loss_lo, (*row)->loss_hi);
        fprintf(f, " with %s", (*row)->name);
    }
}

static void print_metrics(FILE *f)
{
    static const char *const better[] = {"Lower is healthier.\n", "", "Higher is healthier.\n"};
    char needs[100];
    begin_list(f);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric *m = &metric_table[i];
        item(f, m->key, NULL, m->doc);
        fprintf(f, "From ");
        if (i == METRIC_LOSS)
            print_loss_ranges(f);
        else
            print_range(f, m->lo, m->hi);
        fprintf(f, "%s%s.\n%sNeeds %s.\n(%s)\n", *m->unit ? " " : "", m->unit,
                better[m->better + 1], metric_needs(i, needs, sizeof needs), m->source);
    }
    end_list(f);
}

// --- tables of ssltop-log.5 ---

static void print_protocol(FILE *f)
{
    begin_list(f);
    for (int i = 0; i < COMMAND_COUNT; i++)
        item(f, command_table[i].name, NULL, command_table[i].doc);
    end_list(f);
}

static void print_records(FILE *f)
{
    man_print_records(f, say);
}

// --- pages ---

static const struct {
    const char *name;
    void (*print)(FILE *f);
} table[] = {
    {"options", print_options},       {"datasets", print_datasets},
    {"recipes", print_recipes},       {"archs", print_archs},
    {"methods", print_methods},       {"modes", print_modes},
    {"guard", print_guard_actions},   {"guard-values", print_guard_values},
    {"steering", print_steering},     {"metrics", print_metrics},
    {"commands", print_commands},     {"command-options", print_command_options},
    {"screen", print_screen_options}, {"views", print_views},
    {"settings", print_settings},     {"keys", print_keys},
    {"protocol", print_protocol},     {"records", print_records},
};
enum { TABLES = sizeof table / sizeof *table };

const char *man_table_name(int i)
{
    return i >= 0 && i < TABLES ? table[i].name : NULL;
}

// Which table does this comment line name after `word`? -1: not such a line; TABLES: no such table.
static int marked(const char *line, const char *word)
{
    char name[64] = "", kind[16] = "";
    if (sscanf(line, ".\\\" %15s %63s", kind, name) != 2 || strcmp(kind, word) != 0)
        return -1;
    int i = 0;
    while (i < TABLES && strcmp(table[i].name, name) != 0)
        i++;
    return i;
}

int man_fill(FILE *in, FILE *out, struct error *e)
{
    char *line = NULL;
    size_t size = 0;
    int number = 0, inside = -1, rc = 0;
    while (!rc && getline(&line, &size, in) >= 0) {
        number++;
        int begin = marked(line, "table"), end = marked(line, "end");
        if (begin == TABLES || (begin >= 0 && inside >= 0) || (end >= 0 && end != inside)) {
            rc = error_set(e, "line %d: no such table, or out of order: %.60s", number, line);
        } else if (begin >= 0) {
            fputs(line, out);
            table[begin].print(out);
            inside = begin;
        } else if (inside < 0 || end >= 0) {
            fputs(line, out);
            inside = end >= 0 ? -1 : inside;
        }
    }
    free(line);
    if (!rc && inside >= 0)
        rc = error_set(e, "the table %s has no end", table[inside].name);
    if (!rc && (ferror(in) || ferror(out)))
        rc = error_set(e, "can't be read or written");
    return rc;
}
