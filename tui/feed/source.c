// The live source: reads the log of a run to its end, then asks the trainer for what follows. The
// trainer says how many lines were on disk when it began to send; those not yet read are read
// first. Whatever breaks the connection (a viewer that was stopped for a while, a trainer that
// died) leads back to the log, where lines that the socket brought are known by their hashes and
// passed over.
#include "tui/feed/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/log/cursor.h"
#include "train/store/rundir.h"

enum {
    SLICE_MS = 15,       // how long one pump may take
    RETRY_MS = 1000,     // between attempts to find a trainer
    INPUT_MAX = 8 << 20, // one line is never longer
    OUTPUT_MAX = 64 << 10,
    SAMPLES = 256,     // live spectra looked at of what was before this began to look
    SEEN_MAX = 1 << 16 // lines of the socket remembered before the log is read along
};

enum stage { STAGE_LOG, STAGE_ASKING, STAGE_CATCHING_UP, STAGE_FOLLOWING, STAGE_WAITING };

struct buffer {
    char *data;
    size_t n, cap;
};

struct chain { // hashes of lines: hash[at .. n)
    uint64_t *hash;
    size_t at, n;
};

struct live {
    struct source base;
    char dir[4096];
    struct cursor *log;
    enum stage stage;
    int began; // the log was read to its end once
    int fd;    // to the trainer, -1
    pid_t pid;
    int64_t read,
        promised; // lines of the log: read so far, and on disk when the trainer began to send
    // Of lines that came over the socket and that the log has not given yet. The log keeps the
    // order of a kind.
    struct chain seen[RUNLOG_KINDS];
    int draining;     // the log is read along
    int apart;        // while waiting: a trainer holds the run all the same
    int64_t next_try; // ms
    int64_t watch_id, calls;
    struct buffer in, out;
    struct buffer held; // the newest live spectrum not yet parsed: of many read at once only the
                        // last is looked at
    int spectra;        // parsed so far
};

static int append(struct buffer *b, const char *data, size_t n)
{
    if (memory_grow(b->data, b->cap, b->n + n) < 0)
        return -1;
    memcpy(b->data + b->n, data, n);
    b->n += n;
    return 0;
}

static void hang_up(struct live *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->pid = 0;
    s->in.n = s->out.n = 0;
}

// --- lines ---

static int give(const char *line, size_t n, const struct sink *sink, struct error *e)
{
    struct record r;
    int rc = 0;
    // A line that is no record, or of no known type, is of a damaged log or a later version: the
    // others still count.
    if (record_parse(line, n, &r, NULL) == 0 && r.type != RECORD_UNKNOWN)
        rc = sink->record(sink->to, &r, e);
    record_free(&r);
    return rc;
}

static int flush_held(struct live *s, const struct sink *sink, struct error *e)
{
    if (!s->held.n)
        return 0;
    size_t n = s->held.n;
    s->held.n = 0;
    return give(s->held.data, n, sink, e);
}

static int take_line(struct live *s, const char *line, size_t n, const struct sink *sink,
                     struct error *e)
{
    struct record_head head;
    record_head(line, n, &head);
    if (runlog_kind_of(&head) != RUNLOG_LIVE || !s->spectra++)
        return give(line, n, sink, e);
    s->held.n = 0;
    if (sink->wants_spectrum && sink->wants_spectrum(sink->to, head.step))
        return give(line, n, sink, e);
    return append(&s->held, line, n) ? error_memory(e, "a line of the log") : 0;
}

static uint64_t hash_of(const char *line, size_t n) // FNV-1a
{
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)line[i]) * 0x100000001b3U;
    return h;
}

static struct chain *chain_of(struct live *s, const char *line, size_t n)
{
    struct record_head head;
    record_head(line, n, &head);
    return &s->seen[runlog_kind_of(&head)];
}

static size_t seen_lines(const struct live *s)
{
    size_t n = 0;
    for (int k = 0; k < RUNLOG_KINDS; k++)
        n += s->seen[k].n - s->seen[k].at;
    return n;
}

// Whether this line of the log is the next one of its kind that the socket brought. If not, the log
// went another way (the last second of a killed trainer is not in it), and nothing more can be
// passed over.
static int seen_before(struct live *s, const char *line, size_t n)
{
    if (!seen_lines(s))
        return 0;
    struct chain *c = chain_of(s, line, n);
    if (c->at < c->n && c->hash[c->at] == hash_of(line, n)) {
        c->at++;
        return 1;
    }
    for (int k = 0; k < RUNLOG_KINDS; k++)
        s->seen[k].at = s->seen[k].n = 0;
    return 0;
}

static void remember(struct live *s, const char *line, size_t n)
{
    struct chain *c = chain_of(s, line, n);
    if (c->at) {
        memmove(c->hash, c->hash + c->at, (c->n - c->at) * sizeof *c->hash);
        c->n -= c->at;
        c->at = 0;
    }
    if (!c->hash && !(c->hash = calloc(SEEN_MAX, sizeof *c->hash)))
        return; // the log will repeat what is not known
    if (c->n == SEEN_MAX)
        c->n = 0; // reading along did not keep up: the log will repeat some
    c->hash[c->n++] = hash_of(line, n);
    if (c->n > SEEN_MAX / 2)
        s->draining = 1;
}

// Lines of the log up to `limit` (-1: all) until the time is over: 1 = there may be more, 0 = no
// more now, -1 = error.
static int read_log(struct live *s, int64_t limit, int64_t until, const struct sink *sink,
                    struct error *e)
{
    for (int done = 1; limit < 0 || s->read < limit; done++) {
        const char *line;
        size_t n;
        int rc = cursor_next(s->log, &line, &n, e);
        s->read = cursor_passed(s->log);
        if (rc <= 0)
            return rc;
        if (!seen_before(s, line, n) && take_line(s, line, n, sink, e))
            return -1;
        if (done % 16 == 0 && clock_ms() >= until)
            return 1;
    }
    return 0;
}

// What was in the log before this began to look: all but the live spectra first, then some of
// these, spread over the run, so that a long run is not decoded to be looked at. As read_log.
static int read_first(struct live *s, int64_t until, const struct sink *sink, struct error *e)
{
    struct record r;
    int rc = 1;
    for (int done = 1; rc == 1 && (done % 16 || clock_ms() < until); done++) {
        rc = cursor_record(s->log, &r, e);
        if (rc == 1 && r.type != RECORD_UNKNOWN && sink->record(sink->to, &r, e))
            rc = -1;
        record_free(&r);
    }
    s->read = cursor_passed(s->log);
    s->began = s->spectra = rc == 0;
    return rc;
}

// --- the socket ---

static int push_out(struct live *s)
{
    while (s->out.n) {
        ssize_t n = send(s->fd, s->out.data, s->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        memmove(s->out.data, s->out.data + n, s->out.n - (size_t)n);
        s->out.n -= (size_t)n;
    }
    return 0;
}

static int queue_call(struct live *s, const struct command_call *call, struct error *e)
{
    char *json = command_to_json(call);
    int bad = !json || s->out.n + strlen(json) > OUTPUT_MAX ||
              append(&s->out, json, strlen(json)) || append(&s->out, "\n", 1);
    free(json);
    if (bad)
        return error_set(e, "the trainer takes no commands now");
    return push_out(s) ? error_set(e, "the trainer went away") : 0;
}

static int64_t next_id(struct live *s, enum command command)
{
    return ++s->calls * COMMAND_COUNT + command;
}

static int call_trainer(struct live *s)
{
    s->fd = control_connect(s->dir, 0, NULL);
    if (s->fd < 0)
        return -1;
    struct ucred peer;
    socklen_t size = sizeof peer;
    s->pid = getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
    struct command_call call = {
        .command = COMMAND_WATCH, .id = next_id(s, COMMAND_WATCH), .by = "key"};
    s->watch_id = call.id;
    if (queue_call(s, &call, NULL)) {
        hang_up(s);
        return -1;
    }
    return 0;
}

// Read what is there: 1 = still connected, 0 = the trainer closed, -1 = no memory.
static int fill_in(struct live *s, struct error *e)
{
    char chunk[65536];
    while (s->in.n < INPUT_MAX) {
        ssize_t n = recv(s->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (n == 0)
            return 0;
        if (append(&s->in, chunk, (size_t)n))
            return error_memory(e, "what the trainer sends");
    }
    return memchr(s->in.data, '\n', s->in.n) !=
           NULL; // else a line without an end: no trainer of ours
}

// Whole lines that came over the socket; the answer to `watch` ends it.
static int take_input(struct live *s, int64_t until, const struct sink *sink, struct error *e)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && s->stage != STAGE_CATCHING_UP && clock_ms() < until) {
        char *end = s->in.n > at ? memchr(s->in.data + at, '\n', s->in.n - at) : NULL;
        if (!end)
            break;
        const char *line = s->in.data + at;
        size_t n = (size_t)(end - line);
        at += n + 1;
        struct answer a;
        struct record_head head;
        int is_record = record_head(line, n, &head) && head.type != RECORD_UNKNOWN;
        int kind = is_record ? 0 : answer_parse(line, n, &a, NULL);
        if (kind == 1 && a.id == s->watch_id) {
            s->promised = a.ok && a.lines >= 0 ? a.lines : 0;
            s->stage = STAGE_CATCHING_UP;
        } else if (kind == 1) {
            sink->answer(sink->to, &a);
        } else if (kind == 0) {
            remember(s, line, n);
            rc = take_line(s, line, n, sink, e);
        }
    }
    if (at)
        memmove(s->in.data, s->in.data + at, s->in.n - at);
    s->in.n -= at;
    return rc;
}

// --- the class ---

static int has_line(const struct live *s)
{
    return s->in.n && memchr(s->in.data, '\n', s->in.n);
}

static int live_poll(struct source *base, struct pollfd *p, int *timeout_ms)
{
    struct live *s = (struct live *)base;
    int wait = *timeout_ms;
    if (s->stage == STAGE_LOG || s->stage == STAGE_CATCHING_UP || s->draining ||
        (s->fd >= 0 && has_line(s)))
        wait = 0;
    else if (s->stage == STAGE_WAITING)
        wait = clock_left(s->next_try);
    if (wait < *timeout_ms)
        *timeout_ms = wait;
    if (s->fd < 0)
        return 0;
    *p = (struct pollfd){.fd = s->fd, .events = (short)(POLLIN | (s->out.n ? POLLOUT : 0))};
    return 1;
}

// The log is read to its end, nothing is connected: look for a trainer, else try again later. What
// it wrote between the end of the reading and the connection is in the log, and the answer to
// `watch` says so.
static void look_for_trainer(struct live *s)
{
    if (call_trainer(s) == 0) {
        s->stage = STAGE_ASKING;
    } else {
        s->stage = STAGE_WAITING;
        s->apart = rundir_alive(s->dir);
        s->next_try = clock_ms() + RETRY_MS;
    }
}

static int live_pump(struct source *base, short revents, const struct sink *sink, struct error *e)
{
    struct live *s = (struct live *)base;
    int64_t until = clock_ms() + SLICE_MS;
    int rc = 0;
    if (s->fd >= 0 && (push_out(s) || (revents & (POLLIN | POLLHUP | POLLERR)))) {
        int open = fill_in(s, e);
        if (open < 0)
            return -1;
        if (!open) { // its last words, then whatever else the log has
            rc = take_input(s, INT64_MAX, sink, e);
            hang_up(s);
            s->stage = STAGE_LOG;
            s->draining = 0;
        }
    }
    if (rc == 0 && s->stage == STAGE_WAITING && clock_ms() >= s->next_try)
        s->stage = STAGE_LOG;
    if (rc == 0 && s->stage == STAGE_LOG) {
        rc = s->began ? read_log(s, -1, until, sink, e) : read_first(s, until, sink, e);
        if (rc == 0)
            look_for_trainer(s);
    }
    if (rc >= 0 && s->fd >= 0 && s->stage != STAGE_CATCHING_UP)
        rc = take_input(s, until, sink, e);
    if (rc >= 0 && s->stage == STAGE_CATCHING_UP) {
        rc = read_log(s, s->promised, until, sink, e);
        if (rc == 0)
            s->stage = STAGE_FOLLOWING;
    }
    if (rc >= 0 && s->stage == STAGE_FOLLOWING && s->draining) {
        rc = read_log(s, s->read + (int64_t)seen_lines(s), until, sink, e);
        s->draining = rc == 1;
    }
    if (rc >= 0)
        rc = flush_held(s, sink, e);
    return rc < 0 ? -1 : 0;
}

static enum source_state live_state(const struct source *base)
{
    const struct live *s = (const struct live *)base;
    return s->stage == STAGE_WAITING     ? s->apart ? SOURCE_APART : SOURCE_ALONE
           : s->stage == STAGE_FOLLOWING ? SOURCE_LIVE
                                         : SOURCE_READING;
}

static int live_send(struct source *base, const struct command_call *call, struct error *e)
{
    struct live *s = (struct live *)base;
    if (s->fd < 0)
        return error_set(e,
                         s->apart ? "the trainer can't be reached" : "no trainer is running this");
    struct command_call numbered = *call;
    numbered.id = next_id(s, call->command);
    return queue_call(s, &numbered, e);
}

static pid_t live_pid(const struct source *base)
{
    return ((const struct live *)base)->pid;
}

static const char *live_lost(const struct source *base)
{
    return cursor_lost(((const struct live *)base)->log);
}

static void live_free(struct source *base)
{
    struct live *s = (struct live *)base;
    hang_up(s);
    cursor_free(s->log);
    free(s->in.data);
    free(s->out.data);
    free(s->held.data);
    for (int k = 0; k < RUNLOG_KINDS; k++)
        free(s->seen[k].hash);
    free(s);
}

static const struct source_class live_class = {
    .name = "live",
    .poll = live_poll,
    .pump = live_pump,
    .state = live_state,
    .send = live_send,
    .pid = live_pid,
    .lost = live_lost,
    .free = live_free,
};

int source_live_open(const char *run_dir, struct source **out, struct error *e)
{
    *out = NULL;
    struct live *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory");
    s->base.klass = &live_class;
    s->fd = -1;
    int n = snprintf(s->dir, sizeof s->dir, "%s", run_dir);
    if (n < 0 || (size_t)n >= sizeof s->dir) {
        live_free(&s->base);
        return error_set(e, "the path of the run folder is too long");
    }
    if (cursor_open(path_of("%s/run.jsonl.zst", s->dir).s, &s->log, e)) {
        live_free(&s->base);
        return -1;
    }
    cursor_want(s->log, &(struct cursor_wanted){.spectra = SAMPLES});
    *out = &s->base;
    return 0;
}
