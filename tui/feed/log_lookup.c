// A log that is still growing is looked at anew when it does not have what is asked for.
#include "tui/feed/log_lookup.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_head.h"
#include "metrics/log/runlog_map.h"

struct log_lookup {
    struct runlog_map *map;
};

int log_lookup_open(const char *log_path, struct log_lookup **out, struct error *e)
{
    *out = NULL;
    struct log_lookup *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory");
    if (runlog_map_open(log_path, &r->map, e)) {
        free(r);
        return -1;
    }
    *out = r;
    return 0;
}

void log_lookup_free(struct log_lookup *r)
{
    if (!r)
        return;
    runlog_map_free(r->map);
    free(r);
}

// 1 and a record of this type, else 0.
static int parse(const char *line, size_t n, enum record_type type, struct record *out)
{
    if (record_parse(line, n, out, NULL) == 0 && out->type == type)
        return 1;
    record_free(out);
    return 0;
}

int log_lookup_spectrum(struct log_lookup *r, int64_t step, enum spectrum_source source,
                        struct record *out, struct error *e)
{
    const char *line;
    size_t n;
    if (step < 0 || runlog_map_update(r->map, e) < 0)
        return step < 0 ? 0 : -1;
    int rc = runlog_map_spectrum(r->map, step, source, &line, &n, e);
    return rc == 1 ? parse(line, n, RECORD_SPECTRUM, out) : rc;
}

void log_lookup_kept_init(struct log_lookup_kept *k)
{
    *k = (struct log_lookup_kept){.at = -1, .p.step = -1};
}

void log_lookup_kept_free(struct log_lookup_kept *k)
{
    free(k->p.sigma);
    log_lookup_kept_init(k);
}

int log_lookup_keep(struct log_lookup *r, struct log_lookup_kept *k, int64_t step,
                    enum spectrum_source source, struct error *e)
{
    struct record rec;
    if (runlog_map_update(r->map, e) < 0)
        return -1;
    size_t frames = runlog_map_count(r->map);
    // Not so when a resumed run makes the step again.
    int passed = frames > 0 && runlog_map_frame(r->map, frames - 1)->first_step > step;
    if (k->at == step && (k->frames == frames || (k->passed && passed)))
        return 0;
    log_lookup_kept_free(k);
    k->at = step;
    k->frames = frames;
    k->passed = passed;
    int rc = log_lookup_spectrum(r, step, source, &rec, e);
    if (rc != 1)
        return rc;
    if (rec.u.spectrum.d > 0 && rec.u.spectrum.sigma) {
        k->p = (struct history_spectrum){rec.step, rec.u.spectrum.n, rec.u.spectrum.d,
                                         rec.u.spectrum.sigma};
        rec.u.spectrum.sigma = NULL;
    }
    record_free(&rec);
    return 0;
}

// The last line of the text that is the step record of `step`: 1 or 0.
static int search(const char *text, size_t n, int64_t step, const char **line, size_t *len)
{
    int found = 0;
    for (size_t at = 0; at < n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t size = newline ? (size_t)(newline - text) - at : n - at;
        struct record_head head;
        if (record_head(text + at, size, &head) && head.type == RECORD_STEP && head.step == step) {
            *line = text + at;
            *len = size;
            found = 1;
        }
        at += size + 1;
    }
    return found;
}

int log_lookup_step(struct log_lookup *r, int64_t step, struct record *out, struct error *e)
{
    if (step < 0 || runlog_map_update(r->map, e) < 0)
        return step < 0 ? 0 : -1;
    for (size_t i = runlog_map_count(r->map); i-- > 0;) {
        const struct runlog_frame *f = runlog_map_frame(r->map, i);
        const char *text, *line;
        size_t n, len;
        // A later life of the run stands behind and wins; one that begins before the step and does
        // not have it is not the right one yet.
        if ((f->kind != RUNLOG_OTHER && f->kind != RUNLOG_SCALARS) || f->first_step > step)
            continue;
        int rc = runlog_map_read(r->map, i, &text, &n, e);
        if (rc < 0)
            return -1;
        if (rc && search(text, n, step, &line, &len))
            return parse(line, len, RECORD_STEP, out);
        if (rc && f->first_step >= 0)
            return 0; // it would have been here
    }
    return 0;
}
