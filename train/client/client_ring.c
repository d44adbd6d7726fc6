// Steps into shared memory: one copy of the features, into a free slot or over the oldest step that
// nobody has begun to read. Never waits.
#include "train/client/client.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t part_bytes(const struct place *p, int v)
{
    uint64_t n = (uint64_t)p->count[v] * (uint64_t)p->d[v] * link_type_size[p->type[v]];
    return (n + 63) / 64 * 64;
}

void client_drop_ring(ssltop_client *c)
{
    if (c->ring)
        munmap(c->ring, c->ring_bytes);
    c->ring = NULL;
}

// A ring whose slots have room for so many bytes; the recorder empties the one before first.
static int make_ring(ssltop_client *c, uint64_t room)
{
    room = (room + room / 8 + 4095) / 4096 * 4096;
    if (room > LINK_ROOM)
        return -1;
    size_t bytes = LINK_DATA + (size_t)(LINK_SLOTS * room);
    int fd = memfd_create("ssltop", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    struct link_ring *ring = MAP_FAILED;
    if (ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        // A small one is there at once, so that no step waits for its pages; a large one grows.
        ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | (bytes <= (64u << 20) ? MAP_POPULATE : 0), fd, 0);
    struct link_message m = client_message(LINK_RING);
    if (ring != MAP_FAILED) {
        ring->magic = LINK_MAGIC;
        ring->room = room;
        if (client_say(c, &m, NULL, 0, fd) != 0) {
            munmap(ring, bytes);
            ring = MAP_FAILED;
        }
    }
    close(fd);
    if (ring == MAP_FAILED)
        return -1;
    client_drop_ring(c);
    c->ring = ring;
    c->ring_bytes = bytes;
    return 0;
}

static int claim(struct link_slot *s, uint32_t from)
{
    return atomic_compare_exchange_strong((_Atomic uint32_t *)&s->state, &from, LINK_WRITING);
}

// A free slot, or the oldest that nobody has begun to read: the newest steps are kept. NULL: all
// are being read.
static struct link_slot *slot(ssltop_client *c)
{
    struct link_slot *s = c->ring->slot, *oldest = NULL;
    for (int i = 0; i < LINK_SLOTS; i++)
        if (claim(&s[i], LINK_FREE))
            return &s[i];
    for (int i = 0; i < LINK_SLOTS; i++)
        if (!oldest || s[i].step < oldest->step)
            oldest = atomic_load((_Atomic uint32_t *)&s[i].state) == LINK_FULL ? &s[i] : oldest;
    return oldest && claim(oldest, LINK_FULL) ? (c->dropped++, oldest) : NULL;
}

static void copy_rows(char *to, const struct place *p, int v)
{
    size_t size = link_type_size[p->type[v]], row = (size_t)p->d[v] * size,
           step = (size_t)p->stride[v] * size;
    const char *from = p->rows[v];
    if (row == step) {
        memcpy(to, from, row * (size_t)p->count[v]);
        return;
    }
    for (int64_t i = 0; i < p->count[v]; i++)
        memcpy(to + (size_t)i * row, from + (size_t)i * step, row);
}

static void fill(ssltop_client *c, struct link_slot *s, int64_t step, double loss, double lr)
{
    char *room = (char *)c->ring + LINK_DATA + (size_t)(s - c->ring->slot) * c->ring->room;
    uint64_t at = 0;
    s->parts = 0;
    for (int i = 0; i < c->places; i++)
        for (int v = 0; v < LINK_VIEWS; v++) {
            const struct place *p = &c->place[i];
            if (!p->rows[v])
                continue;
            copy_rows(room + at, p, v);
            s->part[s->parts++] = (struct link_part){(uint32_t)i, (uint32_t)v, p->type[v], 0,
                                                     p->count[v], p->d[v],     at};
            at += part_bytes(p, v);
        }
    s->step = step;
    s->loss = loss;
    s->lr = lr;
    s->lr_pred = NAN;
    s->mode = c->mode;
    s->chunk = c->chunk;
    s->scalars = c->n_given;
    for (uint32_t k = 0; k < c->n_given; k++) {
        s->scalar[k] = c->given[k];
        s->value[k] = c->value[k];
        if (strcmp(c->name[c->given[k]], "lr_pred") == 0)
            s->lr_pred = c->value[k];
    }
}

int client_hand_over(ssltop_client *c, int64_t step, double loss, double lr)
{
    uint64_t room = 64;
    for (int i = 0; i < c->places; i++)
        for (int v = 0; v < LINK_VIEWS; v++)
            room += c->place[i].rows[v] ? part_bytes(&c->place[i], v) : 0;
    if ((!c->ring || room > c->ring->room) && make_ring(c, room) < 0)
        return -1;
    struct link_slot *s = slot(c);
    if (!s)
        return -1;
    fill(c, s, step, loss, lr);
    s->dropped = c->dropped;
    atomic_store((_Atomic uint32_t *)&s->state, LINK_FULL);
    struct link_message m = client_message(LINK_STEP);
    m.step = step;
    client_say(c, &m, NULL, 0, -1); // one that is full of such has enough to wake it
    c->written++;
    return 0;
}
