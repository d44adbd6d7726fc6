// What options are, for a person: the values that a row names, its words, and tables of rows.
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

#include "train/options/option.h"

int option_put(const char *word, char *text, size_t size)
{
    snprintf(text, size, "%s", word ? word : "");
    return word != NULL;
}

int option_choice(const struct option_row *row, int i, char *text, size_t size)
{
    const char *c = row->choices;
    if (!c)
        return row->values ? row->values(i, text, size) : 0;
    size_t n = 0;
    const char *word = text_word(&c, '|', &n);
    for (; i > 0 && word; i--)
        word = text_word(&c, '|', &n);
    snprintf(text, size, "%.*s", word ? (int)n : 0, word ? word : "");
    return word != NULL;
}

void option_choices(const struct option_row *row, char *text, size_t size)
{
    char word[2][80];
    text[0] = '\0';
    int more = option_choice(row, 0, word[0], sizeof word[0]);
    for (int i = 0; more; i++) {
        more = option_choice(row, i + 1, word[(i + 1) & 1], sizeof word[0]);
        text_item(text, size, more ? ", " : " or ", "%s", word[i & 1]);
    }
}

// "a, b": the facts of a row.
static void list_facts(const struct option_row *row, char *text, size_t size)
{
    char fact[80];
    text[0] = '\0';
    for (int i = 0; row->facts(row, i, fact, sizeof fact); i++)
        text_item(text, size, ", ", "%s", fact);
}

void option_doc(const struct option_row *row, char *text, size_t size)
{
    const char *gap = strstr(row->doc, "{}");
    char values[OPTION_TEXT] = "";
    if (gap)
        (row->facts ? list_facts : option_choices)(row, values, sizeof values);
    if (gap)
        snprintf(text, size, "%.*s%s%s", (int)(gap - row->doc), row->doc,
                 *values ? values : "none are installed", gap + 2);
    else
        snprintf(text, size, "%s", row->doc);
}

// Words of `text` from column `indent` on, where the line stands already; ends the line.
static void print_wrapped(FILE *f, const char *text, int indent, int columns)
{
    int at = indent;
    size_t n;
    for (const char *word; (word = text_word(&text, ' ', &n));) {
        if (at > indent && at + 1 + (int)n > columns) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        }
        at += fprintf(f, "%s%.*s", at > indent ? " " : "", (int)n, word);
    }
    fputc('\n', f);
}

static void print_row(const struct option_row *row, FILE *f, int columns)
{
    enum { INDENT = 26 };
    char left[64], text[3 * OPTION_TEXT];
    int both = row->type == OPTION_FLAG && row->place == OPTION_CONFIG;
    const char *told = row->environment ? getenv(row->environment) : NULL;
    if (!told || !*told)
        told = row->fallback;
    snprintf(left, sizeof left, "  %s%s%s%s%s", option_dashes(row), both ? "[no-]" : "", row->name,
             row->argument ? " " : "", row->argument ? row->argument : "");
    option_doc(row, text, sizeof text);
    if (told && *told && (both || row->type != OPTION_FLAG))
        text_add(text, sizeof text, " Default: %s.", told);
    if (fprintf(f, "%-*s", INDENT, left) > INDENT)
        fprintf(f, "\n%*s", INDENT, "");
    print_wrapped(f, text, INDENT, columns);
}

void option_help(const struct option_row *const *tables, FILE *f, int columns)
{
    const char *section = "";
    int rows = 0, width = columns < 50 ? 50 : columns;
    for (int i = 0; !i || tables[i]; i++) {
        for (const struct option_row *row = tables[i]; row && row->name; row++, rows++) {
            if (row->section && strcmp(section, row->section) != 0)
                fprintf(f, "%s%s:\n", rows ? "\n" : "", row->section);
            section = row->section ? row->section : "";
            print_row(row, f, width);
        }
        if (!i)
            print_row(&option_help_row, f, width);
        if (!tables[i])
            break;
    }
}
