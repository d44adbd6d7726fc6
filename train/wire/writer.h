// The inside of a publisher: what the trainer's side (publisher.c) and the thread (writer.c) share.
// Private to these two.
#ifndef SSLTOP_TRAIN_WIRE_WRITER_H
#define SSLTOP_TRAIN_WIRE_WRITER_H

#include <pthread.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/path.h"
#include "metrics/log/runlog.h"
#include "train/wire/request.h"
#include "train/wire/watchers.h"

enum {
    RING = 4096,     // lines and answers on their way
    RING_KEPT = 256, // of these, room that only events and answers may use
    RING_BYTES = 32 << 20,
    REQUESTS = 64,
    BACKLOG_MAX = 1 << 20,
    FLUSH_MS = 800, // so that with all delays the disk is at most a second behind
    GATHER_MS = 40, // watchers get lines in handfuls
    SYNC_MS = 10000,
    LOOK_MS = 2000, // between looks at the socket
};

// ITEM_WATCH: this client follows from here on; the thread itself finds the answer.
enum item_kind { ITEM_RECORD, ITEM_ANSWER, ITEM_WATCH };
struct item {
    enum item_kind kind;
    char *line; // of a record
    size_t len;
    uint64_t client;
    struct answer answer;
};

struct publisher {
    // Shared, under the lock.
    pthread_mutex_t lock;
    pthread_cond_t asked;        // a request came
    pthread_cond_t synced;       // done_seq or failed_seq moved
    struct item *ring, *working; // what came in, and what the thread works off
    int used;
    size_t bytes;
    uint64_t seq, want_seq, done_seq, failed_seq;
    uint64_t stuck_seq; // the disk did not answer for this one
    int patience_ms;
    struct error why; // of failed_seq
    int64_t lost, lost_total;
    int idle; // the thread sleeps until it is woken
    int stop;
    struct request request[REQUESTS];
    int first, requests, signal;
    struct publisher_status status;
    struct path dir;
    int settled; // `dir` has its name, and the file `control` is there
    // The thread's own.
    pthread_t thread;
    int asked_fd;  // readable while there are requests; -1: nobody polls
    int folder_fd; // `dir`, wherever it is moved to
    int wake_fd, signal_fd, trainer_log_fd, echo;
    char socket_path[128];
    int64_t next_look; // ms
    int told_deaf, told_socket, told_poll, told_log;
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

// Let `dir` be where the run folder is now. For the thread, or where there is none. -1: nobody
// knows.
int writer_find_folder(struct publisher *p, struct error *e);

// Whether the log is in the run folder still, if that is found.
int writer_log_is_there(struct publisher *p);

// The thread's whole life; returns after `stop` was set and everything queued before is worked off.
void *writer_run(void *publisher);
// Write and sync what the log holds back. By the thread, or after it has ended.
int writer_flush(struct publisher *p, struct error *e);
// A command arrived (the callback of watchers_new).
void writer_on_call(void *publisher, uint64_t client, const struct command_call *c);
// Queue an item; takes item->line over. `must`: may use the kept room; `now`: wake the thread. Its
// number, or 0: it was lost.
uint64_t publisher_queue(struct publisher *p, const struct item *item, int must, int now);

#endif
