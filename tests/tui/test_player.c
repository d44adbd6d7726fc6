// The place of a replay under a clock that the test holds.
#include <criterion/criterion.h>
#include <math.h>

#include "tui/feed/player.h"

// `steps` steps, `each` seconds apart.
static struct timeline evenly(int64_t steps, double each)
{
    struct timeline l = {0};
    for (int64_t i = 0; i < steps; i++)
        cr_assert_eq(timeline_add(&l, i, 5 + (double)i * each, NULL), 0);
    return l;
}

Test(player, time_and_steps)
{
    struct timeline l = evenly(101, 0.5);
    cr_assert_float_eq(timeline_length(&l), 50, 1e-9);
    cr_assert_float_eq(timeline_seconds(&l, 10), 5, 1e-9);
    cr_assert_eq(timeline_step(&l, 5), 10);
    cr_assert_eq(timeline_step(&l, 5.4), 10);
    cr_assert_eq(timeline_step(&l, -3), 0);
    cr_assert_eq(timeline_step(&l, 1e9), 100);
    cr_assert_float_eq(timeline_seconds(&l, 1000), 50, 1e-9);
    timeline_free(&l);
    cr_assert_eq(timeline_step(&l, 5), 0);
    cr_assert_float_eq(timeline_length(&l), 0, 0);
}

Test(player, a_long_pause_is_none)
{
    struct timeline l = evenly(11, 1);
    timeline_add(&l, 11, 15 + 8 * 3600, NULL);
    cr_assert_float_eq(timeline_length(&l), 10 + timeline_gap, 1e-9);
    timeline_add(&l, 12, NAN, NULL); // a record without a time
    cr_assert_float_eq(timeline_length(&l), 10 + timeline_gap, 1e-9);
    timeline_free(&l);
}

// A resumed run makes steps again: their newest times count. Steps may be left out.
Test(player, repeated_and_missing_steps)
{
    struct timeline l = evenly(101, 1);
    for (int64_t i = 60; i < 70; i++)
        timeline_add(&l, i, 1000 + 0.25 * (double)i, NULL);
    cr_assert_eq(l.last, 69);
    cr_assert_float_eq(timeline_seconds(&l, 59), 59, 1e-9);
    cr_assert_float_eq(timeline_length(&l), 59 + timeline_gap + 9 * 0.25, 1e-9);
    timeline_add(&l, 80, 1000 + 0.25 * 70, NULL);
    cr_assert_float_eq(timeline_length(&l), 59 + timeline_gap + 10 * 0.25, 1e-9);
    double before = -1;
    for (int64_t i = 0; i <= 80; i++) {
        cr_assert(timeline_seconds(&l, i) >= before);
        before = timeline_seconds(&l, i);
    }
    timeline_free(&l);
}

Test(player, memory_is_bounded)
{
    struct timeline l = {0};
    int64_t n = 3 * TIMELINE_MAX + 17;
    for (int64_t i = 0; i < n; i++)
        timeline_add(&l, i, 0.01 * (double)i, NULL);
    cr_assert(l.n <= TIMELINE_MAX && l.cap <= TIMELINE_MAX);
    cr_assert_float_eq(timeline_length(&l), 0.01 * (double)(n - 1), 1e-3);
    for (int64_t i = 0; i < n; i += 977) {
        cr_assert_float_eq(timeline_seconds(&l, i), 0.01 * (double)i, 0.02);
        int64_t back = timeline_step(&l, timeline_seconds(&l, i));
        cr_assert(back >= i - 2 && back <= i + 2);
    }
    timeline_add(&l, (int64_t)1 << 59, 1, NULL);
    cr_assert(l.n <= TIMELINE_MAX);
    timeline_free(&l);
}

Test(player, plays_at_its_speed)
{
    struct timeline l = evenly(101, 1);
    struct player p;
    player_init(&p, 50);
    cr_assert(p.step == -1 && !p.playing, "it opens at the newest step, standing still");
    player_tick(&p, &l, 60);
    cr_assert_eq(p.step, -1);
    player_toggle(&p, &l); // from the end: from the beginning
    cr_assert(p.playing && p.step == 0);
    player_tick(&p, &l, 63);
    cr_assert_eq(p.step, 3);
    player_toggle(&p, &l);
    player_tick(&p, &l, 100);
    cr_assert_eq(p.step, 3, "it stands");
    player_toggle(&p, &l);
    player_change_speed(&p, 2);
    player_tick(&p, &l, 102);
    cr_assert_eq(p.step, 11, "four times as fast");
    player_change_speed(&p, -4);
    player_tick(&p, &l, 106);
    cr_assert_eq(p.step, 12, "a quarter");
    player_change_speed(&p, 100);
    cr_assert_float_eq(player_speed_table[p.speed].factor, 64, 0);
    player_tick(&p, &l, 110);
    cr_assert(p.step == -1 && !p.playing, "the end");
    player_change_speed(&p, -100);
    cr_assert_float_eq(player_speed_table[p.speed].factor, 0.25, 0);
    player_tick(&p, &l, 90); // a clock that goes back moves nothing
    cr_assert_eq(p.step, -1);
    timeline_free(&l);
}

Test(player, seeks)
{
    struct timeline l = evenly(101, 1);
    struct player p;
    player_init(&p, 0);
    player_seek(&p, &l, 40);
    player_toggle(&p, &l);
    player_tick(&p, &l, 2);
    cr_assert_eq(p.step, 42, "it plays on from there");
    player_seek(&p, &l, 20);
    cr_assert(p.playing);
    player_tick(&p, &l, 3);
    cr_assert_eq(p.step, 21);
    player_seek(&p, &l, 100);
    cr_assert(p.step == -1 && !p.playing, "the newest stays the newest");
    timeline_add(&l, 101, 106, NULL);
    player_tick(&p, &l, 4);
    cr_assert_eq(p.step, -1);
    player_seek(&p, &l, 100);
    cr_assert_eq(p.step, 100);
    timeline_free(&l);
}

// Nothing to play: nothing happens.
Test(player, an_empty_run)
{
    struct timeline l = {0};
    struct player p;
    player_init(&p, 0);
    player_toggle(&p, &l);
    cr_assert(!p.playing);
    player_seek(&p, &l, 7);
    player_tick(&p, &l, 9);
    cr_assert_eq(p.step, -1);
    timeline_add(&l, 0, 3, NULL);
    player_toggle(&p, &l);
    cr_assert(!p.playing, "one step is no film");
    timeline_free(&l);
}
