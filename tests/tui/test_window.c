// Zoom and pan in time, and the cursor.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/desk.h"
#include "tui/model/window.h"

// The window shows all, or halves of it that hold what it is centred on; columns keep their steps.
Test(window, holds_what_it_is_centred_on)
{
    uint32_t x = 7;
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        int64_t last = x >> 8 & 0xFFFFF;
        struct window_state v = {.cursor = -1, .centre = -1, .zoom = (int)(x >> 28)};
        int columns = 8 + 2 * (int)(x >> 4 & 0xFF);
        x = x * 1664525 + 1013904223;
        if (x & 1)
            v.cursor = (x >> 8) % (last + 1);
        struct window w = window_of(&v, last, columns);
        int64_t at = v.cursor >= 0 ? v.cursor : last;
        cr_assert(w.per >= 1 && (w.per & (w.per - 1)) == 0 && w.from >= 0);
        cr_assert(w.from <= at && at < w.from + w.per * columns, "%lld not in %lld + %lld * %d",
                  (long long)at, (long long)w.from, (long long)w.per, columns);
        cr_assert_eq(w.from % w.per, 0, "columns begin where they begin in the whole run");
        cr_assert_eq(window_column(&w, at, last), (at - w.from) / w.per);
        cr_assert_eq(window_column(&w, w.from - 1, last), -1);
    }
}

Test(window, the_cursor_moves_by_columns_and_reads_its_step)
{
    struct desk d;
    desk_open(&d, 50);
    free(scene_text(&d.t, 24, 80));
    cr_assert_eq(d.t.v.time.per, 1);
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, KEYS_LEFT);
    cr_assert_eq(d.t.v.time.cursor, 47);
    action_key(&d.ui, KEYS_FAR_LEFT);
    cr_assert_eq(d.t.v.time.cursor, 37);
    action_key(&d.ui, KEYS_FAR_RIGHT);
    action_key(&d.ui, KEYS_RIGHT);
    cr_assert_eq(d.t.v.time.cursor, 48);
    action_key(&d.ui, KEYS_RIGHT);
    cr_assert_eq(d.t.v.time.cursor, -1, "the newest step is no cursor");
    action_key(&d.ui, KEYS_HOME);
    cr_assert_eq(d.t.v.time.cursor, 0);
    action_key(&d.ui, KEYS_LEFT);
    cr_assert_eq(d.t.v.time.cursor, 0);
    char *text = scene_text(&d.t, 24, 80);
    cr_assert_not_null(strstr(text, "live 0.955"), "%s", text);
    free(text);
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.time.cursor, -1);
    scene_free(&d.t);
}

// A plot with labels at both sides and one with labels at the left only, in boxes of one width.
Test(window, plots_of_a_screen_agree)
{
    struct desk d;
    desk_open(&d, 0);
    for (int steps = 0; steps < 1300; steps++) {
        struct record r;
        record_init(&r, RECORD_STEP, steps);
        r.u.step.metric[METRIC_AUC] = 0.7;
        scene_add(&d.t, &r);
        if (steps % 13)
            continue;
        d.t.v.time.zoom = steps % 3;
        free(scene_text(&d.t, 36, 120));
        const struct zone *first = NULL;
        int plots = 0;
        for (int i = 0; i < d.t.v.pointer.n; i++) {
            const struct zone *z = &d.t.v.pointer.zone[i];
            if (z->kind != ZONE_TIME)
                continue;
            first = first ? first : z;
            cr_assert(z->from == first->from && z->per == first->per, "at step %d", steps);
            plots++;
        }
        cr_assert_geq(plots, 2);
    }
    scene_free(&d.t);
}

Test(window, zoom_and_pan)
{
    struct desk d;
    desk_open(&d, 1284);
    free(scene_text(&d.t, 24, 80));
    int64_t per = d.t.v.time.per;
    cr_assert_gt(per, 1);
    desk_type(&d, "+");
    free(scene_text(&d.t, 24, 80));
    cr_assert_eq(d.t.v.time.per, per / 2);
    for (int i = 0; i < 60; i++) {
        desk_type(&d, "+");
        free(scene_text(&d.t, 24, 80));
    }
    cr_assert_eq(d.t.v.time.per, 1, "no further than one step a column");
    cr_assert_lt(d.t.v.time.zoom, 12);
    int64_t span = d.t.v.time.span;
    desk_type(&d, "[");
    cr_assert_eq(d.t.v.time.centre, 1283 - span / 2);
    desk_type(&d, "]]]");
    cr_assert_eq(d.t.v.time.centre, 1283);
    desk_type(&d, "0");
    cr_assert(d.t.v.time.zoom == 0 && d.t.v.time.centre == -1);
    desk_type(&d, "[-");
    cr_assert(d.t.v.time.zoom == 0 && d.t.v.time.centre == -1);
    scene_free(&d.t);
}
