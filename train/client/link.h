// What a client (in somebody else's training) and the recorder (a process of ours) say to each
// other. Private to both; either may be hostile to the other, so every number is looked at before
// it is used.
//
// Messages travel over a pair of SOCK_SEQPACKET sockets, one struct link_message each, host byte
// order (both ends are one machine); a text may follow it. Features and scalars lie in a ring in a
// sealed memfd that travels with the message LINK_RING: the client fills a free slot, or the oldest
// one that nobody has begun to read, and never waits.
//
//   client                                   recorder
//   HELLO version, run, config  ──────────>  (refuses another version)
//               <──────────────────────────  READY run folder, or REFUSED why
//   RING memfd ─────────────────────────────>
//   STEP step ──────────────────────────────>  a slot is ready
//               <──────────────────────────  ORDER id, what
//   ANSWER id, from which step, or why not ─>
//   PROBE memfd ────────────────────────────>  (an evaluation)
//   END reason, text ───────────────────────>
#ifndef SSLTOP_TRAIN_CLIENT_LINK_H
#define SSLTOP_TRAIN_CLIENT_LINK_H

#include <stdint.h>

enum {
    LINK_VERSION = 2,
    LINK_FD = 3,     // the recorder's end
    LINK_SLOTS = 8,  // steps that the recorder may be behind
    LINK_PLACES = 4, // "h", "z", and two more
    LINK_VIEWS = 2,
    LINK_PARTS = LINK_PLACES * LINK_VIEWS,
    LINK_SCALARS = 64,    // of the script's own, a step
    LINK_NAME = 32,       // bytes of a name, its NUL included
    LINK_TEXT = 60 * 1024 // bytes of a message's text
};
#define LINK_MAGIC UINT64_C(0x31706f746c7373) // "ssltop1"
#define LINK_ROOM  (UINT64_C(1) << 36)        // bytes of a slot, at most
#define LINK_D     32768                      // numbers of a feature, at most
#define LINK_ROWS  (INT64_C(1) << 24)         // of a batch, at most

enum link_kind {
    LINK_HELLO = 1,
    LINK_READY,
    LINK_REFUSED,
    LINK_RING,
    LINK_STEP,
    LINK_ORDER,
    LINK_ANSWER,
    LINK_EVENT, // text: a warning of the script's
    LINK_PROBE, // memfd: struct link_probe, sealed for good
    LINK_END    // what: enum link_end; text: why
};
enum link_end { LINK_FINISHED, LINK_STOPPED, LINK_FAILED };

struct link_message {
    uint64_t magic;
    uint32_t version, kind;
    uint64_t id;   // of an order and its answer
    int64_t step;  // of STEP; from which an answer holds, or a mode that is to come later; -1
    uint32_t what; // enum ssltop_what of an order; offered ones of HELLO, as bits
    uint32_t ok;   // of an answer; of HELLO: the training waits for every step
    int32_t mode;  // enum mode
    int32_t chunks;
    double factor; // of the learning rates
    int64_t steps; // HELLO: length of the run, -1 unknown
    int64_t n;     // HELLO: images, 0 unknown
    int64_t batch; // HELLO: images a step, 0: the rows of view 1
    uint64_t seed;
    char by[12];     // who ordered it
    uint32_t length; // bytes of the text behind, no NUL
};

// HELLO's text is this many strings, each with its NUL.
enum link_word {
    LINK_WRITER, // name and version of the client
    LINK_RUN,    // name of the run, "": found
    LINK_RUNS,   // folder of runs, "": as every command finds it
    LINK_CONFIG, // a JSON object of strings
    LINK_CALIBRATION,
    LINK_GUARD,
    LINK_SCHEDULE,
    LINK_WORDS
};

enum link_type { LINK_F16, LINK_BF16, LINK_F32, LINK_F64, LINK_TYPES };
static const uint32_t link_type_size[LINK_TYPES] = {2, 2, 4, 8};

struct link_part { // rows of features, n x d, one behind the other
    uint32_t place, view, type, unused;
    int64_t n, d;
    uint64_t at; // in the slot's room
};

enum link_state { LINK_FREE, LINK_WRITING, LINK_FULL, LINK_READING };

struct link_slot {
    uint32_t state;          // enum link_state, atomic
    uint32_t parts, scalars; // how many
    uint32_t mode_known;
    int64_t step;
    int64_t dropped; // steps that were overwritten or never written so far
    double loss, lr, lr_pred;
    int32_t mode, chunk;
    struct link_part part[LINK_PARTS];
    uint32_t scalar[LINK_SCALARS]; // their names: rows of the ring's
    double value[LINK_SCALARS];
};

struct link_ring {
    uint64_t magic;
    uint64_t room;  // bytes of a slot; slot i's begin at LINK_DATA + i * room
    uint64_t taken; // steps that the recorder is done with, atomic
    // Of scalars: each is there before the first step that has it, and stays.
    char name[LINK_SCALARS][LINK_NAME];
    struct link_slot slot[LINK_SLOTS];
};
#define LINK_DATA ((sizeof(struct link_ring) + 4095) / 4096 * 4096)

// What an evaluation is made of: features (n x d) and labels (0, 1, ...) of the training and of the
// test split.
struct link_probe {
    uint64_t magic;
    uint32_t type, unused;
    int64_t d, n[2];
};
struct link_probe_place { // where they lie behind it
    uint64_t rows[2], labels[2], bytes;
};
// 0: there are no such features.
static inline int link_probe_place(const struct link_probe *p, struct link_probe_place *out)
{
    uint64_t at = (sizeof *p + 63) / 64 * 64;
    if (p->type >= LINK_TYPES || p->d < 1 || p->d > LINK_D || p->n[0] < 1 || p->n[0] > LINK_ROWS ||
        p->n[1] < 1 || p->n[1] > LINK_ROWS)
        return 0;
    for (int k = 0; k < 2; k++) {
        out->rows[k] = at;
        at += ((uint64_t)p->n[k] * (uint64_t)p->d * link_type_size[p->type] + 63) / 64 * 64;
        out->labels[k] = at;
        at += ((uint64_t)p->n[k] * sizeof(int32_t) + 63) / 64 * 64;
    }
    out->bytes = at;
    return 1;
}

#endif
