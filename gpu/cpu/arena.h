// Memory of a plan: a few large mappings on huge pages, touched once, freed together. First touch
// of fresh 4 KiB pages is slow in virtual machines, so nothing is allocated in a step.
#ifndef SSLTOP_GPU_CPU_ARENA_H
#define SSLTOP_GPU_CPU_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunk; // newest first
    size_t total;              // bytes mapped
};

// `size` zeroed bytes aligned to 64, or NULL. Lives until arena_free.
void *arena_take(struct arena *a, size_t size);
void arena_free(struct arena *a);

#endif
