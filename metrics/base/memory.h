// Memory that is asked for as it is needed: what goes back all at once, arrays that grow, and
// whether there is room for what a library will take.
#ifndef SSLTOP_METRICS_BASE_MEMORY_H
#define SSLTOP_METRICS_BASE_MEMORY_H

#include <stddef.h>

#include "metrics/base/error.h"

// What one owner has taken, to be given back all at once. Zeroed: nothing.
struct memory {
    struct memory_block *last;
    int failed; // something was not to be had
};

// n zeroed elements of this size; NULL, and m->failed: there is no memory. Who takes several asks
// once whether one failed:
//
//     FREED_BY(memory_free) struct memory m = {0};
//     double *row = memory_take(&m, d, sizeof *row), *mean = memory_take(&m, d, sizeof *mean);
//     if (m.failed)
//         return error_memory(e, "rows of %zu numbers", d);
void *memory_take(struct memory *m, size_t n, size_t size);
void memory_free(struct memory *m); // zeroed then

// In front of a local struct: this gets its address where its block is left, by whatever way.
#define FREED_BY(f) __attribute__((cleanup(f)))

// Room for `want` elements in an array from malloc (NULL: none yet) that has room for `cap`, which
// may be a variable of any integer type. It doubles, so that n additions cost n. 0; or -1, and both
// are as they were: no memory, or more than the type of `cap` can count.
//
//     if (memory_grow(p->point, p->cap, p->n + 1) < 0)
//         return error_memory(e, "evaluations");
//     p->point[p->n++] = *point;
#define memory_grow(array, cap, want) memory_by(memory_grow_bytes, array, cap, want)
// The same of an array that is wanted whole each time: it gets room for `want` and no more.
#define memory_room(array, cap, want) memory_by(memory_room_bytes, array, cap, want)

// What they do: `array` points to the pointer, `counter` is the size of the type of `cap`.
#define memory_by(f, array, cap, want)                                                             \
    ({                                                                                             \
        size_t memory_cap = (size_t)(cap);                                                         \
        int memory_rc = f(&(array), &memory_cap, (size_t)(want), sizeof *(array), sizeof(cap));    \
        (cap) = (__typeof__(cap))memory_cap;                                                       \
        memory_rc;                                                                                 \
    })
int memory_grow_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter);
int memory_room_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter);

// Room in the address space, which `ulimit -v` and the queues of clusters limit. There are
// libraries that ask for memory for ever, and some that do not look whether they got it: so who
// calls them asks first whether it is there. -1: so many bytes more can't be had just now, with a
// sentence that says what wants them: "the linear algebra library".
int memory_check(size_t bytes, const char *what, struct error *e);

// Whether there is a limit that a process comes to before its memory is full: on its address space,
// or on what all may promise themselves.
int memory_is_limited(void);

#endif
