// Records as rows: CSV after RFC 4180, or JSON lines.
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

#include "tui/cli/export.h"

int export_columns(enum record_type type, const char *names, unsigned char *wanted, struct error *e)
{
    memset(wanted, !names, RECORD_COLUMNS_MAX);
    size_t n;
    for (const char *word; names && (word = text_word(&names, ',', &n));) {
        int column = record_column_find(type, word, n);
        if (column < 0) {
            char all[400] = "", name[RECORD_COLUMN_NAME];
            for (int i = 0; i < record_columns(type); i++) {
                record_column_name(type, i, name);
                snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "," : "", name);
            }
            return error_set(e, "there is no column '%.*s'; there are %s", (int)(n < 40 ? n : 40),
                             word, all);
        }
        wanted[column] = 1;
    }
    return 0;
}

// --- CSV ---

static void put_text(FILE *f, const char *s)
{
    // A text in quotes may hold anything; the log's texts come from files, and control characters
    // do nothing good in a spreadsheet.
    int quoted = strpbrk(s, ",\"\r\n") != NULL;
    if (quoted)
        fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc((unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s, f);
    }
    if (quoted)
        fputc('"', f);
}

// A spectrum's values, a cell each; `width` cells in all.
static int put_sigma(FILE *f, const char *text, int width)
{
    for (int i = 0; i < width; i++) {
        size_t n = strcspn(text, " ");
        fprintf(f, "%s%.*s", i ? "," : "", (int)n, text);
        text += n;
        text += *text == ' ';
    }
    return *text ? -1 : 0;
}

static void put_head(FILE *f, enum record_type type, const unsigned char *wanted, int width)
{
    const char *comma = "";
    for (int c = 0; c < record_columns(type); c++) {
        char name[RECORD_COLUMN_NAME];
        if (!wanted[c])
            continue;
        record_column_name(type, c, name);
        if (!record_column_is_sigma(type, c)) {
            fprintf(f, "%s%s", comma, name);
            comma = ",";
        }
        for (int i = 1; record_column_is_sigma(type, c) && i <= width; i++) {
            fprintf(f, "%s%s_%d", comma, name, i);
            comma = ",";
        }
    }
    fputc('\n', f);
}

static int put_row(FILE *f, const struct record *r, const unsigned char *wanted, int width,
                   struct error *e)
{
    const char *comma = "";
    for (int c = 0; c < record_columns(r->type); c++) {
        char *text;
        int rc = 0;
        if (!wanted[c] || (!width && record_column_is_sigma(r->type, c)))
            continue;
        if (record_cell(r, c, &text) < 0)
            return error_set(e, "out of memory for a row");
        fputs(comma, f);
        comma = ",";
        if (record_column_is_sigma(r->type, c))
            rc = put_sigma(f, text, width);
        else
            put_text(f, text);
        free(text);
        if (rc)
            return error_set(e, "a spectrum of step %lld is longer than the first one",
                             (long long)r->step);
    }
    fputc('\n', f);
    return 0;
}

int export_csv(struct cursor *c, enum record_type type, const unsigned char *wanted, FILE *f,
               struct error *e)
{
    struct record r;
    int rc, width = -1, bad = 0;
    for (; !bad && !ferror(f) && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        if (width < 0) {
            width = type == RECORD_SPECTRUM ? r.u.spectrum.d : 0;
            put_head(f, type, wanted, width);
        }
        bad = put_row(f, &r, wanted, width, e);
    }
    if (bad || rc < 0)
        return -1;
    if (width < 0)
        put_head(f, type, wanted, 0);
    return 0;
}

// --- JSON lines ---

static int all(enum record_type type, const unsigned char *wanted)
{
    for (int c = 0; c < record_columns(type); c++)
        if (!wanted[c])
            return 0;
    return 1;
}

int export_json(struct cursor *c, const unsigned char *wanted, FILE *f, struct error *e)
{
    struct record r;
    int rc, bad = 0;
    for (; !bad && !ferror(f) && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        char *own = NULL;
        size_t n;
        const char *line = cursor_line(c, &n);
        if (!all(r.type, wanted)) {
            bad = record_format_columns(&r, wanted, &own, &n, e);
            line = own;
        }
        if (!bad) {
            fwrite(line, 1, n, f);
            fputc('\n', f);
        }
        free(own);
    }
    return bad || rc < 0 ? -1 : 0;
}
