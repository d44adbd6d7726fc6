// One place that knows how fast arrays grow, where they end, and what the system has left.
#include "metrics/base/memory.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { FIRST = 1024 }; // bytes, about

struct memory_block {
    struct memory_block *before;
    _Alignas(max_align_t) unsigned char bytes[];
};

void *memory_take(struct memory *m, size_t n, size_t size)
{
    size_t bytes = sizeof(struct memory_block);
    int fits = !__builtin_mul_overflow(n, size, &n) && !__builtin_add_overflow(bytes, n, &bytes);
    struct memory_block *b = fits ? calloc(1, bytes) : NULL;
    m->failed |= !b;
    if (!b)
        return NULL;
    b->before = m->last;
    m->last = b;
    return b->bytes;
}

void memory_free(struct memory *m)
{
    for (struct memory_block *b = m->last, *before; b; b = before) {
        before = b->before;
        free(b);
    }
    *m = (struct memory){0};
}

static size_t most_of(size_t size, size_t counter)
{
    size_t most = PTRDIFF_MAX / size;
    return counter <= sizeof(int) && most > INT_MAX ? INT_MAX : most;
}

int memory_room_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter)
{
    if (want <= *cap)
        return 0;
    if (want > most_of(size, counter))
        return -1;
    void *p;
    memcpy(&p, array, sizeof p);
    p = realloc(p, want * size); // cppcheck-suppress memleakOnRealloc ; the caller's is as it was
    if (!p)
        return -1;
    memcpy(array, &p, sizeof p);
    *cap = want;
    return 0;
}

int memory_grow_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter)
{
    size_t most = most_of(size, counter);
    size_t more = *cap ? (*cap < most / 2 ? 2 * *cap : most) : FIRST / size + (FIRST < size);
    return want <= *cap ? 0
                        : memory_room_bytes(array, cap, more > want ? more : want, size, counter);
}

// --- room ---
static rlim_t limit(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_AS, &l) == 0 ? l.rlim_cur : RLIM_INFINITY;
}

// The kernel is asked by taking the room and giving it back: what is never touched costs nothing.
int memory_check(size_t bytes, const char *what, struct error *e)
{
    enum { MB = 1000000 };
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room != MAP_FAILED) {
        munmap(room, bytes);
        return 0;
    }
    size_t need = (bytes + MB - 1) / MB;
    if (limit() == RLIM_INFINITY)
        return error_set(e, "out of memory: %s needs %zu MB more", what, need);
    return error_set(e,
                     "out of address space: %s needs %zu MB more than a limit of %zu MB leaves "
                     "(ulimit -v raises it, fewer --threads need less)",
                     what, need, (size_t)limit() / MB);
}

// Linux's way to promise no more than there is: /proc/sys/vm/overcommit_memory is 2.
static int promises_are_kept(void)
{
    FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
    int c = f ? fgetc(f) : EOF;
    if (f)
        fclose(f);
    return c == '2';
}

int memory_is_limited(void)
{
    return limit() != RLIM_INFINITY || promises_are_kept();
}
