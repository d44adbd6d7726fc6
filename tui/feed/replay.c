// Frames of scalars one after the other; those of nothing but spectra are passed over undecoded.
// When all scalars are given, some spectra follow, evenly over the run, for what is drawn over
// time.
#include "tui/feed/replay.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/log/record_head.h"
#include "metrics/log/runlog_map.h"

enum {
    SLICE_MS = 15, // how long one pump may take
    LOOK_MS = 500, // between looks for what came since
    SPECTRA = 512  // given of a log's live spectra, or up to twice as many
};

// One way through the frames: of those that `wants`, lines text[at .. n) are still to be given.
struct walk {
    size_t next; // frame to read
    char *text;
    size_t at, n, cap;
};

struct replay {
    struct source base;
    struct runlog_map *map;
    struct walk scalars, spectra;
    int64_t live, every; // live spectra passed so far; of these every so many-th is given
    int at_end;          // of the scalars
    int64_t next_look;   // ms
};

static int has_scalars(const struct runlog_frame *f)
{
    return f->kind == RUNLOG_SCALARS || f->kind == RUNLOG_OTHER;
}

static int has_spectra(const struct runlog_frame *f)
{
    return f->kind != RUNLOG_SCALARS;
}

// Whether a frame has a line that is to be given; one that has none is not even decoded.
static int is_due(struct replay *s, const struct runlog_frame *f)
{
    if (f->kind != RUNLOG_LIVE || f->lines < 0)
        return 1;
    if (s->live % s->every == 0 || s->live / s->every != (s->live + f->lines - 1) / s->every)
        return 1;
    s->live += f->lines;
    return 0;
}

// The lines of the walk's next frame: 1, 0 = no more now, -1 = error. They are copied: the map's
// own are gone when it is asked again.
static int next_frame(struct replay *s, struct walk *w, int (*wants)(const struct runlog_frame *),
                      struct error *e)
{
    while (w->next < runlog_map_count(s->map)) {
        size_t i = w->next++;
        const struct runlog_frame *f = runlog_map_frame(s->map, i);
        const char *lines;
        size_t n;
        int rc = wants(f) && (w == &s->scalars || is_due(s, f))
                     ? runlog_map_read(s->map, i, &lines, &n, e)
                     : 0;
        if (rc < 0)
            return -1;
        if (rc == 0 || n == 0)
            continue;
        if (n > w->cap) {
            char *text = realloc(w->text, n);
            if (!text)
                return error_set(e, "out of memory for a frame of the log");
            w->text = text;
            w->cap = n;
        }
        memcpy(w->text, lines, n);
        w->at = 0;
        w->n = n;
        return 1;
    }
    return 0;
}

static int wants_line(struct replay *s, const struct walk *w, const struct record_head *head)
{
    if (w == &s->scalars)
        return head->type != RECORD_UNKNOWN && head->type != RECORD_SPECTRUM;
    return head->type == RECORD_SPECTRUM &&
           (head->source == SPECTRUM_EXACT || s->live++ % s->every == 0);
}

static int give_line(struct replay *s, const struct walk *w, const struct sink *sink,
                     const char *line, size_t n, struct error *e)
{
    struct record_head head;
    struct record r;
    if (!record_head(line, n, &head) || !wants_line(s, w, &head))
        return 0;
    int rc = record_parse(line, n, &r, NULL) == 0 && r.type != RECORD_UNKNOWN
                 ? sink->record(sink->to, &r, e)
                 : 0;
    record_free(&r);
    return rc;
}

// Give lines until the time is over (1) or there are no more now (0); -1 = error.
static int follow(struct replay *s, struct walk *w, int (*wants)(const struct runlog_frame *),
                  int64_t until, const struct sink *sink, struct error *e)
{
    for (int64_t lines = 1;; lines++) {
        if (w->at == w->n) {
            int rc = next_frame(s, w, wants, e);
            if (rc <= 0)
                return rc;
        }
        const char *line = w->text + w->at;
        const char *newline = memchr(line, '\n', w->n - w->at);
        size_t n = newline ? (size_t)(newline - line) : w->n - w->at;
        w->at += n + (newline != NULL);
        if (n && give_line(s, w, sink, line, n, e))
            return -1;
        if (lines % 16 == 0 && clock_ms() >= until)
            return 1;
    }
}

// How many live spectra there are, to give some of them evenly.
static void choose_spectra(struct replay *s)
{
    int64_t all = 0;
    for (size_t i = 0; i < runlog_map_count(s->map); i++) {
        const struct runlog_frame *f = runlog_map_frame(s->map, i);
        if (f->kind == RUNLOG_LIVE && f->lines > 0)
            all += f->lines;
    }
    s->every = all / SPECTRA > 1 ? all / SPECTRA : 1;
}

static int replay_poll(struct source *base, struct pollfd *p, int *timeout_ms)
{
    struct replay *s = (struct replay *)base;
    int idle =
        s->at_end && s->spectra.at == s->spectra.n && s->spectra.next == runlog_map_count(s->map);
    int64_t left = idle ? s->next_look - clock_ms() : 0;
    if (left < *timeout_ms)
        *timeout_ms = left > 0 ? (int)left : 0;
    return 0;
}

static int replay_pump(struct source *base, short revents, const struct sink *sink, struct error *e)
{
    struct replay *s = (struct replay *)base;
    int64_t now = clock_ms(), until = now + SLICE_MS;
    if (s->at_end && now >= s->next_look) {
        int64_t came = runlog_map_update(s->map, e);
        if (came < 0)
            return -1;
        s->next_look = now + LOOK_MS;
        s->at_end = came == 0;
    }
    if (!s->at_end) {
        int rc = follow(s, &s->scalars, has_scalars, until, sink, e);
        if (rc)
            return rc < 0 ? -1 : 0;
        s->at_end = 1;
        s->next_look = now + LOOK_MS;
        if (!s->every)
            choose_spectra(s);
    }
    return follow(s, &s->spectra, has_spectra, until, sink, e) < 0 ? -1 : 0;
}

static enum source_state replay_state(const struct source *base)
{
    return ((const struct replay *)base)->at_end ? SOURCE_ALONE : SOURCE_READING;
}

static pid_t replay_pid(const struct source *base)
{
    return 0;
}

static const char *replay_lost(const struct source *base)
{
    return runlog_map_lost(((const struct replay *)base)->map);
}

static void replay_free(struct source *base)
{
    struct replay *s = (struct replay *)base;
    runlog_map_free(s->map);
    free(s->scalars.text);
    free(s->spectra.text);
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
    if (runlog_map_open(log_path, &s->map, e)) {
        free(s);
        return -1;
    }
    int rc = next_frame(s, &s->scalars, has_scalars, e);
    if (rc == 0) {
        const char *lost = runlog_map_lost(s->map);
        error_set(e, "%.300s: nothing of a log can be read%s%.200s", log_path, lost ? ": " : "",
                  lost ? lost : "");
    }
    if (rc != 1) {
        replay_free(&s->base);
        return -1;
    }
    *out = &s->base;
    return 0;
}
