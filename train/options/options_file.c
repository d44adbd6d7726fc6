// Options as a configuration file; and where the options of a run come from: recipe, configuration
// file and command line, in this order.
#include "train/options/options.h"

#include <ini.h>
#include <string.h>

#include "train/options/recipe.h"

enum { LINE_MAX_BYTES = 4096 }; // a value is shorter than OPTION_TEXT

struct reading {
    FILE *f;
    struct options *o;
    unsigned char *given;
    struct error *e;
    int line;   // that was read last
    int failed; // the sentence is set
};

static int reading_failed(struct reading *r)
{
    r->failed = 1;
    return 0; // inih's word for an error
}

// fgets for inih, that counts lines and refuses what fgets would cut.
static char *read_line(char *text, int size, void *stream)
{
    struct reading *r = stream;
    if (r->failed || !fgets(text, size, r->f))
        return NULL;
    r->line++;
    size_t n = strlen(text);
    if ((!n || text[n - 1] != '\n') && !feof(r->f)) {
        error_set(r->e, "the line has a zero byte or is longer than %d bytes", LINE_MAX_BYTES - 2);
        reading_failed(r);
        return NULL;
    }
    return text;
}

static int read_value(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    char text[LINE_MAX_BYTES];
    size_t n = strlen(value);
    if (r->failed || n >= sizeof text)
        return reading_failed(r);
    // a value with blanks at its ends is quoted (options_write_file)
    int quoted = n >= 2 && value[0] == '"' && value[n - 1] == '"';
    memcpy(text, value + quoted, n - 2 * (size_t)quoted);
    text[n - 2 * (size_t)quoted] = '\0';

    const struct option_row *row = option_find(options_table, name);
    if (!strcmp(name, "config") || !strcmp(name, "recipe") || !strcmp(name, "help")) {
        error_set(r->e, "%s has no place in a configuration file", name);
        return reading_failed(r);
    }
    if (options_set(r->o, name, text, r->e) < 0)
        return reading_failed(r);
    if (r->given)
        r->given[row - options_table] = 1;
    return 1;
}

int options_read_file(struct options *o, const char *path, unsigned char *given, struct error *e)
{
    struct error why = {""};
    struct reading r = {.o = o, .given = given, .e = &why};
    r.f = fopen(path, "re");
    if (!r.f)
        return error_system(e, "%s", path);
    // Debian's inih is set up at run time. Text after ';' belongs to the value (guard rules),
    // nothing is continued.
    ini_max_line = ini_initial_alloc = LINE_MAX_BYTES;
    ini_use_stack = false;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    int rc = ini_parse_stream(read_line, &r, read_value, &r);
    if (ferror(r.f))
        rc = error_system(e, "%s", path);
    else if (r.failed)
        rc = error_set(e, "%s, line %d: %s", path, r.line, why.text);
    else if (rc > 0)
        rc = error_set(e, "%s, line %d: expected NAME = VALUE", path, rc);
    else if (rc < 0)
        rc = error_set(e, "%s: out of memory", path);
    fclose(r.f);
    return rc;
}

// What "auto" means, from the row's own words: the sentence that begins with it.
static void write_auto(const struct option_row *row, FILE *f)
{
    char doc[2 * OPTION_TEXT];
    option_doc(row, doc, sizeof doc);
    const char *from = strstr(doc, "auto: ");
    if (!from)
        return;
    const char *end = strstr(from, ". ");
    fprintf(f, "# %.*s\n", (int)(end ? end + 1 - from : (long)strlen(from)), from);
}

void options_write_file(const struct options *o, FILE *f)
{
    const char *section = "";
    char text[OPTION_TEXT];
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        if (row->place != OPTION_CONFIG)
            continue;
        if (strcmp(section, row->section) != 0)
            fprintf(f, "%s[%s]\n", *section ? "\n" : "", row->section);
        section = row->section;
        option_value(row, o, text, sizeof text);
        if (strcmp(text, "auto") == 0)
            write_auto(row, f);
        size_t n = strlen(text);
        int quoted = n && (text[0] == '"' || text[0] == ' ' || text[n - 1] == ' ');
        fprintf(f, "%s =%s%s%s%s\n", row->name, n ? " " : "", quoted ? "\"" : "", text,
                quoted ? "\"" : "");
    }
}

// --- all sources ---

int options_parse(struct options *o, const struct option_set *more, int argc, char **argv,
                  unsigned char *given, struct error *e)
{
    unsigned char first[OPTIONS_MAX] = {0}, later[OPTIONS_MAX] = {0};
    struct options typed; // the whole line once for its --config, and again on top of the file
    struct option_set set[] = {
        {options_table, &typed, NULL}, more ? *more : (struct option_set){0}, {0}};
    if (given)
        memset(given, 0, options_count);
    options_default(o);
    typed = *o;
    if (option_defaults(set, e) < 0)
        return -1;
    int rc = option_parse("train", set, argc, argv, NULL, e);
    if (rc)
        return rc;
    if (*typed.recipe && recipe_read(o, typed.recipe, first, e) < 0)
        return -1;
    if (*typed.config && options_read_file(o, typed.config, later, e) < 0)
        return -1;
    set[0] = (struct option_set){options_table, o, later};
    if (option_parse("train", set, argc, argv, NULL, e) < 0)
        return -1;
    recipe_give_way(o, first, later);
    for (size_t i = 0; given && i < options_count; i++)
        given[i] = first[i] | later[i];
    return 0;
}
