// The writer thread. Lines come in through a ring; the thread wakes when there is something to do
// (a line after silence, a watcher, the second's flush) and sleeps without a timeout when there is
// nothing, so a paused run costs nothing.
#include "train/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "metrics/runlog.h"
#include "train/note.h"
#include "train/socket.h"
#include "train/watchers.h"

enum {
    RING = 4096,     // lines and answers on their way
    RING_KEPT = 256, // of these, room that only events and answers may use
    RING_BYTES = 32 << 20,
    REQUESTS = 64,
    BACKLOG_MAX = 1 << 20,
    FLUSH_MS = 800, // so that with all delays the disk is at most a second behind
    GATHER_MS = 40, // watchers get lines in handfuls
    SYNC_S = 10,
};

struct item {
    char *line; // a record; NULL: an answer
    size_t len;
    uint64_t client;
    struct answer answer;
};

struct publisher {
    // Shared, under the lock.
    pthread_mutex_t lock;
    pthread_cond_t asked;  // a request came
    pthread_cond_t synced; // done_seq or failed_seq moved
    struct item *ring, *taken;
    int used;
    size_t bytes;
    uint64_t seq, want_seq, done_seq, failed_seq;
    struct error why; // of failed_seq
    int64_t lost, lost_total;
    int idle; // the thread sleeps until it is woken
    int stop;
    struct request request[REQUESTS];
    int first, requests, signal;
    struct publish_status status;
    // The thread's own.
    pthread_t thread;
    int wake_fd, signal_fd, note_fd, echo;
    char *dir;
    char socket_path[128];
    struct runlog_writer *log;
    struct watchers *watchers;
    int64_t disk_lines;  // whole lines known to be on disk
    int64_t dirty_since; // ms; 0: everything is on disk
    int troubled;        // the last flush failed
    char *
        backlog; // lines since the last good flush, for a watcher that comes while the disk is full
    size_t backlog_len;
    int backlog_broken; // it grew too long and was given up
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wake(struct publisher *p)
{
    uint64_t one = 1;
    // The counter can't overflow and the write can't block in any way that matters: it is read on
    // every wake.
    ssize_t n = write(p->wake_fd, &one, sizeof one);
    (void)n;
}

// ---------------------------------------------------------------- the trainer's side

// Put an item into the ring; takes item->line over. `must`: may use the kept room.
static uint64_t put(struct publisher *p, const struct item *item, int must, int now)
{
    uint64_t seq = 0;
    pthread_mutex_lock(&p->lock);
    int full =
        p->used >= (must ? RING : RING - RING_KEPT) || (!must && p->bytes + item->len > RING_BYTES);
    if (full) {
        p->lost++;
    } else {
        p->ring[p->used++] = *item;
        p->bytes += item->len;
        seq = ++p->seq;
    }
    if (full || p->idle || now || p->used == RING / 2) {
        p->idle = 0;
        wake(p);
    }
    pthread_mutex_unlock(&p->lock);
    if (full)
        free(item->line);
    return seq;
}

static int is_rare(const struct record *r)
{
    return r->type != RECORD_STEP && r->type != RECORD_SPECTRUM;
}

// The line of a record, queued. 0: it was lost.
static uint64_t put_record(struct publisher *p, const struct record *r)
{
    struct item item = {0};
    struct error why = {{0}};
    if (record_format(r, &item.line, &item.len, &why) < 0) {
        note(p->note_fd, p->echo, "a record could not be written: %s", why.text);
        return 0;
    }
    return put(p, &item, is_rare(r), 0);
}

void publish(struct publisher *p, const struct record *r)
{
    put_record(p, r);
}

int publish_sync(struct publisher *p, const struct record *r, struct error *e)
{
    struct timespec until;
    uint64_t seq = 0;
    int rc = 0;

    if (r && !(seq = put_record(p, r)))
        return error_set(e, "the queue to the disk is full");
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SYNC_S;
    pthread_mutex_lock(&p->lock);
    if (!seq)
        seq = p->seq;
    // A barrier with nothing before it has nothing to wait for.
    if (seq > p->want_seq && seq > p->done_seq) {
        p->want_seq = seq;
        p->idle = 0;
        wake(p);
    }
    while (rc == 0 && p->done_seq < seq && p->failed_seq < seq)
        rc = pthread_cond_timedwait(&p->synced, &p->lock, &until);
    if (p->done_seq >= seq)
        rc = 0;
    else if (p->failed_seq >= seq)
        rc = error_set(e, "%s", p->why.text);
    else
        rc = error_set(e, "the disk did not answer within %d s", SYNC_S);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int publish_next(struct publisher *p, struct request *out, int wait)
{
    int got = 0;
    pthread_mutex_lock(&p->lock);
    while (wait && !p->requests && !p->signal)
        pthread_cond_wait(&p->asked, &p->lock);
    if (p->signal) {
        memset(out, 0, sizeof *out);
        out->call.command = COMMAND_STOP;
        snprintf(out->call.by, sizeof out->call.by, "signal");
        out->signal = p->signal;
        p->signal = 0;
        got = 1;
    } else if (p->requests) {
        *out = p->request[p->first];
        p->first = (p->first + 1) % REQUESTS;
        p->requests--;
        got = 1;
    }
    pthread_mutex_unlock(&p->lock);
    return got;
}

void publish_answer(struct publisher *p, const struct request *r, const struct answer *a)
{
    struct item item = {.client = r->client, .answer = *a};
    if (r->signal)
        return;
    item.answer.id = r->call.id;
    put(p, &item, 1, 1);
}

void publish_status(struct publisher *p, const struct publish_status *s)
{
    pthread_mutex_lock(&p->lock);
    p->status = *s;
    pthread_mutex_unlock(&p->lock);
}

// ---------------------------------------------------------------- the thread's side

static void keep_for_watchers(struct publisher *p, const char *line, size_t n)
{
    if (p->backlog_broken || n + 1 > BACKLOG_MAX - p->backlog_len) {
        p->backlog_broken = 1;
        p->backlog_len = 0;
        return;
    }
    memcpy(p->backlog + p->backlog_len, line, n);
    p->backlog[p->backlog_len + n] = '\n';
    p->backlog_len += n + 1;
}

// One record line to the log's buffer and to those who watch.
static void deliver(struct publisher *p, const char *line, size_t n)
{
    struct error why = {{0}};
    if (runlog_write(p->log, line, n, &why) < 0)
        note(p->note_fd, p->echo, "a log line was lost: %s", why.text);
    else if (!p->dirty_since)
        p->dirty_since = now_ms();
    keep_for_watchers(p, line, n);
    watchers_broadcast(p->watchers, line, n);
}

// A warning of the thread's own, as an event and in trainer.log.
static void warn(struct publisher *p, const char *text)
{
    struct record r;
    char *line = NULL;
    size_t n = 0;

    note(p->note_fd, p->echo, "%s", text);
    pthread_mutex_lock(&p->lock);
    int64_t step = p->status.step;
    pthread_mutex_unlock(&p->lock);
    record_init(&r, RECORD_EVENT, step);
    snprintf(r.u.event.what, sizeof r.u.event.what, "warning");
    snprintf(r.u.event.by, sizeof r.u.event.by, "trainer");
    text_clean(r.u.event.text, sizeof r.u.event.text, text);
    if (record_format(&r, &line, &n, NULL) == 0)
        deliver(p, line, n);
    free(line);
    record_free(&r);
}

static int flush(struct publisher *p, struct error *e)
{
    struct error why = {{0}};
    char text[600];
    int rc = runlog_flush(p->log, 1, &why);
    if (rc == 0) {
        p->dirty_since = 0;
        p->disk_lines = runlog_stored(p->log);
        p->backlog_len = 0;
        p->backlog_broken = 0;
        if (p->troubled) {
            p->troubled = 0;
            snprintf(text, sizeof text, "the log is written again; %lld of its lines were given up",
                     (long long)runlog_dropped(p->log));
            warn(p, text);
        }
        return 0;
    }
    p->dirty_since = now_ms(); // the next try is a second away
    if (!p->troubled) {
        p->troubled = 1;
        snprintf(text, sizeof text, "the log can't be written, training goes on: %s", why.text);
        warn(p, text);
    }
    *e = why;
    return -1;
}

static void answer_watch(struct publisher *p, const struct item *item)
{
    struct answer a = item->answer;
    struct error why = {{0}};
    int rc = flush(p, &why);
    a.ok = 1;
    a.lines = p->disk_lines;
    snprintf(a.text, sizeof a.text, "%s",
             rc == 0 ? "following" : "following; the log can't be written");
    watchers_answer(p->watchers, item->client, &a);
    watchers_follow(p->watchers, item->client, p->backlog, p->backlog_len);
}

static void answer_status(struct publisher *p, uint64_t client, int64_t id)
{
    struct answer a;
    answer_init(&a, id);
    a.ok = 1;
    pthread_mutex_lock(&p->lock);
    a.step = p->status.step;
    a.paused = p->status.paused;
    snprintf(a.text, sizeof a.text, "%s", p->status.text);
    pthread_mutex_unlock(&p->lock);
    watchers_answer(p->watchers, client, &a);
}

// A command arrived. What the thread knows it answers; watch takes its place behind the lines that
// are queued; the rest goes to the trainer.
static void on_call(void *context, uint64_t client, const struct command_call *c)
{
    struct publisher *p = context;
    if (c->command == COMMAND_STATUS) {
        answer_status(p, client, c->id);
        return;
    }
    if (c->command == COMMAND_WATCH) {
        struct item item = {.client = client};
        answer_init(&item.answer, c->id);
        item.answer.lines = 0; // marks it: see settle()
        put(p, &item, 1, 1);
        return;
    }
    pthread_mutex_lock(&p->lock);
    int full = p->requests == REQUESTS;
    if (!full) {
        struct request *r = &p->request[(p->first + p->requests++) % REQUESTS];
        *r = (struct request){.call = *c, .client = client};
        pthread_cond_signal(&p->asked);
    }
    pthread_mutex_unlock(&p->lock);
    if (full) {
        struct answer a;
        answer_init(&a, c->id);
        snprintf(a.text, sizeof a.text, "%d commands are waiting already", REQUESTS);
        watchers_answer(p->watchers, client, &a);
    }
}

static void settle(struct publisher *p, struct item *item)
{
    if (item->line)
        deliver(p, item->line, item->len);
    else if (item->answer.lines == 0)
        answer_watch(p, item);
    else
        watchers_answer(p->watchers, item->client, &item->answer);
    free(item->line);
}

// Take everything that is queued and work it off. Returns how many items.
static int drain(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    struct item *items = p->ring;
    int n = p->used;
    uint64_t last = p->seq;
    int64_t lost = p->lost;
    p->ring = p->taken;
    p->taken = items;
    p->used = 0;
    p->bytes = 0;
    p->lost = 0;
    p->lost_total += lost;
    int want = p->want_seq > p->done_seq && p->want_seq > p->failed_seq;
    pthread_mutex_unlock(&p->lock);

    for (int i = 0; i < n; i++)
        settle(p, &items[i]);
    if (lost) {
        char text[120];
        snprintf(text, sizeof text, "%lld records are missing here: the disk could not keep up",
                 (long long)lost);
        warn(p, text);
    }
    if (want) {
        struct error why = {{0}};
        int rc = flush(p, &why);
        pthread_mutex_lock(&p->lock);
        if (rc == 0) {
            p->done_seq = last;
        } else {
            p->failed_seq = last;
            p->why = why;
        }
        pthread_cond_broadcast(&p->synced);
        pthread_mutex_unlock(&p->lock);
    }
    return n;
}

// How long the thread may sleep; -1 when only a wake will do. `busy`: lines came in the last round.
static int sleep_ms(struct publisher *p, int busy)
{
    int follow = watchers_following(p->watchers) > 0;
    int timeout = -1;
    if (p->dirty_since) {
        int64_t left = p->dirty_since + FLUSH_MS - now_ms();
        timeout = left > 0 ? (int)left : 0;
    }
    pthread_mutex_lock(&p->lock);
    if (p->used || p->lost || p->stop || (p->want_seq > p->done_seq && p->want_seq > p->failed_seq))
        timeout = 0;
    else if (follow && busy)
        timeout = timeout < 0 || timeout > GATHER_MS ? GATHER_MS : timeout;
    // With somebody watching, the next line after silence wakes; without, the flush is soon enough.
    p->idle = timeout != 0 && (follow ? !busy : !p->dirty_since);
    pthread_mutex_unlock(&p->lock);
    return timeout;
}

static void take_signal(struct publisher *p)
{
    struct signalfd_siginfo s;
    if (read(p->signal_fd, &s, sizeof s) != (ssize_t)sizeof s)
        return;
    pthread_mutex_lock(&p->lock);
    p->signal = (int)s.ssi_signo;
    pthread_cond_signal(&p->asked);
    pthread_mutex_unlock(&p->lock);
}

static void *run(void *context)
{
    struct publisher *p = context;
    int busy = 0;
    for (;;) {
        struct pollfd set[WATCHERS_POLL + 2];
        watchers_poll_set(p->watchers, set);
        set[WATCHERS_POLL] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
        set[WATCHERS_POLL + 1] = (struct pollfd){.fd = p->signal_fd, .events = POLLIN};
        if (poll(set, WATCHERS_POLL + 2, sleep_ms(p, busy)) < 0) {
            if (errno != EINTR)
                note(p->note_fd, p->echo, "poll: %s", strerror(errno));
            continue;
        }
        if (set[WATCHERS_POLL].revents & POLLIN) {
            uint64_t count;
            ssize_t n = read(p->wake_fd, &count, sizeof count);
            (void)n;
        }
        if (set[WATCHERS_POLL + 1].revents & POLLIN)
            take_signal(p);
        pthread_mutex_lock(&p->lock);
        int stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        busy = drain(p) > 0;
        watchers_handle(p->watchers, set);
        if (p->dirty_since && now_ms() >= p->dirty_since + FLUSH_MS) {
            struct error why;
            flush(p, &why);
        }
        if (stop) // nothing is queued after `stop` was set
            break;
    }
    watchers_drain(p->watchers, 1000);
    return NULL;
}

// ---------------------------------------------------------------- birth and death

static int write_control(struct publisher *p, struct error *e)
{
    char path[4200], temporary[4208];
    snprintf(path, sizeof path, "%s/control", p->dir);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(e, "can't write %s: %s", path, strerror(errno));
    int n = dprintf(fd, "%s\n", p->socket_path);
    int rc = close(fd);
    if (n < 0 || rc < 0 || rename(temporary, path) < 0) {
        error_set(e, "can't write %s: %s", path, strerror(errno));
        unlink(temporary);
        return -1;
    }
    return 0;
}

static void remove_control(const struct publisher *p)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/control", p->dir);
    unlink(path);
    unlink(p->socket_path);
}

static void release(struct publisher *p)
{
    watchers_free(p->watchers);
    if (p->socket_path[0])
        remove_control(p);
    if (p->log)
        runlog_close(p->log, NULL);
    for (int i = 0; p->ring && i < p->used; i++)
        free(p->ring[i].line);
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    pthread_cond_destroy(&p->asked);
    pthread_cond_destroy(&p->synced);
    pthread_mutex_destroy(&p->lock);
    free(p->ring);
    free(p->taken);
    free(p->backlog);
    free(p->dir);
    free(p);
}

static int open_log(struct publisher *p, int append, struct error *e)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/run.jsonl.zst", p->dir);
    if (append)
        return runlog_append(path, &p->log, &p->disk_lines, e);
    return runlog_create(path, &p->log, e);
}

static int open_parts(struct publisher *p, const struct publisher_options *o, struct error *e)
{
    if (!p->ring || !p->taken || !p->backlog || !p->dir)
        return error_set(e, "out of memory");
    if (p->wake_fd < 0)
        return error_set(e, "no eventfd: %s", strerror(errno));
    int fd = socket_listen(p->socket_path, sizeof p->socket_path, e);
    if (fd < 0) {
        p->socket_path[0] = '\0';
        return -1;
    }
    if (watchers_new(fd, on_call, p, &p->watchers, e) < 0 || write_control(p, e) < 0)
        return -1;
    return open_log(p, o->append, e);
}

int publisher_open(const struct publisher_options *o, struct publisher **out, struct error *e)
{
    struct publisher *p = calloc(1, sizeof *p);
    pthread_condattr_t attr;

    *out = NULL;
    if (!p)
        return error_set(e, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->asked, &attr);
    pthread_cond_init(&p->synced, &attr);
    pthread_condattr_destroy(&attr);
    p->ring = calloc(RING, sizeof *p->ring);
    p->taken = calloc(RING, sizeof *p->taken);
    p->backlog = malloc(BACKLOG_MAX);
    p->dir = strdup(o->dir);
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->signal_fd = o->signal_fd;
    p->note_fd = o->note_fd;
    p->echo = o->echo;
    if (open_parts(p, o, e) < 0) {
        release(p);
        return -1;
    }
    int rc = pthread_create(&p->thread, NULL, run, p);
    if (rc != 0) {
        error_set(e, "no thread for the log: %s", strerror(rc));
        release(p);
        return -1;
    }
    *out = p;
    return 0;
}

static void end_thread(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    wake(p);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
}

// Whoever still waits for an answer hears why there will be none.
static void refuse_rest(struct publisher *p)
{
    struct request r;
    while (publish_next(p, &r, 0)) {
        struct answer a;
        answer_init(&a, r.call.id);
        snprintf(a.text, sizeof a.text, "the training has ended");
        publish_answer(p, &r, &a);
    }
}

int publisher_close(struct publisher *p, struct error *e)
{
    struct error why = {{0}};
    refuse_rest(p);
    end_thread(p);
    int rc = flush(p, &why);
    // What the last flush had to say goes out with one more.
    if (rc == 0 && p->dirty_since)
        rc = flush(p, &why);
    int64_t missing = p->lost_total + runlog_dropped(p->log);
    if (rc < 0)
        error_set(e, "the end of the log could not be written: %s", why.text);
    else if (missing)
        rc = error_set(e, "%lld lines of the log were given up", (long long)missing);
    release(p);
    return rc;
}

void publisher_discard(struct publisher *p)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/run.jsonl.zst", p->dir);
    end_thread(p);
    release(p);
    unlink(path);
}
