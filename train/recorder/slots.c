#include "train/recorder/slots.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "metrics/base/text.h"

static _Atomic uint32_t *state_of(const struct slots *f, int i)
{
    return (_Atomic uint32_t *)&f->ring->slot[i].state;
}

int slots_open(struct slots *f, int fd, struct error *e)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
        st.st_size < (off_t)LINK_DATA)
        return error_set(e, "the client's memory is no sealed ring");
    size_t bytes = (size_t)st.st_size;
    struct link_ring *ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED)
        return error_system(e, "the client's memory cannot be mapped");
    uint64_t room = ring->room;
    if (ring->magic != LINK_MAGIC || room < 64 || room > LINK_ROOM || room % 64 != 0 ||
        bytes != LINK_DATA + LINK_SLOTS * room) {
        munmap(ring, bytes);
        return error_set(e, "the client's ring has %zu bytes for slots of %llu", bytes,
                         (unsigned long long)room);
    }
    slots_close(f);
    *f = (struct slots){ring, bytes, room};
    return 0;
}

void slots_close(struct slots *f)
{
    if (f->ring)
        munmap(f->ring, f->bytes);
    *f = (struct slots){0};
}

void slots_release(struct slots *f, int slot)
{
    atomic_fetch_add((_Atomic uint64_t *)&f->ring->taken, 1);
    atomic_store(state_of(f, slot), LINK_FREE);
}

void slots_name(const struct slots *f, uint32_t scalar, char name[LINK_NAME])
{
    char theirs[LINK_NAME] = "";
    if (f->ring && scalar < LINK_SCALARS)
        memcpy(theirs, f->ring->name[scalar], LINK_NAME - 1);
    text_clean(name, LINK_NAME, theirs);
}

static int look_at(const struct slots *f, const struct link_slot *s, int slot,
                   struct intake_rows rows[LINK_PLACES][LINK_VIEWS], struct error *e)
{
    const char *room = (const char *)f->ring + LINK_DATA + (uint64_t)slot * f->room;
    memset(rows, 0, LINK_PLACES * sizeof *rows);
    if (s->parts > LINK_PARTS || s->scalars > LINK_SCALARS || s->step < 0 ||
        s->step > INT64_MAX / 2)
        return error_set(e, "a step of the client makes no sense: %u features, %u scalars",
                         s->parts, s->scalars);
    for (uint32_t i = 0; i < s->parts; i++) {
        const struct link_part *p = &s->part[i];
        if (p->place >= LINK_PLACES || p->view >= LINK_VIEWS || p->type >= LINK_TYPES || p->n < 1 ||
            p->n > LINK_ROWS || p->d < 1 || p->d > LINK_D || p->at % 64 != 0 || p->at > f->room ||
            (uint64_t)p->n > (f->room - p->at) / ((uint64_t)p->d * link_type_size[p->type]))
            return error_set(e, "features of the client make no sense: %lld x %lld at %llu of %llu",
                             (long long)p->n, (long long)p->d, (unsigned long long)p->at,
                             (unsigned long long)f->room);
        rows[p->place][p->view] =
            (struct intake_rows){room + p->at, (enum link_type)p->type, p->n, (int)p->d};
    }
    return 0;
}

int slots_take(struct slots *f, struct link_slot *head,
               struct intake_rows rows[LINK_PLACES][LINK_VIEWS], int *slot, struct error *e)
{
    for (int tries = 0; tries < LINK_SLOTS; tries++) { // one who fills them without end can wait
        int oldest = -1;
        int64_t step = 0;
        for (int i = 0; f->ring && i < LINK_SLOTS; i++)
            if (atomic_load(state_of(f, i)) == LINK_FULL &&
                (oldest < 0 || f->ring->slot[i].step < step)) {
                oldest = i;
                step = f->ring->slot[i].step;
            }
        if (oldest < 0)
            return 0;
        uint32_t full = LINK_FULL;
        if (!atomic_compare_exchange_strong(state_of(f, oldest), &full, LINK_READING))
            continue; // the client has just taken it back
        memcpy(head, &f->ring->slot[oldest], sizeof *head);
        *slot = oldest;
        if (look_at(f, head, oldest, rows, e) == 0)
            return 1;
        slots_release(f, oldest);
        return -1;
    }
    return 0;
}
