// Arrays that grow: what is in them stays, additions are cheap, and no size goes round.
#include "metrics/base/memory.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "metrics/base/rng.h"

Test(memory, keeps_what_is_there_and_doubles)
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int round = 0; round < 20; round++) {
        int64_t *a = NULL, n = 0;
        int cap = 0, moves = 0;
        while (n < 20000) {
            int64_t more = 1 + (int64_t)rng_below(&r, 1 << (round % 12));
            int before = cap;
            cr_assert(memory_grow(a, cap, n + more) == 0 && cap >= n + more);
            cr_assert(cap == before || cap >= 2 * before);
            moves += cap != before;
            for (int64_t i = 0; i < more; i++, n++)
                a[n] = n * round;
        }
        for (int64_t i = 0; i < n; i++)
            cr_assert_eq(a[i], i * round);
        cr_assert_leq(moves, 16);
        free(a);
    }
}

Test(memory, refuses_what_cannot_be_counted)
{
    struct big {
        char byte[1 << 20];
    } *big = NULL;
    char *text = NULL;
    int small = 0;
    int64_t wide = 0;
    size_t size = 0;
    cr_assert(memory_grow(text, small, (size_t)INT_MAX + 1) == -1 && !text && small == 0);
    cr_assert(memory_grow(text, size, SIZE_MAX) == -1 && memory_grow(text, wide, INT64_MIN) == -1);
    cr_assert(memory_grow(big, size, SIZE_MAX >> 20) == -1 && !big && size == 0);
    cr_assert(memory_grow(text, size, 3) == 0 && size >= 3);
    size_t before = size;
    text[2] = 'x';
    cr_assert(memory_grow(text, size, (size_t)PTRDIFF_MAX) == -1);
    cr_assert(size == before && text[2] == 'x', "as it was");
    free(text);
}

Test(memory, comes_zeroed_and_goes_back_at_once)
{
    FREED_BY(memory_free) struct memory m = {0};
    unsigned char *piece[100];
    for (size_t i = 0; i < 100; i++) {
        piece[i] = memory_take(&m, i, 8);
        cr_assert(piece[i] && (uintptr_t)piece[i] % _Alignof(max_align_t) == 0);
        for (size_t k = 0; k < 8 * i; k++)
            cr_assert_eq(piece[i][k]++, 0);
    }
    cr_assert(!m.failed);
    memory_free(&m);
    cr_assert(!m.last);
    piece[0] = memory_take(&m, 1, 1);
    cr_assert(piece[0] && *piece[0] == 0);
}

Test(memory, says_that_something_was_not_to_be_had)
{
    FREED_BY(memory_free) struct memory m = {0};
    cr_assert(!memory_take(&m, SIZE_MAX / 2, 3) && m.failed);
    cr_assert(memory_take(&m, 2, 3) && m.failed);
    memory_free(&m);
    cr_assert(!m.failed && !memory_take(&m, SIZE_MAX, 1) && !memory_take(&m, (size_t)-1, 8));
    struct error e;
    cr_assert_eq(error_memory(&e, "%d rows", 3), -1);
    cr_assert_str_eq(e.text, "out of memory for 3 rows");
    cr_assert_eq(error_memory(NULL, "nothing"), -1);
}

Test(memory, makes_room_for_no_more_than_is_wanted)
{
    int *a = NULL, cap = 0;
    cr_assert(memory_room(a, cap, 5) == 0 && cap == 5);
    for (int i = 0; i < 5; i++)
        a[i] = i;
    cr_assert(memory_room(a, cap, 3) == 0 && cap == 5);
    cr_assert(memory_room(a, cap, 7) == 0 && cap == 7 && a[4] == 4);
    cr_assert(memory_room(a, cap, (size_t)INT_MAX + 1) == -1 && cap == 7 && a[4] == 4);
    free(a);
}
