// The far end of the control socket: who is connected, what they say, what they still have to be
// sent. Belongs to the writer thread; nothing here blocks, and whoever does not read loses the
// connection.
#ifndef SSLTOP_TRAIN_WIRE_WATCHERS_H
#define SSLTOP_TRAIN_WIRE_WATCHERS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "train/wire/control.h"

enum { WATCHERS_MAX = 32, WATCHERS_POLL = WATCHERS_MAX + 1 };

struct watchers;

// `listen_fd` is taken over. `call` gets every well-formed command; each must be answered once with
// watchers_answer.
int watchers_new(int listen_fd,
                 void (*call)(void *context, uint64_t client, const struct command_call *c),
                 void *context, struct watchers **out, struct error *e);
// Closes every connection. NULL allowed.
void watchers_free(struct watchers *w);

// What to poll for, and what to do with the outcome (the same array).
void watchers_poll_set(const struct watchers *w, struct pollfd set[WATCHERS_POLL]);
void watchers_handle(struct watchers *w, const struct pollfd set[WATCHERS_POLL]);

// A client that has gone meanwhile is ignored.
void watchers_answer(struct watchers *w, uint64_t client, const struct answer *a);
// From now on this client gets every broadcast line; first it gets `backlog` (whole lines).
void watchers_follow(struct watchers *w, uint64_t client, const char *backlog, size_t n);
void watchers_broadcast(struct watchers *w, const char *line, size_t n); // without newline
int watchers_following(const struct watchers *w);                        // how many

// Send what is waiting, for at most this long.
void watchers_drain(struct watchers *w, int timeout_ms);

#endif
