// The trainer's side of the writer thread: a ring of lines and answers that never waits, and the
// requests that came in.
#include "train/wire/publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "metrics/base/path.h"
#include "train/wire/socket.h"
#include "train/wire/writer.h"

static void wake(struct publisher *p)
{
    uint64_t one = 1;
    // The counter can't overflow and the write can't block in any way that matters: it is read on
    // every wake.
    ssize_t n = write(p->wake_fd, &one, sizeof one);
    (void)n;
}

uint64_t publisher_queue(struct publisher *p, const struct item *item, int must, int now)
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
        output_log(p->trainer_log_fd, p->echo, "a record could not be written: %s", why.text);
        return 0;
    }
    return publisher_queue(p, &item, is_rare(r), 0);
}

void publisher_put(struct publisher *p, const struct record *r)
{
    put_record(p, r);
}

int publisher_sync(struct publisher *p, const struct record *r, struct error *e)
{
    uint64_t seq = 0;
    int rc = 0;

    if (r && !(seq = put_record(p, r)))
        return error_set(e, "the queue to the disk is full");
    double until = clock_seconds() + 1e-3 * p->patience_ms;
    pthread_mutex_lock(&p->lock);
    if (!seq)
        seq = p->seq;
    // A barrier with nothing before it has nothing to wait for.
    if (seq > p->want_seq && seq > p->done_seq) {
        p->want_seq = seq;
        p->idle = 0;
        wake(p);
    }
    int stuck = p->stuck_seq > p->done_seq && p->stuck_seq > p->failed_seq;
    while (!stuck && rc == 0 && p->done_seq < seq && p->failed_seq < seq)
        rc = clock_wait(&p->synced, &p->lock, until);
    if (p->done_seq >= seq)
        rc = 0;
    else if (p->failed_seq >= seq)
        rc = error_pass(e, &p->why);
    else if (stuck)
        rc = error_set(e, "the disk does not answer");
    else
        rc = error_set(e, "the disk did not answer within %g s", 1e-3 * p->patience_ms);
    if (p->done_seq < seq && p->failed_seq < seq)
        p->stuck_seq = seq;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int publisher_next(struct publisher *p, struct request *out, int wait)
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
    uint64_t count;
    if (p->asked_fd >= 0 && !p->requests && !p->signal &&
        read(p->asked_fd, &count, sizeof count) < 0)
        errno = 0; // nothing was to be read
    pthread_mutex_unlock(&p->lock);
    return got;
}

int publisher_has_signal(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    int has = p->signal != 0;
    pthread_mutex_unlock(&p->lock);
    return has;
}

int publisher_fd(struct publisher *p, struct error *e)
{
    pthread_mutex_lock(&p->lock);
    if (p->asked_fd < 0)
        p->asked_fd = eventfd((unsigned)(p->requests > 0 || p->signal), EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = p->asked_fd;
    pthread_mutex_unlock(&p->lock);
    return fd < 0 ? error_system(e, "no eventfd") : fd;
}

void publisher_answer(struct publisher *p, const struct request *r, const struct answer *a)
{
    struct item item = {.kind = ITEM_ANSWER, .client = r->client, .answer = *a};
    if (r->signal)
        return;
    item.answer.id = r->call.id;
    publisher_queue(p, &item, 1, 1);
}

void publisher_status(struct publisher *p, const struct publisher_status *s)
{
    pthread_mutex_lock(&p->lock);
    p->status = *s;
    pthread_mutex_unlock(&p->lock);
}

// ---------------------------------------------------------------- birth and death

static void release(struct publisher *p)
{
    struct error ignored;
    watchers_free(p->watchers);
    writer_find_folder(p, &ignored);
    if (p->socket_path[0])
        socket_remove(p->dir.s, p->socket_path);
    if (p->log)
        runlog_close(p->log, NULL);
    for (int i = 0; p->ring && i < p->used; i++)
        free(p->ring[i].line);
    if (p->asked_fd >= 0)
        close(p->asked_fd);
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    pthread_cond_destroy(&p->asked);
    pthread_cond_destroy(&p->synced);
    pthread_mutex_destroy(&p->lock);
    free(p->ring);
    free(p->working);
    free(p->backlog);
    if (p->folder_fd >= 0)
        close(p->folder_fd);
    free(p);
}

static int open_log(struct publisher *p, int append, struct error *e)
{
    struct path path = path_of("%s/run.jsonl.zst", p->dir.s);
    if (append)
        return runlog_append(path.s, &p->log, &p->disk_lines, e);
    return runlog_create(path.s, &p->log, e);
}

static int open_parts(struct publisher *p, const struct publisher_options *o, struct error *e)
{
    if (!p->ring || !p->working || !p->backlog)
        return error_set(e, "out of memory");
    if (p->wake_fd < 0)
        return error_system(e, "no eventfd");
    int fd = socket_listen(p->socket_path, sizeof p->socket_path, e);
    if (fd < 0) {
        p->socket_path[0] = '\0';
        return -1;
    }
    if (watchers_new(fd, writer_on_call, p, &p->watchers, e) < 0)
        return -1;
    return open_log(p, o->append, e);
}

int publisher_open(const struct publisher_options *o, struct publisher **out, struct error *e)
{
    struct publisher *p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p)
        return error_set(e, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->asked, NULL);
    pthread_cond_init(&p->synced, NULL);
    p->ring = calloc(RING, sizeof *p->ring);
    p->working = calloc(RING, sizeof *p->working);
    p->backlog = malloc(BACKLOG_MAX);
    p->dir = path_of("%s", o->dir);
    p->folder_fd = -1;
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->asked_fd = -1;
    p->signal_fd = o->signal_fd;
    p->trainer_log_fd = o->trainer_log_fd;
    p->echo = o->echo;
    p->patience_ms = o->patience_ms ? o->patience_ms : SYNC_MS;
    if (open_parts(p, o, e) < 0) {
        release(p);
        return -1;
    }
    int rc = pthread_create(&p->thread, NULL, writer_run, p);
    if (rc != 0) {
        error_number(e, rc, "no thread for the log");
        release(p);
        return -1;
    }
    *out = p;
    return 0;
}

int publisher_settle(struct publisher *p, const char *dir, struct error *e)
{
    pthread_mutex_lock(&p->lock);
    p->dir = path_of("%s", dir);
    p->folder_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = socket_tell(dir, p->socket_path, e);
    p->settled = rc == 0;
    pthread_mutex_unlock(&p->lock);
    return rc;
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
    while (publisher_next(p, &r, 0)) {
        struct answer a;
        answer_init(&a, r.call.id);
        snprintf(a.text, sizeof a.text, "the training has ended");
        publisher_answer(p, &r, &a);
    }
}

int publisher_close(struct publisher *p, struct error *e)
{
    struct error why = {{0}};
    refuse_rest(p);
    end_thread(p);
    int rc = writer_flush(p, &why);
    // What the last flush had to say goes out with one more.
    if (rc == 0 && p->dirty_since)
        rc = writer_flush(p, &why);
    int64_t missing = p->lost_total + runlog_dropped(p->log);
    int there = !p->settled || writer_log_is_there(p);
    if (!there)
        error_set(e, "its log was removed or replaced while it was written");
    else if (rc < 0)
        error_set(e, "the end of the log could not be written: %s", why.text);
    else if (missing)
        error_set(e, "%lld lines of the log were given up", (long long)missing);
    release(p);
    return rc < 0 || !there ? -1 : missing > 0;
}

void publisher_discard(struct publisher *p)
{
    struct path path = path_of("%s/run.jsonl.zst", p->dir.s);
    end_thread(p);
    release(p);
    unlink(path.s);
}
