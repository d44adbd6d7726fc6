// Which lines of a log count, found in a first reading by their fronts alone: a stack of what is
// valid so far, from which a step that is done again takes everything since.
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_head.h"
#include "metrics/log/runlog.h"
#include "tui/cli/export.h"

struct entry {
    int64_t key;  // place in the life of a run: twice the step; what is recorded of a step itself
                  // stands behind what was measured before it
    int64_t line; // number in the log
};

struct stack {
    struct entry *entry;
    size_t n, cap;
};

struct export_lines {
    struct runlog_reader *log;
    enum record_type type;
    struct stack stack[2]; // spectra: by their source, for the log keeps the order of each only
    size_t at;
    int64_t line; // read so far
};

// Kinds of frames that cannot hold lines of this type.
static unsigned useless(enum record_type type)
{
    return type == RECORD_SPECTRUM ? 0 : RUNLOG_SPECTRA;
}

static int open_log(struct export_lines *l, const char *path, struct error *e)
{
    runlog_reader_free(l->log);
    l->log = NULL;
    l->line = 0;
    if (runlog_open(path, &l->log, e))
        return -1;
    runlog_skip(l->log, useless(l->type));
    return 0;
}

static void forget(struct stack *s, int64_t key)
{
    while (s->n && s->entry[s->n - 1].key >= key)
        s->n--;
}

static int push(struct stack *s, struct entry entry, struct error *e)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024;
        struct entry *more = realloc(s->entry, cap * sizeof *more);
        if (!more)
            return error_set(e, "out of memory for the lines of a log");
        s->entry = more;
        s->cap = cap;
    }
    s->entry[s->n++] = entry;
    return 0;
}

static int is_repeated(enum record_type type)
{
    return type == RECORD_STEP || type == RECORD_SPECTRUM || type == RECORD_EVAL;
}

// The run went on from an earlier step: what had been done from there on does not count.
static void note_event(struct export_lines *l, const char *line, size_t n)
{
    struct record r;
    if (record_parse(line, n, &r, NULL) == 0 && r.type == RECORD_EVENT && r.step >= 0 &&
        strcmp(r.u.event.what, "resume") == 0 && strcmp(r.u.event.by, "trainer") == 0)
        for (int i = 0; i < 2; i++)
            forget(&l->stack[i], 2 * r.step + 1);
    record_free(&r);
}

static int note_line(struct export_lines *l, const char *line, size_t n, struct error *e)
{
    struct record_head head;
    if (!record_head(line, n, &head))
        return 0;
    if (head.type == RECORD_EVENT && is_repeated(l->type))
        note_event(l, line, n);
    if (head.type != l->type || head.step > INT64_MAX / 4)
        return 0;
    int of_step =
        head.type == RECORD_STEP || (head.type == RECORD_SPECTRUM && head.source == SPECTRUM_LIVE);
    int64_t key = 2 * head.step + of_step;
    struct stack *s = &l->stack[head.type == RECORD_SPECTRUM && head.source == SPECTRUM_EXACT];
    if (is_repeated(head.type))
        forget(s, key);
    return push(s, (struct entry){key, l->line}, e);
}

static int by_line(const void *a, const void *b)
{
    int64_t x = ((const struct entry *)a)->line, y = ((const struct entry *)b)->line;
    return (x > y) - (x < y);
}

// One list of what lies in the range, in the order of the log.
static int choose(struct export_lines *l, struct export_range range, struct error *e)
{
    struct stack *s = &l->stack[0];
    size_t kept = 0;
    for (size_t i = 0; i < l->stack[1].n; i++)
        if (push(s, l->stack[1].entry[i], e))
            return -1;
    for (size_t i = 0; i < s->n; i++) {
        int64_t step = s->entry[i].key >> 1;
        if (step >= range.from && step <= range.to)
            s->entry[kept++] = s->entry[i];
    }
    s->n = kept;
    if (kept)
        qsort(s->entry, kept, sizeof *s->entry, by_line);
    return 0;
}

int export_lines_open(const char *path, enum record_type type, struct export_range range,
                      struct export_lines **out, struct error *e)
{
    const char *line;
    size_t n;
    int rc;
    *out = NULL;
    struct export_lines *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(e, "out of memory for the lines of a log");
    l->type = type;
    rc = open_log(l, path, e);
    while (rc == 0 && (rc = runlog_next(l->log, &line, &n, e)) == 1) {
        rc = note_line(l, line, n, e);
        l->line++;
    }
    if (rc == 0)
        rc = choose(l, range, e);
    if (rc == 0)
        rc = open_log(l, path, e);
    if (rc) {
        export_lines_free(l);
        return -1;
    }
    *out = l;
    return 0;
}

int64_t export_lines_count(const struct export_lines *l)
{
    return (int64_t)l->stack[0].n;
}

int export_lines_next(struct export_lines *l, const char **line, size_t *n, struct error *e)
{
    while (l->at < l->stack[0].n) {
        int rc = runlog_next(l->log, line, n, e);
        if (rc <= 0)
            return rc;
        if (l->line++ == l->stack[0].entry[l->at].line) {
            l->at++;
            return 1;
        }
    }
    return 0;
}

const char *export_lines_lost(struct export_lines *l)
{
    // All of it must have been read to know.
    const char *line;
    size_t n;
    while (runlog_next(l->log, &line, &n, NULL) == 1)
        l->line++;
    return runlog_lost(l->log);
}

int64_t export_lines_passed(const struct export_lines *l)
{
    return l->line;
}

void export_lines_free(struct export_lines *l)
{
    if (!l)
        return;
    runlog_reader_free(l->log);
    for (int i = 0; i < 2; i++)
        free(l->stack[i].entry);
    free(l);
}
