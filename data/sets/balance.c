#include "data/sets/balance.h"

#include <stdlib.h>

#include "metrics/base/rng.h"

void balance_share(struct balance *b, int64_t wanted, int classes)
{
    for (int c = 0; c < classes; c++)
        b->room[c] = wanted / classes + (c < wanted % classes);
}

int balance_take(struct balance *b, int64_t image)
{
    if (b->label[image] < 0)
        return 0;
    if (b->room[b->label[image]] < 1)
        return 0;
    b->room[b->label[image]]--;
    return 1;
}

int64_t *balance_order(int64_t n, uint64_t seed, enum split split)
{
    struct rng r;
    int64_t *order = malloc((size_t)n * sizeof *order);
    if (!order)
        return NULL;
    rng_init(&r, seed, RNG_PROBE, split, 0);
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}
