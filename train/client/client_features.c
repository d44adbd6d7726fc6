// Features into shared memory, and never a wait. Of a step: one copy as they are handed over, into
// a free slot of the ring or over the oldest step that nobody has begun to read. Of an evaluation,
// with its labels: in a sealed memfd of their own.
#include "train/client/client.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "metrics/base/clock.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static uint64_t bytes_of(int64_t n, int64_t d, uint32_t type)
{
    return ((uint64_t)n * (uint64_t)d * link_type_size[type] + 63) / 64 * 64;
}

static uint64_t part_bytes(const struct place *p, int v)
{
    return bytes_of(p->count[v], p->d[v], p->type[v]);
}

void client_drop_ring(ssltop_client *c)
{
    if (c->ring)
        munmap(c->ring, c->ring_bytes);
    c->ring = NULL;
}

static char *room_of(struct link_ring *ring, const struct link_slot *s)
{
    return (char *)ring + LINK_DATA + (size_t)(s - ring->slot) * ring->room;
}

// A ring whose slots have room for so many bytes; the recorder empties the one before first. What
// the open slot has moves with it.
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
    struct link_slot *open = c->open ? ring->slot : NULL;
    if (open) {
        *open = *c->open;
        memcpy(room_of(ring, open), room_of(c->ring, c->open), c->filled);
    }
    client_drop_ring(c);
    c->open = open;
    c->ring = ring;
    c->ring_bytes = bytes;
    c->ring_named = 0;
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

// ---------------------------------------------------------------- copies

#define LARGE 131072 // bytes of a copy that is worth a look
#define TRIES 8

// Past the caches where that is measured to be faster (it depends on the processor): the recorder
// reads them on another core, and what the training has in its cache stays there.
#ifdef __SSE2__
static void stream(char *to, const char *from, size_t n)
{
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t k = i; k < i + 64; k += 16)
            _mm_stream_si128((__m128i *)(void *)(to + k),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + k)));
    _mm_sfence();
    memcpy(to + i, from + i, n - i);
}
#else
static void stream(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
}
#endif

// `to` is aligned to 64 bytes.
static void copy(ssltop_client *c, char *to, const char *from, size_t n)
{
    int tries = n >= LARGE && c->copies < TRIES;
    int past = n >= LARGE && (tries ? c->copies % 2 : c->copy_seconds[1] < c->copy_seconds[0]);
    double since = tries ? clock_seconds() : 0;
    if (past)
        stream(to, from, n);
    else
        memcpy(to, from, n);
    if (tries) {
        c->copy_seconds[past] += (clock_seconds() - since) / (double)n;
        c->copies++;
    }
}

// ---------------------------------------------------------------- a step

// Rows of place i, view v to the end of the open slot, which has room for them.
static void put(ssltop_client *c, int i, int v)
{
    struct place *p = &c->place[i];
    struct link_slot *s = c->open;
    size_t size = link_type_size[p->type[v]], row = (size_t)p->d[v] * size,
           step = (size_t)p->stride[v] * size;
    const char *from = p->rows[v];
    char *to = room_of(c->ring, s) + c->filled;
    if (row == step)
        copy(c, to, from, row * (size_t)p->count[v]);
    else
        for (int64_t k = 0; k < p->count[v]; k++)
            memcpy(to + (size_t)k * row, from + (size_t)k * step, row);
    s->part[s->parts++] = (struct link_part){(uint32_t)i, (uint32_t)v, p->type[v], 0,
                                             p->count[v], p->d[v],     c->filled};
    c->filled += part_bytes(p, v);
    p->rows[v] = NULL;
}

// A slot for the step that ends next. -1: all are being read.
static int open_slot(ssltop_client *c)
{
    if (c->open)
        return 0;
    c->open = slot(c);
    c->filled = 0;
    if (c->open)
        c->open->parts = 0;
    return c->open ? 0 : -1;
}

// They were handed over before in this step: the last ones count.
static void forget(ssltop_client *c, int i, int v)
{
    struct link_slot *s = c->open;
    for (uint32_t k = 0; s && k < s->parts; k++) {
        struct link_part p = s->part[k];
        if (p.place != (uint32_t)i || p.view != (uint32_t)v)
            continue;
        s->part[k--] = s->part[--s->parts];
        if (p.at + bytes_of(p.n, p.d, p.type) == c->filled)
            c->filled = p.at;
    }
}

int client_take(ssltop_client *c, int i, int v)
{
    struct link_slot *s = c->open;
    forget(c, i, v);
    uint64_t bytes = part_bytes(&c->place[i], v);
    if (c->fd < 0 || !c->ring || bytes > c->ring->room - (s ? c->filled : 0) || open_slot(c) < 0)
        return 0;
    put(c, i, v);
    return 1;
}

int client_hand_over(ssltop_client *c, int64_t step, double loss, double lr)
{
    uint64_t room = c->open ? c->filled : 0;
    for (int i = 0; i < c->places; i++)
        for (int v = 0; v < LINK_VIEWS; v++)
            room += c->place[i].rows[v] ? part_bytes(&c->place[i], v) : 0;
    if (((!c->ring || room > c->ring->room) && make_ring(c, room + 64) < 0) || open_slot(c) < 0) {
        if (c->open)
            atomic_store((_Atomic uint32_t *)&c->open->state, LINK_FREE);
        c->open = NULL;
        return -1;
    }
    for (int i = 0; i < c->places; i++)
        for (int v = 0; v < LINK_VIEWS; v++)
            if (c->place[i].rows[v])
                put(c, i, v);
    for (; c->ring_named < c->named; c->ring_named++)
        memcpy(c->ring->name[c->ring_named], c->name[c->ring_named], LINK_NAME);
    struct link_slot *s = c->open;
    c->open = NULL;
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
    s->dropped = c->dropped;
    atomic_store((_Atomic uint32_t *)&s->state, LINK_FULL);
    struct link_message m = client_message(LINK_STEP);
    m.step = step;
    client_say(c, &m, NULL, 0, -1); // one that is full of such has enough to wake it
    c->written++;
    return 0;
}

// ---------------------------------------------------------------- an evaluation

static void copy_splits(char *memory, const struct link_probe *p, const struct link_probe_place *at,
                        const ssltop_split *split[2])
{
    size_t row = (size_t)p->d * link_type_size[p->type];
    memcpy(memory, p, sizeof *p);
    for (int k = 0; k < 2; k++) {
        size_t step = (size_t)split[k]->stride * link_type_size[p->type];
        for (int64_t i = 0; i < p->n[k]; i++)
            memcpy(memory + at->rows[k] + (size_t)i * row,
                   (const char *)split[k]->rows + (size_t)i * step, row);
        memcpy(memory + at->labels[k], split[k]->labels, (size_t)p->n[k] * sizeof(int32_t));
    }
}

int ssltop_probe(ssltop_client *c, const ssltop_split *train, const ssltop_split *test, int64_t d,
                 ssltop_type type)
{
    const ssltop_split *split[2] = {train, test};
    struct link_message m = client_message(LINK_PROBE);
    struct link_probe p = {LINK_MAGIC, (uint32_t)type, 0, d, {train->n, test->n}};
    struct link_probe_place at;
    int rc = -1;
    if (!client_mine(c) || c->fd < 0)
        return 0;
    for (int k = 0; k < 2; k++)
        if (!split[k]->rows || !split[k]->labels || split[k]->stride < d)
            return -1;
    if (!link_probe_place(&p, &at))
        return -1;
    int fd = memfd_create("ssltop-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    char *memory = MAP_FAILED;
    if (ftruncate(fd, (off_t)at.bytes) == 0)
        memory = mmap(NULL, at.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m.step = c->step + 1;
    if (memory != MAP_FAILED) {
        copy_splits(memory, &p, &at, split);
        munmap(memory, at.bytes);
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
            rc = client_say(c, &m, NULL, 0, fd) == 0 ? 0 : -1;
    }
    close(fd);
    return rc;
}
