// Whole screens against committed ones. `SSLTOP_SCREENS=write build/check --filter 'screen/*'` (and
// 'replay/*') writes the committed ones again; look at the difference before you commit it.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/scene.h"
#include "tui/draw/panel_lists.h"
#include "tui/hands/actions.h"
#include "tui/model/machine.h"
#include "tui/model/verdict.h"

static void expect_screen(struct test_scene *t, const char *name, int h, int w)
{
    scene_expect(&t->s, name, h, w);
}

static int send_nothing(void *to, const struct command_call *call, struct error *e)
{
    return error_set(e, "%s was sent", command_table[call->command].name);
}

// Every view at every size, with Unicode and with ASCII only.
Test(screen, views)
{
    struct test_scene t;
    scene_usual(&t);
    for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++)
        for (int i = 0; i < 3; i++)
            for (t.v.ascii = 0; t.v.ascii < 2; t.v.ascii++)
                scene_expect(&t.s, scene_name("", &t.v, scene_size[i]), scene_size[i][0],
                             scene_size[i][1]);
    scene_free(&t);
}

// The same with a cursor, zoomed in, the waterfall large, and another metric.
Test(screen, cursor)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    t.v.time.cursor = 700;
    t.v.time.zoom = 1;
    expect_screen(&t, "cursor-120x36", 36, 120);
    t.v.view = VIEW_SPECTRUM;
    t.v.look.waterfall = 1;
    expect_screen(&t, "waterfall-120x36", 36, 120);
    t.v.ascii = 1;
    expect_screen(&t, "waterfall-120x36-ascii", 36, 120);
    t.v.ascii = 0;
    t.v.view = VIEW_COLLAPSE;
    t.v.list.metric = METRIC_RANKME;
    expect_screen(&t, "rankme-120x36", 36, 120);
    scene_free(&t);
}

// The label of the cursor stands clear of those of the axis, wherever it is.
Test(screen, the_cursors_label_is_apart)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 200);
    for (t.v.time.cursor = 0; t.v.time.cursor < 199; t.v.time.cursor++) {
        char *text = scene_drawn(&t.s, 40, 120);
        for (char *s = strstr(text, "\u2514\u2500"); s; s = strstr(s + 1, "\u2514\u2500"))
            for (size_t n = 0, line = strcspn(s, "\n"); n < line;
                 n += 1 + strspn(s + n, "0123456789"))
                cr_assert_lt(strspn(s + n, "0123456789"), 4, "cursor %d:\n%.*s",
                             (int)t.v.time.cursor, (int)line, s);
        free(text);
    }
    scene_free(&t);
}

// What so few rows make read as more collapsed than it is, is marked, live and exact each for
// itself.
Test(screen, few_rows)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 70);
    t.h.live.n = 9.9 * t.h.live.d;
    expect_screen(&t, "few-80x24", 24, 80);
    t.v.ascii = 1;
    t.v.view = VIEW_COLLAPSE;
    expect_screen(&t, "few-80x24-ascii", 24, 80);
    t.h.live.n = 10 * t.h.live.d;
    char *text = scene_text(&t, 24, 80);
    cr_assert(!strstr(text, "few rows") && !strchr(text, '*'), "%s", text);
    free(text);
    scene_free(&t);
}

// The key for spectra of the projections, where there are some and where there are none.
Test(screen, projections)
{
    struct test_scene t;
    struct ui u = {.v = &t.v, .h = &t.h};
    scene_init(&t);
    scene_train(&t, 70);
    action_key(&u, 'z');
    cr_assert_eq(t.v.of_z, 0);
    cr_assert_str_eq(t.v.message.text, "there is no spectrum of z, or not yet");
    scene_free(&t);

    scene_init(&t);
    t.projects = 1;
    scene_train(&t, 1284);
    t.v.time.mark = 300;
    action_key(&u, 'z');
    cr_assert_eq(t.v.of_z, 1);
    expect_screen(&t, "z-overview-80x24", 24, 80);
    t.v.view = VIEW_SPECTRUM;
    for (int i = 0; i < 3; i++)
        for (t.v.ascii = 0; t.v.ascii < 2; t.v.ascii++)
            scene_expect(&t.s, scene_name("z-", &t.v, scene_size[i]), scene_size[i][0],
                         scene_size[i][1]);
    t.v.ascii = 0;
    t.v.time.cursor = 700; // between two of them
    expect_screen(&t, "z-cursor-80x24", 24, 80);
    t.v.view = VIEW_COLLAPSE;
    while (panel_list_series(&t.h, t.v.list.metric) != METRIC_Z_AUC)
        t.v.list.metric++;
    expect_screen(&t, "z-collapse-80x24", 24, 80);
    action_key(&u, 'z');
    cr_assert_eq(t.v.of_z, 0);
    scene_free(&t);
}

Test(screen, several_processes)
{
    double own[3] = {31, 30.5, 47}, reduce[3] = {16, 16.5, 0};
    struct test_scene t;
    struct record r;
    scene_init(&t);
    scene_train(&t, 1284);
    record_init(&r, RECORD_STEP, 1284);
    static const double ms[PHASE_COUNT] = {0.4, 31, 58, 4.2, 3.1, 9.5};
    memcpy(r.u.step.ms, ms, sizeof ms);
    r.u.step.t = 700;
    scene_add(&t, &r);
    record_init(&r, RECORD_RANKS, 1284);
    r.u.ranks.hosts = (char *)"node1 node1 node2";
    r.u.ranks.own = (struct record_spectrum){.d = 3, .sigma = own};
    r.u.ranks.reduce = (struct record_spectrum){.d = 3, .sigma = reduce};
    scene_add(&t, &r);
    t.v.view = VIEW_DEVICE;
    expect_screen(&t, "ranks-100x30", 30, 100);
    scene_free(&t);
}

Test(screen, a_card)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    scene_train(&t, 1284);
    scene_machine(&t);
    record_init(&r, RECORD_DEVICE, 1280);
    r.u.device = (struct record_device){.utilization = 97,
                                        .memory_used = 31.4e9,
                                        .memory_total = 85e9,
                                        .power = 412,
                                        .power_limit = 700,
                                        .temperature = 61,
                                        .clock_sm = 1980,
                                        .clock_memory = 2619,
                                        .others = 1,
                                        .others_memory = 2e9,
                                        .others_text = "python3 4711"};
    scene_add(&t, &r);
    t.v.view = VIEW_DEVICE;
    expect_screen(&t, "card-120x36", 36, 120);
    r.u.device.power = r.u.device.temperature = NAN; // what a card does not tell is a dash
    scene_add(&t, &r);
    expect_screen(&t, "card-80x24", 24, 80);
    t.h.device_step = -1;
    t.v.link.machine.cores = 192; // more than there is room for numbers
    for (int i = 0; i < t.v.link.machine.cores; i++)
        t.v.link.machine.load[t.v.link.machine.core[i] = i] = i % 7 ? (float)(i % 100) / 99 : NAN;
    expect_screen(&t, "cores-80x24", 24, 80);
    scene_free(&t);
}

Test(screen, nothing_measured)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 1284);
    expect_screen(&t, "numbers-80x24", 24, 80);
    t.v.view = VIEW_COLLAPSE;
    expect_screen(&t, "uncalibrated-120x36", 36, 120);
    scene_free(&t);
}

static int diamonds(const char *text)
{
    int n = 0;
    for (; (text = strstr(text, "\u25c6")); text++)
        n++;
    return n;
}

// Words about a forecast that there is not keep clear of what was measured, wherever that lies.
Test(screen, words_beside_what_is_measured)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    scene_train(&t, 100);
    for (int i = 0; i < 16; i++) {
        record_init(&r, RECORD_EVAL, 6 * (i / 2));
        r.u.eval.probe = 0.5 + 0.006 * i * (i % 2 ? 1 : -1);
        r.u.eval.n_test = 2000;
        scene_add(&t, &r);
        for (int w = 80; w < 200; w += 7) {
            t.v.view = w % 2 ? VIEW_OVERVIEW : VIEW_COLLAPSE;
            char *with = scene_text(&t, 36, w);
            snprintf(t.h.last.forecast_state, sizeof t.h.last.forecast_state, "unanswerable");
            char *without = scene_text(&t, 36, w);
            snprintf(t.h.last.forecast_state, sizeof t.h.last.forecast_state, "uncalibrated");
            cr_assert(i > 1 || strstr(with, "no calibration"), "%s", with);
            cr_assert_null(strstr(without, "no calibration"));
            cr_assert_eq(diamonds(with), diamonds(without), "%s", with);
            free(with);
            free(without);
        }
    }
    scene_free(&t);
}

// Whatever the width, what was measured stands beside the forecast.
Test(screen, measured_beside_forecast)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    cr_assert(t.h.n_eval > 1 && isfinite(t.h.last.forecast));
    for (int w = 80; w < 200; w++)
        for (int v = 0; v < 2; v++) {
            t.v.view = v ? VIEW_OVERVIEW : VIEW_COLLAPSE;
            char *text = scene_text(&t, 36, w), want[64];
            snprintf(want, sizeof want, "measured %.1f", 100 * t.h.eval[t.h.n_eval - 1].probe);
            cr_expect(strstr(text, want) && strstr(text, "forecast "), "%d columns: %s\n%s", w,
                      want, text);
            free(text);
        }
    scene_free(&t);
}

// Where the run ends as it goes stands in the panel of the forecast, at the newest step only.
Test(screen, what_the_run_comes_to)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    char *before = scene_text(&t, 36, 120);
    cr_expect(!strstr(before, "it ends at"), "%s", before);
    free(before);
    record_init(&r, RECORD_STEP, 1284);
    memcpy(&r.u.step, &t.h.last, sizeof r.u.step);
    r.u.step.forecast_end = 0.811;
    r.u.step.forecast_end_lo = 0.78;
    r.u.step.forecast_end_hi = 0.843;
    scene_add(&t, &r);
    t.v.view = VIEW_COLLAPSE;
    for (int w = 80; w < 200; w += 13) {
        char *text = scene_text(&t, 36, w);
        cr_expect(strstr(text, "ends at 81.1 %"), "%d columns\n%s", w, text);
        free(text);
    }
    strcpy(r.u.step.forecast_end_of, "linear");
    r.step++;
    scene_add(&t, &r);
    char *wide = scene_text(&t, 36, 200);
    cr_expect(strstr(wide, "ends at 81.1 % (78.0\u201384.3) by the linear probe"), "%s", wide);
    free(wide);
    // Nothing stands behind it where nothing stands behind the forecast.
    r.step++;
    strcpy(r.u.step.forecast_state, "extrapolating");
    scene_add(&t, &r);
    char *text = scene_text(&t, 36, 120);
    cr_expect(!strstr(text, "it ends at"), "%s", text);
    free(text);
    scene_free(&t);
}

// An evaluation tells both accuracies that it measured.
Test(screen, both_accuracies)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    const struct history_eval *last = &t.h.eval[t.h.n_eval - 1];
    char want[64];
    snprintf(want, sizeof want, "probe %.1f %%, kNN %.1f %%", 100 * last->probe, 100 * last->knn);
    t.v.view = VIEW_EVENTS;
    char *text = scene_text(&t, 24, 80);
    cr_expect(strstr(text, want), "%s\n%s", want, text);
    free(text);
    scene_free(&t);
}

Test(screen, why_there_is_no_forecast)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    t.v.view = VIEW_COLLAPSE;
    scene_train(&t, 20);
    char *text = scene_text(&t, 24, 80);
    cr_assert(strstr(text, "extrapolating") && strstr(text, "too far from the runs that the"), "%s",
              text);
    free(text);
    for (int w = 80; w < 200; w++)
        for (int v = 0; v < 2; v++) { // what was measured holds all the same
            char want[64];
            t.v.view = v ? VIEW_OVERVIEW : VIEW_COLLAPSE;
            text = scene_text(&t, 36, w);
            snprintf(want, sizeof want, "%.1f", 100 * t.h.eval[0].probe);
            const char *title = strstr(text, "forecast: extrapolating");
            const char *measured = title ? strstr(title, want) : NULL;
            cr_expect(measured && measured < strchr(title, '\n'), "%d columns: %s\n%s", w, want,
                      text);
            free(text);
        }
    scene_free(&t);
}

Test(screen, overlays)
{
    static const struct {
        const char *name;
        enum context context;
    } rows[] = {
        {"help-80x24", CONTEXT_HELP},     {"menu-80x24", CONTEXT_MENU},
        {"quit-80x24", CONTEXT_QUIT},     {"command-80x24", CONTEXT_COMMAND},
        {"search-80x24", CONTEXT_SEARCH},
    };
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 900);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t.v.context = rows[i].context;
        expect_screen(&t, rows[i].name, 24, 80);
    }
    scene_free(&t);
}

Test(screen, linear_spectrum)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 1284);
    t.v.look.linear = t.v.look.absolute = 1;
    t.v.view = VIEW_SPECTRUM;
    expect_screen(&t, "spectrum-linear-80x24", 24, 80);
    scene_free(&t);
}

Test(screen, states)
{
    struct test_scene t;
    scene_init(&t);
    t.v.link.state = LINK_READING;
    expect_screen(&t, "waiting-80x24", 24, 80);
    t.v.link.state = LINK_LIVE;
    scene_train(&t, 0);
    expect_screen(&t, "preparing-80x24", 24, 80);
    scene_free(&t);
    scene_init(&t);
    scene_train(&t, 300);
    scene_event(&t, 300, "pause", "key", "", "", "");
    expect_screen(&t, "paused-80x24", 24, 80);
    t.v.link.state = LINK_LOST;
    t.v.link.can_steer = 0;
    snprintf(t.v.link.text, sizeof t.v.link.text, "trainer died (signal 9, Killed) at step 300");
    snprintf(t.v.link.hint, sizeof t.v.link.hint, "resume with: ssltop train --resume study-1");
    expect_screen(&t, "died-80x24", 24, 80);
    snprintf(t.v.link.lost, sizeof t.v.link.lost, "the last 312 bytes are no whole frame");
    expect_screen(&t, "damaged-80x24", 24, 80);
    t.v.link.lost[0] = 0;
    t.v.link.state = LINK_APART;
    snprintf(t.v.link.text, sizeof t.v.link.text,
             "a trainer runs this, but can't be reached: SIGUSR1 makes its socket anew");
    expect_screen(&t, "apart-80x24", 24, 80);
    scene_free(&t);
}

// A training that is not ours: nothing is said that nobody told, and what it does not take is said.
Test(screen, of_another)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.writer.name, sizeof r.u.run.writer.name, "ssltop-client");
    snprintf(r.u.run.can, sizeof r.u.run.can, "pause resume step stop lr");
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name, "imagenet");
    snprintf(r.u.run.created, sizeof r.u.run.created, "2025-01-02T03:04:05Z");
    r.u.run.model.d = 4;
    scene_add(&t, &r);
    for (int i = 0; i < 60; i++) {
        record_init(&r, RECORD_STEP, i);
        r.u.step.t = 0.1 * i;
        r.u.step.metric[METRIC_LOSS] = -0.5;
        r.u.step.metric[METRIC_AUC] = i % 4 ? NAN : 0.75;
        r.u.step.images_s = 900;
        r.u.step.dropped = i / 5;
        r.u.step.own.n = 1; // a curve like any other
        snprintf(r.u.step.own.item[0].name, sizeof r.u.step.own.item[0].name, "top1");
        r.u.step.own.item[0].value = 0.01 * i - 0.2;
        scene_add(&t, &r);
        double sigma[4] = {4, 3, 2, 1};
        record_init(&r, RECORD_SPECTRUM, i);
        r.u.spectrum.n = 512;
        r.u.spectrum.d = 4;
        r.u.spectrum.sigma = sigma;
        if (i % 4 == 0)
            scene_add(&t, &r);
    }
    expect_screen(&t, "another-80x24", 24, 80);
    t.h.last.mode = MODE_CONTINUAL; // what has no room beside the mode is left out whole
    t.h.last.chunk = 41;
    expect_screen(&t, "another-chunk-80x24", 24, 80);
    t.h.last.mode = MODE_NONE;
    t.h.last.chunk = -1;
    t.h.batch = 90;
    t.v.view = VIEW_DEVICE;
    scene_machine(&t); // of the recorder, for nothing is known of the trainer's own process
    expect_screen(&t, "another-120x36", 36, 120);
    expect_screen(&t, "another-device-80x24", 24, 80);
    struct ui u = {.v = &t.v, .h = &t.h};
    t.v.view = VIEW_COLLAPSE;
    action_key(&u, KEYS_UP); // from the first to the last
    expect_screen(&t, "another-own-120x36", 36, 120);
    static const struct {
        uint32_t key;
        const char *says;
    } row[] = {{'m', "without ssltop's sampler"},
               {'e', "offered no evaluation"},
               {'c', "offered no checkpoints"},
               {'n', "no trainer to tell"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        u.send = row[i].key == 'n' ? NULL : send_nothing;
        action_key(&u, row[i].key);
        cr_expect(strstr(t.v.message.text, row[i].says), "%s", t.v.message.text);
        cr_expect_eq(t.v.context, CONTEXT_MAIN);
    }
    scene_free(&t);
}

Test(screen, finished)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 4680);
    struct record r;
    record_init(&r, RECORD_END, 4680);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "finished");
    scene_add(&t, &r);
    t.v.link.state = LINK_ENDED;
    snprintf(t.v.link.text, sizeof t.v.link.text, "finished at step 4 680");
    expect_screen(&t, "finished-80x24", 24, 80);
    scene_free(&t);
}

// What the line of an event cuts off can be read below the list when it is selected, a path too.
Test(screen, a_long_event_is_read_whole)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 500);
    scene_event(&t, 480, "warning", "trainer", "", "",
                "/data/a-folder-with-a-name-that-is-long/and-another-one-in-it-that-is-longer/"
                "class/image.jpg can't be read: it ends early; another image took its place");
    scene_event(&t, 490, "pause", "key", "", "", "");
    struct ui u = {.v = &t.v, .h = &t.h};
    t.v.view = VIEW_EVENTS;
    free(scene_text(&t, 24, 80));
    action_key(&u, KEYS_DOWN);
    expect_screen(&t, "event-80x24", 24, 80);
    char *text = scene_text(&t, 24, 80);
    cr_expect(strstr(text, "another image took its place "), "%s", text);
    free(text);
    action_key(&u, KEYS_UP); // a short one needs no such place
    text = scene_text(&t, 24, 80);
    cr_expect(!strstr(text, "took its place"), "%s", text);
    free(text);
    scene_free(&t);
}

// Smaller than 80 x 24 says so, at any size.
Test(screen, any_size)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 500);
    expect_screen(&t, "small-40x10", 10, 40);
    char *text = scene_text(&t, 10, 40);
    cr_assert_not_null(strstr(text, "needs 80x24"));
    free(text);
    static const struct {
        const char *keys, *shown;
    } open[] = {{"m", "2 C continual"}, {":pau", ":pau"}, {"?", "this help"}, {"/x", "/x"}};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) { // what takes the keys is shown
        struct ui u = {.v = &t.v, .h = &t.h};
        for (const char *k = open[i].keys; *k; k++)
            action_key(&u, (unsigned char)*k);
        text = scene_text(&t, 15, 60);
        cr_expect(strstr(text, open[i].shown) && strstr(text, "\nEsc back"), "%s", text);
        cr_expect(!strstr(text, "q quit"), "%s", text);
        free(text);
        for (int h = 1; h < 24; h++)
            for (int w = 1; w < 80; w += 3)
                free(scene_text(&t, h, w));
        action_key(&u, KEYS_ESCAPE);
        cr_expect_eq(t.v.context, CONTEXT_MAIN);
    }
    for (int h = 1; h < 60; h += 7)
        for (int w = 1; w < 220; w += 13)
            for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++)
                for (int c = 0; c < CONTEXT_COUNT; c++) {
                    t.v.context = (enum context)c;
                    text = scene_text(&t, h, w);
                    cr_assert(strlen(text) >= (size_t)h);
                    free(text);
                }
    scene_free(&t);
}

// What a data set or a run is called reaches the screen without its control characters.
Test(screen, hostile_text)
{
    struct test_scene t;
    scene_init(&t);
    struct record r;
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name,
             "images:/\x1b]0;x\x07/\xe7\x8c\xab\xff");
    r.u.run.steps = 100;
    scene_add(&t, &r);
    scene_event(&t, 3, "warning", "trainer", "", "",
                "\x1b[2J gone \xc2\x9b"
                "1m");
    for (int ascii = 0; ascii < 2; ascii++) {
        t.v.ascii = ascii;
        char *text = scene_text(&t, 24, 120);
        for (const char *p = text; *p; p++)
            cr_assert(*p == '\n' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
        cr_assert_null(strstr(text, "\xc2\x9b"));
        cr_assert_not_null(strstr(text, "gone"));
        cr_assert_eq(strstr(text, "\xe7\x8c\xab") != NULL, !ascii);
        free(text);
    }
    scene_free(&t);
}

// From a tenth of a step on the header says that the step waits for data.
Test(screen, waiting_for_data)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 100);
    char *calm = scene_text(&t, 24, 100);
    cr_expect_null(strstr(calm, "waiting for data"));
    struct record r;
    record_init(&r, RECORD_STEP, 0);
    for (int64_t step = 100; step < 200; step++) {
        record_init(&r, RECORD_STEP, step);
        r.u.step.mode = MODE_MULTI_EPOCH;
        r.u.step.ms[PHASE_DATA] = 60;
        for (int i = PHASE_DATA + 1; i <= PHASE_SPECTRUM; i++)
            r.u.step.ms[i] = 10;
        scene_add(&t, &r);
    }
    char *slow = scene_text(&t, 24, 100);
    cr_expect_not_null(strstr(slow, "waiting for data 60 %"), "%s", slow);
    free(calm);
    free(slow);
    scene_free(&t);
}

// --- the verdict ---

static enum role verdict_with(int metric, double value, int direction, char *text, size_t size)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 400);
    if (metric >= 0)
        t.h.last.metric[metric] = value;
    for (int i = 0; direction && i < t.h.live.d; i++)
        t.h.live.sigma[i] = i < direction ? 1 : 1e-6;
    enum role role = verdict(&t.h, text, size);
    scene_free(&t);
    return role;
}

Test(screen, verdicts_state_facts)
{
    char text[256];
    cr_assert_eq(verdict_with(METRIC_SPREAD, 4e-4, 0, text, sizeof text), ROLE_BAD);
    cr_assert_not_null(strstr(text, "constant"));
    cr_assert_eq(verdict_with(METRIC_SPREAD, 2e-3, 0, text, sizeof text), ROLE_DIM);
    cr_assert_eq(verdict_with(METRIC_ZSTD, 0.02, 0, text, sizeof text), ROLE_BAD);
    cr_assert_eq(verdict_with(METRIC_LOSS, NAN, 0, text, sizeof text), ROLE_BAD);
    cr_assert_not_null(strstr(text, "not finite"));
    cr_assert_eq(verdict_with(-1, 0, 3, text, sizeof text), ROLE_WARN);
    cr_assert_not_null(strstr(text, "partial collapse: 3 of 128 directions"));
    cr_assert_eq(verdict_with(-1, 0, 100, text, sizeof text), ROLE_DIM);
    cr_assert_null(strstr(text, "collapse"));
}

// A step of another's training; NaN: it told none.
static void other_step(struct test_scene *t, int64_t step, double loss, double spread)
{
    struct record r;
    double sigma[4] = {4, 3, 2, 1};
    record_init(&r, RECORD_STEP, step);
    r.u.step.metric[METRIC_LOSS] = loss;
    r.u.step.metric[METRIC_SPREAD] = spread;
    r.u.step.metric[METRIC_AUC] = isnan(spread) ? NAN : 0.75;
    scene_add(t, &r);
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.n = 512;
    r.u.spectrum.d = 4;
    r.u.spectrum.sigma = sigma;
    if (!isnan(spread))
        scene_add(t, &r);
}

// `n` steps of it: a loss in each `loss_every`-th, a spectrum in each fourth; then one with
// neither.
static void other_scene(struct test_scene *t, int n, int loss_every, double spread)
{
    struct record r;
    scene_init(t);
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.can, sizeof r.u.run.can, "pause resume step stop");
    scene_add(t, &r);
    for (int i = 0; i < n; i++)
        other_step(t, i, loss_every && i % loss_every == 0 ? -0.5 : NAN, i % 4 ? NAN : spread);
    other_step(t, n, NAN, NAN);
}

// What most of its steps don't have, for there was no time to measure it or the script gives none,
// is neither bad nor forgotten.
Test(screen, verdicts_of_another)
{
    static const struct {
        int steps, loss_every;
        double spread;
        enum role role;
        const char *says;
    } row[] = {
        {50, 0, 0.5, ROLE_DIM, "(AUC live 0.750)"},       // there is no loss at all
        {50, 10, 0.5, ROLE_DIM, "(AUC live 0.750)"},      // one now and then
        {51, 1, 0.5, ROLE_BAD, "the loss is not finite"}, // it was there in each
        {51, 0, 1e-4, ROLE_BAD, "constant: spread 1.0e-4"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct test_scene t;
        char text[256];
        other_scene(&t, row[i].steps, row[i].loss_every, row[i].spread);
        enum role role = verdict(&t.h, text, sizeof text);
        cr_expect(role == row[i].role && strstr(text, row[i].says), "%zu: %s", i, text);
        scene_free(&t);
    }
    struct test_scene t; // none has come for longer than one comes now and then
    char text[256];
    other_scene(&t, 50, 10, 0.5);
    for (int i = 51; i < 120; i++)
        other_step(&t, i, NAN, NAN);
    cr_expect_eq(verdict(&t.h, text, sizeof text), ROLE_BAD);
    cr_expect_str_eq(text, "the loss is not finite");
    scene_free(&t);
}

// What one step in sixteen has stands in the list until the next.
Test(screen, rare_numbers_stand)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    scene_train(&t, 60);
    record_init(&r, RECORD_STEP, 60);
    r.u.step.metric[METRIC_ALIGNMENT] = 0.1234;
    r.u.step.metric[METRIC_RANKME_RAW] = 23.45;
    r.u.step.metric[METRIC_PIXEL_R2] = 0.6789;
    scene_add(&t, &r);
    for (int i = 61; i < 64; i++) {
        record_init(&r, RECORD_STEP, i);
        scene_add(&t, &r);
    }
    t.v.view = VIEW_COLLAPSE;
    char *text = scene_text(&t, 24, 80);
    cr_expect(strstr(text, " 0.123 ") && strstr(text, " 23.45 ") && strstr(text, " 0.679 "), "%s",
              text);
    free(text);
    scene_free(&t);
}

// --- what the device view shows of this machine: loads from the text of /proc/stat ---

static int is_odd(const void *of, int core)
{
    return core % 2 == *(const int *)of;
}

static void look_at(struct machine *m, const char *stat)
{
    static const int one = 1;
    FILE *f = fmemopen((void *)stat, strlen(stat), "r");
    cr_assert_not_null(f);
    machine_loads(m, f, is_odd, &one);
    fclose(f);
    m->at = 1;
}

// Only the cores that the trainer may use, by their own numbers; one that was not there has no load
// yet, and one whose counters went back has none.
Test(machine, loads_of_the_cores_that_may_be_used)
{
    struct machine *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    look_at(m, "cpu  9 9 9 9 9 9 9 9 0 0\n"
               "cpu0 100 0 0 100 0 0 0 0 0 0\ncpu1 100 0 0 100 0 0 0 0 0 0\n"
               "cpu2 1 1 1 1\ncpu5 40 10 10 30 10 0 0 0 0 0\nintr 5\n");
    cr_assert_eq(m->cores, 2);
    cr_assert(m->core[0] == 1 && m->core[1] == 5);
    cr_assert(isnan(m->load[0]) && isnan(m->load[1]), "the first look has no loads");
    look_at(m, "cpu0 900 0 0 100 0 0 0 0 0 0\ncpu1 130 0 0 110 0 0 0 0 0 0\n"
               "cpu3 7 0 0 3 0 0 0 0 0 0\ncpu5 4 1 1 3 1 0 0 0 0 0\n");
    cr_assert_eq(m->cores, 3);
    cr_assert(m->core[1] == 3 && m->core[2] == 5);
    cr_assert_float_eq(m->load[0], 0.75, 1e-6);
    cr_assert(isnan(m->load[1]) && isnan(m->load[2]));
    look_at(m, "cpu1 130 0 0 120 0 0 0 0 0 0\ncpu99999 1 1 1 1\ncpu-1 1 1 1 1\n");
    cr_assert_eq(m->cores, 1);
    cr_assert_eq(m->load[0], 0);
    free(m);
}

// Of this process on this machine: no more cores than it may use.
Test(machine, of_this_process)
{
    struct machine *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    machine_read(m, getpid(), 1, 0);
    cr_assert(m->cores > 0 && m->cores <= sysconf(_SC_NPROCESSORS_CONF));
    cr_assert_gt(m->rss, 1e6);
    free(m);
}
