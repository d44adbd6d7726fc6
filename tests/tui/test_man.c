// The manual says what the program's tables say, every field is explained, and the pages are sound
// mdoc.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "man/fields.h"
#include "man/tables.h"
#include "metrics/log/record_fields.h"
#include "tui/cli/cmd.h"
#include "tui/cli/commands.h"

static const char *const page[] = {"man/ssltop.1", "man/ssltop-log.5", "man/ssltop-client.3"};
enum { PAGES = sizeof page / sizeof *page };

// A whole file or stream, malloc'd.
static char *slurp(FILE *f)
{
    size_t used = 0, size = 1 << 16;
    char *text = malloc(size);
    cr_assert(f && text);
    for (size_t n; (n = fread(text + used, 1, size - used - 1, f)) > 0;) {
        used += n;
        if (size - used < 2)
            text = realloc(text, size *= 2);
        cr_assert_not_null(text);
    }
    text[used] = '\0';
    return text;
}

static char *filled(const char *path)
{
    char *text = NULL;
    size_t size;
    struct error e = {""};
    FILE *in = fopen(path, "r"), *out = open_memstream(&text, &size);
    cr_assert(in && out, "%s: the tests run in the top folder of the repository", path);
    int rc = man_fill(in, out, &e);
    fclose(in);
    fclose(out);
    cr_assert(rc == 0, "%s: %s", path, e.text);
    return text;
}

static int fill_text(const char *text, struct error *e)
{
    FILE *in = fmemopen((void *)text, strlen(text), "r"), *out = fopen("/dev/null", "w");
    cr_assert(in && out);
    int rc = man_fill(in, out, e);
    fclose(in);
    fclose(out);
    return rc;
}

static void setup(void)
{
    setenv("SSLTOP_RECIPES", "data/recipes", 1);
    setenv("SSLTOP_REFERENCE", "data/reference", 1);
}

TestSuite(man, .init = setup);

Test(man, pages_are_not_stale)
{
    for (int i = 0; i < PAGES; i++) {
        FILE *f = fopen(page[i], "r");
        char *now = slurp(f), *want = filled(page[i]);
        fclose(f);
        cr_assert(!strcmp(now, want), "%s is stale: say make man", page[i]);
        free(now);
        free(want);
    }
}

Test(man, every_table_stands_in_a_page)
{
    char *text[PAGES];
    for (int i = 0; i < PAGES; i++) {
        FILE *f = fopen(page[i], "r");
        text[i] = slurp(f);
        fclose(f);
    }
    int n = 0;
    for (const char *name; (name = man_table_name(n)) != NULL; n++) {
        char mark[80];
        int found = 0;
        snprintf(mark, sizeof mark, "\n.\\\" table %s\n", name);
        for (int i = 0; i < PAGES; i++)
            found += strstr(text[i], mark) != NULL;
        cr_assert(found == 1, "table %s stands in %d pages", name, found);
    }
    cr_assert(n > 5);
    for (int i = 0; i < PAGES; i++)
        free(text[i]);
}

Test(man, synopsis_names_every_command)
{
    FILE *f = fopen(page[0], "r");
    char *text = slurp(f), *synopsis = strstr(text, "\n.Sh SYNOPSIS\n");
    fclose(f);
    cr_assert_not_null(synopsis);
    char *end = strstr(synopsis, "\n.Sh DESCRIPTION\n");
    cr_assert_not_null(end);
    *end = '\0';
    for (const struct command_line_row *c = command_line_table; c->name; c++) {
        char line[40];
        snprintf(line, sizeof line, "Cm %s", c->name);
        cr_expect(strstr(synopsis, line) || !strcmp(c->name, "help"), "%s", c->name);
    }
    free(text);
}

// Every function of the client's header stands in its page, behind its type or alone.
Test(man, every_function_of_the_client)
{
    FILE *f = fopen("train/client/ssltop-client.h", "r"), *g = fopen(page[2], "r");
    char *header = slurp(f), *text = slurp(g);
    int found = 0;
    fclose(f);
    fclose(g);
    for (char *at = header; (at = strstr(at, "ssltop_")) != NULL; at += strlen("ssltop_")) {
        size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        char name[40], word[48];
        if (at[n] != '(' || n >= sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        snprintf(word, sizeof word, "%s\"", name);
        const char *fn = strstr(text, word);
        snprintf(word, sizeof word, ".Fn %s\n", name);
        cr_expect(fn || strstr(text, word), "%s", name);
        found++;
    }
    cr_expect(found > 25, "%d functions", found);
    free(header);
    free(text);
}

Test(man, every_field_is_explained)
{
    int n = 0;
    for (int t = RECORD_RUN; t <= RECORD_END; t++) {
        const struct record_kind *type = &record_kind_table[t];
        cr_assert(man_field_doc(type->name, "") != NULL, "%s", type->name);
        for (size_t i = 0; i < type->n; i++) {
            const struct record_field *field = &type->field[i];
            char name[64];
            if (field->kind == FIELD_PHASES) {
                for (int p = 0; p < PHASE_COUNT; p++, n++) {
                    snprintf(name, sizeof name, "%s.%s", field->group, record_phase_key[p]);
                    cr_assert(man_field_doc(type->name, name) != NULL, "%s %s", type->name, name);
                }
                continue;
            }
            for (const struct man_metrics *g = man_metrics; field->kind == FIELD_METRICS && g->doc;
                 g++, n++)
                cr_assert(man_field_doc(type->name, g->doc) != NULL, "%s %s", type->name, g->doc);
            man_field_name(field, name, sizeof name);
            cr_assert(man_field_doc(type->name, name) != NULL, "%s %s", type->name, name);
            n++;
        }
    }
    cr_assert(n > 40);
}

Test(man, every_metric_is_in_one_group)
{
    for (int m = 0; m < METRIC_OF_H; m++) { // those of z have fields of their own
        int found = 0;
        for (const struct man_metrics *g = man_metrics; g->doc; g++)
            found += metric_is_given(m, g->needs);
        cr_expect(found == 1, "%s: %d", metric_table[m].key, found);
    }
}

// No page makes this program say anything.
static void has_no_complaint(const char *program)
{
    for (int i = 0; i < PAGES; i++) {
        char command[200];
        snprintf(command, sizeof command, "%s %s 2>&1", program, page[i]);
        FILE *f = popen(command, "r");
        char *said = slurp(f);
        int rc = pclose(f);
        cr_assert(rc == 0 && !*said, "%s (%d): %s", command, rc, said);
        free(said);
    }
}

Test(man, mandoc_has_no_complaint)
{
    has_no_complaint("mandoc -T lint -W warning");
}

// What man(1) of Linux formats with: it takes a word such as Li for a macro where mandoc doesn't.
Test(man, groff_has_no_complaint)
{
    has_no_complaint("groff -mandoc -T utf8 -z");
}

Test(man, broken_marks_are_refused)
{
    struct error e = {""};
    cr_assert(fill_text("a\n.\\\" table modes\n.\\\" end modes\nb\n", &e) == 0, "%s", e.text);
    cr_assert(fill_text(".\\\" table nothing\n.\\\" end nothing\n", &e) == -1);
    cr_assert(strstr(e.text, "line 1") != NULL, "%s", e.text);
    cr_assert(fill_text(".\\\" table modes\n.\\\" end metrics\n", &e) == -1);
    cr_assert(strstr(e.text, "line 2") != NULL, "%s", e.text);
    cr_assert(fill_text(".\\\" table modes\n.\\\" table metrics\n", &e) == -1);
    cr_assert(fill_text(".\\\" end modes\n", &e) == -1);
    cr_assert(fill_text("a\n.\\\" table modes\n", &e) == -1);
    cr_assert(strstr(e.text, "no end") != NULL, "%s", e.text);
}
