// Reading the log of a run line by line.
#include "metrics/log/runlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/runlog_frames.h"

struct runlog_reader {
    struct runlog_scan scan;
    size_t out_at; // lines of the scan's last frame that were given
    int64_t passed;
    char lost[256];
};

int runlog_open(const char *path, struct runlog_reader **out, struct error *e)
{
    *out = NULL;
    struct runlog_reader *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory for the log %s", path);
    if (runlog_scan_open(&r->scan, path, e)) {
        free(r);
        return -1;
    }
    *out = r;
    return 0;
}

void runlog_reader_free(struct runlog_reader *r)
{
    if (!r)
        return;
    runlog_scan_close(&r->scan);
    free(r);
}

void runlog_skip(struct runlog_reader *r, unsigned kinds)
{
    r->scan.skip = kinds & ~(1u << RUNLOG_OTHER);
}

int64_t runlog_passed(const struct runlog_reader *r)
{
    return r->passed;
}

int runlog_next(struct runlog_reader *r, const char **line, size_t *len, struct error *e)
{
    struct runlog_scan *s = &r->scan;
    for (;;) {
        while (s->decoded && r->out_at < s->out_n) {
            const char *p = s->out + r->out_at;
            size_t left = s->out_n - r->out_at;
            const char *newline = memchr(p, '\n', left);
            *len = newline ? (size_t)(newline - p) : left;
            r->out_at += *len + (newline ? 1 : 0);
            *line = p;
            if (*len) {
                r->passed++;
                return 1;
            }
        }
        int rc = runlog_scan_next(s, e);
        if (rc != 1)
            return rc;
        r->out_at = 0;
        if (!s->decoded && s->found.lines > 0)
            r->passed += s->found.lines;
    }
}

const char *runlog_lost(struct runlog_reader *r)
{
    return runlog_scan_lost(&r->scan, r->lost, sizeof r->lost);
}

int64_t runlog_whole(const struct runlog_reader *r)
{
    return r->scan.whole;
}
