// The ring of a client as the recorder sees it: memory that another process may write at any
// moment. What is used is copied first and looked at then.
#ifndef SSLTOP_TRAIN_RECORDER_SLOTS_H
#define SSLTOP_TRAIN_RECORDER_SLOTS_H

#include <stddef.h>

#include "metrics/base/error.h"
#include "train/client/link.h"
#include "train/recorder/intake.h"

struct slots {
    struct link_ring *ring; // NULL: none
    size_t bytes;
    uint64_t room; // of a slot
};

// The ring in this memfd: sealed against shrinking, and of the size that it says. The descriptor
// stays the caller's. The ring before is let go.
int slots_open(struct slots *f, int fd, struct error *e);
void slots_close(struct slots *f); // takes a zeroed struct too

// The oldest step that is there: 1, its slot is held until slots_release; its head in `head`
// (numbers as they came but for those that are refused), its rows in `rows`. 0: there is none. -1:
// it makes no sense, and is released.
int slots_take(struct slots *f, struct link_slot *head,
               struct intake_rows rows[LINK_PLACES][LINK_VIEWS], int *slot, struct error *e);
// The name of a scalar of a step that was taken, without control characters; "": it has none.
void slots_name(const struct slots *f, uint32_t scalar, char name[LINK_NAME]);
void slots_release(struct slots *f, int slot);

#endif
