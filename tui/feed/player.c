// Time to step and back, and the clock that moves along it.
#include "tui/feed/player.h"

#include <math.h>
#include <stdlib.h>

#include "metrics/base/memory.h"

const double timeline_gap = 2;

const struct player_speed player_speed_table[] = {
    {0.25, "\u00D7\u00BC", "x1/4"}, {0.5, "\u00D7\u00BD", "x1/2"}, {1, "\u00D71", "x1"},
    {2, "\u00D72", "x2"},           {4, "\u00D74", "x4"},          {8, "\u00D78", "x8"},
    {16, "\u00D716", "x16"},        {32, "\u00D732", "x32"},       {64, "\u00D764", "x64"},
};
const int player_speed_count = sizeof player_speed_table / sizeof *player_speed_table;
enum { NORMAL = 2 };

void timeline_free(struct timeline *l)
{
    free(l->at);
    *l = (struct timeline){0};
}

static void halve(struct timeline *l)
{
    for (int64_t i = 0; 2 * i < l->n; i++)
        l->at[i] = l->at[2 * i];
    l->n = (l->n + 1) / 2;
    l->width *= 2;
}

int timeline_add(struct timeline *l, int64_t step, double t, struct error *e)
{
    if (step < 0)
        return 0;
    if (!l->width)
        *l = (struct timeline){.width = 1, .last = -1};
    double before = 0, took = 0;
    if (l->last >= 0) {
        before = timeline_seconds(l, step - 1);
        took = isfinite(t) ? fmin(fmax(t - l->last_t, 0), timeline_gap) : 0;
    }
    while (step / l->width >= TIMELINE_MAX)
        halve(l);
    int64_t i = step / l->width;
    if (memory_grow(l->at, l->cap, i + 1) < 0)
        return error_memory(e, "the time of a run's steps");
    if (l->n > i + 1)
        l->n = i + 1;
    if (step % l->width == 0 && l->n == i + 1)
        l->n = i;             // this very step again
    for (; l->n <= i; l->n++) // steps that were left out took no time
        l->at[l->n] = l->n * l->width == step ? before + took : before;
    l->last = step;
    if (isfinite(t))
        l->last_t = t;
    l->at_last = before + took;
    return 0;
}

double timeline_seconds(const struct timeline *l, int64_t step)
{
    if (!l->width || l->last < 0 || step < 0)
        return 0;
    if (step >= l->last)
        return l->at_last;
    int64_t i = step / l->width, from = i * l->width;
    if (i >= l->n)
        return l->at_last;
    int64_t to = i + 1 < l->n ? from + l->width : l->last;
    double a = l->at[i], b = i + 1 < l->n ? l->at[i + 1] : l->at_last;
    return to > from ? a + (b - a) * (double)(step - from) / (double)(to - from) : a;
}

double timeline_length(const struct timeline *l)
{
    return l->width && l->last >= 0 ? l->at_last : 0;
}

int64_t timeline_step(const struct timeline *l, double seconds)
{
    int64_t lo = 0, hi = l->width ? l->last : 0; // the last step not after that time
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (timeline_seconds(l, mid) <= seconds)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

void player_init(struct player *p, double now)
{
    *p = (struct player){.step = -1, .clock = now, .speed = NORMAL};
}

void player_tick(struct player *p, const struct timeline *l, double now)
{
    double passed = now - p->clock;
    p->clock = now;
    if (!p->playing || !(passed > 0))
        return;
    p->at += passed * player_speed_table[p->speed].factor;
    if (p->at >= timeline_length(l)) {
        p->step = -1;
        p->playing = 0;
    } else {
        int64_t step = timeline_step(l, p->at);
        p->step = step > p->step ? step : p->step; // steps that took no time are not gone through
    }
}

void player_seek(struct player *p, const struct timeline *l, int64_t step)
{
    int newest = step < 0 || step >= (l->width ? l->last : 0);
    p->step = newest ? -1 : step;
    p->at = newest ? timeline_length(l) : timeline_seconds(l, step);
    if (newest)
        p->playing = 0;
}

void player_toggle(struct player *p, const struct timeline *l)
{
    if (!p->playing && p->step < 0 && l->width && l->last > 0)
        player_seek(p, l, 0);
    p->playing = !p->playing && p->step >= 0;
}

void player_change_speed(struct player *p, int by)
{
    int speed = p->speed + by;
    p->speed = speed < 0 ? 0 : speed >= player_speed_count ? player_speed_count - 1 : speed;
}
