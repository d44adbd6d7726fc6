// A log that is still growing is looked at anew when it does not have what is asked for.
#include "tui/feed/log_lookup.h"

#include <stdlib.h>

void log_lookup_init(struct log_lookup *k)
{
    *k = (struct log_lookup){.at = -1, .p.step = -1};
}

void log_lookup_free(struct log_lookup *k)
{
    free(k->p.sigma);
    log_lookup_init(k);
}

int log_lookup_spectrum(struct cursor *log, struct log_lookup *k, int64_t step,
                        enum runlog_kind kind, struct error *e)
{
    struct record r;
    size_t frames;
    if (cursor_look(log, e) < 0)
        return -1;
    const struct runlog_frame *frame = cursor_frames(log, &frames);
    // Not so when a resumed run makes the step again.
    int passed = frames > 0 && frame[frames - 1].first_step > step;
    if (k->at == step && (k->frames == frames || (k->passed && passed)))
        return 0;
    log_lookup_free(k);
    k->at = step;
    k->frames = frames;
    k->passed = passed;
    int rc = cursor_find(log, kind, step, &r, e);
    if (rc == 1 && r.u.spectrum.d > 0 && r.u.spectrum.sigma) {
        k->p =
            (struct history_spectrum){r.step, r.u.spectrum.n, r.u.spectrum.d, r.u.spectrum.sigma};
        r.u.spectrum.sigma = NULL;
    }
    record_free(&r);
    return rc < 0 ? -1 : 0;
}

int log_lookup_step(struct cursor *log, int64_t step, struct record *out, struct error *e)
{
    int rc = cursor_find(log, RUNLOG_SCALARS, step, out, e);
    if (rc == 1 && out->step != step) {
        record_free(out);
        return 0;
    }
    return rc;
}
