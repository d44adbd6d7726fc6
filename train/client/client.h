// The state of a client. Private to it.
#ifndef SSLTOP_TRAIN_CLIENT_CLIENT_H
#define SSLTOP_TRAIN_CLIENT_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "train/client/link.h"
#include "train/client/ssltop-client.h"

struct place {
    char name[LINK_NAME];
    const void *rows[LINK_VIEWS]; // NULL: none this step, or in the ring already
    int64_t d[LINK_VIEWS], count[LINK_VIEWS], stride[LINK_VIEWS];
    ssltop_type type[LINK_VIEWS];
};

struct ssltop_client {
    pid_t owner, recorder;
    int fd; // -1: the recorder is gone
    char run[4096];
    struct link_ring *ring;
    size_t ring_bytes;
    struct link_slot *open; // that takes the step that ends next; NULL: none yet
    uint64_t filled;        // bytes of its room
    int copied;             // features that were given last
    int copies;             // large ones, until it is known which way is faster
    double copy_seconds[2]; // through the caches, past them
    struct place place[LINK_PLACES];
    int places;
    char name[LINK_SCALARS][LINK_NAME]; // of scalars
    double value[LINK_SCALARS];
    uint32_t named, ring_named, given[LINK_SCALARS], n_given; // ring_named: that the ring has
    int mode, chunk;
    int64_t step;             // that ended last
    int64_t written, dropped; // steps
    int64_t pause_at;         // no step from this one on; -1: none
    int stopped, whole;
};

// In the process that opened it: a forked child has a copy that does nothing.
int client_mine(const ssltop_client *c);

struct link_message client_message(enum link_kind kind);
// Say it, with n bytes of text and a descriptor (-1: none). 0; 1: the recorder does not listen just
// now; -1: it is gone.
int client_say(ssltop_client *c, struct link_message *m, const char *text, size_t n, int memory);
// 1: a message, its text with a NUL; 0: none; -1: the recorder is gone.
int client_hear(ssltop_client *c, struct link_message *m, char *text, size_t size);

// Copy the rows of place i, view v into the ring now, while they are in the caches, and forget what
// was there of them. 0: it has no room for them yet.
int client_take(ssltop_client *c, int i, int v);
// Put the step and what else was given for it into the ring. -1: there was no room.
int client_hand_over(ssltop_client *c, int64_t step, double loss, double lr);
void client_drop_ring(ssltop_client *c);

#endif
