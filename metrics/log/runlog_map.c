// The list of a log's frames, from its index or by a scan that decodes nothing.
#include "metrics/log/runlog_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_head.h"
#include "metrics/log/runlog_ending.h"
#include "metrics/log/runlog_frames.h"

struct runlog_map {
    struct runlog_scan scan;
    struct runlog_ending list;
    unsigned char *damaged; // of each frame that was there at the last call: it was read, and is
    size_t n_damaged;
    int indexed;
    int64_t bad, bad_bytes; // damaged frames, and their bytes
    char *line;             // of runlog_map_spectrum
    size_t line_cap;
    char lost[400];
};

// --- the list ---

int64_t runlog_map_update(struct runlog_map *m, struct error *e)
{
    size_t before = m->list.n;
    int rc;
    while ((rc = runlog_scan_next(&m->scan, e)) == 1)
        runlog_ending_add(&m->list, &m->scan.found);
    if (rc < 0)
        return -1;
    size_t n = m->list.n;
    if (m->list.broken)
        return error_set(e, "out of memory for the frames of a log");
    unsigned char *damaged = n > m->n_damaged ? realloc(m->damaged, n) : m->damaged;
    if (n && !damaged)
        return error_set(e, "out of memory for the frames of a log");
    if (n > m->n_damaged)
        memset(damaged + m->n_damaged, 0, n - m->n_damaged);
    m->damaged = damaged;
    m->n_damaged = n;
    return (int64_t)(n - before);
}

static int read_index(struct runlog_map *m, struct error *e)
{
    m->indexed = runlog_ending_read(m->scan.fd, &m->list, e);
    if (m->indexed == 1) {
        const struct runlog_frame *last = &m->list.frame[m->list.n - 1];
        m->scan.whole = last->offset + last->size;
    }
    return m->indexed < 0 ? -1 : 0;
}

int runlog_map_open(const char *path, struct runlog_map **out, struct error *e)
{
    *out = NULL;
    struct runlog_map *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(e, "out of memory for the log %s", path);
    int rc = runlog_scan_open(&m->scan, path, e);
    if (!rc) {
        m->scan.skip = (1u << RUNLOG_KINDS) - 1;
        rc = read_index(m, e) || runlog_map_update(m, e) < 0;
    }
    if (rc) {
        runlog_map_free(m);
        return -1;
    }
    *out = m;
    return 0;
}

void runlog_map_free(struct runlog_map *m)
{
    if (!m)
        return;
    runlog_scan_close(&m->scan);
    runlog_ending_free(&m->list);
    free(m->damaged);
    free(m->line);
    free(m);
}

size_t runlog_map_count(const struct runlog_map *m)
{
    return m->list.n;
}

const struct runlog_frame *runlog_map_frame(const struct runlog_map *m, size_t i)
{
    return &m->list.frame[i];
}

int runlog_map_indexed(const struct runlog_map *m)
{
    return m->indexed;
}

// --- lines ---

int runlog_map_read(struct runlog_map *m, size_t i, const char **lines, size_t *n, struct error *e)
{
    struct runlog_scan *s = &m->scan;
    int rc = m->damaged[i] ? 0 : runlog_scan_read(s, &m->list.frame[i], e);
    *lines = s->out;
    *n = rc == 1 ? s->out_n : 0;
    if (rc == 0 && !m->damaged[i]) {
        m->damaged[i] = 1;
        m->bad++;
        m->bad_bytes += m->list.frame[i].size;
    }
    return rc;
}

static int is_of(enum runlog_kind kind, enum spectrum_source source)
{
    return kind == RUNLOG_OTHER || kind == (source == SPECTRUM_LIVE ? RUNLOG_LIVE : RUNLOG_EXACT);
}

// The last line of this source at or before `step` in the text of a frame: 1 or 0.
static int search(const char *text, size_t n, int64_t step, enum spectrum_source source,
                  const char **line, size_t *len)
{
    int found = 0;
    for (size_t at = 0; at < n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t size = newline ? (size_t)(newline - text) - at : n - at;
        struct record_head head;
        if (record_head(text + at, size, &head) && head.type == RECORD_SPECTRUM &&
            head.source == source && head.step >= 0 && head.step <= step) {
            *line = text + at;
            *len = size;
            found = 1;
        }
        at += size + 1;
    }
    return found;
}

static int keep_line(struct runlog_map *m, const char **line, size_t n, struct error *e)
{
    if (n + 1 > m->line_cap) {
        char *p = realloc(m->line, n + 1);
        if (!p)
            return error_set(e, "out of memory for a spectrum");
        m->line = p;
        m->line_cap = n + 1;
    }
    memcpy(m->line, *line, n);
    m->line[n] = '\0';
    *line = m->line;
    return 1;
}

int runlog_map_spectrum(struct runlog_map *m, int64_t step, enum spectrum_source source,
                        const char **line, size_t *n, struct error *e)
{
    for (size_t i = m->list.n; i-- > 0;) {
        const struct runlog_frame *f = &m->list.frame[i];
        const char *text;
        size_t size;
        // A later life of the run begins at an earlier step, and its frames stand behind: the first
        // from the end that does not begin after the step is the one.
        if (!is_of(f->kind, source) || f->first_step > step)
            continue;
        int rc = runlog_map_read(m, i, &text, &size, e);
        if (rc < 0)
            return -1;
        if (rc && search(text, size, step, source, line, n))
            return keep_line(m, line, *n, e);
    }
    return 0;
}

const char *runlog_map_lost(struct runlog_map *m)
{
    char rest[256];
    const char *why = runlog_scan_lost(&m->scan, rest, sizeof rest);
    if (!m->bad)
        return why ? strcpy(m->lost, why) : NULL;
    snprintf(m->lost, sizeof m->lost, "%lld damaged frame%s of together %lld bytes left out%s%s",
             (long long)m->bad, m->bad == 1 ? "" : "s", (long long)m->bad_bytes, why ? "; " : "",
             why ? why : "");
    return m->lost;
}
