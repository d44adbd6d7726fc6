// Curves first, then some live spectra, evenly over the run, for what is drawn over time; then
// whatever comes.
#include "tui/feed/replay.h"

#include <stdlib.h>

#include "metrics/base/clock.h"
#include "metrics/log/cursor.h"

enum {
    SLICE_MS = 15, // how long one pump may take
    LOOK_MS = 500, // between looks for what came since
    SPECTRA = 1024 // given of a log's live spectra: as many as a history keeps
};

struct replay {
    struct source base;
    struct cursor *log;
    struct record first; // found when it was opened
    int at_end;
    int64_t next_look; // ms
};

static int replay_poll(struct source *base, struct pollfd *p, int *timeout_ms)
{
    struct replay *s = (struct replay *)base;
    int left = s->at_end ? clock_left(s->next_look) : 0;
    if (left < *timeout_ms)
        *timeout_ms = left;
    return 0;
}

static int replay_pump(struct source *base, short revents, const struct sink *sink, struct error *e)
{
    struct replay *s = (struct replay *)base;
    int64_t until = clock_ms() + SLICE_MS;
    if (s->at_end && clock_ms() < s->next_look)
        return 0;
    struct record r = s->first;
    record_init(&s->first, RECORD_UNKNOWN, -1);
    for (int lines = 1, rc = 1;; lines++) {
        if (rc == 1 && r.type != RECORD_UNKNOWN)
            rc = sink->record(sink->to, &r, e) ? -1 : 1;
        record_free(&r);
        s->at_end = rc == 0;
        if (rc != 1 || (lines % 16 == 0 && clock_ms() >= until)) {
            s->next_look = clock_ms() + LOOK_MS;
            return rc < 0 ? -1 : 0;
        }
        rc = cursor_record(s->log, &r, e);
    }
}

static enum source_state replay_state(const struct source *base)
{
    const struct replay *s = (const struct replay *)base;
    return cursor_has_curves(s->log) ? SOURCE_ALONE : SOURCE_READING;
}

static pid_t replay_pid(const struct source *base)
{
    return 0;
}

static const char *replay_lost(const struct source *base)
{
    return cursor_lost(((const struct replay *)base)->log);
}

static void replay_free(struct source *base)
{
    struct replay *s = (struct replay *)base;
    cursor_free(s->log);
    record_free(&s->first);
    free(s);
}

static const struct source_class replay_class = {
    .name = "replay",
    .poll = replay_poll,
    .pump = replay_pump,
    .state = replay_state,
    .pid = replay_pid,
    .lost = replay_lost,
    .free = replay_free,
};

int source_replay_open(const char *log_path, struct source **out, struct error *e)
{
    *out = NULL;
    struct replay *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory");
    s->base.klass = &replay_class;
    int rc = cursor_open(log_path, &s->log, e);
    if (rc == 0) {
        cursor_want(s->log, &(struct cursor_wanted){.spectra = SPECTRA});
        rc = cursor_record(s->log, &s->first, e);
        const char *lost = cursor_lost(s->log);
        if (rc == 0)
            error_set(e, "nothing of a log can be read%s%.200s", lost ? ": " : "",
                      lost ? lost : "");
        if (rc != 1)
            error_prefix(e, "%.300s", log_path);
    }
    if (rc != 1) {
        replay_free(&s->base);
        return -1;
    }
    *out = &s->base;
    return 0;
}
