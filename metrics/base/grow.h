// Arrays that grow: their room doubles, so that n additions cost n.
//
//     if (grow_array(p->point, p->cap, p->n + 1) < 0)
//         return error_set(e, "out of memory for evaluations");
//     p->point[p->n++] = *point;
#ifndef SSLTOP_METRICS_BASE_GROW_H
#define SSLTOP_METRICS_BASE_GROW_H

#include <stddef.h>

// Room for `want` elements in an array from malloc (NULL: none yet) that has room for `cap`, which
// may be a variable of any integer type. 0; or -1, and both are as they were: no memory, or more
// than the type of `cap` can count.
#define grow_array(array, cap, want)                                                               \
    ({                                                                                             \
        size_t grow_cap = (size_t)(cap);                                                           \
        int grow_rc =                                                                              \
            grow_bytes(&(array), &grow_cap, (size_t)(want), sizeof *(array), sizeof(cap));         \
        (cap) = (__typeof__(cap))grow_cap;                                                         \
        grow_rc;                                                                                   \
    })

// What grow_array does: `array` points to the pointer, `counter` is the size of the type of `cap`.
int grow_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter);

#endif
