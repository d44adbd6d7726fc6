// Records as rows: CSV after RFC 4180, or JSON lines.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "metrics/log/record_fields.h"
#include "tui/export/export.h"

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
                text_item(all, sizeof all, ",", "%s", name);
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

// --- the script's own scalars ---

static void join(struct record_own *all, const struct record_own *more)
{
    for (int i = 0; i < more->n; i++) {
        int k = 0;
        while (k < all->n && strcmp(all->item[k].name, more->item[i].name) != 0)
            k++;
        if (k == all->n && k < RECORD_OWN)
            all->item[all->n++] = more->item[i];
    }
}

int export_own(const char *path, struct record_own *out, struct error *e)
{
    struct cursor *c;
    struct record r;
    int rc, is_ours = 0;
    out->n = 0;
    if (cursor_open(path, &c, e) < 0)
        return -1;
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS});
    for (; !is_ours && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        if (r.type == RECORD_RUN)
            is_ours = !*r.u.run.can;
        if (r.type == RECORD_STEP)
            join(out, &r.u.step.own);
    }
    cursor_free(c);
    return is_ours ? 0 : rc;
}

static void put_own(FILE *f, const struct record_own *names, const struct record_own *own,
                    const char **comma)
{
    for (int i = 0; i < names->n; i++, *comma = ",") {
        char text[RECORD_NUMBER] = "";
        int k = 0;
        while (own && k < own->n && strcmp(own->item[k].name, names->item[i].name) != 0)
            k++;
        fputs(*comma, f);
        if (!own) {
            char name[RECORD_OWN_NAME + 4];
            snprintf(name, sizeof name, "own.%s", names->item[i].name);
            put_text(f, name);
        } else if (k < own->n && isfinite(own->item[k].value)) {
            record_number(text, own->item[k].value, RECORD_DIGITS);
            fputs(text, f);
        }
    }
}

static void put_head(FILE *f, enum record_type type, const unsigned char *wanted, int width,
                     const struct record_own *own)
{
    const char *comma = "";
    for (int c = 0; c < record_columns(type); c++) {
        char name[RECORD_COLUMN_NAME];
        if (!wanted[c])
            continue;
        if (record_column_is_own(type, c)) {
            put_own(f, own, NULL, &comma);
            continue;
        }
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
                   const struct record_own *own, struct error *e)
{
    const char *comma = "";
    for (int c = 0; c < record_columns(r->type); c++) {
        char *text;
        int rc = 0;
        if (!wanted[c] || (!width && record_column_is_sigma(r->type, c)))
            continue;
        if (record_column_is_own(r->type, c)) {
            put_own(f, own, &r->u.step.own, &comma);
            continue;
        }
        if (record_cell(r, c, &text) < 0)
            return error_memory(e, "a row");
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

int export_csv(struct cursor *c, enum record_type type, const unsigned char *wanted,
               const struct record_own *own, FILE *f, struct error *e)
{
    struct record r;
    int rc = 0, width = -1, bad = 0;
    for (; !bad && !ferror(f) && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        if (width < 0) {
            width = type == RECORD_SPECTRUM ? r.u.spectrum.d : 0;
            put_head(f, type, wanted, width, own);
        }
        bad = put_row(f, &r, wanted, width, own, e);
    }
    if (bad || rc < 0)
        return -1;
    if (width < 0)
        put_head(f, type, wanted, 0, own);
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
    int rc = 0, bad = 0;
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
