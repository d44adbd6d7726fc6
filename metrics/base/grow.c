// One place that knows how fast arrays grow, and where they end.
#include "metrics/base/grow.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1024 }; // bytes, about

int grow_bytes(void *array, size_t *cap, size_t want, size_t size, size_t counter)
{
    size_t most = PTRDIFF_MAX / size;
    if (counter <= sizeof(int) && most > INT_MAX)
        most = INT_MAX;
    if (want <= *cap)
        return 0;
    if (want > most)
        return -1;
    size_t more = *cap ? (*cap < most / 2 ? 2 * *cap : most) : FIRST / size + (FIRST < size);
    more = more > want ? more : want;
    void *p;
    memcpy(&p, array, sizeof p);
    p = realloc(p, more * size); // cppcheck-suppress memleakOnRealloc ; the caller's is as it was
    if (!p)
        return -1;
    memcpy(array, &p, sizeof p);
    *cap = more;
    return 0;
}
