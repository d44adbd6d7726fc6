// Steps at equal distances, each answered with the newest spectrum at or before it.
#include "tui/feed/spectra_sample.h"

#include <stdlib.h>

#include "metrics/log/record_head.h"
#include "metrics/log/runlog_map.h"

struct spectra_sample {
    struct runlog_map *map;
    int64_t first, last, given; // steps; given: of the last line, -1 none
    int at, n;
};

// Steps of the first and the last live spectrum in frames of their own; 0: there are none.
static int find_ends(struct spectra_sample *s, struct error *e)
{
    const char *line;
    size_t n;
    struct record_head head;
    s->first = -1;
    for (size_t i = 0; i < runlog_map_count(s->map); i++) {
        const struct runlog_frame *f = runlog_map_frame(s->map, i);
        if (f->kind == RUNLOG_LIVE && f->first_step >= 0 &&
            (s->first < 0 || f->first_step < s->first))
            s->first = f->first_step;
    }
    if (s->first < 0)
        return 0;
    int rc = runlog_map_spectrum(s->map, INT64_MAX, SPECTRUM_LIVE, &line, &n, e);
    if (rc == 1 && record_head(line, n, &head))
        s->last = head.step;
    return rc;
}

int spectra_sample_open(const char *path, int n, struct spectra_sample **out, struct error *e)
{
    *out = NULL;
    struct spectra_sample *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory for the spectra of a log");
    s->given = -1;
    s->n = n;
    int rc = runlog_map_open(path, &s->map, e);
    if (rc == 0)
        rc = find_ends(s, e);
    if (rc == 0)
        s->at = s->n; // nothing to give
    if (rc < 0) {
        spectra_sample_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

int spectra_sample_next(struct spectra_sample *s, const char **line, size_t *n, struct error *e)
{
    while (s->at < s->n) {
        struct record_head head;
        int64_t step = s->first + (int64_t)((double)(s->last - s->first) * s->at / (s->n - 1));
        s->at++;
        int rc = runlog_map_spectrum(s->map, step, SPECTRUM_LIVE, line, n, e);
        if (rc < 0)
            return -1;
        if (rc && record_head(*line, *n, &head) && head.step > s->given) {
            s->given = head.step;
            return 1;
        }
    }
    return 0;
}

void spectra_sample_free(struct spectra_sample *s)
{
    if (!s)
        return;
    runlog_map_free(s->map);
    free(s);
}
