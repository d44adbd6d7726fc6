// Where control sockets live: a private folder, short unique names, nothing left of the dead.
#ifndef SSLTOP_TRAIN_WIRE_SOCKET_H
#define SSLTOP_TRAIN_WIRE_SOCKET_H

#include <stddef.h>

#include "metrics/base/error.h"

// A listening, non-blocking, close-on-exec socket of mode 0600 in $XDG_RUNTIME_DIR/ssltop (or
// /tmp/ssltop-UID, 0700 and ours); its path goes into path[size]. Sockets there that nobody listens
// to any more are removed.
int socket_listen(char *path, size_t size, struct error *e);

// Say in the file `control` of a run folder where its socket is; and remove both.
int socket_tell(const char *run_dir, const char *path, struct error *e);
void socket_remove(const char *run_dir, const char *path);
// Whether that file says so still.
int socket_is_told(const char *run_dir, const char *path);

// Whether the other end runs as this user or as root.
int socket_peer_is_mine(int fd);

#endif
