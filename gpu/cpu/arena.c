// A bump allocator over huge-page mappings; see arena.h.
#include "gpu/cpu/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t PAGE = (size_t)2 << 20, CHUNK = (size_t)32 << 20;

// Tensors of one shape would otherwise lie at the same offset modulo the cache's way size; an odd
// number of lines between them keeps two streams of a kernel out of each other's sets.
static const size_t STAGGER = 37 * 64;

struct arena_chunk {
    struct arena_chunk *next;
    char *map, *base; // mapping, and its first huge-page boundary
    size_t mapped, size, used;
};

static struct arena_chunk *chunk_new(struct arena *a, size_t need)
{
    size_t size = need > CHUNK ? (need + PAGE - 1) / PAGE * PAGE : CHUNK;
    struct arena_chunk *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    c->mapped = size + PAGE;
    c->map = mmap(NULL, c->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->map == MAP_FAILED) {
        free(c);
        return NULL;
    }
    c->base = (char *)(((uintptr_t)c->map + PAGE - 1) / PAGE * PAGE);
    (void)madvise(c->base, size, MADV_HUGEPAGE); // a wish: without huge pages it is only slower
    c->size = size;
    c->used = 0;
    c->next = a->chunk;
    a->chunk = c;
    a->total += size;
    return c;
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t need = (size + 63) / 64 * 64 + STAGGER;
    struct arena_chunk *c = a->chunk;
    while (c && c->size - c->used < need)
        c = c->next;
    if (!c && !(c = chunk_new(a, need)))
        return NULL;
    char *p = c->base + c->used;
    c->used += need;
    memset(p, 0, need); // touches the pages now rather than in the first step
    return p;
}

void arena_free(struct arena *a)
{
    while (a->chunk) {
        struct arena_chunk *c = a->chunk;
        a->chunk = c->next;
        munmap(c->map, c->mapped);
        free(c);
    }
    a->total = 0;
}
