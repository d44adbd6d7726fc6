// The writer thread: the one owner of log and sockets. The trainer hands it lines through a bounded
// queue and gets commands from it; a stuck viewer never makes it wait, nor does a slow disk but in
// one case: what somebody steers, and a checkpoint, has to be on disk before training goes on, or a
// kill would forget it (publisher_sync). Where the disk does not answer, the trainer waits for it
// once and not again before it has answered.
#ifndef SSLTOP_TRAIN_WIRE_PUBLISHER_H
#define SSLTOP_TRAIN_WIRE_PUBLISHER_H

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "train/wire/request.h"

struct publisher;

struct publisher_options {
    const char *dir;    // run folder
    int append;         // the log exists: go on after its last whole frame
    int signal_fd;      // each byte read from it is the number of a signal: SIGUSR1 asks for a new
                        // socket, another asks to end; -1: none. Stays the caller's
    int trainer_log_fd; // trainer.log, where trouble with the log is told; -1: none. Stays the
                        // caller's
    int echo;           // tell it on stderr too
    int patience_ms;    // of publisher_sync; 0: ten seconds
};

// Open the log and the socket, and start the thread. On failure nothing is left of them (a log that
// existed stays).
int publisher_open(const struct publisher_options *o, struct publisher **out, struct error *e);
// The run folder has its name, which may be another than before: write the file `control` there, so
// that commands can come. From then on the thread looks after the socket: where its name is removed
// (by a logout, by who cleans /tmp) it makes a new one and writes `control` again.
int publisher_settle(struct publisher *p, const char *dir, struct error *e);
// Write out what is queued, say goodbye to watchers (at most a second), remove socket and
// `control`, free. 1: lines of the log were given up earlier; -1: its end is not written.
int publisher_close(struct publisher *p, struct error *e);
// Close and remove log, socket and `control` again: the start was refused.
void publisher_discard(struct publisher *p);

// Queue one record for log and watchers. Never waits: when the queue is full the record is dropped
// and counted.
void publisher_put(struct publisher *p, const struct record *r);
// The same, and wait until it and all before it are on disk; r may be NULL. -1 when the disk does
// not take it, or does not answer within the patience (at once while it has not answered an earlier
// call): it stays queued and the reason is in `e`.
int publisher_sync(struct publisher *p, const struct record *r, struct error *e);

// --- commands ---
// The next request: 1, or 0 when there is none. `wait`: block until there is one.
int publisher_next(struct publisher *p, struct request *out, int wait);
int publisher_has_signal(struct publisher *p); // whether the next one is a signal
// For who waits for other things too: readable while publisher_next has something. Stays the
// publisher's. -1: there is none.
int publisher_fd(struct publisher *p, struct error *e);
void publisher_answer(struct publisher *p, const struct request *r, const struct answer *a);

void publisher_status(struct publisher *p, const struct publisher_status *s);

#endif
