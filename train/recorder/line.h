// Messages of a client as the recorder hears and says them. Whoever is at the other end may say
// anything: what comes is bounded here and looked at by who uses it.
#ifndef SSLTOP_TRAIN_RECORDER_LINE_H
#define SSLTOP_TRAIN_RECORDER_LINE_H

#include <stddef.h>

#include "train/client/link.h"

// Fills magic, version, kind and length of `m`. -1 with errno: the client does not listen.
int line_say(int fd, enum link_kind kind, struct link_message *m, const char *text);

// 1: a message, its text of *length bytes (cut to size - 1) with a NUL behind; of kind 0 when it is
// none of ours. *memory: the descriptor that came with it, the caller's to close; -1: none. 0:
// there is no message. -1: the other end is closed.
int line_hear(int fd, struct link_message *m, char *text, size_t size, size_t *length, int *memory);

#endif
