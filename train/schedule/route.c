// Plans and rate factors to text and back. Texts come from files: every number is checked, and the
// schedule itself refuses steps and chunks that the run does not have.
#include "train/schedule/route.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record.h"

void rates_free(struct rates *r)
{
    free(r->entry);
    memset(r, 0, sizeof *r);
}

double rates_at(const struct rates *r, int64_t step)
{
    double factor = 1;
    for (int i = 0; i < r->n && r->entry[i].from <= step; i++)
        factor = r->entry[i].factor;
    return factor;
}

int rates_set(struct rates *r, int64_t from, double factor, struct error *e)
{
    int i = r->n;
    while (i > 0 && r->entry[i - 1].from >= from)
        i--;
    if (i < r->n && r->entry[i].from == from) {
        r->entry[i].factor = factor;
        return 0;
    }
    if (r->n == r->cap) {
        int cap = r->cap ? 2 * r->cap : 8;
        struct rate *more =
            cap > INT_MAX / 64 ? NULL : realloc(r->entry, (size_t)cap * sizeof *more);
        if (!more)
            return error_set(e, "too many changes of the learning rate");
        r->entry = more;
        r->cap = cap;
    }
    memmove(r->entry + i + 1, r->entry + i, (size_t)(r->n - i) * sizeof *r->entry);
    r->entry[i] = (struct rate){from, factor};
    r->n++;
    return 0;
}

char *rates_text(const struct rates *r)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    for (int i = 0; i < r->n; i++)
        fprintf(f, "%s%" PRId64 ":%.17g", i ? "," : "", r->entry[i].from, r->entry[i].factor);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int bad_text(const char *what, const char *text, struct error *e)
{
    char shown[64];
    text_clean(shown, sizeof shown, text);
    return error_set(e, "a recorded %s can't be read at '%s'", what, shown);
}

// "STEP:" in front of an entry; where the rest begins, or NULL.
static const char *take_step(const char *text, int64_t *step)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return NULL;
    *step = strtoll(text, &end, 10);
    return errno || *end != ':' ? NULL : end + 1;
}

int rates_parse(struct rates *r, const char *text, struct error *e)
{
    rates_free(r);
    while (*text) {
        int64_t from;
        const char *number = take_step(text, &from);
        char *end;
        if (!number)
            return bad_text("learning rate", text, e);
        double factor = strtod(number, &end);
        if (end == number || !isfinite(factor) || factor < 0 || (*end && *end != ','))
            return bad_text("learning rate", number, e);
        if (rates_set(r, from, factor, e) < 0)
            return -1;
        text = *end ? end + 1 : end;
    }
    return 0;
}

char *plan_text(const struct schedule *s)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    for (int i = 0; i < s->n; i++)
        fprintf(f, "%s%" PRId64 ":%s@%d", i ? "," : "", s->entry[i].from,
                mode_table[s->entry[i].mode].name, s->entry[i].chunks);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int mode_parse(const char *text, enum mode *mode, int *chunks, struct error *e)
{
    char name[32];
    size_t n = strcspn(text, "@");
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, text);
    int found = mode_find(name);
    if (found < 0)
        return bad_text("mode", text, e);
    *mode = (enum mode)found;
    *chunks = 0;
    if (!text[n])
        return 0;
    char *end;
    errno = 0;
    long k = strtol(text + n + 1, &end, 10);
    if (errno || end == text + n + 1 || *end || k < 1 || k > INT_MAX)
        return bad_text("mode", text, e);
    *chunks = (int)k;
    return 0;
}

int plan_parse(struct schedule *s, const char *text, struct error *e)
{
    int first = 1;
    while (*text) {
        char one[64];
        int64_t from;
        enum mode mode = MODE_MULTI_EPOCH;
        int chunks = 0;
        const char *rest = take_step(text, &from);
        size_t n = rest ? strcspn(rest, ",") : 0;
        if (!rest || n >= sizeof one || (first && from != 0))
            return bad_text("plan", text, e);
        snprintf(one, sizeof one, "%.*s", (int)n, rest);
        if (mode_parse(one, &mode, &chunks, e) < 0)
            return -1;
        if (first)
            schedule_truncate(s, 0);
        first = 0;
        if (schedule_append(s, from, mode, chunks, e) < 0)
            return error_prefix(e, "recorded plan");
        text = rest[n] ? rest + n + 1 : rest + n;
    }
    return first ? bad_text("plan", "", e) : 0;
}

void mode_text(const struct schedule *s, enum mode mode, int chunks, char *text, size_t size)
{
    if (mode == MODE_MULTI_EPOCH || chunks == 0 || chunks == s->facts.chunks)
        snprintf(text, size, "%s", mode_table[mode].name);
    else
        snprintf(text, size, "%s@%d", mode_table[mode].name, chunks);
}

void until_text(const struct schedule *s, enum mode mode, int chunks, int64_t at, char *text,
                size_t size)
{
    char name[40];
    mode_text(s, mode, chunks, name, sizeof name);
    snprintf(text, size, "%s at %" PRId64, name, at);
}

int until_parse(const char *text, enum mode *mode, int *chunks, int64_t *at, struct error *e)
{
    char name[40];
    const char *split = strstr(text, " at ");
    char *end;
    if (!split || (size_t)(split - text) >= sizeof name)
        return bad_text("switch", text, e);
    snprintf(name, sizeof name, "%.*s", (int)(split - text), text);
    if (mode_parse(name, mode, chunks, e) < 0)
        return -1;
    errno = 0;
    *at = strtoll(split + 4, &end, 10);
    if (errno || end == split + 4 || *end || *at < 0)
        return bad_text("switch", text, e);
    return 0;
}
