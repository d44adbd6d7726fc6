// A replay from logs that the tests write, under a clock that they hold.
#include <criterion/criterion.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/room.h"
#include "tui/feed/past.h"
#include "tui/model/verdict.h"
#include "tests/kit/scene.h"

static void expect_screen(struct room *m, const char *name, int h, int w)
{
    struct scene s = room_scene(m);
    scene_expect(&s, name, h, w);
}

static void expect_text(struct room *m, const char *what)
{
    char *text = room_text(m, 36, 120);
    cr_assert_not_null(strstr(text, what), "'%s' is not on the screen:\n%s", what, text);
    free(text);
}

// --- what is shown ---

// At any place it shows what a viewer saw when that step was the newest.
Test(replay, a_place_is_as_it_was)
{
    static const int64_t places[] = {0, 9, 10, 400, 467, 620, 860, 1100, 1283};
    struct room m;
    room_usual(&m);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct test_scene then;
        char a[256], b[256];
        scene_init(&then);
        then.probes = 1;
        scene_train(&then, (int)places[i] + 1);
        m.v.time.cursor = places[i];
        struct scene s = room_scene(&m);
        cr_assert_eq(s.h->last_step, places[i]);
        for (int k = 0; k < METRIC_COUNT; k++) {
            double x = s.h->last.metric[k], y = then.h.last.metric[k];
            cr_assert(x == y || (isnan(x) && isnan(y)), "metric %d at %lld", k,
                      (long long)places[i]);
        }
        cr_assert_str_eq(s.h->last.forecast_state, then.h.last.forecast_state);
        cr_assert_eq(s.h->last.mode, then.h.last.mode);
        cr_assert_eq(s.h->live.step, then.h.live.step);
        cr_assert_eq(s.h->live.d, then.h.live.d);
        for (int k = 0; k < s.h->live.d; k++)
            cr_assert_float_eq(s.h->live.sigma[k], then.h.live.sigma[k],
                               1e-4 * then.h.live.sigma[k]);
        if (places[i] != 467) // what is measured behind a step bears the number of the next
            cr_assert_eq(s.h->exact.step, then.h.exact.step);
        cr_assert_eq(s.h->first_exact.step, then.h.first_exact.step);
        cr_assert_eq(s.h->first_live.step, then.h.first_live.step);
        for (int64_t t = 0; t < 4680; t += 90)
            cr_assert_eq(schedule_view_mode(s.schedule, s.h, t),
                         schedule_view_mode(&then.schedule, &then.h, t), "mode of %lld as of %lld",
                         (long long)t, (long long)places[i]);
        cr_assert_eq(verdict(s.h, a, sizeof a), verdict(&then.h, b, sizeof b));
        cr_assert_str_eq(a, b);
        scene_free(&then);
    }
    room_free(&m);
}

Test(replay, screens)
{
    struct room m;
    room_usual(&m);
    expect_screen(&m, "replay-end-120x36", 36, 120);
    m.v.time.cursor = 600;
    room_tick(&m, 0);
    room_type(&m, ">> ");
    room_tick(&m, 5);
    expect_screen(&m, "replay-80x24", 24, 80);
    m.v.ascii = 1;
    expect_screen(&m, "replay-80x24-ascii", 24, 80);
    room_free(&m);
}

// Every view at every size, in the middle of a run.
Test(replay, views)
{
    struct room m;
    room_usual(&m);
    m.v.time.cursor = 1000;
    m.v.time.mark = 300;
    for (m.v.view = 0; m.v.view < VIEW_COUNT; m.v.view++)
        for (int i = 0; i < 3; i++)
            for (m.v.ascii = 0; m.v.ascii < 2; m.v.ascii++)
                expect_screen(&m, scene_name("replay-", &m.v, scene_size[i]), scene_size[i][0],
                              scene_size[i][1]);
    room_free(&m);
}

Test(replay, several_runs)
{
    struct room m;
    room_init(&m);
    room_log(&m, 0, 1284, 1, 0);
    room_log(&m, 1, 700, 0, 0.08);
    room_log(&m, 2, 1900, 1, -0.07);
    room_open(&m, 3);
    m.v.time.cursor = 900;
    for (int i = 0; i < 3; i++)
        for (m.v.ascii = 0; m.v.ascii < 2; m.v.ascii++)
            expect_screen(&m, scene_name("compare-", &m.v, scene_size[i]), scene_size[i][0],
                          scene_size[i][1]);
    m.v.time.cursor = -1;
    m.v.ascii = 0;
    expect_screen(&m, "compare-end-120x36", 36, 120);
    m.v.time.cursor = 900;
    struct scene s = room_scene(&m);
    cr_assert_eq(s.n_peer, 3);
    cr_assert_eq(s.peer[0].h->last_step, 900);
    cr_assert_eq(s.peer[1].h->last_step, 699, "a shorter run is at its end");
    cr_assert_eq(s.peer[2].h->last_step, 900);
    cr_assert_eq(s.peer[1].h->live.step, 699);
    room_key(&m, 'o');
    cr_assert_eq(room_scene(&m).chosen, 1);
    expect_text(&m, "without-predictor");
    room_key(&m, KEYS_RIGHT);
    cr_assert(m.v.time.cursor > 900, "the place goes on where the chosen run has ended");
    room_key(&m, '2');
    expect_text(&m, "of step 699");
    room_key(&m, 'O');
    room_key(&m, 'O');
    cr_assert_eq(room_scene(&m).chosen, 2);
    room_key(&m, KEYS_END);
    cr_assert_eq(room_scene(&m).h->last_step, 1899);
    for (int h = 10; h < 60; h += 7)
        for (int w = 20; w < 200; w += 17)
            for (m.v.view = 0; m.v.view < VIEW_COUNT; m.v.view++)
                free(room_text(&m, h, w));
    room_free(&m);
}

// --- keys ---

// Every key of a replay does what its help line says.
Test(replay, every_key_of_the_table)
{
    struct room m;
    int tried = 0;
    room_init(&m);
    room_log(&m, 0, 1284, 0, 0);
    room_log(&m, 1, 200, 0, 0);
    room_open(&m, 2);
    for (const struct action *a = action_table; a->keys; a++)
        for (int i = 0; a->context == CONTEXT_REPLAY && i < 3 && a->key[i]; i++, tried++) {
            uint32_t k = a->key[i];
            m.v.time.cursor = 500;
            m.v.message.text[0] = 0;
            room_tick(&m, 0);
            int speed = m.v.replay.speed, chosen = room_scene(&m).chosen;
            unsigned flags = room_key(&m, k);
            int says = strstr(m.v.message.text, "this is a replay") != NULL;
            switch (k) {
            case ' ':
                cr_assert(m.v.replay.playing);
                room_tick(&m, 3);
                cr_assert_eq(m.v.time.cursor, 530, "ten steps a second");
                room_key(&m, ' ');
                room_tick(&m, 100);
                cr_assert_eq(m.v.time.cursor, 530);
                room_key(&m, KEYS_END);
                room_key(&m, ' ');
                cr_assert_eq(m.v.time.cursor, 0, "at the end: from the beginning");
                room_key(&m, ' ');
                break;
            case '<':
                cr_assert_eq(m.v.replay.speed, speed - 1);
                room_key(&m, '>');
                break;
            case '>':
                cr_assert_eq(m.v.replay.speed, speed + 1);
                room_key(&m, '<');
                break;
            case 'o':
            case 'O':
                cr_assert_neq(room_scene(&m).chosen, chosen);
                room_key(&m, 'o');
                break;
            case KEYS_ESCAPE:
                cr_assert_eq(m.v.time.cursor, 500);
                room_key(&m, 'm');
                cr_assert_neq(m.v.message.text[0], 0);
                room_key(&m, KEYS_ESCAPE);
                cr_assert_eq(m.v.message.text[0], 0);
                break;
            case 'q':
            case 'd':
            case KEY_CTRL('C'):
                cr_assert_eq(flags, UI_LEAVE);
                break;
            default: // those that steer a training
                cr_assert(strchr("mnec", (int)k) && says, "%s", a->keys);
                cr_assert_eq(m.v.context, CONTEXT_MAIN);
                continue;
            }
            cr_assert(!says, "%s", a->keys);
        }
    cr_assert_geq(tried, 13);
    room_type(&m, ":mode continual\r");
    cr_assert_not_null(strstr(m.v.message.text, "this is a replay"));
    cr_assert_eq(m.sent, 0, "nothing was sent");
    room_free(&m);
}

// The keys that move the cursor move the replay.
Test(replay, the_cursor_is_the_place)
{
    struct room m;
    room_init(&m);
    room_log(&m, 0, 1284, 0, 0);
    room_open(&m, 1);
    free(room_text(&m, 24, 80)); // the drawing tells how wide a column is
    cr_assert_eq(m.v.time.cursor, -1, "it opens at the end");
    room_key(&m, KEYS_LEFT);
    cr_assert(m.v.time.cursor > 1200 && m.v.time.cursor < 1283);
    room_key(&m, KEYS_HOME);
    cr_assert_eq(m.v.time.cursor, 0);
    room_type(&m, "g40%\r");
    cr_assert_eq(m.v.time.cursor, 513);
    room_type(&m, "g1200\r");
    cr_assert_eq(m.v.time.cursor, 1200);
    room_type(&m, "gnowhere\r");
    cr_assert_not_null(strstr(m.v.message.text, "goto needs"));
    cr_assert_eq(m.v.time.cursor, 1200);
    room_type(&m, "g-3\r");
    room_type(&m, "g101%\r");
    room_type(&m, "gnan\r");
    cr_assert_eq(m.v.time.cursor, 1200);
    room_type(&m, "x"); // mark, go away, come back
    room_key(&m, KEYS_HOME);
    room_type(&m, "X");
    cr_assert_eq(m.v.time.cursor, 1200);
    room_type(&m, "{");
    cr_assert_eq(m.v.time.cursor, 1100);
    room_type(&m, "{");
    cr_assert_eq(m.v.time.cursor, 936);
    room_type(&m, "}}");
    cr_assert_eq(m.v.time.cursor, 1100, "no event is behind it");
    room_type(&m, " ");
    room_tick(&m, 2);
    cr_assert_eq(m.v.time.cursor, 1120, "it plays on from there");
    room_key(&m, KEYS_LEFT);
    int64_t at = m.v.time.cursor;
    cr_assert(at < 1120 && m.v.replay.playing);
    room_tick(&m, 1);
    cr_assert_eq(m.v.time.cursor, at + 10);
    room_type(&m, ">>>>>>>>>>>");
    room_tick(&m, 60);
    cr_assert(m.v.time.cursor == -1 && !m.v.replay.playing, "the end");
    room_free(&m);
}

// Events show when their step comes.
Test(replay, events_as_they_happened)
{
    struct room m;
    room_init(&m);
    room_log(&m, 0, 1284, 0, 0);
    room_open(&m, 1);
    m.v.time.cursor = 859;
    struct scene s = room_scene(&m);
    cr_assert_null(strstr(history_event(s.h, 0)->text, "mode"));
    room_type(&m, " ");
    room_tick(&m, 0.15);
    s = room_scene(&m);
    cr_assert_eq(m.v.time.cursor, 860);
    cr_assert_not_null(strstr(history_event(s.h, 0)->text, "multi-epoch"));
    room_free(&m);
}

Test(replay, any_key_anywhere)
{
    struct room m;
    uint32_t x = 3;
    room_init(&m);
    room_log(&m, 0, 300, 1, 0);
    room_log(&m, 1, 100, 0, 0.05);
    room_open(&m, 2);
    for (int i = 0; i < 10000; i++) {
        x = x * 1664525 + 1013904223;
        static const uint32_t odd[] = {KEYS_UP,    KEYS_DOWN,   KEYS_LEFT, KEYS_RIGHT, KEYS_HOME,
                                       KEYS_ENTER, KEYS_ESCAPE, KEYS_END,  KEYS_TAB,   KEYS_CLICK};
        m.v.pointer.y = (int)(x >> 20 & 31);
        m.v.pointer.x = (int)(x >> 8 & 127);
        room_key(&m, x >> 28 < 7 ? odd[(x >> 16) % 10] : (x >> 16) % 300);
        room_tick(&m, 0.01 * (x >> 27 & 7));
        cr_assert(m.v.time.cursor >= -1 && m.v.time.cursor < 300);
        if (i % 100 == 0)
            free(room_text(&m, 24, 80));
    }
    cr_assert_eq(m.sent, 0);
    room_free(&m);
}

// --- logs ---

// A log that grows is followed at the end, and not away from a place.
Test(replay, a_growing_log)
{
    struct room m;
    struct test_scene t;
    room_init(&m);
    scene_init(&t);
    cr_assert_eq(runlog_create(m.path[0], &t.log, NULL), 0);
    scene_train(&t, 100);
    cr_assert_eq(runlog_flush(t.log, 0, NULL), 0);
    room_open(&m, 1);
    cr_assert_eq(room_scene(&m).h->last_step, 99);
    for (int round = 0; round < 2; round++) {
        struct record r;
        m.v.time.cursor = round ? 50 : -1;
        for (int64_t step = 100 + 10 * round; step < 110 + 10 * round; step++) {
            record_init(&r, RECORD_STEP, step);
            r.u.step.t = 0.1 * (double)step;
            r.u.step.mode = MODE_CONTINUAL;
            scene_add(&t, &r);
        }
        for (int i = 0; i < 50 && playback_history(m.play)->last_step < 109 + 10 * round; i++) {
            int timeout = 1000; // it looks again twice a second
            playback_poll(m.play, &timeout);
            poll(NULL, 0, timeout);
            m.now += 0.5;
            cr_assert_geq(playback_pump(m.play, m.now, NULL), 0);
        }
        cr_assert_eq(room_scene(&m).h->last_step, round ? 50 : 109);
        expect_text(&m, "the log grows");
    }
    room_tick(&m, 60);
    expect_text(&m, "no end in the log");
    runlog_close(t.log, NULL);
    scene_free(&t);
    room_free(&m);
}

static long size_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    fclose(f);
    return n;
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    cr_assert_not_null(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 0x10, f);
    cr_assert_eq(fclose(f), 0);
}

// What is whole is shown, what is lost is said; nothing whole at all is refused.
Test(replay, damaged_logs)
{
    struct room m;
    room_init(&m);
    room_log(&m, 0, 400, 0, 0);
    long n = size_of(m.path[0]);
    for (int i = 0; i < 20; i++)
        flip(m.path[0], n / 2 + 701 * i);
    room_open(&m, 1);
    cr_assert_gt(playback_history(m.play)->steps, 100);
    m.v.time.cursor = 5;
    cr_assert_eq(room_scene(&m).h->last_step, 5);
    for (int64_t at = 0; at < 400; at += 7) {
        m.v.time.cursor = at;
        free(room_text(&m, 24, 80));
    }
    cr_assert_not_null(playback_lost(m.play));
    playback_free(m.play);
    m.play = NULL;
    cr_assert_eq(truncate(m.path[0], n / 3), 0);
    room_open(&m, 1);
    cr_assert_gt(playback_history(m.play)->last_step, 50);
    playback_free(m.play);
    m.play = NULL;
    static const long sizes[] = {0, 1, 7, 30};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *path = m.path[0], *name = "x";
        struct error e = {""};
        cr_assert_eq(truncate(m.path[0], sizes[i]), 0);
        cr_assert_lt(playback_open(&path, &name, 1, 0, &m.play, &e), 0);
        cr_assert_neq(e.text[0], 0);
        cr_assert_null(m.play);
    }
    const char *path = "/nowhere/at/all", *name = "x";
    cr_assert_lt(playback_open(&path, &name, 1, 0, &m.play, NULL), 0);
    room_free(&m);
}

// A step that was made twice is what it was the second time.
Test(replay, a_resumed_run)
{
    struct room m;
    struct test_scene t;
    struct record r;
    room_init(&m);
    scene_init(&t);
    cr_assert_eq(runlog_create(m.path[0], &t.log, NULL), 0);
    scene_train(&t, 100);
    for (int64_t step = 60; step < 80; step++) {
        record_init(&r, RECORD_STEP, step);
        r.u.step.metric[METRIC_LOSS] = -0.25;
        r.u.step.mode = MODE_CUMULATIVE;
        scene_add(&t, &r);
    }
    runlog_close(t.log, NULL);
    room_open(&m, 1);
    cr_assert_eq(room_scene(&m).h->last_step, 79);
    m.v.time.cursor = 65;
    struct scene s = room_scene(&m);
    cr_assert_eq(s.h->last.metric[METRIC_LOSS], -0.25);
    cr_assert_eq(s.h->last.mode, MODE_CUMULATIVE);
    m.v.time.cursor = 59;
    s = room_scene(&m);
    cr_assert_eq(s.h->last.mode, MODE_CONTINUAL);
    scene_free(&t);
    room_free(&m);
}

static void add_spectrum(struct test_scene *t, int64_t step, double second)
{
    struct record r;
    double sigma[2] = {1, second};
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.sigma = sigma;
    r.u.spectrum.d = 2;
    scene_add(t, &r);
    record_init(&r, RECORD_STEP, step);
    scene_add(t, &r);
    cr_assert_eq(runlog_flush(t->log, 0, NULL), 0);
}

// A spectrum that was looked up is looked up again when the log has a better one.
Test(replay, what_was_looked_up)
{
    struct room m;
    struct test_scene t;
    struct cursor *log;
    struct past_spectrum k;
    room_init(&m);
    scene_init(&t);
    cr_assert_eq(runlog_create(m.path[0], &t.log, NULL), 0);
    add_spectrum(&t, 3, 0.5);
    cr_assert_eq(cursor_open(m.path[0], &log, NULL), 0);
    past_spectrum_init(&k);
    static const struct {
        int64_t add, found;
        double second;
    } rows[] = {
        {4, 4, 0.4},               // the last one before step 6
        {7, 4, 0.3},  {8, 4, 0.2}, // nothing better: step 6 has none
        {5, 5, 0.25},              // resumed, and this time it has
        {6, 6, 0.15}, {7, 6, 0.1}, {6, 6, 0.05},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        add_spectrum(&t, rows[i].add, rows[i].second);
        cr_assert_eq(past_spectrum_find(log, &k, 6, RUNLOG_LIVE, NULL), 0);
        cr_assert_eq(k.p.step, rows[i].found, "%zu", i);
        if (rows[i].add == rows[i].found)
            cr_assert_eq(k.p.sigma[1], rows[i].second, "%zu", i);
    }
    past_spectrum_free(&k);
    cursor_free(log);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
    room_free(&m);
}

// Of a long log some spectra are read for what is drawn over time, and any of them is looked up.
Test(replay, spectra_on_demand)
{
    struct room m;
    struct record r;
    struct cursor *log;
    room_init(&m);
    room_log(&m, 0, 1200, 0, 0);
    room_open(&m, 1);
    const struct history *h = playback_history(m.play);
    cr_assert(h->live_rows.n > 250 && h->live_rows.n <= 1024, "%d", h->live_rows.n);
    cr_assert_eq(cursor_open(m.path[0], &log, NULL), 0);
    cr_assert_eq(cursor_find(log, RUNLOG_LIVE, 777, &r, NULL), 1);
    cr_assert_eq(r.step, 777);
    record_free(&r);
    cr_assert_eq(cursor_find(log, RUNLOG_EXACT, 777, &r, NULL), 1);
    cr_assert_eq(r.step, 468);
    record_free(&r);
    cr_assert_eq(cursor_find(log, RUNLOG_LIVE, -1, &r, NULL), 0);
    cr_assert_eq(past_step(log, 1199, &r, NULL), 1);
    cr_assert_eq(r.step, 1199);
    record_free(&r);
    cr_assert_eq(past_step(log, 1200, &r, NULL), 0);
    struct past_spectrum kept;
    past_spectrum_init(&kept);
    cr_assert_eq(past_spectrum_find(log, &kept, 601, RUNLOG_LIVE, NULL), 0);
    cr_assert_eq(kept.p.step, 601);
    const double *sigma = kept.p.sigma;
    cr_assert_eq(past_spectrum_find(log, &kept, 601, RUNLOG_LIVE, NULL), 0);
    cr_assert_eq(kept.p.sigma, sigma, "it is not read again");
    cr_assert_eq(past_spectrum_find(log, &kept, -1, RUNLOG_LIVE, NULL), 0);
    cr_assert_eq(kept.p.step, -1);
    past_spectrum_free(&kept);
    cursor_free(log);
    m.v.time.mark = 777; // which the waterfall does not have
    cr_assert_eq(room_scene(&m).marked->step, 777);
    m.v.view = VIEW_SPECTRUM;
    expect_text(&m, "mark @777");
    room_free(&m);
}
