// The writer thread: records to log and watchers, commands to the trainer. It wakes when there is
// something to do (a line after silence, a watcher, the second's flush); when there is nothing, it
// only looks every two seconds whether its socket is still there, so a paused run costs nothing.
#include "train/wire/writer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "train/wire/socket.h"

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
        output_log(p->trainer_log_fd, p->echo, "a log line was lost: %s", why.text);
    else if (!p->dirty_since)
        p->dirty_since = clock_ms();
    keep_for_watchers(p, line, n);
    watchers_broadcast(p->watchers, line, n);
}

// A warning of the thread's own, as an event and in trainer.log.
static void warn(struct publisher *p, const char *text)
{
    struct record r;
    char *line = NULL;
    size_t n = 0;

    output_log(p->trainer_log_fd, p->echo, "%s", text);
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

int writer_flush(struct publisher *p, struct error *e)
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
    p->dirty_since = clock_ms(); // the next try is a second away
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
    int rc = writer_flush(p, &why);
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

// There is a request. Under the lock.
static void tell_trainer(struct publisher *p)
{
    uint64_t one = 1;
    pthread_cond_signal(&p->asked);
    if (p->asked_fd >= 0 && write(p->asked_fd, &one, sizeof one) < 0)
        errno = 0; // it is readable already
}

// A command arrived. What the thread knows it answers; watch takes its place behind the lines that
// are queued; the rest goes to the trainer.
void writer_on_call(void *context, uint64_t client, const struct command_call *c)
{
    struct publisher *p = context;
    if (c->command == COMMAND_STATUS) {
        answer_status(p, client, c->id);
        return;
    }
    if (c->command == COMMAND_WATCH) {
        struct item item = {.kind = ITEM_WATCH, .client = client};
        answer_init(&item.answer, c->id);
        publisher_queue(p, &item, 1, 1);
        return;
    }
    pthread_mutex_lock(&p->lock);
    int full = p->requests == REQUESTS;
    if (!full) {
        struct request *r = &p->request[(p->first + p->requests++) % REQUESTS];
        *r = (struct request){.call = *c, .client = client};
        tell_trainer(p);
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
    if (item->kind == ITEM_RECORD)
        deliver(p, item->line, item->len);
    else if (item->kind == ITEM_WATCH)
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
    p->ring = p->working;
    p->working = items;
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
        int rc = writer_flush(p, &why);
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

// Once the run folder has its name, neither it nor the socket is touched by the trainer any more.
static int is_settled(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    int settled = p->settled;
    pthread_mutex_unlock(&p->lock);
    return settled;
}

int writer_find_folder(struct publisher *p, struct error *e)
{
    if (p->folder_fd < 0 || path_follow(p->folder_fd, &p->dir) >= 0)
        return 0;
    return error_set(e, "the run folder is no longer %s", p->dir.s);
}

// A new socket in place of one that nobody finds any more, and the way to it in the run folder.
static void renew_socket(struct publisher *p)
{
    char path[sizeof p->socket_path];
    struct error why;
    int fd = socket_listen(path, sizeof path, &why);
    if (fd >= 0 && writer_find_folder(p, &why) == 0 && socket_tell(p->dir.s, path, &why) == 0) {
        unlink(p->socket_path);
        memcpy(p->socket_path, path, sizeof path);
        watchers_listen(p->watchers, fd);
        p->told_socket = 0;
        output_log(p->trainer_log_fd, 0, "the control socket is %s now", path);
        return;
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    if (!p->told_socket++)
        output_log(p->trainer_log_fd, p->echo, "the control socket is gone: %s", why.text);
}

int writer_log_is_there(struct publisher *p)
{
    struct error why;
    return writer_find_folder(p, &why) < 0 ||
           runlog_is_at(p->log, path_of("%s/run.jsonl.zst", p->dir.s).s);
}

// systemd removes the user's runtime folder at the last logout, and others clean /tmp, or the run
// folder of what looks old.
static void look_after_folder(struct publisher *p)
{
    struct error why;
    if (clock_ms() < p->next_look || !is_settled(p))
        return;
    if (access(p->socket_path, F_OK) < 0)
        renew_socket(p);
    else if (writer_find_folder(p, &why) == 0 && !socket_is_told(p->dir.s, p->socket_path))
        socket_tell(p->dir.s, p->socket_path, &why);
    if (!writer_log_is_there(p) && !p->told_log++)
        warn(p, "the log was removed or replaced: nothing of what is recorded is kept");
    p->next_look = clock_ms() + LOOK_MS;
}

static void sooner(int *timeout, int64_t at)
{
    int left = clock_left(at);
    if (*timeout < 0 || *timeout > left)
        *timeout = left;
}

// How long the thread may sleep; -1 when only a wake will do. `busy`: lines came in the last round.
static int sleep_ms(struct publisher *p, int busy)
{
    int follow = watchers_following(p->watchers) > 0;
    int timeout = -1;
    if (p->dirty_since)
        sooner(&timeout, p->dirty_since + FLUSH_MS);
    pthread_mutex_lock(&p->lock);
    if (p->used || p->lost || p->stop || (p->want_seq > p->done_seq && p->want_seq > p->failed_seq))
        timeout = 0;
    else if (follow && busy)
        timeout = timeout < 0 || timeout > GATHER_MS ? GATHER_MS : timeout;
    // With somebody watching, the next line after silence wakes; without, the flush is soon enough.
    p->idle = timeout != 0 && (follow ? !busy : !p->dirty_since);
    int settled = p->settled;
    pthread_mutex_unlock(&p->lock);
    if (settled)
        sooner(&timeout, p->next_look);
    return timeout;
}

static void read_signal(struct publisher *p)
{
    unsigned char number;
    if (read(p->signal_fd, &number, 1) != 1)
        return;
    if (number == SIGUSR1) {
        if (is_settled(p))
            renew_socket(p);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->signal = number;
    tell_trainer(p);
    pthread_mutex_unlock(&p->lock);
}

enum { WAKE, SIGNAL, OURS }; // places in what is polled for; behind them the watchers'

// Sleep until there is something to do.
static void wait_for_work(struct publisher *p, struct pollfd set[OURS + WATCHERS_POLL], int busy)
{
    enum { PATIENCE_MS = 100 };
    int timeout = sleep_ms(p, busy);
    set[WAKE] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
    set[SIGNAL] = (struct pollfd){.fd = p->signal_fd, .events = POLLIN};
    int n = OURS + watchers_poll_set(p->watchers, set + OURS, clock_ms(), &timeout);
    if (poll(set, (nfds_t)n, timeout) >= 0)
        return;
    int why = errno;
    for (int i = 0; i < n; i++)
        set[i].revents = 0;
    if (why == EINTR)
        return;
    // Somebody allows fewer descriptors than are open: the log goes on, and so do signals.
    if (!p->told_poll++)
        output_log(p->trainer_log_fd, p->echo, "nobody can watch or steer: %s", strerror(why));
    poll(set, OURS, PATIENCE_MS);
}

void *writer_run(void *context)
{
    struct publisher *p = context;
    struct error why;
    int busy = 0;
    for (;;) {
        struct pollfd set[OURS + WATCHERS_POLL];
        wait_for_work(p, set, busy);
        if (set[WAKE].revents & POLLIN) {
            uint64_t count;
            ssize_t n = read(p->wake_fd, &count, sizeof count);
            (void)n;
        }
        if (set[SIGNAL].revents & POLLIN)
            read_signal(p);
        pthread_mutex_lock(&p->lock);
        int stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        busy = drain(p) > 0;
        if (watchers_handle(p->watchers, set + OURS, clock_ms(), &why) < 0 && !p->told_deaf++)
            output_log(p->trainer_log_fd, p->echo, "%s", why.text);
        look_after_folder(p);
        if (p->dirty_since && clock_ms() >= p->dirty_since + FLUSH_MS)
            writer_flush(p, &why);
        if (stop) // nothing is queued after `stop` was set
            break;
    }
    watchers_drain(p->watchers, 1000);
    return NULL;
}
