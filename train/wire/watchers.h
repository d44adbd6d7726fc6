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

// Listen here from now on; the descriptor is taken over.
void watchers_listen(struct watchers *w, int listen_fd);

// What to poll for at `now` (ms): only what there is, as poll refuses more entries than a process
// may have descriptors. How many; *timeout_ms (-1: none) is lowered to when it must be asked again.
int watchers_poll_set(struct watchers *w, struct pollfd set[WATCHERS_POLL], int64_t now,
                      int *timeout_ms);
// What to do with the outcome (the same array). -1 with the reason: a connection could not be
// taken. It waits in the kernel's queue, and for a second nobody asks for it: a listener that stays
// readable must not keep the thread busy.
int watchers_handle(struct watchers *w, const struct pollfd set[WATCHERS_POLL], int64_t now,
                    struct error *e);

// A client that has gone meanwhile is ignored.
void watchers_answer(struct watchers *w, uint64_t client, const struct answer *a);
// From now on this client gets every broadcast line; first it gets `backlog` (whole lines).
void watchers_follow(struct watchers *w, uint64_t client, const char *backlog, size_t n);
void watchers_broadcast(struct watchers *w, const char *line, size_t n); // without newline
int watchers_following(const struct watchers *w);                        // how many

// Send what is waiting, for at most this long.
void watchers_drain(struct watchers *w, int timeout_ms);

#endif
