// Words for schedules. MODE@K is read in one place, whoever wrote it: a person, a script, a
// checkpoint, a log.
#include "train/schedule/schedule_text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 wide; // products of percentages and steps

const struct schedule_text_row schedule_text_table[] = {
    {"hybrid", "continual:40%,multi-epoch",
     "Continual at first, which prevents collapse, then "
     "all images."},
    {NULL, NULL, NULL},
};

// --- modes ---

int schedule_text_mode(const char *text, size_t n, const struct schedule_facts *f, enum mode *mode,
                       int *chunks, struct error *e)
{
    enum { DIGITS = 10 };
    const char *sign = memchr(text, '@', n);
    size_t name = sign ? (size_t)(sign - text) : n, digits = sign ? n - name - 1 : 0;
    char word[32];
    *chunks = 0;
    *mode = mode_find(text, name);
    if (*mode == MODE_NONE) {
        snprintf(word, sizeof word, "%.*s", (int)(name < sizeof word ? name : sizeof word - 1),
                 text);
        text_clean(word, sizeof word, word);
        return error_set(e, "unknown mode '%s'; there are multi-epoch, continual, cumulative",
                         word);
    }
    if (!sign)
        return 0;
    if (digits < 1 || digits > DIGITS || strspn(sign + 1, "0123456789") < digits)
        return error_set(e, "expected a number of chunks after '@'");
    int64_t k = strtoll(sign + 1, NULL, 10);
    if (f && schedule_check_chunks(f, k, e) < 0)
        return -1;
    if (k < 1 || k > INT_MAX)
        return error_set(e, "expected a number of chunks from 1 to %d after '@'", INT_MAX);
    *chunks = (int)k;
    return 0;
}

void schedule_text_name(const struct schedule *s, enum mode mode, int chunks, char *text,
                        size_t size)
{
    int usual = mode == MODE_MULTI_EPOCH || chunks == s->facts.chunks;
    mode_text(text, size, mode, usual ? 0 : chunks);
}

// --- points of a run ---

enum { DECIMALS = 9 };
#define PERCENT ((wide)100000000000) // 100 % in units of 10^-DECIMALS per cent

// A point in units of T / PERCENT steps, so that percentages compare and round exactly.
static int parse_point(const char *text, size_t len, int64_t steps, wide *units, struct error *e)
{
    int percent = len && text[len - 1] == '%';
    size_t n = len - (size_t)percent, i = 0;
    wide value = 0;
    int decimals = -1; // digits after the point, -1 before it
    for (; i < n && i < 40; i++) {
        if (text[i] == '.' && percent && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || decimals == DECIMALS || value > INT64_MAX / 10)
            break;
        value = 10 * value + (text[i] - '0');
        decimals += decimals >= 0;
    }
    if (i < n || !n || (n == 1 && decimals == 0))
        return error_set(e, "expected a percentage (40%%) or a number");
    if (percent) {
        for (int d = decimals < 0 ? 0 : decimals; d < DECIMALS; d++)
            value *= 10;
        if (value > PERCENT)
            return error_set(e, "more than 100 %%");
        *units = value * steps;
        return 0;
    }
    if (value > steps)
        return error_set(e, "more than there are (%" PRId64 ")", steps);
    *units = value * PERCENT;
    return 0;
}

int schedule_text_point(const char *text, int64_t steps, int64_t *out, struct error *e)
{
    wide units;
    if (parse_point(text, strlen(text), steps, &units, e) < 0)
        return -1;
    *out = (int64_t)(units / PERCENT);
    return 0;
}

// --- what a person plans ---

// One part of a plan, MODE[@K][:UNTIL], from *at on; its UNTIL into *at (PERCENT units), or -1 if
// it has none.
static int parse_part(struct schedule *s, const char *text, size_t len, wide *at, struct error *e)
{
    const char *colon = memchr(text, ':', len);
    size_t n = colon ? (size_t)(colon - text) : len;
    struct schedule_switch w = {.from = (int64_t)(*at / PERCENT), .clears = -1};
    if (schedule_text_mode(text, n, &s->facts, &w.mode, &w.chunks, e) < 0)
        return -1;
    wide until = -1;
    if (colon) {
        if (parse_point(colon + 1, len - n - 1, s->facts.steps, &until, e) < 0)
            return error_prefix(e, "after ':'");
        if (until <= *at)
            return error_set(e, "it must end later than it begins");
    }
    *at = until;
    return w.from < s->facts.steps ? schedule_switch(s, &w, e) : 0;
}

static int parse_parts(struct schedule *s, const char *text, struct error *e)
{
    wide at = 0;
    for (int first = 1;; first = 0) {
        text += strspn(text, " ");
        size_t len = strcspn(text, ","), used = len;
        while (used && text[used - 1] == ' ')
            used--;
        if (at < 0)
            return error_set(e, "only the last mode may be without ':UNTIL'");
        if (!first && at >= s->facts.steps * PERCENT)
            return error_set(e, "nothing can follow a mode that lasts to the end");
        if (parse_part(s, text, used, &at, e) < 0)
            return error_prefix(e, "'%.*s'", (int)(used < 40 ? used : 40), text);
        if (!text[len])
            break;
        text += len + 1;
    }
    if (at >= 0 && at < s->facts.steps * PERCENT)
        return error_set(e, "the last mode lasts to the end: leave out its ':UNTIL'");
    return 0;
}

int schedule_text_parse(struct schedule *s, const struct schedule_facts *f, const char *text,
                        struct error *e)
{
    if (schedule_init(s, f, e) < 0)
        return -1;
    for (const struct schedule_text_row *row = schedule_text_table; row->name; row++)
        if (!strcmp(row->name, text))
            text = row->schedule;
    if (parse_parts(s, text, e) == 0)
        return 0;
    schedule_free(s);
    return error_prefix(e, "schedule");
}

// --- what checkpoints keep ---

char *schedule_text_write(const struct schedule *s)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    for (int i = 0; i < s->n; i++)
        fprintf(f, "%s%" PRId64 ":%s@%d", i ? "," : "", s->entry[i].from,
                mode_name(s->entry[i].mode), s->entry[i].chunks);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int schedule_text_next(const char **text, int64_t *step, char *word, size_t size)
{
    const char *at = *text;
    char *end;
    if (!*at)
        return 0;
    errno = 0;
    *step = strtoll(at, &end, 10);
    size_t n = *end == ':' ? strcspn(end + 1, ",") : 0;
    if (*at < '0' || *at > '9' || errno || !n || n >= size)
        return -1;
    snprintf(word, size, "%.*s", (int)n, end + 1);
    *text = end + 1 + n + (end[1 + n] == ',');
    return 1;
}

int schedule_text_read(struct schedule *s, const char *text, struct error *e)
{
    char word[64];
    int rc, n = 0;
    struct schedule_switch w;
    for (; (rc = schedule_text_next(&text, &w.from, word, sizeof word)) > 0; n++) {
        w.clears = n ? -1 : 0;
        if (!n && w.from != 0)
            break;
        if (schedule_text_mode(word, strlen(word), NULL, &w.mode, &w.chunks, e) < 0 ||
            schedule_switch(s, &w, e) < 0)
            return error_prefix(e, "recorded schedule");
    }
    if (rc == 0 && n)
        return 0;
    text_clean(word, sizeof word, text);
    return error_set(e, "a recorded schedule can't be read at '%s'", word);
}

// --- what events say ---

const char *schedule_text_switch(const struct schedule *s, const struct schedule_switch *w,
                                 char *to, size_t size)
{
    schedule_text_name(s, w->mode, w->chunks, to, size);
    if (w->clears < 0)
        return "mode";
    size_t n = strlen(to);
    snprintf(to + n, size - n, " at %" PRId64, w->from);
    return "until";
}

int schedule_text_event(const struct record_event *v, int64_t step, struct schedule_switch *out,
                        struct error *e)
{
    int is_until = strcmp(v->what, "until") == 0;
    if ((!is_until && strcmp(v->what, "mode") != 0) || strcmp(v->by, "plan") == 0)
        return 0;
    const char *at = is_until ? strstr(v->to, " at ") : v->to + strlen(v->to);
    char *end = NULL;
    *out = (struct schedule_switch){.from = step, .clears = is_until ? step : -1};
    errno = 0;
    if (is_until && at)
        out->from = strtoll(at + 4, &end, 10);
    if (!at || errno || (is_until && (end == at + 4 || *end))) {
        char shown[64];
        text_clean(shown, sizeof shown, v->to);
        return error_set(e, "a recorded switch can't be read at '%s'", shown);
    }
    size_t n = (size_t)(at - v->to);
    return schedule_text_mode(v->to, n, NULL, &out->mode, &out->chunks, e) < 0 ? -1 : 1;
}
